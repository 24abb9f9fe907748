//! Memory after a burst: alone in its process, since it counts what that has allocated.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use rendez_core::block_on::block_on;
use rendez_select::{bounded, oneshot, select, select_async, unbounded};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

std::thread_local! {
    // What the calling thread has allocated, and not freed, and how often. The test harness has
    // a thread of its own, which allocates too.
    static MINE: Cell<(isize, usize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize, times: usize) {
    let _ = MINE.try_with(|mine| {
        let (in_use, n) = mine.get();
        mine.set((in_use + bytes, n + times));
    });
}

// SAFETY: the system's, counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        count(layout.size() as isize, 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        count(-(layout.size() as isize), 0);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// `RENDEZ_BURST` sets how many values.
#[test]
#[cfg_attr(rendez_lanes, ignore = "a lane from the start is one allocation more")]
fn memory_is_given_back_after_a_burst_and_a_oneshot_is_one_allocation() {
    a_channel_is_one_allocation_with_its_first_slots();

    let burst = std::env::var("RENDEZ_BURST").ok();
    let n = burst.and_then(|n| n.parse().ok()).unwrap_or(10_000_000_u64);
    let (tx, rx) = unbounded();
    let before = IN_USE.load(Ordering::Relaxed);
    for i in 0..n {
        tx.send(i).unwrap();
    }
    let full = IN_USE.load(Ordering::Relaxed) - before;
    assert!(full >= usize::try_from(n).unwrap() * 8);
    assert!(rx.try_iter().eq(0..n));
    let left = IN_USE.load(Ordering::Relaxed) - before;
    assert!(left <= 64 * 1024, "{left} bytes are kept of {full}");

    let (_, before) = MINE.get();
    let (tx, rx) = oneshot();
    tx.send(1).unwrap();
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(MINE.get().1 - before, 1);

    registrations_on_a_quiet_channel_are_removed();
}

fn a_channel_is_one_allocation_with_its_first_slots() {
    let (in_use, _) = MINE.get();
    for (cap, n, allocations) in [(1, 1, 1), (8, 8, 1), (100, 8, 1), (100, 9, 2)] {
        let (_, before) = MINE.get();
        let (tx, rx) = bounded::<u64>(cap);
        (0..n).for_each(|i| tx.send(i).unwrap());
        // One of them is not received.
        assert!((1..n).all(|i| rx.recv() == Ok(i - 1)));
        drop((tx, rx));
        let made = MINE.get().1 - before;
        assert_eq!(made, allocations, "capacity {cap}, {n} values");
    }
    // One that has passed many values, one at a time, keeps no room for all it could hold.
    let (tx, rx) = bounded::<[u64; 64]>(100);
    let before = MINE.get().0;
    for _ in 0..1000 {
        tx.send([0; 64]).unwrap();
        rx.recv().unwrap();
    }
    let grown = MINE.get().0 - before;
    assert!(grown <= 4096, "{grown} bytes");
    drop((tx, rx));
    // As those are whose values are large, unlike those whose values are nothing.
    for _ in 0..2 {
        let (tx, rx) = bounded::<[u64; 9]>(1);
        let weak = tx.downgrade();
        tx.send([0; 9]).unwrap();
        drop((tx, rx, weak));
        let (tx, rx) = bounded::<()>(1);
        tx.send(()).unwrap();
        drop((tx, rx));
    }
    assert_eq!(MINE.get().0, in_use);
}

/// A select that has won on one channel leaves nothing behind on the other, however often.
fn registrations_on_a_quiet_channel_are_removed() {
    const N: usize = 10_000;
    let (tx, rx) = bounded(0);
    let (quiet_tx, quiet) = bounded::<usize>(0);
    let sender = std::thread::spawn(move || (0..4 * N).all(|i| tx.send(i).is_ok()));
    let receive = |range: std::ops::Range<usize>, awaits| {
        for i in range {
            let got = if awaits {
                block_on(async {
                    select_async! { recv(rx) -> v => v, recv(quiet) -> _ => unreachable!() }
                })
            } else {
                select! { recv(rx) -> v => v, recv(quiet) -> _ => unreachable!() }
            };
            assert_eq!(got, Ok(i));
        }
    };
    for (n, awaits) in [(0, false), (2, true)] {
        receive(n * N..(n + 1) * N, awaits);
        let before = IN_USE.load(Ordering::Relaxed);
        receive((n + 1) * N..(n + 2) * N, awaits);
        let grown = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
        assert!(grown < 10_000, "{grown} bytes more after {N} selects");
    }
    assert!(sender.join().unwrap());
    drop(quiet_tx);
}
