//! What safe code may do to break things: wakers that panic, come back in, or outlive their
//! future; futures that are moved, leaked and polled too often; values whose drop panics;
//! operations at a thread's end. Nothing may be lost, abort or deadlock.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::await_holding_lock,
    dropping_copy_types
)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context as TaskContext, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::select::{Select, Selector, broadcast, watch};
use rendez::sync::{Atomic, Lazy, OnceCell, Pool, Pooled};
use rendez::time::{after_func, sleep_async};

const HOUR: Duration = Duration::from_secs(3600);

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(waker))
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

// --- who may be sent where ----------------------------------------------------------------

/// Fails to compile if the type implements the trait.
macro_rules! must_not {
    ($($trait:ident: $($type:ty),+;)*) => {$($({
        trait Ambiguous<A> {
            fn check() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Invalid;
        impl<T: ?Sized + $trait> Ambiguous<Invalid> for T {}
        <$type as Ambiguous<_>>::check();
    })+)*};
}

type NotSend = Rc<()>;
type NotSync = Cell<u8>;

#[test]
fn what_is_not_send_or_sync_does_not_become_so() {
    use rendez::select::{broadcast, oneshot, watch};
    must_not! {
        Send: Sender<NotSend>, Receiver<NotSend>, Selector<NotSend>,
            rendez::select::WeakSender<NotSend>, rendez::select::WeakReceiver<NotSend>,
            rendez::select::Permit<'static, NotSend>, rendez::select::SendSink<NotSend>,
            rendez::select::RecvStream<NotSend>, rendez::select::Drain<NotSend>,
            rendez::select::SendFuture<'static, NotSend>, rendez::select::RecvFuture<'static, NotSend>,
            rendez::select::SelectedOperation<'static>,
            rendez::select::SelectorFuture<'static, NotSend>,
            oneshot::Sender<NotSend>, oneshot::Receiver<NotSend>,
            // Cloned by many threads at once.
            broadcast::Sender<NotSync>, broadcast::Receiver<NotSync>,
            watch::Sender<NotSync>, watch::Receiver<NotSync>,
            Atomic<NotSync>, Map<u8, NotSend>, Map<NotSend, u8>,
            Mutex<NotSend>, RwLock<NotSend>, OnceCell<NotSend>,
            SingleFlight<u8, NotSend>, Lazy<NotSend>,
            rendez::sync::MutexGuard<'static, NotSend>,
            rendez::sync::RwLockReadGuard<'static, NotSync>,
            rendez::sync::RwLockWriteGuard<'static, NotSend>;
        Sync: Sender<NotSend>, Receiver<NotSend>, RwLock<NotSync>, OnceCell<NotSync>,
            Lazy<NotSync>, Mutex<NotSend>, Map<u8, NotSync>, Atomic<NotSync>,
            rendez::sync::MutexGuard<'static, NotSync>,
            rendez::sync::RwLockReadGuard<'static, NotSync>,
            Pooled<'static, NotSync>;
    }
}

/// A panic that interrupts an operation leaves what it was made on as it was.
#[test]
fn handles_may_be_used_in_catch_unwind() {
    fn both<T: UnwindSafe + RefUnwindSafe>() {}
    both::<Sender<NotSync>>();
    both::<Receiver<NotSync>>();
    both::<rendez::select::SelectedOperation<'static>>();
    both::<JoinHandle<NotSync>>();
    both::<rendez::pool::Pool>();
    both::<WaitGroup>();
    both::<rendez::waitgroup::Guard>();
    both::<Context>();
    both::<Cancel>();
    both::<Timer>();
    both::<Ticker>();
    both::<rendez::time::AfterFunc>();
    both::<Once>();
    both::<OnceCell<u8>>();
    both::<Cond>();
    both::<rendez::sync::Barrier>();
    both::<Semaphore>();
    both::<Group>();
}

// --- wakers -------------------------------------------------------------------------------

/// A waker made of a closure.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn calls(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(f)))
}

/// A pending wait, boxed, and how to serve it.
type Waits = Vec<(
    &'static str,
    Pin<Box<dyn Future<Output = ()> + Send>>,
    Box<dyn FnOnce() + Send>,
)>;

/// One wait of each kind, and what makes it ready.
fn waits() -> Waits {
    let mut all: Waits = Vec::new();
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        all.push((
            "recv",
            Box::pin(async move { rx.recv_async().await.map(drop).unwrap() }),
            Box::new(move || tx.try_send(1).unwrap()),
        ));
        let (tx, rx) = bounded(cap);
        for i in 0..cap {
            tx.send(i).unwrap();
        }
        all.push((
            "send",
            Box::pin(async move { tx.send_async(1).await.unwrap() }),
            Box::new(move || drop(rx.try_recv().unwrap())),
        ));
    }
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    all.push((
        "reserve",
        Box::pin(async move { drop(tx.reserve_async().await.unwrap()) }),
        Box::new(move || drop(rx.try_recv().unwrap())),
    ));
    let (tx, rx) = bounded::<u8>(1);
    all.push((
        "close",
        Box::pin(async move { assert!(rx.recv_async().await.is_err()) }),
        Box::new(move || drop(tx)),
    ));
    let (tx, rx) = unbounded();
    all.push((
        "select",
        Box::pin(async move {
            select_async! {
                recv(never::<u8>()) -> _ => unreachable!(),
                recv(rx) -> v => assert_eq!(v, Ok(1)),
            }
        }),
        Box::new(move || tx.send(1).unwrap()),
    ));
    let (tx, rx) = oneshot();
    all.push((
        "oneshot",
        Box::pin(async move { rx.recv_async().await.unwrap() }),
        Box::new(move || tx.send(()).unwrap()),
    ));
    let (tx, rx) = broadcast(1);
    all.push((
        "broadcast",
        Box::pin(async move { rx.recv_async().await.unwrap() }),
        Box::new(move || tx.send(()).unwrap()),
    ));
    let (tx, rx) = watch(());
    all.push((
        "watch",
        Box::pin(async move { rx.changed_async().await.unwrap() }),
        Box::new(move || tx.send(()).unwrap()),
    ));
    let wg = WaitGroup::new();
    let guard = wg.guard();
    all.push((
        "wait group",
        Box::pin(async move { wg.wait_async().await }),
        Box::new(move || drop(guard)),
    ));
    let (ctx, cancel) = Context::background().with_cancel();
    all.push((
        "context",
        Box::pin(async move { drop(ctx.done().await) }),
        Box::new(move || cancel.cancel()),
    ));
    let sem = Arc::new(Semaphore::new(0));
    sem.set_size(1);
    sem.acquire(1).unwrap().forget();
    all.push((
        "semaphore",
        Box::pin({
            let sem = sem.clone();
            async move { drop(sem.acquire_async(1).await.unwrap()) }
        }),
        Box::new(move || sem.set_size(2)),
    ));
    let m = Arc::new(Mutex::new(()));
    let guard = m.lock_arc();
    all.push((
        "mutex",
        Box::pin(async move { drop(m.lock_async().await) }),
        Box::new(move || drop(guard)),
    ));
    let l = Arc::new(RwLock::new(()));
    let guard = l.write_arc();
    all.push((
        "rwlock",
        Box::pin(async move { drop(l.read_async().await) }),
        Box::new(move || drop(guard)),
    ));
    let pair = Arc::new((Mutex::new(()), Cond::new()));
    all.push((
        "cond",
        Box::pin({
            let pair = pair.clone();
            async move { drop(pair.1.wait_async(pair.0.lock()).await) }
        }),
        Box::new(move || {
            pair.1.notify_one();
        }),
    ));
    let (tx, rx) = oneshot::<()>();
    let handle = go(async move { rx.recv_async().await.map(drop) });
    all.push((
        "join",
        Box::pin(async move { drop(handle.await) }),
        Box::new(move || tx.send(()).unwrap()),
    ));
    let (ctx, cancel) = Context::background().with_cancel();
    all.push((
        "run",
        Box::pin(async move { drop(ctx.run(std::future::pending::<()>()).await) }),
        Box::new(move || cancel.cancel()),
    ));
    let timer = Arc::new(Timer::new(HOUR));
    all.push((
        "timer",
        Box::pin({
            let timer = timer.clone();
            async move { drop(timer.recv_async().await) }
        }),
        Box::new(move || {
            timer.reset(Duration::ZERO);
        }),
    ));
    all
}

/// Until it is ready: what serves it may do so from another thread.
fn finish(what: &str, mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    let start = std::time::Instant::now();
    while poll(future.as_mut()).is_pending() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: lost");
        std::thread::yield_now();
    }
}

#[test]
fn a_waker_that_panics_loses_nothing() {
    for (what, mut future, serve) in waits() {
        let waker = calls(|| panic!("a waker's panic, on purpose"));
        assert!(poll_with(future.as_mut(), &waker).is_pending(), "{what}");
        let _ = catch_unwind(AssertUnwindSafe(serve));
        finish(what, future);
    }
}

#[test]
fn a_waker_may_drop_its_future() {
    for (what, future, serve) in waits() {
        let place = Arc::new(StdMutex::new(Some(future)));
        let waker = calls({
            let place = place.clone();
            move || drop(place.lock().unwrap().take())
        });
        let pending = poll_with(place.lock().unwrap().as_mut().unwrap().as_mut(), &waker);
        assert!(pending.is_pending(), "{what}");
        serve();
        let start = std::time::Instant::now();
        while place.lock().unwrap().is_some() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what}: not woken"
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_waker_may_poll_its_future() {
    for (what, future, serve) in waits() {
        let place = Arc::new(StdMutex::new(Some(future)));
        let waker = calls({
            let place = place.clone();
            move || {
                let mut place = place.lock().unwrap();
                if let Some(future) = &mut *place {
                    if poll(future.as_mut()).is_ready() {
                        *place = None;
                    }
                }
            }
        });
        let pending = poll_with(place.lock().unwrap().as_mut().unwrap().as_mut(), &waker);
        assert!(pending.is_pending(), "{what}");
        serve();
        let start = std::time::Instant::now();
        while let Some(future) = &mut *place.lock().unwrap() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what}: not woken"
            );
            // A timer's wake may have been the new earlier time.
            if poll(future.as_mut()).is_ready() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn only_the_last_waker_counts_and_futures_move_between_threads() {
    for (what, future, serve) in waits() {
        let (old, new) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = |n: &Arc<AtomicUsize>| {
            let n = n.clone();
            calls(move || {
                n.fetch_add(1, Ordering::SeqCst);
            })
        };
        let (first, last) = (count(&old), count(&new));
        let future = std::thread::spawn(move || {
            let mut future = future;
            assert!(poll_with(future.as_mut(), &first).is_pending());
            future
        });
        let mut future = future.join().unwrap();
        assert!(poll_with(future.as_mut(), &last).is_pending(), "{what}");
        serve();
        let start = std::time::Instant::now();
        while new.load(Ordering::SeqCst) == 0 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what}: not woken"
            );
            std::thread::yield_now();
        }
        assert_eq!(old.load(Ordering::SeqCst), 0, "{what}");
        finish(what, future);
    }
}

/// What a waker does whose clone panics.
static CLONE_PANICS: RawWakerVTable = RawWakerVTable::new(
    |_| panic!("a clone's panic, on purpose"),
    |_| {},
    |_| {},
    |_| {},
);

#[allow(unsafe_code)]
fn clone_panics() -> Waker {
    // SAFETY: the functions ignore their argument.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &CLONE_PANICS)) }
}

#[test]
fn a_waker_whose_clone_panics_leaves_its_future_and_the_others_whole() {
    for drops in [false, true] {
        for (what, mut future, serve) in waits() {
            let waker = clone_panics();
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                poll_with(future.as_mut(), &waker).is_ready()
            }));
            assert!(panicked.is_err() || what == "join", "{what}");
            if drops {
                // An `async` block that has panicked is over; so is what it borrowed.
                drop(future);
                let _ = catch_unwind(AssertUnwindSafe(serve));
            } else {
                let _ = catch_unwind(AssertUnwindSafe(serve));
                drop(future);
            }
        }
    }
    // Our own future polled again after that.
    let (tx, rx) = bounded(0);
    let mut recv = pin!(rx.recv_async());
    let waker = clone_panics();
    assert!(catch_unwind(AssertUnwindSafe(|| poll_with(recv.as_mut(), &waker))).is_err());
    assert!(poll(recv.as_mut()).is_pending());
    tx.try_send(1).unwrap();
    assert_eq!(poll(recv), Poll::Ready(Ok(1)));
}

#[test]
fn a_waker_may_be_called_and_dropped_after_its_goroutine() {
    let (tx, rx) = bounded(1);
    let handle = go(std::future::poll_fn(move |cx| {
        tx.try_send(cx.waker().clone()).unwrap();
        Poll::Ready(5)
    }));
    let waker = rx.recv().unwrap();
    assert_eq!(handle.join().unwrap(), 5);
    for _ in 0..3 {
        waker.wake_by_ref();
    }
    std::thread::spawn(move || {
        thread_local!(static KEPT: RefCell<Option<Waker>> = const { RefCell::new(None) });
        KEPT.with(|kept| *kept.borrow_mut() = Some(waker));
    })
    .join()
    .unwrap();
}

// --- leaks --------------------------------------------------------------------------------

#[test]
fn leaked_futures_and_handles_hurt_nobody_else() {
    for (what, mut future, serve) in waits() {
        assert!(poll(future.as_mut()).is_pending(), "{what}");
        std::mem::forget(future);
        serve();
    }
    let (tx, rx) = unbounded();
    let mut selector = Selector::new();
    let key = selector.add(&rx);
    {
        let mut wait = Box::pin(selector.wait_async());
        assert!(poll(wait.as_mut()).is_pending());
        std::mem::forget(wait);
    }
    tx.send(1).unwrap();
    let mut moved = Box::new(selector);
    assert_eq!(moved.wait(), (key, Ok(1)));
    {
        let mut wait = Box::pin(moved.wait_async());
        assert!(poll(wait.as_mut()).is_pending());
        std::mem::forget(wait);
    }
    std::mem::forget(*moved);
    tx.send(2).unwrap();
    scope(|s| std::mem::forget(s.go(|| ())));
    let local = 5;
    let (cond, m) = (Cond::new(), Mutex::new(&local));
    std::mem::forget(m.lock());
    assert!(m.try_lock().is_none());
    cond.notify_all();
}

#[test]
fn permits_and_operations_forgotten_keep_their_place_and_no_more() {
    let (tx, rx) = bounded(2);
    std::mem::forget(tx.reserve().unwrap());
    tx.try_send(1).unwrap();
    assert!(tx.try_send(2).is_err());
    assert_eq!(rx.recv(), Ok(1));
    let mut select = Select::new();
    select.send(&tx);
    std::mem::forget(select.select());
    assert!(tx.try_send(3).is_err());
    drop(rx);
    assert!(tx.send(4).is_err());
}

// --- panics of values ---------------------------------------------------------------------

struct Bomb<'a>(&'a AtomicUsize);

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if !std::thread::panicking() {
            panic!("a value's drop panics, on purpose");
        }
    }
}

#[test]
fn values_whose_drop_panics_are_dropped_once_and_leave_the_channel_whole() {
    let drops = AtomicUsize::new(0);
    let (tx, rx) = unbounded();
    for _ in 0..3 {
        tx.send(Bomb(&drops)).ok().unwrap();
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(rx))).is_err());
    assert!(tx.is_closed());
    // Those behind it leak, as crossbeam's do.
    assert_eq!(drops.swap(0, Ordering::SeqCst), 1);
    // A send that is dropped, or given back.
    let (tx, rx) = bounded(0);
    let mut send = Box::pin(tx.send_async(Bomb(&drops)));
    assert!(poll(send.as_mut()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(send))).is_err());
    assert_eq!(drops.swap(0, Ordering::SeqCst), 1);
    assert!(rx.try_recv().is_err());
    let sent = catch_unwind(AssertUnwindSafe(|| drop(tx.try_send(Bomb(&drops)))));
    assert!(sent.is_err());
    assert_eq!(drops.swap(0, Ordering::SeqCst), 1);
    let (otx, orx) = oneshot();
    otx.send(Bomb(&drops)).ok().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(orx))).is_err());
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn goroutines_whose_parts_panic_when_dropped_end_all_the_same() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    // Its output, dropped by nobody but the cell.
    let handle = go(|| Bomb(&DROPS));
    while !handle.is_finished() {
        std::thread::yield_now();
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
    // Its body, cancelled.
    let bomb = Bomb(&DROPS);
    let handle = go(async move {
        let _bomb = bomb;
        std::future::pending::<()>().await;
    });
    handle.cancel();
    assert!(handle.join().is_err());
    // What it has captured, in a scope.
    let ended = AtomicUsize::new(0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        scope(|s| {
            let bomb = Bomb(&DROPS);
            s.go(move || drop(bomb));
            s.go(|| ended.fetch_add(1, Ordering::SeqCst));
        });
    }));
    assert!(panicked.is_err());
    assert_eq!((DROPS.load(Ordering::SeqCst), ended.into_inner()), (3, 1));
    assert_eq!(go(|| 5).join().unwrap(), 5, "the pool goes on");
}

#[test]
fn iterators_and_clones_that_panic_leave_the_channel_whole() {
    let (tx, rx) = bounded(1);
    let items = (0..3).map(|i| if i == 1 { panic!("on purpose") } else { i });
    assert!(catch_unwind(AssertUnwindSafe(|| tx.send_many(items))).is_err());
    while rx.try_recv().is_ok() {}
    tx.try_send(7).unwrap();
    assert_eq!(rx.recv(), Ok(7));

    struct Fragile(Cell<bool>);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0.get(), "a clone's panic, on purpose");
            Self(Cell::new(true))
        }
    }
    let (tx, rx) = broadcast(2);
    let rx2 = tx.subscribe();
    tx.send(Fragile(Cell::new(false))).ok().unwrap();
    tx.send(Fragile(Cell::new(true))).ok().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| rx.recv())).is_err());
    assert!(rx.recv().is_ok(), "the next");
    drop(rx);
    let _ = catch_unwind(AssertUnwindSafe(|| rx2.recv()));
    assert!(rx2.recv().is_ok());
    let (tx, rx) = watch(Fragile(Cell::new(false)));
    assert!(catch_unwind(AssertUnwindSafe(|| rx.get())).is_err());
    tx.send(Fragile(Cell::new(true))).ok().unwrap();
    assert!(rx.changed().is_ok());
}

#[test]
fn a_hook_that_panics_costs_nothing_but_itself() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = unbounded();
    ctx.after_func(|| panic!("a hook's panic, on purpose"));
    ctx.after_func({
        let tx = tx.clone();
        move || tx.send(1).unwrap()
    });
    cancel.cancel();
    assert_eq!(rx.recv(), Ok(1));
    after_func(Duration::ZERO, || panic!("a hook's panic, on purpose"));
    after_func(Duration::from_millis(1), move || tx.send(2).unwrap());
    assert_eq!(rx.recv(), Ok(2));
}

// --- too often ----------------------------------------------------------------------------

#[test]
fn futures_polled_after_their_end_panic_or_go_on_but_break_nothing() {
    fn again<F: Future>(mut future: Pin<Box<F>>) {
        let start = std::time::Instant::now();
        while poll(future.as_mut()).is_pending() {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        for _ in 0..2 {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(poll(future.as_mut()))));
        }
    }
    let (tx, rx) = bounded(2);
    again(Box::pin(tx.send_async(1)));
    again(Box::pin(rx.recv_async()));
    again(Box::pin(tx.reserve_async()));
    while rx.try_recv().is_ok() {}
    again(Box::pin(tx.send_many_async([1, 2])));
    let mut out = vec![];
    again(Box::pin(rx.recv_many_async(&mut out, 2)));
    let (sem, m, l, once) = (
        Semaphore::new(1),
        Mutex::new(()),
        RwLock::new(()),
        Once::new(),
    );
    again(Box::pin(sem.acquire_async(1)));
    again(Box::pin(m.lock_async()));
    again(Box::pin(l.read_async()));
    again(Box::pin(l.write_async()));
    again(Box::pin(once.call_once_async(async {})));
    let cell = OnceCell::new();
    again(Box::pin(cell.get_or_init_async(async { 1 })));
    again(Box::pin(
        cell.get_or_try_init_async(async { Ok::<_, ()>(1) }),
    ));
    let flights = SingleFlight::<u8, u8>::new();
    again(Box::pin(flights.run_async(1, async { 1 })));
    again(Box::pin(rendez::sync::Barrier::new(1).wait_async()));
    again(Box::pin(WaitGroup::new().wait_async()));
    again(Box::pin(go(|| 5)));
    again(Box::pin(go(|| 5).join_async()));
    again(Box::pin(sleep_async(Duration::ZERO)));
    again(Box::pin(rendez::time::timeout(HOUR, async {})));
    again(Box::pin(rendez::pool::yield_now()));
    let (ctx, cancel) = Context::background().with_cancel();
    again(Box::pin(ctx.run(std::future::ready(1))));
    again(Box::pin(ctx.sleep_async(Duration::ZERO)));
    cancel.cancel();
    again(Box::pin(ctx.done()));
    again(Box::pin(ctx.cancelled_async()));
    assert!(m.try_lock().is_some() && l.try_write().is_some() && sem.available() == 1);
    tx.try_send(9).unwrap();
    assert_eq!(rx.recv(), Ok(9));
    let g: Group = Group::new();
    again(Box::pin(g.wait_async()));
    again(Box::pin(g.go_async(|| Ok(()))));
    g.wait().unwrap();
    let (otx, orx) = oneshot();
    otx.send(1).unwrap();
    again(Box::pin(orx.recv_async()));
}

#[test]
fn block_on_nests_in_any_depth() {
    let (tx, rx) = bounded(0);
    let got = block_on(async {
        block_on(async {
            let sender = go(async move { block_on(async { tx.send_async(1).await }) });
            let got = block_on(rx.recv_async());
            sender.await.unwrap().unwrap();
            got
        })
    });
    assert_eq!(got, Ok(1));
}

// --- at a thread's end --------------------------------------------------------------------

#[test]
fn everything_works_while_a_threads_locals_are_dropped() {
    struct AtTheEnd(std::sync::mpsc::Sender<()>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let (tx, rx) = bounded(0);
            let sender = std::thread::spawn(move || tx.send(1));
            assert_eq!(rx.recv(), Ok(1));
            sender.join().unwrap().unwrap();
            assert!(rx.recv().is_err());
            select! { recv(rx) -> gone => assert!(gone.is_err()), default => unreachable!() }
            select! { recv(never::<()>()) -> _ => {}, default(Duration::from_millis(1)) => {} }
            let (tx, rx) = bounded(0);
            let served = std::thread::spawn(move || rx.recv());
            block_on(tx.send_async(1)).unwrap();
            served.join().unwrap().unwrap();
            assert_eq!(go(|| 5).join().unwrap(), 5);
            assert_eq!(block_on(go(async { 6 })).unwrap(), 6);
            assert_eq!(scope(|s| s.go(|| 7).join().unwrap()), 7);
            let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
            ctx.wait();
            let m = Mutex::new(());
            drop(m.lock());
            let cond = Cond::new();
            cond.wait_timeout(&mut m.lock(), Duration::from_millis(1));
            drop(Semaphore::new(1).acquire(1).unwrap());
            let wg = WaitGroup::new();
            wg.go(|| ());
            wg.wait();
            OnceCell::new().get_or_init(|| 1);
            let pool = Pool::new(|| 1);
            drop(pool.get());
            assert_eq!(*pool.get(), 1);
            let map = Map::new();
            map.store(1, 2);
            assert_eq!(map.load(&1), Some(2));
            rendez::time::sleep(Duration::from_millis(1));
            block_on(sleep_async(Duration::from_millis(1)));
            assert_eq!(SingleFlight::new().run(1, || 2).value, 2);
            assert_eq!(*Atomic::new(3).load(), 3);
            let g: Group = Group::new();
            g.go(|| Ok(()));
            g.wait().unwrap();
            let mut selector = Selector::new();
            let (tx, rx) = unbounded();
            selector.add(rx);
            tx.send(1).unwrap();
            assert_eq!(selector.wait().1, Ok(1));
            self.0.send(()).unwrap();
        }
    }
    // Made before, and after, our own thread-locals: their order of destruction is reversed.
    for used_first in [false, true] {
        let (tx, rx) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            thread_local!(static END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) });
            let touch = || {
                let (tx, rx) = bounded(0);
                let sender = std::thread::spawn(move || tx.send(1));
                rx.recv().unwrap();
                sender.join().unwrap().unwrap();
                let pool = Pool::new(|| 1);
                drop(pool.get());
                go(|| ()).join().unwrap();
            };
            if used_first {
                touch();
            }
            END.with(|end| *end.borrow_mut() = Some(AtTheEnd(tx)));
            touch();
        })
        .join()
        .unwrap();
        rx.recv_timeout(Duration::from_secs(60))
            .expect("it ran to its end");
    }
}
