//! Every short sequence of operations on a wait group: whoever waited when the count came to
//! zero is released, whatever has been added since.

#[path = "../../core/tests/common/sequences.rs"]
mod sequences;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rendez_waitgroup::{Guard, WaitGroup};
use sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add(usize),
    Done,
    Guard,
    DropGuard,
    Wait,
    /// Blocking, with no time to wait.
    WaitZero,
    Step(Step),
}

const OPS: [Op; 11] = [
    Op::Add(1),
    Op::Add(2),
    Op::Done,
    Op::Guard,
    Op::DropGuard,
    Op::Wait,
    Op::WaitZero,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

struct Run<'a> {
    group: &'a WaitGroup,
    /// With whether there has been a zero since each began.
    waits: Waits<'a, Rc<Cell<bool>>, ()>,
    guards: Vec<Guard>,
    count: usize,
}

impl Run<'_> {
    fn done(&self, done: Option<(Rc<Cell<bool>>, ())>) {
        assert!(
            done.is_none_or(|(zero, ())| zero.get()),
            "released before zero"
        );
    }

    fn one_less(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            self.waits.kinds().for_each(|zero| zero.set(true));
        }
    }

    fn apply(&mut self, op: Op) -> bool {
        let done = match op {
            Op::Add(n) => {
                self.group.add(n);
                self.count += n;
                None
            }
            Op::Done => {
                if self.count <= self.guards.len() {
                    return false;
                }
                self.group.done();
                self.one_less();
                None
            }
            Op::Guard => {
                self.guards.push(self.group.guard());
                self.count += 1;
                None
            }
            Op::DropGuard => {
                if self.guards.pop().is_none() {
                    return false;
                }
                self.one_less();
                None
            }
            Op::Wait => {
                let zero = Rc::new(Cell::new(self.count == 0));
                self.waits.start(zero, self.group.wait_async())
            }
            Op::WaitZero => {
                assert_eq!(self.group.wait_timeout(Duration::ZERO), self.count == 0);
                None
            }
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => done,
                Err(()) => return false,
            },
        };
        self.done(done);
        assert_eq!(self.group.count(), self.count);
        true
    }

    fn check(mut self) {
        while let Some(done) = self.waits.settle() {
            self.done(Some(done));
        }
        assert!(self.waits.kinds().all(|zero| !zero.get()), "not released");
        self.waits.assert_all_pend();
    }
}

#[test]
fn whoever_waits_at_zero_is_released() {
    each("wait group", &OPS, 5, |sequence| {
        let group = WaitGroup::new();
        let mut run = Run {
            group: &group,
            waits: Waits::new(),
            guards: Vec::new(),
            count: 0,
        };
        play(sequence, |op| run.apply(op))?;
        run.check();
        Ok(())
    });
}
