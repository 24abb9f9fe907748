//! A thousand goroutines count in one map behind a mutex.

use std::collections::HashMap;

use rendez::prelude::*;

#[derive(Default)]
struct SafeCounter {
    counts: Mutex<HashMap<String, u32>>,
}

impl SafeCounter {
    fn inc(&self, key: &str) {
        let mut counts = self.counts.lock();
        *counts.entry(key.into()).or_default() += 1;
    } // unlocked here

    fn value(&self, key: &str) -> u32 {
        self.counts.lock().get(key).copied().unwrap_or(0)
    }
}

fn main() {
    let counter = SafeCounter::default();
    scope(|s| {
        for _ in 0..1000 {
            s.go(|| counter.inc("somekey"));
        }
    });
    println!("{}", counter.value("somekey"));
}
