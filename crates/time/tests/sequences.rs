//! Every short sequence of operations on a timer and a ticker, in virtual time: whoever waits is
//! woken when it is due, and nothing stale is received.

mod common;
#[path = "../../core/tests/common/sequences.rs"]
mod sequences;

use std::time::{Duration, Instant};

use common::{Clock, MS};
use rendez_time::{Ticker, Timer, now};
use sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Recv,
    TryRecv,
    /// Blocking, with no time to wait.
    RecvZero,
    Stop,
    Reset(u32),
    Advance,
    Step(Step),
}

const OPS: [Op; 11] = [
    Op::Recv,
    Op::TryRecv,
    Op::RecvZero,
    Op::Stop,
    Op::Reset(1),
    Op::Reset(2),
    Op::Advance,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

/// What a timer and a ticker have in common.
trait Clocked {
    fn new(d: Duration) -> Self;
    fn stop(&self) -> bool;
    fn reset(&self, d: Duration) -> bool;
    fn try_recv(&self) -> Option<Instant>;
    fn recv_zero(&self) -> Option<Instant>;
    fn recv_async(&self) -> rendez_time::RecvFuture<'_>;
    /// When it is due after it has been received at `now`.
    fn next(due: Instant, period: Duration, now: Instant) -> Option<Instant>;
}

macro_rules! clocked {
    ($Timer:ident, |$due:ident, $period:ident, $now:ident| $next:expr) => {
        impl Clocked for $Timer {
            fn new(d: Duration) -> Self {
                Self::new(d)
            }
            fn stop(&self) -> bool {
                self.stop()
            }
            fn reset(&self, d: Duration) -> bool {
                self.reset(d)
            }
            fn try_recv(&self) -> Option<Instant> {
                self.try_recv()
            }
            fn recv_zero(&self) -> Option<Instant> {
                self.recv_timeout(Duration::ZERO)
            }
            fn recv_async(&self) -> rendez_time::RecvFuture<'_> {
                self.recv_async()
            }
            fn next($due: Instant, $period: Duration, $now: Instant) -> Option<Instant> {
                $next
            }
        }
    };
}

clocked!(Timer, |_due, _period, _now| None);
clocked!(Ticker, |due, period, now| {
    // The grid does not drift, and what was missed is left out.
    let mut next = due;
    while next <= now {
        next += period;
    }
    Some(next)
});

struct Run<'a, T> {
    timer: &'a T,
    clock: &'a Clock,
    waits: Waits<'a, (), Instant>,
    period: Duration,
    due: Option<Instant>,
    /// A wait that was dropped or is still to be polled may have received.
    unsure: bool,
}

impl<T: Clocked> Run<'_, T> {
    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= now())
    }

    fn received(&mut self, at: Instant) {
        assert!(at <= now(), "before it is due");
        if !self.unsure {
            assert!(self.is_due(), "nothing is due");
        }
        if let Some(due) = self.due {
            self.due = T::next(due, self.period, now());
        }
    }

    fn apply(&mut self, op: Op) -> bool {
        let timer = self.timer;
        match op {
            Op::Recv => {
                if let Some((_, at)) = self.waits.start((), timer.recv_async()) {
                    self.received(at);
                }
            }
            Op::TryRecv | Op::RecvZero => {
                let due = self.is_due();
                let got = match op {
                    Op::TryRecv => timer.try_recv(),
                    _ => timer.recv_zero(),
                };
                if !self.unsure && self.waits.len() == 0 {
                    assert_eq!(got.is_some(), due);
                }
                got.into_iter().for_each(|at| self.received(at));
            }
            Op::Stop | Op::Reset(_) => {
                let was = match op {
                    Op::Reset(n) => timer.reset(n * MS),
                    _ => timer.stop(),
                };
                if !self.unsure && self.waits.len() == 0 {
                    assert_eq!(was, self.due.is_some(), "whether it was set");
                }
                // What a wait has been given is stale, but it was given before.
                self.unsure |= self.waits.len() > 0;
                if let Op::Reset(n) = op {
                    self.period = n * MS;
                }
                self.due = matches!(op, Op::Reset(_)).then(|| now() + self.period);
            }
            Op::Advance => {
                self.unsure |= self.waits.len() > 1;
                self.clock.advance(MS);
            }
            Op::Step(step) => {
                let before = self.waits.len();
                let Ok(done) = step.apply(&mut self.waits) else {
                    return false;
                };
                self.unsure |= done.is_none() && self.waits.len() < before;
                done.into_iter().for_each(|(_, at)| self.received(at));
            }
        }
        true
    }

    fn check(mut self) {
        for _ in 0..4 {
            while let Some((_, at)) = self.waits.settle() {
                self.received(at);
            }
            self.waits.assert_all_pend();
            if self.waits.len() > 0 && !self.unsure {
                assert!(!self.is_due(), "it is due, and somebody waits");
            }
            if self.waits.len() > 0 {
                assert!(
                    self.timer.try_recv().is_none(),
                    "received past one who waits"
                );
            }
            self.unsure |= self.waits.len() > 1;
            self.clock.advance(MS);
        }
    }
}

fn sequences<T: Clocked>(what: &str) {
    each(what, &OPS, 5, |sequence| {
        let clock = Clock::new();
        clock.run(|| {
            let timer = T::new(MS);
            let mut run = Run {
                timer: &timer,
                clock: &clock,
                waits: Waits::new(),
                period: MS,
                due: Some(now() + MS),
                unsure: false,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        })
    });
}

#[test]
fn a_timer() {
    sequences::<Timer>("timer");
}

#[test]
fn a_ticker() {
    sequences::<Ticker>("ticker");
}
