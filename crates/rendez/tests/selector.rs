//! A `Selector` over arms of every crate.

mod common;

use std::time::Duration;

use rendez::context::{Context, ContextError};
use rendez::pool::{block_on, go, scope};
use rendez::select::{RecvError, Selector, TrySendError, bounded, unbounded};
use rendez::sync::{Permit, Semaphore};
use rendez::time::{Ticker, Timer};
use rendez::waitgroup::WaitGroup;

#[derive(Debug)]
enum Event<'a> {
    Value(u32),
    Ended(ContextError),
    Joined(u32),
    Zero,
    Due,
    Permit(Permit<'a>),
}

#[test]
fn arms_of_every_crate_stand_in_one_selector() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = unbounded();
    let (wg, semaphore) = (WaitGroup::new(), Semaphore::new(3));
    let held = semaphore.try_acquire(2).unwrap();
    wg.add(1);
    let (finish, finished) = bounded::<u32>(0);
    let handle = go(move || finished.recv().unwrap());
    let timer = Timer::new(Duration::MAX);
    let mut selector = Selector::new();
    let value = selector.add_with(&rx, |n| n.map(Event::Value));
    let ended = selector.add_with(ctx.done(), |err| Ok(Event::Ended(err)));
    let joined = selector.add_with(handle, |n| n.map(Event::Joined).map_err(|_| RecvError));
    let zero = selector.add_with(wg.zero(), |()| Ok(Event::Zero));
    let due = selector.add_with(&timer, |_| Ok(Event::Due));
    let permit = selector.add_with(semaphore.permit(2), |p| {
        p.map(Event::Permit).map_err(|_| RecvError)
    });
    for turn in 0..20 {
        // Between waits it stands in nobody's way, least of all at the head of a line.
        assert!(selector.wait_timeout(Duration::from_micros(10)).is_none());
        assert!(semaphore.try_acquire(1).is_some());
        let (set, counted) = (&tx, &wg);
        let causes: [(usize, Box<dyn FnOnce() + Send>); 2] = [
            (value, Box::new(move || set.send(1).unwrap())),
            (zero, Box::new(move || counted.done())),
        ];
        for (key, cause) in causes {
            scope(|s| {
                s.go(cause);
                let (got, event) = if turn % 2 == 0 {
                    selector.wait()
                } else {
                    block_on(selector.wait_async())
                };
                assert!(matches!(event, Ok(Event::Value(1) | Event::Zero)));
                assert_eq!(got, key);
            });
        }
        wg.add(1);
        scope(|s| {
            // Stopped when it was added, and set while it is waited for.
            timer.stop();
            s.go(|| {
                rendez::time::sleep(Duration::from_millis(1));
                timer.reset(Duration::ZERO);
            });
            assert!(matches!(selector.wait(), (key, Ok(Event::Due)) if key == due));
        });
    }
    drop(held);
    let (key, Ok(Event::Permit(granted))) = selector.wait() else {
        panic!("two permits are there");
    };
    assert_eq!((key, semaphore.available()), (permit, 1));
    assert!(selector.try_wait().is_none());
    selector.remove(permit);
    drop(granted);
    finish.send(5).unwrap();
    assert!(matches!(selector.wait(), (key, Ok(Event::Joined(5))) if key == joined));
    cancel.cancel();
    // It stays done, and is given once more each time.
    for _ in 0..2 {
        let (key, event) = selector.wait();
        assert!(matches!(event, Ok(Event::Ended(ContextError::Canceled))));
        assert_eq!(key, ended);
    }
}

#[test]
fn a_selector_that_is_dropped_gives_back_what_it_was_granted() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire(1).unwrap();
    let (tx, rx) = bounded::<u8>(0);
    let mut selector = Selector::new();
    selector.add(rx);
    selector.add_with(semaphore.permit(1), |p| match p {
        Ok(_) => Ok(0),
        Err(_) => Err(RecvError),
    });
    assert!(common::poll(std::pin::pin!(selector.wait_async())).is_pending());
    drop(held);
    drop(selector);
    assert_eq!(semaphore.available(), 1);
    assert!(matches!(tx.try_send(1), Err(TrySendError::Disconnected(1))));
    // A ticker, by reference, is looked at in every wait.
    let ticker = Ticker::new(Duration::from_millis(1));
    let mut selector = Selector::new();
    selector.add_with(&ticker, Ok);
    let first = selector.wait().1.unwrap();
    assert!(selector.wait().1.unwrap() > first);
}
