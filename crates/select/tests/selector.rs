//! `Selector`: waiting on many channels again and again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Count, at_every_capacity, channel, poll, poll_with, until, within};
use rendez_core::block_on::block_on;
use rendez_select::{
    BorrowingSelector, RecvError, Selector, TryRecvError, after, at, bounded, broadcast, never,
    oneshot, or_done, select, select_async, tick, unbounded, watch,
};

const LONG: Duration = Duration::from_secs(100);

#[test]
fn what_comes_is_told_by_its_key() {
    at_every_capacity(|cap| {
        let ((ta, a), (tb, b)) = (channel(cap), channel(cap));
        let mut selector = Selector::new();
        let (ka, kb) = (selector.add(&a), selector.add(b));
        assert_eq!(selector.len(), 2);
        assert_eq!(selector.try_wait(), None);
        assert_eq!(selector.wait_timeout(Duration::from_millis(1)), None);
        thread::scope(|s| {
            s.spawn(|| ta.send(1).unwrap());
            assert_eq!(selector.wait(), (ka, Ok(1)));
            s.spawn(|| tb.send(2).unwrap());
            assert_eq!(block_on(selector.wait_async()), (kb, Ok(2)));
            s.spawn(|| tb.send(3).unwrap());
            assert_eq!(selector.wait_timeout(LONG), Some((kb, Ok(3))));
        });
        drop(tb);
        assert_eq!(selector.wait(), (kb, Err(RecvError)));
        assert_eq!(selector.try_wait(), Some((kb, Err(RecvError))));
        assert!(selector.remove(kb).is_some() && selector.remove(kb).is_none());
        assert_eq!(selector.try_wait(), None);
        let kc = selector.add(never());
        assert!(kc > kb, "keys are not used again");
        drop(selector);
        assert_eq!(a.receiver_count(), 1);
    });
}

#[test]
fn between_waits_nothing_is_withheld() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let mut selector = Selector::new();
        selector.add(&rx);
        assert_eq!(selector.try_wait(), None);
        // It is not there to receive, so at capacity 0 nobody is.
        if cap == Some(0) {
            assert!(tx.try_send(1).is_err());
            assert!(!select! { send(tx, 1) -> _ => true, default => false });
        } else {
            tx.try_send(1).unwrap();
            assert_eq!(rx.try_recv(), Ok(1));
        }
        assert_eq!(selector.try_wait(), None);
        // It meets all kinds of senders that wait for it.
        let mut parked = pin!(tx.send_async(2));
        if poll(parked.as_mut()).is_pending() {
            assert_eq!(selector.wait(), (0, Ok(2)));
            assert!(poll(parked).is_ready());
        } else {
            assert_eq!(selector.wait(), (0, Ok(2)));
        }
    });
}

#[test]
fn a_waiting_selector_is_a_receiver_like_others() {
    let (tx, rx) = bounded(0);
    let (_keep, other) = bounded::<u8>(0);
    let mut selector = Selector::new();
    selector.add(&other);
    let key = selector.add(&rx);
    let count = Arc::new(Count::default());
    for i in 0..3 {
        let mut waiting = pin!(selector.wait_async());
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        let mut behind = pin!(rx.recv_async());
        assert!(poll(behind.as_mut()).is_pending());
        tx.try_send(2 * i).unwrap();
        assert_eq!(count.get(), usize::from(i) + 1);
        tx.try_send(2 * i + 1).unwrap();
        assert_eq!(poll(waiting), Poll::Ready((key, Ok(2 * i))));
        assert_eq!(poll(behind), Poll::Ready(Ok(2 * i + 1)));
    }
}

#[test]
fn a_dropped_wait_passes_on_what_it_was_granted() {
    at_every_capacity(|cap| {
        let census = Census::default();
        let (tx, rx) = channel(cap);
        let mut selector = Selector::new();
        selector.add(&rx);
        for served in [false, true] {
            let mut waiting = Box::pin(selector.wait_async());
            assert!(poll(waiting.as_mut()).is_pending());
            let mut next = pin!(rx.recv_async());
            assert!(poll(next.as_mut()).is_pending());
            if served {
                tx.try_send(census.born()).unwrap();
            }
            drop(waiting);
            if served {
                assert!(matches!(poll(next), Poll::Ready(Ok(_))));
            }
        }
        // Even if it is never dropped.
        let mut leaked = Box::pin(selector.wait_async());
        assert!(poll(leaked.as_mut()).is_pending());
        tx.try_send(census.born()).unwrap();
        std::mem::forget(leaked);
        assert!(selector.try_wait().is_some_and(|(_, v)| v.is_ok()));
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn channels_that_are_always_ready_take_turns() {
    const N: usize = 10;
    let channels: Vec<_> = (0..N).map(|_| unbounded()).collect();
    let mut selector = Selector::new();
    for (_, rx) in &channels {
        selector.add(rx);
    }
    for (tx, _) in &channels {
        tx.send_many(0..100).unwrap();
    }
    let mut counts = [0; N];
    for _ in 0..20 * N {
        let (key, value) = selector.wait();
        assert_eq!(value, Ok(counts[key]));
        counts[key] += 1;
    }
    assert_eq!(counts, [20; N]);
    // One that becomes ready is not passed over for those.
    let (tx, rx) = unbounded();
    let late = selector.add(rx);
    while selector.wait().0 != late {
        // Closed channels and full ones are ready at every look.
        if tx.is_empty() {
            tx.send(0).unwrap();
        }
    }
}

#[test]
fn selects_that_offer_meet_a_selector() {
    within(LONG, "offers to a selector", || {
        const N: usize = 300;
        let (tx, rx) = bounded(0);
        let (tx2, rx2) = bounded(0);
        let (_keep, silent) = bounded::<usize>(0);
        let mut selector = Selector::new();
        for rx in [&silent, &rx, &rx2] {
            selector.add(rx);
        }
        thread::scope(|s| {
            s.spawn(|| {
                for i in 0..N {
                    select! {
                        send(tx, i) -> r => r.unwrap(),
                        recv(silent) -> _ => unreachable!(),
                    }
                }
            });
            s.spawn(|| {
                block_on(async {
                    for i in 0..N {
                        select_async! {
                            send(tx2, i) -> r => r.unwrap(),
                            recv(silent) -> _ => unreachable!(),
                        }
                    }
                });
            });
            let mut next = [0, 0];
            for _ in 0..2 * N {
                let (key, value) = selector.wait();
                assert_eq!(value, Ok(next[key - 1]));
                next[key - 1] += 1;
            }
        });
    });
}

#[test]
fn an_offer_that_falls_through_makes_it_look_at_all_again() {
    let (tx, rx) = bounded::<u8>(0);
    let (tx2, rx2) = bounded::<u8>(1);
    let mut selector = Selector::new();
    selector.add(&rx);
    let second = selector.add(&rx2);
    let count = Arc::new(Count::default());
    let mut waiting = Box::pin(selector.wait_async());
    assert!(poll_with(waiting.as_mut(), &count).is_pending());
    let permit = tx.reserve().unwrap();
    // The second channel passes it over meanwhile.
    tx2.send(5).unwrap();
    assert_eq!(count.get(), 0);
    drop(permit);
    assert_eq!(count.get(), 1);
    assert_eq!(poll(waiting.as_mut()), Poll::Ready((second, Ok(5))));
    drop(waiting);
    // Or the offer is completed, and the other is found at the next wait.
    let mut waiting = Box::pin(selector.wait_async());
    assert!(poll_with(waiting.as_mut(), &count).is_pending());
    let permit = tx.reserve().unwrap();
    tx2.send(6).unwrap();
    permit.send(7).unwrap();
    assert_eq!(poll(waiting.as_mut()), Poll::Ready((0, Ok(7))));
    drop(waiting);
    assert_eq!(selector.wait(), (second, Ok(6)));
    // Or the wait is dropped while it is held.
    let mut waiting = Box::pin(selector.wait_async());
    assert!(poll_with(waiting.as_mut(), &count).is_pending());
    let permit = tx.reserve().unwrap();
    drop(waiting);
    permit.send(8).unwrap();
    assert_eq!(selector.wait(), (0, Ok(8)));
    let mut parked = pin!(tx.send_async(9));
    assert!(poll(parked.as_mut()).is_pending());
    assert_eq!(selector.try_wait(), Some((0, Ok(9))));
}

#[test]
fn a_look_passes_over_what_a_task_may_offer_and_a_wait_does_not() {
    let (tx, rx) = bounded::<u8>(0);
    let mut selector = Selector::new();
    selector.add(&rx);
    let mut offering = pin!(async {
        select_async! { send(tx, 3) -> r => r }
    });
    assert!(poll(offering.as_mut()).is_pending());
    assert_eq!(
        selector.try_wait(),
        None,
        "the task makes its value when it is polled"
    );
    assert_eq!(selector.try_wait(), None);
    let mut waiting = pin!(selector.wait_async());
    assert!(poll(waiting.as_mut()).is_pending());
    assert!(poll(offering).is_ready());
    assert_eq!(poll(waiting), Poll::Ready((0, Ok(3))));
}

#[test]
fn the_clocks_receivers_can_be_selected_from() {
    within(LONG, "a selector with timers", || {
        let start = Instant::now();
        let (tx, rx) = unbounded();
        let mut selector = Selector::new();
        let late = selector.add(at(start + Duration::from_millis(5)));
        let never = selector.add(after(Duration::MAX));
        let ticking = selector.add(tick(Duration::from_millis(1)));
        let (mut ticks, mut fired) = (0, false);
        while ticks < 5 || !fired {
            let (key, due) = if ticks % 2 == 0 {
                selector.wait()
            } else {
                block_on(selector.wait_async())
            };
            assert!(due.unwrap() >= start);
            ticks += u32::from(key == ticking);
            fired |= key == late;
            assert_ne!(key, never);
        }
        assert!(start.elapsed() >= Duration::from_millis(5));
        let mut selector = Selector::new();
        selector.add(&rx);
        tx.send(1).unwrap();
        assert_eq!(selector.wait_deadline(start), Some((0, Ok(1))));
        assert_eq!(selector.wait_deadline(start), None);
    });
}

#[test]
fn the_same_channel_may_be_added_twice() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let mut selector = Selector::new();
        selector.add(&rx);
        selector.add(&rx);
        for i in 0..10 {
            let mut waiting = pin!(selector.wait_async());
            assert!(poll(waiting.as_mut()).is_pending());
            tx.try_send(i).unwrap();
            assert!(matches!(poll(waiting), Poll::Ready((_, Ok(n))) if n == i));
        }
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn ten_thousand_channels_in_a_loop_are_cheap() {
    within(LONG, "ten thousand channels", || {
        const N: usize = 10_000;
        const ROUNDS: usize = 20_000;
        let channels: Vec<_> = (0..N).map(|_| unbounded::<usize>()).collect();
        let mut selector = Selector::new();
        for (_, rx) in &channels {
            selector.add(rx);
        }
        assert_eq!(selector.try_wait(), None);
        let start = Instant::now();
        for i in 0..ROUNDS {
            let at = i * 7919 % N;
            channels[at].0.send(i).unwrap();
            assert_eq!(selector.wait(), (at, Ok(i)));
        }
        // A pass over all of them per wait would be 200,000,000 looks.
        assert!(start.elapsed() < LONG / 10, "{:?}", start.elapsed());
        let txs: Vec<_> = channels.into_iter().map(|(tx, _)| tx).collect();
        let sender = thread::spawn(move || {
            for i in 0..ROUNDS {
                txs[i * 31 % N].send(i).unwrap();
            }
        });
        let mut got = vec![false; ROUNDS];
        while !selector.is_empty() {
            match selector.wait() {
                (_, Ok(i)) => assert!(!std::mem::replace(&mut got[i], true)),
                (key, Err(RecvError)) => drop(selector.remove(key)),
            }
        }
        sender.join().unwrap();
        assert!(got.iter().all(|&got| got));
    });
}

#[test]
#[should_panic(expected = "no receivers have been added")]
fn an_empty_selector_cannot_be_waited_on() {
    let _ = Selector::<u8>::new().wait();
}

#[test]
fn a_selector_can_be_sent_to_another_thread() {
    let (tx, rx) = bounded(1);
    let mut selector = Selector::new();
    selector.add(rx);
    assert_eq!(selector.try_wait(), None);
    let thread = thread::spawn(move || selector.wait());
    tx.send(1).unwrap();
    assert_eq!(thread.join().unwrap(), (0, Ok(1)));
    until(|| tx.is_closed());
}

#[derive(Debug, PartialEq)]
enum Event {
    Number(u32),
    Answer(&'static str),
    Lagged(u64),
    Gone,
}

#[test]
fn arms_of_other_kinds_are_told_by_what_is_made_of_them() {
    within(LONG, "a selector of many kinds", || {
        let (tx, rx) = unbounded();
        let (reply, answer) = oneshot();
        let (news, reader) = broadcast(1);
        let (state, watcher) = watch(0);
        let (out, gone) = bounded::<u8>(0);
        let mut selector = Selector::new();
        let number = selector.add_with(&rx, |n| n.map(Event::Number));
        let answered = selector.add_with(answer, |a| a.map(Event::Answer));
        let read = selector.add_with(reader, |n| match n {
            Ok(n) => Ok(Event::Number(n)),
            Err(broadcast::RecvError::Lagged(n)) => Ok(Event::Lagged(n)),
            Err(_) => Err(RecvError),
        });
        let seen = selector.add_with(&watcher, |n| n.map(Event::Number));
        let ended = selector.add_with(out.closed(), |()| Ok(Event::Gone));
        let absent = selector.add_with(None::<&rendez_select::Receiver<u8>>, |_| Ok(Event::Gone));
        assert_eq!(selector.len(), 6);
        assert_eq!(selector.try_wait(), None);
        let received = |selector: &mut BorrowingSelector<'_, Event>, turn: usize| {
            if turn % 2 == 0 {
                selector.wait()
            } else {
                block_on(selector.wait_async())
            }
        };
        for turn in 0..4 {
            thread::scope(|s| {
                s.spawn(|| tx.send(1).unwrap());
                assert_eq!(
                    received(&mut selector, turn),
                    (number, Ok(Event::Number(1)))
                );
                s.spawn(|| state.send(2).unwrap());
                assert_eq!(received(&mut selector, turn), (seen, Ok(Event::Number(2))));
                s.spawn(|| news.send(3).unwrap());
                assert_eq!(received(&mut selector, turn), (read, Ok(Event::Number(3))));
            });
            news.send(4).unwrap();
            news.send(5).unwrap();
            assert_eq!(received(&mut selector, turn), (read, Ok(Event::Lagged(1))));
            assert_eq!(received(&mut selector, turn), (read, Ok(Event::Number(5))));
            assert_eq!(selector.try_wait(), None);
        }
        thread::scope(|s| {
            s.spawn(|| reply.send("yes").unwrap());
            assert_eq!(selector.wait(), (answered, Ok(Event::Answer("yes"))));
        });
        assert_eq!(selector.wait(), (answered, Err(RecvError)));
        assert!(selector.remove(answered).is_none());
        thread::scope(|s| {
            s.spawn(|| drop(gone));
            assert_eq!(selector.wait(), (ended, Ok(Event::Gone)));
        });
        selector.remove(ended);
        selector.remove(absent);
        assert_eq!((selector.len(), selector.try_wait()), (3, None));
    });
}

#[test]
fn two_cases_as_one_stay_in_no_queue_between_waits() {
    within(LONG, "a selector with or_done", || {
        let ((tx, rx), (quit, quitting)) = (unbounded(), unbounded::<()>());
        let other = rx.clone();
        let both = or_done(rx, &quitting);
        let mut selector = Selector::new();
        selector.add_with(&both, |n| n);
        for n in 0..100 {
            assert_eq!(selector.wait_timeout(Duration::from_micros(10)), None);
            {
                let mut waiting = pin!(selector.wait_async());
                assert!(poll(waiting.as_mut()).is_pending());
            }
            // Nobody waits: others receive, and what they leave is found.
            tx.send(n).unwrap();
            assert_eq!(other.try_recv(), Ok(n));
            tx.send(n).unwrap();
            assert_eq!(selector.wait(), (0, Ok(n)));
            let mut waiting = pin!(selector.wait_async());
            assert!(poll(waiting.as_mut()).is_pending());
            tx.send(n).unwrap();
            assert!(matches!(poll(waiting.as_mut()), Poll::Ready((0, Ok(m))) if m == n));
        }
        drop(quit);
        assert_eq!(selector.wait(), (0, Err(RecvError)));
        assert_eq!(selector.try_wait(), Some((0, Err(RecvError))));
    });
}

#[test]
fn while_an_offer_holds_it_a_selector_does_not_spin_for_an_arm_that_is_due() {
    within(LONG, "a selector held by a permit", || {
        let (tx, rx) = bounded(0);
        let mut selector = Selector::new();
        let value = selector.add(rx.clone());
        let wakes = Arc::new(Count::default());
        let timer = after(Duration::from_millis(5));
        let due = selector.add_with(timer, |_| Ok(0));
        let mut waiting = Box::pin(selector.wait_async());
        assert!(poll_with(waiting.as_mut(), &wakes).is_pending());
        let permit = tx.reserve().unwrap();
        let start = Instant::now();
        let mut seen = 0;
        while start.elapsed() < Duration::from_millis(30) {
            // As an executor would: only when woken.
            if wakes.get() > seen {
                seen += 1;
                assert!(poll_with(waiting.as_mut(), &wakes).is_pending());
            }
            thread::yield_now();
        }
        assert!(seen < 5, "polled {seen} times");
        permit.send(7).unwrap();
        assert_eq!(
            poll_with(waiting.as_mut(), &wakes),
            Poll::Ready((value, Ok(7)))
        );
        drop(waiting);
        assert_eq!(selector.wait(), (due, Ok(0)));
    });
}

#[test]
fn a_selector_that_borrows_nothing_is_named_without_a_lifetime() {
    struct Mux {
        selector: Selector<u8>,
    }
    fn mux(rx: &rendez_select::Receiver<u8>) -> Mux {
        let mut selector = Selector::new();
        selector.add(rx);
        Mux { selector }
    }
    fn empty() -> Selector<u8> {
        Selector::default()
    }
    let (tx, rx) = bounded(1);
    let mut mux = mux(&rx);
    tx.send(7).unwrap();
    assert_eq!(mux.selector.wait(), (0, Ok(7)));
    assert!(empty().is_empty());
}
