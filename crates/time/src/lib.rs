//! Timers, tickers, sleep and timeout for threads and tasks, with Go 1.23's rules.
