//! Map: Go's sync.Map, compared with a locked map and hammered.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use common::{Dice, stress, within_reason};
use rendez_sync::Map;

/// Hashes everything alike, so that all keys collide.
#[derive(Clone, Default)]
struct Constant;

/// Leaves four bits of a hash.
#[derive(Clone, Default)]
struct Truncated(u64);

impl Hasher for Constant {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        0
    }
}

impl Hasher for Truncated {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&b| self.0 = self.0.wrapping_mul(31) + u64::from(b));
    }
    fn finish(&self) -> u64 {
        self.0 & 15
    }
}

type Colliding<K, V> = Map<K, V, BuildHasherDefault<Constant>>;
type Crowded<K, V> = Map<K, V, BuildHasherDefault<Truncated>>;

/// Random calls on a map and on a plain one give the same.
fn matches_a_plain_map<S: BuildHasher + Default>(seed: u64) {
    let mut dice = Dice::new(seed);
    let (map, mut plain) = (Map::<u64, u64, S>::default(), HashMap::new());
    for _ in 0..1000 {
        let (key, value, other) = (dice.below(40), dice.below(3), dice.below(3));
        let is = |plain: &HashMap<u64, u64>| plain.get(&key) == Some(&value);
        match dice.below(12) {
            0 => assert_eq!(map.load(&key), plain.get(&key).copied()),
            1 => {
                map.store(key, value);
                plain.insert(key, value);
            }
            2 => {
                let had = plain.get(&key).copied();
                let expected = (*plain.entry(key).or_insert(value), had.is_some());
                assert_eq!(map.load_or_store(key, value), expected);
            }
            3 => {
                let had = plain.contains_key(&key);
                let expected = *plain.entry(key).or_insert(value);
                let mut made = false;
                let make = || {
                    made = true;
                    value
                };
                assert_eq!(map.load_or_store_with(key, make), (expected, had));
                assert_eq!(made, !had);
            }
            4 => assert_eq!(map.load_and_delete(&key), plain.remove(&key)),
            5 => assert_eq!(map.delete(&key), plain.remove(&key).is_some()),
            6 => assert_eq!(map.swap(key, value), plain.insert(key, value)),
            7 => {
                let swaps = is(&plain);
                if swaps {
                    plain.insert(key, other);
                }
                assert_eq!(map.compare_and_swap(&key, &value, other), swaps);
            }
            8 => {
                let deletes = is(&plain);
                if deletes {
                    plain.remove(&key);
                }
                assert_eq!(map.compare_and_delete(&key, &value), deletes);
            }
            9 => assert_eq!(map.contains_key(&key), plain.contains_key(&key)),
            10 if value == 0 => {
                map.clear();
                plain.clear();
            }
            _ => {
                let mut seen = HashMap::new();
                map.range(|&k, &v| seen.insert(k, v).is_none());
                assert_eq!(seen, plain);
            }
        }
        assert_eq!((map.len(), map.is_empty()), (plain.len(), plain.is_empty()));
    }
}

#[test]
fn any_calls_give_what_a_plain_map_gives() {
    stress(|seed| {
        matches_a_plain_map::<foldhash::fast::RandomState>(seed);
        matches_a_plain_map::<BuildHasherDefault<Constant>>(seed);
        matches_a_plain_map::<BuildHasherDefault<Truncated>>(seed);
    });
}

#[test]
fn a_missing_key_is_neither_swapped_nor_deleted() {
    let map: Map<&str, Option<u8>> = Map::new();
    assert!(!map.compare_and_swap(&"a", &None, Some(1)));
    assert!(!map.compare_and_delete(&"a", &None));
    assert!(map.is_empty());
}

#[test]
fn a_range_beside_writers_visits_each_key_once() {
    within_reason(|| {
        const N: u64 = 512;
        let map: Map<u64, u64> = (1..=N).map(|k| (k, k)).collect();
        thread::scope(|s| {
            for factor in 2..4 {
                let map = &map;
                s.spawn(move || {
                    for round in 1..20 {
                        for k in 1..=N {
                            map.store(k, k * factor * round);
                        }
                    }
                });
            }
            for _ in 0..50 {
                let mut seen = vec![false; N as usize + 1];
                map.range(|&k, &v| {
                    assert!(!std::mem::replace(&mut seen[k as usize], true), "{k} twice");
                    assert_eq!(v % k, 0);
                    true
                });
                assert!(seen[1..].iter().all(|&seen| seen));
            }
        });
    });
}

#[test]
fn a_range_does_not_meet_what_it_stores_again() {
    fn check<S: BuildHasher + Default>(n: u32) {
        let map: Map<u32, u32, S> = (0..n).map(|k| (k, 0)).collect();
        let mut visits = 0;
        map.range(|&k, _| {
            visits += 1;
            map.delete(&k);
            map.store(k, 1);
            visits < 1000
        });
        assert_eq!(visits, n);
    }
    check::<foldhash::fast::RandomState>(64);
    check::<BuildHasherDefault<Constant>>(64);
}

#[test]
fn a_range_may_call_everything() {
    within_reason(|| {
        let map: Colliding<u32, String> = Map::default();
        for k in 0..3 {
            map.store(k, "before".into());
        }
        map.range(|&outer, _| {
            map.range(|&k, _| {
                map.load_or_store(k % 3 + 10, "new".into());
                map.store(k, "after".into());
                map.load_and_delete(&42);
                map.delete(&43);
                true
            });
            assert_eq!(map.load(&outer).as_deref(), Some("after"));
            map.delete(&outer);
            map.range(|_, _| false);
            true
        });
        map.clear();
        assert_eq!(map.len(), 0);
    });
}

#[test]
fn keys_and_values_may_use_the_map_themselves() {
    struct Nosy(Weak<Map<u32, Nosy>>);
    impl Clone for Nosy {
        fn clone(&self) -> Self {
            if let Some(map) = self.0.upgrade() {
                map.store(7, Nosy(Weak::new()));
            }
            Self(self.0.clone())
        }
    }
    impl PartialEq for Nosy {
        fn eq(&self, _: &Self) -> bool {
            self.0.upgrade().is_none_or(|map| map.contains_key(&1))
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            if let Some(map) = self.0.upgrade() {
                map.delete(&7);
            }
        }
    }
    within_reason(|| {
        let map = Arc::new(Map::new());
        let nosy = || Nosy(Arc::downgrade(&map));
        map.store(1, nosy());
        drop(map.load(&1));
        assert!(map.compare_and_swap(&1, &nosy(), nosy()));
        drop(map.load_or_store_with(2, || {
            map.store(3, nosy());
            nosy()
        }));
        assert!(map.compare_and_delete(&1, &nosy()));
        map.clear();
    });
}

#[test]
fn a_thread_may_use_the_map_while_it_ends() {
    struct AtEnd(RefCell<Option<Arc<Map<u32, u32>>>>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            let Some(map) = self.0.take() else { return };
            assert_eq!(map.load(&0), Some(0));
            for i in 1..100 {
                map.store(i, i);
                assert_eq!(map.swap(i, i + 1), Some(i));
                map.range(|_, _| map.contains_key(&i));
                assert!(map.delete(&i));
            }
        }
    }
    thread_local! {
        static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) };
    }
    within_reason(|| {
        let map = Arc::new(Map::new());
        let theirs = Arc::clone(&map);
        let ends = thread::spawn(move || {
            // Dropped after whatever the map keeps of a thread: that comes later.
            AT_END.with(|at_end| at_end.0.replace(Some(Arc::clone(&theirs))));
            theirs.store(0, 0);
        });
        ends.join().unwrap();
        assert_eq!(map.len(), 1);
    });
}

#[test]
fn everything_stored_is_dropped_once() {
    stress(|seed| {
        let counted = Arc::new(());
        let map: Crowded<u64, Arc<()>> = Map::default();
        thread::scope(|s| {
            for i in 0..3 {
                let (map, counted) = (&map, &counted);
                let mut dice = Dice::new(seed + i);
                s.spawn(move || {
                    for _ in 0..300 {
                        let (key, value) = (dice.below(20), Arc::clone(counted));
                        match dice.below(7) {
                            0 => map.store(key, value),
                            1 => drop(map.swap(key, value)),
                            2 => drop(map.load_or_store(key, value)),
                            3 => drop(map.load_and_delete(&key)),
                            4 => drop(map.compare_and_swap(&key, &value.clone(), value)),
                            5 => drop(map.compare_and_delete(&key, &value)),
                            _ => map.clear(),
                        }
                    }
                });
            }
        });
        drop(map);
        assert_eq!(Arc::strong_count(&counted), 1);
    });
}

#[test]
fn storing_and_deleting_for_long_does_not_grow() {
    let counted = Arc::new(());
    let map = Map::new();
    for i in 0..100_000 {
        map.store(i, Arc::clone(&counted));
        assert!(map.delete(&i));
    }
    assert!(map.is_empty());
    // What has just been deleted may wait for a while, but not all that ever was.
    assert!(Arc::strong_count(&counted) < 10_000);
}

#[test]
fn what_is_cleared_is_dropped_at_once_if_nobody_else_is_there() {
    let counted = Arc::new(());
    let map = Map::new();
    for round in 0..3 {
        (0..round * 100).for_each(|i| map.store(i, Arc::clone(&counted)));
        map.clear();
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

#[test]
fn swaps_by_comparison_lose_no_count() {
    within_reason(|| {
        let map: Map<u8, u64> = Map::from_iter([(0, 0)]);
        let swaps = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for _ in 0..1000 {
                        while {
                            let old = map.load(&0).unwrap();
                            !map.compare_and_swap(&0, &old, old + 1)
                        } {}
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(map.load(&0), Some(3000));
    });
}

#[test]
fn one_of_a_swap_and_a_deletion_wins() {
    within_reason(|| {
        for _ in 0..500 {
            let map: Map<u8, u8> = Map::from_iter([(0, 1)]);
            let [swapped, deleted] = thread::scope(|s| {
                let swap = s.spawn(|| map.compare_and_swap(&0, &1, 2));
                let delete = s.spawn(|| map.compare_and_delete(&0, &1));
                [swap.join().unwrap(), delete.join().unwrap()]
            });
            assert!(swapped != deleted);
            assert_eq!(map.load(&0), swapped.then_some(2));
        }
    });
}

#[test]
fn goroutines_with_keys_of_their_own_do_not_meet() {
    within_reason(|| {
        let map: Crowded<(u64, u64), u64> = Map::default();
        thread::scope(|s| {
            for me in 0..3 {
                let map = &map;
                s.spawn(move || {
                    for k in 0..100 {
                        assert_eq!(map.load_or_store((me, k), k), (k, false));
                    }
                    for k in 0..100 {
                        assert_eq!(map.swap((me, k), k + 1), Some(k));
                        assert!(map.compare_and_swap(&(me, k), &(k + 1), k + 2));
                        assert_eq!(map.load_and_delete(&(me, k)), Some(k + 2));
                    }
                });
            }
        });
        assert!(map.is_empty());
    });
}
