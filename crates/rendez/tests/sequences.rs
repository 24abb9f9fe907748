//! Every short sequence of operations on a channel of capacity 0 and on something else that can
//! be waited for, with selects that wait for both: an offer on the channel holds such a select,
//! and whatever the other arm comes to meanwhile must not be missed when the offer falls through.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../../core/tests/common/sequences.rs"]
mod sequences;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use rendez::context::Context;
use rendez::pool::{Spawn, SpawnError, SpawnExt, Task};
use rendez::prelude::*;
use rendez::select::{
    Permit, broadcast, never, or_done, select_biased, select_biased_async, watch,
};
use rendez::sync::Semaphore;
use sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// A select with nothing but a value to send.
    Offer,
    Send,
    Recv,
    /// Waits for the other thing alone.
    Other,
    /// A select of a receive and the other.
    RecvOrOther,
    OtherOrRecv,
    /// A select of a send and the other.
    SendOrOther,
    /// Receives until the other is ready.
    OrDone,
    /// A select of all with `default`.
    Try,
    Reserve,
    Fill,
    Release,
    Close,
    /// Does something to the other.
    Change(usize),
    Step(Step),
}

const OPS: [Op; 20] = [
    Op::Offer,
    Op::Send,
    Op::Recv,
    Op::Other,
    Op::RecvOrOther,
    Op::OtherOrRecv,
    Op::SendOrOther,
    Op::OrDone,
    Op::Try,
    Op::Reserve,
    Op::Fill,
    Op::Release,
    Op::Close,
    Op::Change(0),
    Op::Change(1),
    Op::Change(2),
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

/// What ended a wait.
enum Done<'a> {
    Sent(bool),
    Got(bool),
    Permit(Option<Permit<'a, u8>>),
    /// The other was ready.
    Other,
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Done<'a>> + 'a>>;

/// Something that can be waited for.
trait Other {
    fn new() -> Self;
    /// Changes it in one of a few ways, if there is that one.
    fn change(&self, how: usize) -> bool;
    /// Whether nobody may sleep who waits for it.
    fn is_ready(&self) -> bool;
    /// An `or_done` has found it ready, or the channel closed.
    fn ended(&self) {}
    fn wait<'a>(&'a self, how: Op, tx: &'a Sender<u8>, rx: &'a Receiver<u8>) -> Waiting<'a>;
    fn try_now<'a>(&'a self, tx: &'a Sender<u8>, rx: &'a Receiver<u8>) -> Option<Done<'a>>;
}

/// The waits for `arm`, whose output goes to `got`.
macro_rules! waits {
    ($this:ident, $arm:expr, $got:expr) => {
        fn wait<'a>(
            &'a $this,
            how: Op,
            tx: &'a Sender<u8>,
            rx: &'a Receiver<u8>,
        ) -> Waiting<'a> {
            let got = $got;
            Box::pin(async move {
                match how {
                    Op::RecvOrOther => select_biased_async! {
                        recv(rx) -> value => Done::Got(value.is_ok()),
                        recv($arm) -> output => { got(output); Done::Other }
                    },
                    Op::OtherOrRecv => select_biased_async! {
                        recv($arm) -> output => { got(output); Done::Other }
                        recv(rx) -> value => Done::Got(value.is_ok()),
                    },
                    Op::SendOrOther => select_biased_async! {
                        send(tx, 1) -> sent => Done::Sent(sent.is_ok()),
                        recv($arm) -> output => { got(output); Done::Other }
                    },
                    Op::OrDone => {
                        let all = or_done(rx.clone(), $arm);
                        let received = all.recv_async().await.is_ok();
                        if !received {
                            $this.ended();
                        }
                        Done::Got(received)
                    }
                    _ => select_biased_async! {
                        recv(never::<u8>()) -> _ => unreachable!(),
                        recv($arm) -> output => { got(output); Done::Other }
                    },
                }
            })
        }

        fn try_now<'a>(&'a $this, tx: &'a Sender<u8>, rx: &'a Receiver<u8>) -> Option<Done<'a>> {
            let got = $got;
            select_biased! {
                send(tx, 1) -> sent => Some(Done::Sent(sent.is_ok())),
                recv(rx) -> value => Some(Done::Got(value.is_ok())),
                recv($arm) -> output => { got(output); Some(Done::Other) }
                default => None,
            }
        }
    };
}

/// A wait group at zero.
struct Zero(WaitGroup);

impl Other for Zero {
    fn new() -> Self {
        let group = WaitGroup::new();
        group.add(1);
        Self(group)
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.0.add(1),
            1 if self.0.count() > 0 => self.0.done(),
            _ => return false,
        }
        self.0.count() < 3
    }

    fn is_ready(&self) -> bool {
        self.0.count() == 0
    }

    waits!(self, self.0.zero(), |()| ());
}

/// A permit of a semaphore that begins without.
struct Permits {
    semaphore: &'static Semaphore,
    out: RefCell<Vec<rendez::sync::Permit<'static>>>,
    closed: Cell<bool>,
}

impl Other for Permits {
    fn new() -> Self {
        // It lives as long as the process: a permit borrows it.
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
        let out = RefCell::new(Vec::from_iter(semaphore.try_acquire(1)));
        Self {
            semaphore,
            out,
            closed: Cell::new(false),
        }
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.out.borrow_mut().pop().is_some(),
            1 => {
                self.semaphore.set_size(self.semaphore.size() + 1);
                self.semaphore.size() < 4
            }
            _ => {
                self.closed.set(true);
                self.semaphore.close()
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.closed.get() || self.semaphore.available() > 0
    }

    waits!(self, self.semaphore.permit(1), |permit: Result<_, _>| {
        self.out.borrow_mut().extend(permit);
    });
}

/// A context that ends.
struct Ends(Context, RefCell<Option<Cancel>>);

impl Other for Ends {
    fn new() -> Self {
        let (ctx, cancel) = Context::background().with_cancel();
        Self(ctx, RefCell::new(Some(cancel)))
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.1.borrow_mut().take().is_some(),
            _ => false,
        }
    }

    fn is_ready(&self) -> bool {
        self.0.err().is_some()
    }

    waits!(self, self.0.done(), |_| ());
}

/// A goroutine's result, which one gets.
struct Joined {
    handle: JoinHandle<u8>,
    tasks: Arc<Tasks>,
    go_on: Arc<Mutex<bool>>,
    taken: Cell<bool>,
    ended: Cell<bool>,
}

/// An executor that keeps what it is given.
#[derive(Default)]
struct Tasks(Mutex<Vec<Task>>);

impl Spawn for Tasks {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        self.0.lock().unwrap().push(task);
        Ok(())
    }
}

impl Other for Joined {
    fn new() -> Self {
        let tasks = Arc::new(Tasks::default());
        let go_on = Arc::new(Mutex::new(false));
        let goes_on = Arc::clone(&go_on);
        let handle = tasks.go(std::future::poll_fn(move |_| {
            if *goes_on.lock().unwrap() {
                Poll::Ready(1)
            } else {
                Poll::Pending
            }
        }));
        Self {
            handle,
            tasks,
            go_on,
            taken: Cell::new(false),
            ended: Cell::new(false),
        }
    }

    fn change(&self, how: usize) -> bool {
        let Some(mut task) = self.tasks.0.lock().unwrap().pop() else {
            return false;
        };
        match how {
            0 => {
                *self.go_on.lock().unwrap() = true;
                let mut cx = std::task::Context::from_waker(Waker::noop());
                Pin::new(&mut task).poll(&mut cx).is_ready()
            }
            1 => {
                drop(task);
                true
            }
            _ => {
                self.tasks.0.lock().unwrap().push(task);
                false
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.handle.is_finished() && !self.taken.get() && !self.ended.get()
    }

    fn ended(&self) {
        self.ended.set(self.handle.is_finished());
    }

    waits!(self, &self.handle, |_| assert!(!self.taken.replace(true)));
}

/// A oneshot's value.
struct One(
    RefCell<Option<rendez::select::oneshot::Sender<u8>>>,
    rendez::select::oneshot::Receiver<u8>,
);

impl Other for One {
    fn new() -> Self {
        let (tx, rx) = rendez::select::oneshot();
        Self(RefCell::new(Some(tx)), rx)
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.0.take().is_some_and(|tx| tx.send(1).is_ok()),
            1 => self.0.take().is_some(),
            _ => self.1.close(),
        }
    }

    fn is_ready(&self) -> bool {
        !self.1.is_empty() || self.1.is_closed()
    }

    waits!(self, &self.1, |_| ());
}

/// A broadcast's values.
struct ToAll(
    RefCell<Option<broadcast::Sender<u8>>>,
    broadcast::Receiver<u8>,
);

impl Other for ToAll {
    fn new() -> Self {
        let (tx, rx) = broadcast::broadcast(1);
        Self(RefCell::new(Some(tx)), rx)
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self
                .0
                .borrow()
                .as_ref()
                .is_some_and(|tx| tx.send(1).is_ok()),
            1 => self.0.take().is_some(),
            _ => self.1.close(),
        }
    }

    fn is_ready(&self) -> bool {
        !self.1.is_empty() || self.1.is_closed()
    }

    waits!(self, &self.1, |_| ());
}

/// The latest value.
struct Latest(RefCell<Option<watch::Sender<u8>>>, watch::Receiver<u8>);

impl Other for Latest {
    fn new() -> Self {
        let (tx, rx) = watch(0);
        Self(RefCell::new(Some(tx)), rx)
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self
                .0
                .borrow()
                .as_ref()
                .is_some_and(|tx| tx.send(1).is_ok()),
            1 => self.0.take().is_some(),
            _ => self.1.close(),
        }
    }

    fn is_ready(&self) -> bool {
        self.1.has_changed() || self.1.is_closed()
    }

    waits!(self, &self.1, |_| ());
}

/// The end of another channel's receivers.
struct Closed(Sender<u8>, RefCell<Option<Receiver<u8>>>);

impl Other for Closed {
    fn new() -> Self {
        let (tx, rx) = bounded(1);
        Self(tx, RefCell::new(Some(rx)))
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.1.take().is_some(),
            1 => self.0.close(),
            _ => false,
        }
    }

    fn is_ready(&self) -> bool {
        self.0.is_closed()
    }

    waits!(self, self.0.closed(), |()| ());
}

/// Another channel's values.
struct Values(Sender<u8>, Receiver<u8>);

impl Other for Values {
    fn new() -> Self {
        let (tx, rx) = bounded(1);
        Self(tx, rx)
    }

    fn change(&self, how: usize) -> bool {
        match how {
            0 => self.0.try_send(1).is_ok(),
            1 => self.1.try_recv().is_ok(),
            _ => self.1.close(),
        }
    }

    fn is_ready(&self) -> bool {
        !self.1.is_empty() || self.1.is_closed()
    }

    waits!(self, &self.1, |_| ());
}

struct Run<'a, O> {
    other: &'a O,
    tx: &'a Sender<u8>,
    rx: &'a Receiver<u8>,
    waits: Waits<'a, Op, Done<'a>>,
    permits: Vec<Permit<'a, u8>>,
    n_sent: usize,
    n_got: usize,
}

impl<'a, O: Other> Run<'a, O> {
    fn done(&mut self, done: Option<(Op, Done<'a>)>) {
        match done {
            Some((_, Done::Sent(ok))) => self.n_sent += usize::from(ok),
            Some((_, Done::Got(ok))) => self.n_got += usize::from(ok),
            Some((_, Done::Permit(permit))) => self.permits.extend(permit),
            Some((_, Done::Other)) | None => {}
        }
    }

    fn apply(&mut self, op: Op) -> bool {
        let (tx, rx) = (self.tx, self.rx);
        let done = match op {
            Op::Offer => self.waits.start(op, async move {
                select_biased_async! {
                    send(tx, 1) -> sent => Done::Sent(sent.is_ok()),
                    recv(never::<u8>()) -> _ => unreachable!(),
                }
            }),
            Op::Send => self.waits.start(
                op,
                async move { Done::Sent(tx.send_async(1).await.is_ok()) },
            ),
            Op::Recv => self
                .waits
                .start(op, async move { Done::Got(rx.recv_async().await.is_ok()) }),
            Op::Reserve => {
                self.waits.start(
                    op,
                    async move { Done::Permit(tx.reserve_async().await.ok()) },
                )
            }
            Op::Other | Op::RecvOrOther | Op::OtherOrRecv | Op::SendOrOther | Op::OrDone => {
                self.waits.start(op, self.other.wait(op, tx, rx))
            }
            Op::Try => self.other.try_now(tx, rx).map(|done| (op, done)),
            Op::Fill | Op::Release if self.permits.is_empty() => return false,
            Op::Fill => {
                self.n_sent += usize::from(self.permits.remove(0).send(1).is_ok());
                None
            }
            Op::Release => {
                drop(self.permits.remove(0));
                None
            }
            Op::Close => return tx.close(),
            Op::Change(how) => return self.other.change(how),
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => done,
                Err(()) => return false,
            },
        };
        self.done(done);
        true
    }

    fn check(mut self) {
        loop {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            // No offer holds who waits for nothing else.
            let alone = self.waits.count(|op| *op == Op::Other);
            assert!(
                !self.other.is_ready() || alone == 0,
                "the other was missed, alone"
            );
            if self.permits.is_empty() {
                break;
            }
            drop(self.permits.remove(0));
        }
        let sends = |op: &Op| matches!(op, Op::Offer | Op::Send | Op::Reserve | Op::SendOrOther);
        let receives = |op: &Op| {
            matches!(
                op,
                Op::Recv | Op::RecvOrOther | Op::OtherOrRecv | Op::OrDone
            )
        };
        let others = |op: &Op| {
            matches!(
                op,
                Op::Other | Op::RecvOrOther | Op::OtherOrRecv | Op::SendOrOther | Op::OrDone
            )
        };
        let (send, recv) = (self.waits.count(sends), self.waits.count(receives));
        assert!(send == 0 || recv == 0, "a pair sleeps");
        assert!(
            !self.tx.is_closed() || send + recv == 0,
            "a close was missed"
        );
        // What was given up may lie here.
        assert!(self.rx.is_empty() || recv == 0, "a value and a receiver");
        assert!(
            !self.other.is_ready() || self.waits.count(others) == 0,
            "the other was missed"
        );
        self.waits.assert_all_pend();
        self.waits.clear();
        self.n_got += self.rx.try_iter().count();
        assert!(self.n_sent <= self.n_got, "lost");
    }
}

fn sequences<O: Other>(what: &str) {
    each(what, &OPS, 3, |sequence| {
        let other = O::new();
        let (tx, rx) = bounded(0);
        let mut run = Run {
            other: &other,
            tx: &tx,
            rx: &rx,
            waits: Waits::new(),
            permits: Vec::new(),
            n_sent: 0,
            n_got: 0,
        };
        play(sequence, |op| run.apply(op))?;
        run.check();
        Ok(())
    });
}

/// What a wait that is polled once comes to.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

#[test]
fn a_permit_that_comes_after_an_offer_fell_through_is_had() {
    let (tx, rx) = bounded::<u8>(0);
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire(1);
    let mut offer = Box::pin(tx.reserve_async());
    assert!(poll(offer.as_mut()).is_pending());
    let mut select = pin!(async {
        select_biased_async! {
            recv(rx) -> _ => unreachable!(),
            recv(semaphore.permit(1)) -> permit => permit.is_ok(),
        }
    });
    // Held by the offer before it comes to the semaphore.
    assert!(poll(select.as_mut()).is_pending());
    drop(offer);
    assert!(poll(select.as_mut()).is_pending());
    drop(permit);
    assert_eq!(poll(select), Poll::Ready(true));
}

#[test]
fn a_permit_is_had_past_one_whom_an_offer_holds() {
    let (tx, rx) = bounded::<u8>(0);
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire(1);
    let mut select = Box::pin(async {
        select_biased_async! {
            recv(rx) -> _ => unreachable!(),
            recv(semaphore.permit(1)) -> permit => drop(permit),
        }
    });
    assert!(poll(select.as_mut()).is_pending());
    let mut offer = Box::pin(tx.reserve_async());
    let Poll::Ready(Ok(offer)) = poll(offer.as_mut()) else {
        panic!("it holds the select");
    };
    drop(permit);
    assert_eq!(semaphore.available(), 1);
    assert!(poll(pin!(semaphore.acquire_async(1))).is_ready());
    drop(offer);
}

#[test]
fn a_wait_group_beside_offers() {
    sequences::<Zero>("wg.zero()");
}

#[test]
fn a_semaphore_beside_offers() {
    sequences::<Permits>("semaphore.permit(1)");
}

#[test]
fn a_context_beside_offers() {
    sequences::<Ends>("ctx.done()");
}

#[test]
fn a_goroutine_beside_offers() {
    sequences::<Joined>("&handle");
}

#[test]
fn a_oneshot_beside_offers() {
    sequences::<One>("oneshot");
}

#[test]
fn a_broadcast_beside_offers() {
    sequences::<ToAll>("broadcast");
}

#[test]
fn a_watch_beside_offers() {
    sequences::<Latest>("watch");
}

#[test]
fn a_close_beside_offers() {
    sequences::<Closed>("tx.closed()");
}

#[test]
fn another_channel_beside_offers() {
    sequences::<Values>("another channel");
}
