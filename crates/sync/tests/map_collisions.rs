//! Map where hashes collide: the whole of it with a good hash, one that is always the same, one
//! of four bits, and one whose low bits say nothing, as Go runs its map's tests.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Dice, stress, within_reason};
use rendez_sync::Map;

const N: u64 = 1024;

/// Sums up what is hashed, and leaves of it what `MASK` does, `SHIFT` bits up.
#[derive(Clone, Default)]
struct Poor<const MASK: u64, const SHIFT: u32>(u64);

impl<const MASK: u64, const SHIFT: u32> Hasher for Poor<MASK, SHIFT> {
    fn write(&mut self, bytes: &[u8]) {
        let add = |sum: u64, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        self.0 = bytes.iter().rev().fold(self.0, add);
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
    fn finish(&self) -> u64 {
        (self.0 & MASK) << SHIFT
    }
}

type Good = foldhash::fast::RandomState;
type Constant = BuildHasherDefault<Poor<0, 0>>;
type Truncated = BuildHasherDefault<Poor<15, 0>>;
type Deep = BuildHasherDefault<Poor<15, 60>>;
type Deeper = BuildHasherDefault<Poor<{ u64::MAX }, 54>>;

trait Hash: BuildHasher + Default + Send + Sync + 'static {}
impl<S: BuildHasher + Default + Send + Sync + 'static> Hash for S {}

/// Each of these for every hash.
macro_rules! with_every_hash {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;
            #[test]
            fn good() { within_reason(super::$test::<Good>) }
            #[test]
            fn constant() { within_reason(super::$test::<Constant>) }
            #[test]
            fn truncated() { within_reason(super::$test::<Truncated>) }
            #[test]
            fn deep() { within_reason(super::$test::<Deep>) }
            #[test]
            fn deeper() { within_reason(super::$test::<Deeper>) }
        }
    )*};
}

with_every_hash! {
    every_call_does_what_it_says_of_every_key
    a_range_visits_all_once_beside_writers
    a_range_may_delete_and_store_what_it_meets
    a_clear_beside_writers_leaves_a_whole_map
    keys_of_ones_own_are_not_disturbed
    of_shared_keys_one_gets_each
    increments_by_comparison_are_not_lost
    what_is_deleted_or_cleared_is_dropped
}

fn filled<S: Hash>(n: u64) -> Map<u64, u64, S> {
    (0..n).map(|k| (k, k + 1)).collect()
}

fn contents<S: Hash>(map: &Map<u64, u64, S>) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    map.range(|&k, &v| {
        all.push((k, v));
        true
    });
    all.sort_unstable();
    all
}

fn every_call_does_what_it_says_of_every_key<S: Hash>() {
    let map = Map::<u64, u64, S>::default();
    for k in 0..N {
        assert_eq!(map.load(&k), None);
        assert_eq!(map.load_or_store(k, k), (k, false));
        assert_eq!(map.load_or_store(k, 9), (k, true));
        assert_eq!(map.load(&k), Some(k));
        assert_eq!(map.len() as u64, k + 1);
    }
    assert_eq!(contents(&map), (0..N).map(|k| (k, k)).collect::<Vec<_>>());
    for k in 0..N {
        assert_eq!(map.swap(k, k + 1), Some(k));
        assert!(!map.compare_and_swap(&k, &k, 0));
        assert!(map.compare_and_swap(&k, &(k + 1), k + 2));
        map.store(k, k + 3);
        assert_eq!(map.load_or_store_with(k, || unreachable!()), (k + 3, true));
        assert!(!map.compare_and_delete(&k, &k));
        assert!(map.contains_key(&k));
    }
    assert_eq!(map.len() as u64, N);
    assert_eq!(
        contents(&map),
        (0..N).map(|k| (k, k + 3)).collect::<Vec<_>>()
    );
    assert_eq!(format!("{map:?}").matches(':').count() as u64, N);
    for k in 0..N {
        match k % 3 {
            0 => assert_eq!(map.load_and_delete(&k), Some(k + 3)),
            1 => assert!(map.delete(&k)),
            _ => assert!(map.compare_and_delete(&k, &(k + 3))),
        }
        assert!(!map.delete(&k));
        assert!(!map.compare_and_swap(&k, &(k + 3), 0));
        assert_eq!(map.len() as u64, N - k - 1);
    }
    assert!(contents(&map).is_empty());
    (0..N).for_each(|k| map.store(k, k));
    map.clear();
    assert!(map.is_empty() && contents(&map).is_empty());
    map.store(1, 1);
    assert_eq!(contents(&map), [(1, 1)]);
}

fn a_range_visits_all_once_beside_writers<S: Hash>() {
    let map: Map<u64, u64, S> = (1..=N).map(|k| (k, k)).collect();
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        for writer in 2..4 {
            let (map, over) = (&map, &over);
            s.spawn(move || {
                let mut dice = Dice::new(writer);
                while !over.load(Ordering::Relaxed) {
                    let k = dice.below(N) + 1;
                    map.store(k, k * writer);
                    // One that comes and goes, in the way of the others.
                    map.store(N + k * writer, N + k * writer);
                    map.delete(&(N + k * writer));
                }
            });
        }
        for _ in 0..20 {
            let mut seen = HashSet::new();
            map.range(|&k, &v| {
                assert!(seen.insert(k), "{k} twice");
                assert_eq!(v % k, 0);
                true
            });
            assert!((1..=N).all(|k| seen.contains(&k)));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(map.len() as u64, N);
}

fn a_range_may_delete_and_store_what_it_meets<S: Hash>() {
    let map = filled::<S>(N);
    let mut visits = 0;
    map.range(|k, _| {
        visits += 1;
        assert!(map.delete(k));
        map.store(*k, 0);
        visits < 2 * N
    });
    assert_eq!(visits, N);
    map.range(|k, _| map.delete(k));
    assert!(map.is_empty() && contents(&map).is_empty());
}

fn a_clear_beside_writers_leaves_a_whole_map<S: Hash>() {
    let map = Map::<u64, u64, S>::default();
    thread::scope(|s| {
        for writer in 0..2 {
            let map = &map;
            s.spawn(move || {
                for k in 0..4 * N {
                    let k = k % 256 * 2 + writer;
                    map.store(k, k);
                    assert!(map.load(&k).is_none_or(|v| v == k));
                    if k % 5 == 0 {
                        map.delete(&k);
                    }
                }
            });
        }
        for _ in 0..100 {
            map.clear();
            map.range(|k, v| {
                assert_eq!(k, v);
                true
            });
        }
    });
    assert_eq!(map.len(), contents(&map).len());
    map.clear();
    assert!(map.is_empty() && contents(&map).is_empty());
}

fn keys_of_ones_own_are_not_disturbed<S: Hash>() {
    let map = Map::<u64, u64, S>::default();
    thread::scope(|s| {
        for me in 0..3 {
            let map = &map;
            s.spawn(move || {
                for _ in 0..3 {
                    for k in (me..N / 3).step_by(3) {
                        assert_eq!(map.load_or_store(k, k), (k, false));
                    }
                    for k in (me..N / 3).step_by(3) {
                        assert_eq!(map.swap(k, k + 1), Some(k));
                        assert!(map.compare_and_swap(&k, &(k + 1), k + 2));
                        assert!(!map.compare_and_delete(&k, &k));
                        assert_eq!(map.load_and_delete(&k), Some(k + 2));
                        assert_eq!(map.load(&k), None);
                    }
                }
            });
        }
    });
    assert!(map.is_empty() && contents(&map).is_empty());
}

fn of_shared_keys_one_gets_each<S: Hash>() {
    let map = Map::<u64, u64, S>::default();
    let [stored, deleted] = [0, 1].map(|_| AtomicUsize::new(0));
    thread::scope(|s| {
        for me in 0..3 {
            let (map, stored) = (&map, &stored);
            s.spawn(move || {
                for k in 0..N / 2 {
                    let (owner, loaded) = map.load_or_store(k, me);
                    assert!(loaded || owner == me);
                    stored.fetch_add(usize::from(!loaded), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(stored.into_inner() as u64, N / 2);
    assert_eq!(contents(&map).len() as u64, N / 2);
    thread::scope(|s| {
        for me in 0..3 {
            let (map, deleted) = (&map, &deleted);
            s.spawn(move || {
                for k in 0..N / 2 {
                    let won = match (me, map.load(&k)) {
                        (0, _) => map.delete(&k),
                        (1, _) => map.load_and_delete(&k).is_some(),
                        (_, old) => old.is_some_and(|old| map.compare_and_delete(&k, &old)),
                    };
                    deleted.fetch_add(usize::from(won), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(deleted.into_inner() as u64, N / 2);
    assert!(map.is_empty() && contents(&map).is_empty());
}

fn increments_by_comparison_are_not_lost<S: Hash>() {
    const KEYS: u64 = 50;
    let map = Map::<u64, u64, S>::default();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for k in (0..KEYS).cycle().take(2000) {
                    loop {
                        let (old, _) = map.load_or_store(k, 0);
                        if map.compare_and_swap(&k, &old, old + 1) {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(contents(&map).iter().map(|(_, v)| v).sum::<u64>(), 6000);
}

fn what_is_deleted_or_cleared_is_dropped<S: Hash>() {
    // What was deleted last may wait for a while, but not all that ever was.
    const LATE: usize = 200;
    let values = Arc::new(());
    let map = Map::<u64, Counted, S>::default();
    let left = || Arc::strong_count(&values) - 1;
    let fill = || (0..N).for_each(|k| map.store(k, Counted(Arc::clone(&values))));
    fill();
    assert_eq!(left() as u64, N);
    fill();
    assert!(left() < N as usize + LATE, "{}", left());
    (0..N).for_each(|k| assert!(map.delete(&k)));
    assert!(left() < LATE, "{}", left());
    fill();
    map.clear();
    // A few calls, so that what waits is looked at.
    for k in 0..100 {
        map.store(k, Counted(Arc::clone(&values)));
        map.delete(&k);
    }
    assert!(left() < LATE, "{}", left());
    fill();
    drop(map);
    assert_eq!(left(), 0);
}

#[derive(Clone)]
struct Counted(#[allow(dead_code)] Arc<()>);

/// Each token is put in once, and is at the end in the map, or was taken out, once.
fn tokens_are_neither_lost_nor_doubled<S: Hash>(seed: u64) {
    const KEYS: u64 = 9;
    let map = Map::<u64, u64, S>::default();
    thread::scope(|s| {
        let threads: Vec<_> = (0..3)
            .map(|me| {
                let map = &map;
                s.spawn(move || {
                    let mut dice = Dice::new(seed + me);
                    let (mut next, mut out) = (me, Vec::new());
                    for _ in 0..300 {
                        let key = dice.below(KEYS);
                        let kept = match dice.below(6) {
                            0 => {
                                out.extend(map.swap(key, next));
                                true
                            }
                            1 => !map.load_or_store(key, next).1,
                            2 => {
                                out.extend(map.load_and_delete(&key));
                                false
                            }
                            3 => map.load(&key).is_some_and(|old| {
                                let swapped = map.compare_and_swap(&key, &old, next);
                                out.extend(swapped.then_some(old));
                                swapped
                            }),
                            4 => {
                                let old = map.load(&key);
                                let taken = old.filter(|old| map.compare_and_delete(&key, old));
                                out.extend(taken);
                                false
                            }
                            _ => {
                                let mut last = None;
                                map.range(|&k, _| last.replace(k) != Some(k));
                                false
                            }
                        };
                        next += if kept { 3 } else { 0 };
                    }
                    ((me..next).step_by(3).collect::<Vec<_>>(), out)
                })
            })
            .collect();
        let (mut put, mut out) = (Vec::new(), Vec::new());
        for thread in threads {
            let (theirs_put, theirs_out) = thread.join().unwrap();
            put.extend(theirs_put);
            out.extend(theirs_out);
        }
        out.extend(contents(&map).into_iter().map(|(_, v)| v));
        out.sort_unstable();
        put.sort_unstable();
        assert_eq!(put, out);
    });
    assert_eq!(map.len(), contents(&map).len());
    map.clear();
    assert!(map.is_empty());
}

#[test]
fn tokens_keep_their_number() {
    stress(|seed| {
        tokens_are_neither_lost_nor_doubled::<Good>(seed);
        tokens_are_neither_lost_nor_doubled::<Constant>(seed);
        tokens_are_neither_lost_nor_doubled::<Truncated>(seed);
        tokens_are_neither_lost_nor_doubled::<Deep>(seed);
        tokens_are_neither_lost_nor_doubled::<Deeper>(seed);
    });
}
