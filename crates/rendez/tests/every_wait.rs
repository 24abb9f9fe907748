//! Every wait takes a context: each operation that waits, blocking, awaited or as an arm of a
//! select, gives up when its context ends, and then nothing is lost and nobody stands in a
//! queue.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rendez::context::{Context, ContextError};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::select::{
    self, Select, Selector, broadcast, broadcast_waiting, oneshot, select_biased_async, watch,
};
use rendez::sync::{Barrier, OnceCell};

const HOUR: Duration = Duration::from_secs(3600);

/// How one waits with a context.
#[derive(Clone, Copy, Debug)]
enum How {
    Blocking,
    Awaited,
    OnThePool,
}

/// A context that ends in a moment.
struct Bound {
    how: How,
    ctx: Context,
    _cancel: Cancel,
}

impl Bound {
    fn new(how: How) -> Self {
        let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
        Self { how, ctx, _cancel }
    }

    /// Waits, in vain.
    fn gives_up<F: Future<Output: Send> + Send>(&self, wait: F) {
        let gave_up = match self.how {
            How::Blocking => self.ctx.block_on(wait),
            How::Awaited => block_on(self.ctx.run(wait)),
            How::OnThePool => scope(|s| s.go(|| self.ctx.block_on(wait)).join().unwrap()),
        };
        assert_eq!(gave_up.err(), Some(ContextError::DeadlineExceeded));
    }
}

type Row = (&'static str, fn(Bound));

const ROWS: &[Row] = &[
    ("recv", |bound| {
        for cap in [0, 1] {
            let (tx, rx) = bounded::<u8>(cap);
            let bound = Bound::new(bound.how);
            bound.gives_up(rx.recv_async());
            let receiver = go(move || rx.recv());
            tx.send(1).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(1), "nothing is lost");
        }
    }),
    ("recv_many", |bound| {
        let (tx, rx) = bounded(1);
        let mut all = Vec::new();
        bound.gives_up(rx.recv_many_async(&mut all, 2));
        tx.send(1).unwrap();
        assert_eq!((rx.try_recv(), all.len()), (Ok(1), 0));
    }),
    ("send", |bound| {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        bound.gives_up(tx.send_async(2));
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1], "not sent");
    }),
    ("send_many", |bound| {
        let (tx, rx) = bounded(1);
        bound.gives_up(tx.send_many_async([1, 2, 3]));
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1], "what fitted");
        tx.try_send(4).expect("nobody stands before");
    }),
    ("stream", |bound| {
        let (tx, rx) = bounded(1);
        let mut stream = rx.stream();
        bound.gives_up(stream.next());
        tx.send(1).unwrap();
        drop(stream);
        assert_eq!(
            rx.try_recv(),
            Ok(1),
            "what the stream was granted is passed on"
        );
    }),
    ("sink", |bound| {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        let mut sink = tx.sink();
        bound.gives_up(sink.send(2));
        drop(sink);
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1], "not sent");
        tx.try_send(3).expect("nobody stands before");
    }),
    ("send to nobody", |bound| {
        let (tx, rx) = bounded(0);
        bound.gives_up(tx.send_async(2));
        assert!(rx.try_recv().is_err());
    }),
    ("reserve", |bound| {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        bound.gives_up(tx.reserve_async());
        rx.recv().unwrap();
        tx.try_send(2).expect("no permit is out");
        let (tx, rx) = bounded(0);
        bound.gives_up(tx.reserve_async());
        assert!(rx.try_recv().is_err());
        assert!(tx.try_send(2).is_err(), "nobody is reserved");
    }),
    ("closed", |bound| {
        let (tx, _rx) = bounded::<u8>(1);
        bound.gives_up(tx.closed_async());
    }),
    ("oneshot", |bound| {
        let (tx, rx) = oneshot::<u8>();
        bound.gives_up(rx.recv_async());
        assert!(tx.send(1).is_ok());
        assert_eq!(rx.recv(), Ok(1));
    }),
    ("broadcast", |bound| {
        let (tx, rx) = broadcast::<u8>(2);
        bound.gives_up(rx.recv_async());
        assert!(tx.send(1).is_ok());
        assert_eq!(rx.recv().unwrap(), 1);
    }),
    ("broadcast that waits", |bound| {
        let (tx, rx) = broadcast_waiting::<u8>(1);
        assert!(tx.send(1).is_ok());
        bound.gives_up(tx.send_async(2));
        assert_eq!(rx.recv().unwrap(), 1);
        assert!(rx.try_recv().is_err(), "not sent");
        assert!(tx.try_send(3).is_ok(), "nobody stands before");
    }),
    ("broadcast's end", |bound| {
        let (tx, _rx) = broadcast::<u8>(1);
        bound.gives_up(tx.closed_async());
    }),
    ("watch", |bound| {
        let (tx, rx) = watch(1_u8);
        bound.gives_up(rx.changed_async());
        assert!(tx.send(2).is_ok());
        assert!(block_on(rx.changed_async()).is_ok());
    }),
    ("select", |bound| {
        let (_tx, rx) = bounded::<u8>(0);
        let (full, _queued) = bounded(0);
        bound.gives_up(async {
            select_async! {
                recv(rx) -> _ => unreachable!(),
                send(full, 1) -> _ => unreachable!(),
            }
        });
        let mut select = Select::new();
        select.recv(&rx);
        select.send(&full);
        bound.gives_up(select.ready_async());
        bound.gives_up(async { drop(select.select_async().await) });
        assert!(full.try_send(2).is_err() && rx.try_recv().is_err());
    }),
    ("await arm", |bound| {
        let (_tx, rx) = bounded::<u8>(0);
        bound.gives_up(async {
            select_biased_async! {
                recv(rx) -> _ => unreachable!(),
                await(std::future::pending::<()>()) -> _ => unreachable!(),
            }
        });
    }),
    ("selector", |bound| {
        let (tx, rx) = bounded(1);
        let mut selector = Selector::new();
        let key = selector.add(&rx);
        bound.gives_up(selector.wait_async());
        tx.send(1).unwrap();
        assert_eq!(selector.wait(), (key, Ok(1)));
    }),
    ("flow", |bound| {
        let (tx, rx) = bounded::<u8>(1);
        let done = Context::background();
        let until = select::or_done(rx, done.done());
        bound.gives_up(until.recv_async());
        tx.send(1).unwrap();
        assert_eq!(until.recv(), Ok(1));
        let (tx, rx) = bounded::<u8>(1);
        let merged = select::merge([rx]);
        bound.gives_up(merged.recv_async());
        tx.send(1).unwrap();
        assert_eq!(merged.recv(), Ok(1));
        let (tx, rx) = bounded::<u8>(1);
        let (left, right) = select::tee(rx);
        bound.gives_up(left.recv_async());
        tx.send(1).unwrap();
        assert_eq!((left.recv(), right.recv()), (Ok(1), Ok(1)));
    }),
    ("channels of the clock", |bound| {
        for rx in [after(HOUR), tick(HOUR), never()] {
            bound.gives_up(rx.recv_async());
            assert!(rx.try_recv().is_err());
        }
    }),
    ("wait group", |bound| {
        let wg = WaitGroup::new();
        wg.add(1);
        bound.gives_up(wg.wait_async());
        wg.done();
        wg.wait();
    }),
    ("mutex", |bound| {
        let mutex = Mutex::new(1);
        let guard = mutex.lock();
        bound.gives_up(mutex.lock_async());
        drop(guard);
        assert!(mutex.try_lock().is_some());
    }),
    ("read lock", |bound| {
        let lock = RwLock::new(1);
        let guard = lock.write();
        bound.gives_up(lock.read_async());
        drop(guard);
        assert!(lock.try_write().is_some());
    }),
    ("upgradable lock", |bound| {
        let lock = RwLock::new(1);
        let guard = lock.write();
        bound.gives_up(lock.upgradable_read_async());
        drop(guard);
        assert!(lock.try_write().is_some());
    }),
    ("write lock", |bound| {
        let lock = RwLock::new(1);
        let guard = lock.read();
        bound.gives_up(lock.write_async());
        assert!(lock.try_read().is_some(), "no writer waits any more");
        drop(guard);
    }),
    ("cond", |bound| {
        let (mutex, cond) = (Mutex::new(1), Cond::new());
        bound.gives_up(cond.wait_async(mutex.lock()));
        assert!(mutex.try_lock().is_some());
    }),
    ("semaphore", |bound| {
        let sem = Semaphore::new(2);
        let permit = sem.try_acquire(1).unwrap();
        bound.gives_up(sem.acquire_async(2));
        assert!(sem.try_acquire(1).is_some(), "nobody is ahead");
        drop(permit);
        assert_eq!(sem.available(), 2);
    }),
    ("barrier", |bound| {
        let barrier = Barrier::new(2);
        bound.gives_up(barrier.wait_async());
        std::thread::scope(|s| {
            s.spawn(|| barrier.wait());
            barrier.wait();
        });
    }),
    ("once", |bound| {
        let cell = OnceCell::new();
        bound.gives_up(cell.get_or_init_async(std::future::pending::<u8>));
        bound.gives_up(cell.get_or_try_init_async(std::future::pending::<Result<u8, ()>>));
        assert_eq!(*cell.get_or_init(|| 7), 7, "the next one does the work");
        let once = Once::new();
        bound.gives_up(once.call_once_async(std::future::pending::<()>));
        once.call_once(|| ());
    }),
    ("once, behind another", |bound| {
        let cell = OnceCell::new();
        let (tx, rx) = bounded::<u8>(0);
        scope(|s| {
            let (begun, begins) = bounded::<()>(0);
            let (cell, rx) = (&cell, &rx);
            s.go(move || {
                cell.get_or_init(|| {
                    begun.send(()).unwrap();
                    rx.recv().unwrap()
                });
            });
            begins.recv().unwrap();
            bound.gives_up(cell.get_or_init_async(std::future::pending::<u8>));
            tx.send(7).unwrap();
            assert_eq!(*cell.get_or_init(|| 8), 7);
        });
    }),
    ("single flight", |bound| {
        let flights = SingleFlight::<u8, u8>::new();
        bound.gives_up(flights.run_async(1, std::future::pending::<u8>));
        assert_eq!(flights.run(1, || 7).value, 7, "the next one does the work");
    }),
    ("single flight, behind another", |bound| {
        let flights = SingleFlight::<u8, u8>::new();
        let (tx, rx) = bounded::<u8>(0);
        scope(|s| {
            let (begun, begins) = bounded::<()>(0);
            let (flights, rx) = (&flights, &rx);
            let leader = s.go(move || {
                flights.run(1, || {
                    begun.send(()).unwrap();
                    rx.recv().unwrap()
                })
            });
            begins.recv().unwrap();
            bound.gives_up(flights.run_async(1, std::future::pending::<u8>));
            tx.send(7).unwrap();
            assert_eq!(leader.join().unwrap().value, 7);
        });
    }),
    ("error group", |bound| {
        let group: Group<&str> = Group::builder().limit(1).build();
        let (tx, rx) = bounded::<u8>(0);
        group.go(move || rx.recv().map(drop).map_err(|_| "gone"));
        bound.gives_up(group.go_async(async { Err("never started") }));
        bound.gives_up(group.wait_async());
        tx.send(1).unwrap();
        assert_eq!(group.wait(), Ok(()));
        assert!(group.try_go(|| Ok(())), "the slot has come back");
        assert_eq!(group.wait(), Ok(()));
    }),
    ("join", |bound| {
        let (tx, rx) = bounded::<u8>(0);
        let mut handle = go(move || rx.recv());
        bound.gives_up(&mut handle);
        tx.send(1).unwrap();
        assert_eq!(handle.join().unwrap(), Ok(1));
        let (tx, rx) = bounded::<u8>(0);
        let handle = go(move || rx.recv());
        bound.gives_up(handle.join_async());
        tx.send(1).expect("it goes on, detached");
    }),
    ("timer", |bound| {
        let mut timer = Timer::new(HOUR);
        bound.gives_up(timer.recv_async());
        bound.gives_up(&mut timer);
        assert!(timer.stop(), "still set");
    }),
    ("ticker", |bound| {
        let mut ticker = Ticker::new(HOUR);
        bound.gives_up(ticker.recv_async());
        bound.gives_up(ticker.next());
        assert!(ticker.stop(), "still set");
    }),
    ("sleep", |bound| {
        bound.gives_up(rendez::time::sleep_async(HOUR));
        bound.gives_up(rendez::time::timeout(HOUR, std::future::pending::<()>()));
    }),
    ("another context", |bound| {
        let (other, _cancel) = Context::background().with_cancel();
        bound.gives_up(other.done());
        bound.gives_up(other.cancelled_async());
        bound.gives_up(other.run(std::future::pending::<()>()));
        bound.gives_up(other.sleep_async(HOUR));
    }),
];

#[test]
fn every_wait_gives_up_when_its_context_ends() {
    for (name, row) in ROWS {
        for how in [How::Blocking, How::Awaited, How::OnThePool] {
            eprintln!("{name}, {how:?}");
            row(Bound::new(how));
        }
    }
}

/// Each arm beside `ctx.done()`, and neither chosen before its time.
#[test]
fn every_arm_stands_beside_a_contexts_end() {
    let (tx, rx) = bounded::<u8>(0);
    let wg = WaitGroup::new();
    wg.add(1);
    let sem = Semaphore::new(1);
    let held = sem.try_acquire(1).unwrap();
    let (timer, ticker) = (Timer::new(HOUR), Ticker::new(HOUR));
    let joined = rx.clone();
    let handle = go(move || joined.recv());
    let (_one, oneshot) = oneshot::<u8>();
    let (_all, broadcast) = broadcast::<u8>(1);
    let (_latest, watch) = watch(1_u8);
    // Which never meets itself.
    let (to, from) = bounded::<u8>(0);
    let until = select::or_done(from.clone(), wg.zero());
    let (later, ticks, nil) = (after(HOUR), tick(HOUR), never::<u8>());
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    let blocking = select! {
        recv(wg.zero()) -> _ => None,
        recv(sem.permit(1)) -> _ => None,
        recv(timer) -> _ => None,
        recv(ticker) -> _ => None,
        recv(&handle) -> _ => None,
        recv(oneshot) -> _ => None,
        recv(broadcast) -> _ => None,
        recv(watch) -> _ => None,
        recv(to.closed()) -> _ => None,
        recv(until) -> _ => None,
        recv(later) -> _ => None,
        recv(ticks) -> _ => None,
        recv(nil) -> _ => None,
        recv(from) -> _ => None,
        send(to, 1) -> _ => None,
        recv(ctx.done()) -> err => Some(err),
    };
    assert_eq!(blocking, Some(ContextError::DeadlineExceeded));
    let (ctx, cancel) = Context::background().with_cancel();
    let awaited = scope(|s| {
        let waiting = s.go(async {
            select_async! {
                recv(wg.zero()) -> _ => None,
                recv(sem.permit(1)) -> _ => None,
                recv(timer) -> _ => None,
                recv(ticker) -> _ => None,
                recv(&handle) -> _ => None,
                recv(oneshot) -> _ => None,
                recv(broadcast) -> _ => None,
                recv(watch) -> _ => None,
                recv(to.closed()) -> _ => None,
                recv(until) -> _ => None,
                recv(later) -> _ => None,
                recv(ticks) -> _ => None,
                recv(nil) -> _ => None,
                recv(from) -> _ => None,
                send(to, 1) -> _ => None,
                await(std::future::pending::<()>()) -> _ => None,
                recv(ctx.done()) -> err => Some(err),
            }
        });
        s.go(|| cancel.cancel());
        waiting.join().unwrap()
    });
    assert_eq!(awaited, Some(ContextError::Canceled));
    drop(held);
    assert!(sem.try_acquire(1).is_some());
    assert!(from.try_recv().is_err() && to.try_send(1).is_err());
    tx.send(1).unwrap();
    assert_eq!(
        handle.join().unwrap(),
        Ok(1),
        "the value went to who still waited"
    );
}
