//! `counter` with tasks: the same mutex, awaited instead of blocked on, by a goroutine that
//! may keep the lock across an `.await`.

use std::collections::HashMap;

use rendez::pool::yield_now;
use rendez::prelude::*;

#[derive(Default)]
struct SafeCounter {
    counts: Mutex<HashMap<String, u32>>,
}

impl SafeCounter {
    #[allow(
        clippy::await_holding_lock,
        reason = "whoever waits for this lock awaits it"
    )]
    async fn inc(&self, key: &str) {
        let mut counts = self.counts.lock_async().await;
        let before = counts.get(key).copied().unwrap_or(0);
        yield_now().await; // others run, none of them counts
        counts.insert(key.into(), before + 1);
    } // unlocked here

    fn value(&self, key: &str) -> u32 {
        self.counts.lock().get(key).copied().unwrap_or(0)
    }
}

fn main() {
    let counter = SafeCounter::default();
    scope(|s| {
        for _ in 0..1000 {
            s.go(counter.inc("somekey"));
        }
    });
    println!("{}", counter.value("somekey"));
}
