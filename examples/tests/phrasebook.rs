//! The phrasebook has every exported name of what it translates, as `go doc -all` gives them.
//! (Its code is run as a doc test of this crate.)

/// By heading: the names that must stand in a table below it, in `code`.
const NAMES: &[(&str, &str)] = &[
    (
        "Channels, `select`, `go`",
        "make chan close len cap range select default go nil ok After Tick Gosched NumGoroutine GOMAXPROCS recover",
    ),
    (
        "`sync`",
        "OnceFunc OnceValue OnceValues Cond NewCond L Wait Signal Broadcast Locker Map Clear \
         CompareAndDelete CompareAndSwap Delete Load LoadAndDelete LoadOrStore Range Store Swap \
         Mutex Lock TryLock Unlock Once Do Pool New Get Put RWMutex RLock RLocker RUnlock \
         TryRLock WaitGroup Add Done Go atomic",
    ),
    (
        "`context`",
        "Canceled DeadlineExceeded AfterFunc Cause WithCancel WithCancelCause WithDeadline \
         WithDeadlineCause WithTimeout WithTimeoutCause CancelCauseFunc CancelFunc Context \
         Background TODO WithValue WithoutCancel Deadline Done Err Value NotifyContext Notify \
         Stop Reset Ignore Ignored",
    ),
    (
        "`errgroup`, `semaphore`, `singleflight`",
        "errgroup Group WithContext Go TryGo SetLimit Wait semaphore Weighted NewWeighted \
         Acquire TryAcquire Release singleflight Do DoChan Forget Result",
    ),
    (
        "`time`",
        "Sleep Timer NewTimer C Stop Reset AfterFunc Ticker NewTicker Duration Now Since Until",
    ),
];

/// Whether `word` stands by itself in the text between backticks of a line.
fn is_code_in(line: &str, word: &str) -> bool {
    let code = line.split('`').skip(1).step_by(2);
    code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric()))
        .any(|name| name == word)
}

#[test]
fn no_name_of_gos_is_missing() {
    let book = include_str!("../../docs/phrasebook.md");
    let mut missing = Vec::new();
    for (heading, names) in NAMES {
        let (_, section) = book.split_once(&format!("\n## {heading}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        // The first column, which is Go's.
        let rows: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .collect();
        for name in names.split_whitespace() {
            if !rows.iter().any(|row| is_code_in(row, name)) {
                missing.push(format!("{heading}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
