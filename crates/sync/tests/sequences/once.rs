//! Sequences on what is made once: makers that are cancelled, fail and panic.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use rendez_sync::{Once, OnceCell};

use crate::sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// `get_or_init_async`.
    Init,
    /// `get_or_try_init_async`.
    TryInit,
    Set,
    /// Blocking, which is at once if nobody makes it.
    InitNow,
    TryInitFailing,
    /// The one who makes it succeeds at his next poll, fails or panics.
    Succeed,
    Fail,
    Panic,
    Step(Step),
}

const OPS: [Op; 12] = [
    Op::Init,
    Op::TryInit,
    Op::Set,
    Op::InitNow,
    Op::TryInitFailing,
    Op::Succeed,
    Op::Fail,
    Op::Panic,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

/// What a maker is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Succeed,
    Fail,
    Panic,
}

/// Makers, of which there is one at a time.
#[derive(Clone, Default)]
struct Makers(Rc<Inner>);

#[derive(Default)]
struct Inner {
    orders: RefCell<Vec<Order>>,
    running: Cell<usize>,
    made: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
}

struct Running(Makers);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.set(self.0.0.running.get() - 1);
    }
}

impl Makers {
    /// Makes it when told to.
    fn make(&self, may_fail: bool) -> impl Future<Output = Result<u8, ()>> + use<> {
        self.0.running.set(self.0.running.get() + 1);
        assert_eq!(self.0.running.get(), 1, "two make it");
        let running = Running(self.clone());
        std::future::poll_fn(move |cx| {
            let inner = &running.0.0;
            let next = inner.orders.borrow_mut().pop();
            match next {
                Some(Order::Succeed) => {
                    inner.made.set(inner.made.get() + 1);
                    Poll::Ready(Ok(1))
                }
                Some(Order::Fail) if may_fail => Poll::Ready(Err(())),
                Some(Order::Panic) => std::panic::resume_unwind(Box::new("told to")),
                _ => {
                    inner.wakers.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    fn tell(&self, order: Order) {
        *self.0.orders.borrow_mut() = vec![order];
        self.0.wakers.take().into_iter().for_each(Waker::wake);
    }
}

/// A wait, its panic caught.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, ()> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(())),
        }
    })
    .await
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Value,
    Failed,
    Panicked,
}

struct Run<'a> {
    cell: &'a OnceCell<u8>,
    makers: Makers,
    waits: Waits<'a, (), Done>,
    panicked: bool,
}

impl<'a> Run<'a> {
    fn done(&mut self, done: Option<((), Done)>) {
        match done {
            Some((_, Done::Value)) => assert!(self.cell.get().is_some()),
            Some((_, Done::Panicked)) => {
                assert!(self.panicked, "a panic of nobody");
            }
            _ => {}
        }
    }

    fn apply(&mut self, op: Op) -> bool {
        let (cell, makers) = (self.cell, self.makers.clone());
        match op {
            Op::Init => {
                let done = self.waits.start((), async move {
                    let made = || async move { makers.make(false).await.unwrap() };
                    match caught(cell.get_or_init_async(made)).await {
                        Ok(_) => Done::Value,
                        Err(()) => Done::Panicked,
                    }
                });
                self.done(done);
            }
            Op::TryInit => {
                let done = self.waits.start((), async move {
                    let made = move || makers.make(true);
                    match caught(cell.get_or_try_init_async(made)).await {
                        Ok(Ok(_)) => Done::Value,
                        Ok(Err(())) => Done::Failed,
                        Err(()) => Done::Panicked,
                    }
                });
                self.done(done);
            }
            // Blocking, so only where nobody makes it or is next to.
            Op::Set | Op::InitNow | Op::TryInitFailing
                if cell.get().is_none() && (self.panicked || self.waits.len() > 0) =>
            {
                return false;
            }
            Op::Set => {
                let is_set = cell.get().is_some();
                assert_eq!(cell.set(2).is_ok(), !is_set);
            }
            Op::InitNow => {
                cell.get_or_init(|| 3);
            }
            Op::TryInitFailing => {
                let is_set = cell.get().is_some();
                assert_eq!(cell.get_or_try_init(|| Err(())).is_ok(), is_set);
            }
            Op::Succeed => makers.tell(Order::Succeed),
            Op::Fail => makers.tell(Order::Fail),
            Op::Panic => {
                self.panicked = true;
                makers.tell(Order::Panic);
            }
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => self.done(done),
                Err(()) => return false,
            },
        }
        true
    }

    fn check(mut self) {
        loop {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            let running = self.makers.0.running.get();
            assert!(self.waits.len() == 0 || running == 1, "nobody makes it");
            assert!(
                self.cell.get().is_none() || self.waits.len() == 0,
                "it is made"
            );
            self.waits.assert_all_pend();
            if self.waits.len() == 0 {
                break;
            }
            // The one who makes it is gone: the next takes his turn.
            let oldest = self.waits.len() % 2;
            self.waits
                .remove(if oldest == 0 { 0 } else { self.waits.len() - 1 });
        }
        assert_eq!(self.makers.0.running.get(), 0);
        assert!(self.makers.0.made.get() <= 1, "made twice");
    }
}

#[test]
fn a_cell() {
    each("once cell", &OPS, 4, |sequence| {
        let cell = OnceCell::new();
        let mut run = Run {
            cell: &cell,
            makers: Makers::default(),
            waits: Waits::new(),
            panicked: false,
        };
        play(sequence, |op| run.apply(op))?;
        run.check();
        Ok(())
    });
}

#[test]
fn a_once() {
    let steps = Step::ALL.map(Op::Step);
    let ops: Vec<_> = [Op::Init, Op::InitNow, Op::Succeed, Op::Panic]
        .into_iter()
        .chain(steps)
        .collect();
    each("once", &ops, 5, |sequence| {
        let once = Once::new();
        let makers = Makers::default();
        let mut waits: Waits<'_, (), Result<(), ()>> = Waits::new();
        let mut panicked = false;
        play(sequence, |op| {
            match op {
                Op::Init => {
                    let makers = makers.clone();
                    let once = &once;
                    let work = || async move {
                        let _ = makers.make(false).await;
                    };
                    let _ =
                        waits.start((), async move { caught(once.call_once_async(work)).await });
                }
                Op::InitNow => {
                    if !once.is_completed() && (panicked || waits.len() > 0) {
                        return false;
                    }
                    once.call_once(|| {});
                }
                Op::Succeed => makers.tell(Order::Succeed),
                Op::Panic => {
                    panicked = true;
                    makers.tell(Order::Panic);
                }
                Op::Step(step) => return step.apply(&mut waits).is_ok(),
                _ => unreachable!(),
            }
            true
        })?;
        while waits.len() > 0 {
            while waits.settle().is_some() {}
            assert!(
                waits.len() == 0 || makers.0.running.get() == 1,
                "nobody runs it"
            );
            assert!(waits.len() == 0 || !once.is_completed(), "it has run");
            waits.assert_all_pend();
            if waits.len() > 0 {
                waits.remove(0);
            }
        }
        assert_eq!(makers.0.running.get(), 0);
        Ok(())
    });
}
