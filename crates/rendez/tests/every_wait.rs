//! Every wait takes a context: each operation that waits, blocking, awaited or as an arm of a
//! select, gives up when its context ends, and then nothing is lost and nobody stands in a
//! queue.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::time::Duration;

use rendez::context::{Context, ContextError};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::select::{Select, broadcast, oneshot, watch};
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
        bound.gives_up(select.ready_async());
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
        assert_eq!(*cell.get_or_init(|| 7), 7, "the next one does the work");
    }),
    ("join", |bound| {
        let (tx, rx) = bounded::<u8>(0);
        let mut handle = go(move || rx.recv());
        bound.gives_up(&mut handle);
        tx.send(1).unwrap();
        assert_eq!(handle.join().unwrap(), Ok(1));
    }),
    ("timer", |bound| {
        let timer = Timer::new(HOUR);
        bound.gives_up(timer.recv_async());
        assert!(timer.stop(), "still set");
    }),
    ("ticker", |bound| {
        let ticker = Ticker::new(HOUR);
        bound.gives_up(ticker.recv_async());
    }),
    ("sleep", |bound| {
        bound.gives_up(rendez::time::sleep_async(HOUR))
    }),
    ("another context", |bound| {
        let (other, _cancel) = Context::background().with_cancel();
        bound.gives_up(other.done());
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
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    let blocking = select! {
        recv(wg.zero()) -> _ => None,
        recv(sem.permit(1)) -> _ => None,
        recv(timer) -> _ => None,
        recv(ticker) -> _ => None,
        recv(&handle) -> _ => None,
        recv(oneshot) -> _ => None,
        recv(broadcast) -> _ => None,
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
                recv(ctx.done()) -> err => Some(err),
            }
        });
        s.go(|| cancel.cancel());
        waiting.join().unwrap()
    });
    assert_eq!(awaited, Some(ContextError::Canceled));
    drop(held);
    assert!(sem.try_acquire(1).is_some());
    tx.send(1).unwrap();
    assert_eq!(
        handle.join().unwrap(),
        Ok(1),
        "the value went to who still waited"
    );
}
