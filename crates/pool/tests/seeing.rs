//! Dumps, metrics, labels, and goroutines with a thread of their own.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{pool, until, within_a_minute};
use rendez_pool::{Entry, Pool, State, WaitKind, block_on, go, par_map, spawn, yield_now};
use rendez_select::{bounded, never, select_async};

/// The goroutine with this id, if it lives.
fn find(pool: &Pool, id: u64) -> Option<Entry> {
    pool.dump().goroutines().find(|g| g.id == id).cloned()
}

/// Waits until it waits for this kind of thing, and gives the line it does so at.
fn waits(pool: &Pool, id: u64, expected: WaitKind) -> u32 {
    loop {
        if let Some(State::Waiting { kind, location, .. }) = find(pool, id).map(|g| g.state) {
            if kind == expected {
                assert!(location.file().ends_with("seeing.rs"));
                return location.line();
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_dump_says_where_each_goroutine_waits() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded::<u8>(0);
        let (a, b, c, d) = (rx.clone(), rx.clone(), rx.clone(), rx);
        let thread = pool.go(move || a.recv());
        assert_eq!(waits(&pool, thread.id(), WaitKind::Receive), line!() - 1);
        let task = pool.go(async move { b.recv_async().await });
        assert_eq!(waits(&pool, task.id(), WaitKind::Receive), line!() - 1);
        let blocking = pool.go(move || block_on(async move { c.recv_async().await }));
        assert_eq!(waits(&pool, blocking.id(), WaitKind::Receive), line!() - 1);
        let selecting = pool.go(async move {
            select_async! {
                recv(d) -> v => v,
                recv(never::<u8>()) -> _ => unreachable!(),
            }
        });
        waits(&pool, selecting.id(), WaitKind::Select);
        drop(tx);
        for handle in [thread, task, selecting, blocking] {
            let id = handle.id();
            assert!(handle.join().unwrap().is_err());
            // Its result is there a moment before it is out of sight.
            until(|| find(&pool, id).is_none());
        }
        until(|| pool.dump().goroutines().len() == 0);
    });
}

#[test]
fn what_runs_and_what_has_not_begun_is_in_the_dump() {
    within_a_minute(|| {
        let pool = pool(1);
        let end = Arc::new(AtomicBool::new(false));
        // Goroutines that are stuck are replaced, one by one: those behind begin late.
        let stuck: Vec<_> = (0..20)
            .map(|_| {
                let end = Arc::clone(&end);
                pool.go(move || {
                    while !end.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        until(|| pool.metrics().running > 0);
        let dump = pool.dump();
        // One may be on its way from a queue to a thread just now.
        assert!(dump.goroutines().len() + 3 >= 20, "{dump}");
        until(|| {
            let states: Vec<_> = stuck.iter().filter_map(|h| find(&pool, h.id())).collect();
            states.len() == 20 && states.iter().any(|g| g.state == State::Running)
        });
        let here = find(&pool, stuck[7].id()).and_then(|g| g.spawned_at);
        assert!(here.is_some_and(|at| at.file().ends_with("seeing.rs")));
        end.store(true, Ordering::Relaxed);
        for handle in stuck {
            handle.join().unwrap();
        }
    });
}

#[test]
fn a_dump_reads_as_gos_does() {
    within_a_minute(|| {
        let (tx, rx) = bounded::<u8>(0);
        let handle = spawn()
            .name("fetch")
            .label("host", "a")
            .go(move || rx.recv());
        let line = line!() - 1;
        let text = loop {
            let dump = rendez_pool::dump();
            let text = dump
                .goroutines()
                .find(|g| g.id == handle.id())
                .unwrap()
                .to_string();
            if text.contains("chan receive") {
                break text;
            }
        };
        let (first, second) = text.split_once('\n').unwrap();
        let head = format!("goroutine {} 'fetch' [chan receive at ", handle.id());
        assert!(first.starts_with(&head), "{text}");
        assert!(first.contains(&format!("seeing.rs:{line}, 0.")), "{text}");
        assert!(first.ends_with(" s] {host: a}"), "{text}");
        assert!(second.trim().starts_with("started at "), "{text}");
        drop(tx);
        assert!(handle.join().unwrap().is_err());
    });
}

#[test]
fn labels_go_over_to_children_and_names_do_not() {
    within_a_minute(|| {
        let (tx, rx) = bounded::<u8>(0);
        let parent = spawn().name("parent").label("request", "7").go(move || {
            let child = spawn()
                .label("part", "2")
                .go(async move { rx.recv_async().await });
            (child.id(), child)
        });
        let (id, child) = parent.join().unwrap();
        let seen = rendez_pool::dump();
        let seen = seen.goroutines().find(|g| g.id == id).unwrap();
        let label = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(seen.labels, [label("request", "7"), label("part", "2")]);
        assert_eq!(seen.name, None);
        drop(tx);
        assert!(child.join().unwrap().is_err());
    });
}

#[test]
fn metrics_count_what_happens() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded::<u8>(0);
        let waiting: Vec<_> = (0..10)
            .map(|i| {
                let rx = rx.clone();
                if i % 2 == 0 {
                    pool.go(move || rx.recv().is_err())
                } else {
                    pool.go(async move { rx.recv_async().await.is_err() })
                }
            })
            .collect();
        // One on its way from a queue to a thread is in neither, and seems to wait.
        let waits = |g: &&Entry| matches!(g.state, State::Waiting { .. });
        until(|| pool.dump().goroutines().filter(waits).count() == 10);
        until(|| pool.metrics().running == 0);
        let metrics = pool.metrics();
        assert_eq!((metrics.waiting, metrics.runnable), (10, 0));
        assert_eq!((metrics.workers, metrics.spawned), (2, 10));
        assert!(metrics.threads >= 5, "five block: {metrics:?}");
        assert_eq!(metrics.waited(WaitKind::Receive), Duration::ZERO);
        // So that time passes while they wait.
        std::thread::sleep(Duration::from_millis(30));
        drop(tx);
        for handle in waiting {
            assert!(handle.join().unwrap());
        }
        for _ in 0..1000 {
            drop(pool.go(async { yield_now().await }));
        }
        until(|| pool.num_goroutines() == 0);
        let metrics = pool.metrics();
        assert_eq!(metrics.spawned, 1010);
        assert!(metrics.waited(WaitKind::Receive) >= Duration::from_millis(5 * 30));
        assert_eq!(metrics.waited(WaitKind::Lock), Duration::ZERO);
        assert!(metrics.latencies.count() > 0);
        assert!(metrics.latencies.quantile(0.5) > Duration::ZERO);
    });
}

#[test]
fn a_goroutine_keeps_the_thread_it_was_given() {
    within_a_minute(|| {
        let (tx, rx) = bounded::<u8>(0);
        let id = || std::thread::current().id();
        let alone = spawn().own_thread().go(async move {
            let before = id();
            let mut places = vec![];
            while rx.recv_async().await.is_ok() {
                places.push(id());
                yield_now().await;
                places.push(id());
                let child = go(id).await.unwrap();
                assert_ne!(child, before, "nothing else runs there");
            }
            assert!(places.iter().all(|&place| place == before));
            places.len()
        });
        for _ in 0..20 {
            tx.send(1).unwrap();
        }
        drop(tx);
        assert_eq!(alone.join().unwrap(), 40);
        assert_eq!(spawn().own_thread().go(|| 3).join().unwrap(), 3);
    });
}

#[test]
fn a_thread_ends_with_its_goroutine() {
    within_a_minute(|| {
        let pool = pool(1);
        let own = pool.go(|| {
            let cancelled = spawn().own_thread().go(std::future::pending::<()>());
            cancelled.cancel();
            assert!(cancelled.join().is_err());
            // Nobody can wake this one.
            drop(spawn().own_thread().go(std::future::pending::<()>()));
            drop(spawn().own_thread().go(async { panic!("alone") }));
            let error = spawn().own_thread().go(|| panic!("alone")).join();
            assert!(error.is_err());
        });
        own.join().unwrap();
        pool.shutdown();
        assert_eq!(pool.num_threads(), 0);
    });
}

#[test]
fn a_label_takes_the_place_of_one_that_was_inherited() {
    within_a_minute(|| {
        let pool = pool(1);
        let (tx, rx) = bounded::<u8>(0);
        let (ids, child) = bounded(1);
        let parent = spawn()
            .on(&pool)
            .label("a", "1")
            .label("b", "1")
            .go(move || {
                let child = spawn()
                    .label("a", "2")
                    .label("c", "1")
                    .go(move || rx.recv());
                ids.send(child.id()).unwrap();
                child.join()
            });
        let child = child.recv().unwrap();
        until(|| find(&pool, child).is_some() && find(&pool, parent.id()).is_some());
        let labels = |id| {
            let labels = find(&pool, id).unwrap().labels;
            labels
                .iter()
                .map(|(k, v)| format!("{k}{v}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(child), ["a2", "b1", "c1"]);
        assert_eq!(labels(parent.id()), ["a1", "b1"]);
        drop(tx);
        parent.join().unwrap().unwrap().unwrap_err();
    });
}

#[test]
fn a_par_map_is_seen_at_its_callers_place() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded::<u8>(0);
        let mapping = pool.go(move || par_map([1], 1, |_| rx.recv().is_err()));
        let line = line!() - 1;
        assert_eq!(waits(&pool, mapping.id(), WaitKind::Join), line);
        let ours =
            |g: &Entry| g.id != mapping.id() && g.spawned_at.is_some_and(|at| at.line() == line);
        until(|| pool.dump().goroutines().any(ours));
        drop(tx);
        assert_eq!(mapping.join().unwrap(), [true]);
    });
}
