//! Every short sequence of operations on a group with a limit, on an executor that runs what the
//! test says: nobody waits for a place while one is free, nor for goroutines that have ended.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../../core/tests/common/sequences.rs"]
mod sequences;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use rendez_context::Context;
use rendez_errgroup::Group;
use rendez_pool::{Spawn, SpawnError, Task};
use sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Go,
    GoFailing,
    TryGo,
    /// Runs the oldest goroutine to its end.
    Run,
    Wait,
    Step(Step),
}

const OPS: [Op; 9] = [
    Op::Go,
    Op::GoFailing,
    Op::TryGo,
    Op::Run,
    Op::Wait,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Spawn for Tasks {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        self.0.lock().unwrap().push(task);
        Ok(())
    }
}

impl Tasks {
    /// Runs the oldest to its end, if there is one.
    fn run_one(&self) -> bool {
        let mut tasks = self.0.lock().unwrap();
        if tasks.is_empty() {
            return false;
        }
        let mut task = tasks.remove(0);
        drop(tasks);
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut task).poll(&mut cx).is_ready());
        true
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Place,
    End,
}

struct Run<'a> {
    group: &'a Group<&'static str>,
    tasks: &'a Tasks,
    waits: Waits<'a, Want, ()>,
    limit: usize,
}

impl Run<'_> {
    fn apply(&mut self, op: Op) -> bool {
        let group = self.group;
        match op {
            Op::Go => {
                let _ = self
                    .waits
                    .start(Want::Place, group.go_async(async { Ok(()) }));
            }
            Op::GoFailing => {
                let _ = self
                    .waits
                    .start(Want::Place, group.go_async(async { Err("failed") }));
            }
            Op::TryGo => {
                group.try_go(async { Ok(()) });
            }
            Op::Run => return self.tasks.run_one(),
            Op::Wait => {
                let _ = self.waits.start(Want::End, async {
                    let _ = group.wait_async().await;
                });
            }
            Op::Step(step) => return step.apply(&mut self.waits).is_ok(),
        }
        assert!(self.tasks.len() <= self.limit, "beyond the limit");
        true
    }

    fn check(mut self) {
        loop {
            while self.waits.settle().is_some() {}
            let running = self.tasks.len();
            assert!(running <= self.limit, "beyond the limit");
            let (places, ends) = (
                self.waits.count(|want| *want == Want::Place),
                self.waits.count(|want| *want == Want::End),
            );
            assert!(places == 0 || running == self.limit, "a place is free");
            assert!(ends == 0 || running > 0, "all have ended");
            assert_eq!(self.group.num_goroutines(), running);
            self.waits.assert_all_pend();
            if !self.tasks.run_one() {
                break;
            }
        }
        assert_eq!(self.waits.len(), 0);
        for _ in 0..self.limit {
            assert!(self.group.try_go(async { Ok(()) }), "a place is lost");
        }
        assert!(!self.group.try_go(async { Ok(()) }), "a place too many");
        while self.tasks.run_one() {}
    }
}

#[test]
fn nobody_waits_beside_a_free_place() {
    for limit in 1..=2 {
        for bound in [false, true] {
            each(
                &format!("limit {limit}, in a context: {bound}"),
                &OPS,
                5,
                |sequence| {
                    let tasks = Tasks::default();
                    let builder = Group::builder().limit(limit).on(tasks.clone());
                    let group = if bound {
                        builder.with_context(&Context::background()).0
                    } else {
                        builder.build()
                    };
                    let mut run = Run {
                        group: &group,
                        tasks: &tasks,
                        waits: Waits::new(),
                        limit,
                    };
                    play(sequence, |op| run.apply(op))?;
                    run.check();
                    Ok(())
                },
            );
        }
    }
}
