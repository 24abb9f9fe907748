//! Go's errgroup: goroutines that fail together, with limits, contexts and carried panics.
