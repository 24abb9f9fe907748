//! Concurrent maps of 1024 keys. One operation is a load; where a cell says so, one in a hundred
//! or in ten is a store over the same keys.

use std::hint::black_box;
use std::sync::Arc;

use crate::peers::{Work, on_threads};
use crate::rows::Rows;

const KEYS: u64 = 1024;

/// A map, as all contenders have it.
trait Table: FromIterator<(u64, u64)> + Send + Sync + 'static {
    const NAME: &'static str;
    fn load(&self, key: u64) -> Option<u64>;
    fn store(&self, key: u64, value: u64);
}

impl Table for rendez_sync::Map<u64, u64> {
    const NAME: &'static str = "rendez";
    fn load(&self, key: u64) -> Option<u64> {
        self.load(&key)
    }
    fn store(&self, key: u64, value: u64) {
        self.store(key, value);
    }
}

impl Table for dashmap::DashMap<u64, u64> {
    const NAME: &'static str = "dashmap";
    fn load(&self, key: u64) -> Option<u64> {
        self.get(&key).map(|v| *v)
    }
    fn store(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Table for papaya::HashMap<u64, u64> {
    const NAME: &'static str = "papaya";
    fn load(&self, key: u64) -> Option<u64> {
        self.pin().get(&key).copied()
    }
    fn store(&self, key: u64, value: u64) {
        self.pin().insert(key, value);
    }
}

impl Table for papaya::HashMap<u64, u64, foldhash::fast::RandomState> {
    const NAME: &'static str = "papaya-foldhash";
    fn load(&self, key: u64) -> Option<u64> {
        self.pin().get(&key).copied()
    }
    fn store(&self, key: u64, value: u64) {
        self.pin().insert(key, value);
    }
}

pub(crate) fn rows(rows: &mut Rows) {
    table::<rendez_sync::Map<_, _>>(rows);
    table::<dashmap::DashMap<_, _>>(rows);
    table::<papaya::HashMap<_, _>>(rows);
    table::<papaya::HashMap<_, _, foldhash::fast::RandomState>>(rows);
}

fn table<T: Table>(rows: &mut Rows) {
    for (cell, threads, stores_in_hundred) in [
        ("load/alone", 1, 0),
        ("load/threads4", 4, 0),
        ("store1/alone", 1, 1),
        ("store1/threads4", 4, 1),
        ("store10/alone", 1, 10),
        ("store10/threads4", 4, 10),
    ] {
        rows.add(cell, T::NAME, move |n| {
            let map: Arc<T> = Arc::new((0..KEYS).map(|k| (k, k)).collect());
            let work = |thread: u64| {
                let map = Arc::clone(&map);
                Box::new(move || {
                    let mut dice = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread + 1);
                    for i in 0..n / threads {
                        dice ^= dice << 13;
                        dice ^= dice >> 7;
                        dice ^= dice << 17;
                        let key = dice % KEYS;
                        if i % 100 < stores_in_hundred {
                            map.store(key, i);
                        } else {
                            black_box(map.load(key));
                        }
                    }
                }) as Work
            };
            on_threads((0..threads).map(work).collect())
        });
    }
}
