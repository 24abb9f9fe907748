//! A core: the right to run goroutines, and a run queue of its own.
//!
//! The queue is a deque others steal from, oldest first, and before it one slot for the
//! goroutine to run **next**: a future that wakes or starts another hands it over there,
//! warm and without a thief in between, while a chain of such hand-overs may overtake the
//! queue only so many times. What a closure wakes goes to the deque, since a closure may
//! compute for long and nobody can steal from the slot.

use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use rendez_core::hooks;

use crate::task::Task;

/// How many goroutines in a row may come from the next slot while the queue waits.
const MAX_CHAIN: u32 = 16;
/// Every how many goroutines the shared queue is looked at first, so that no amount of
/// local work starves it. A prime, so that it keeps step with nothing.
const SHARED_FIRST: u32 = 61;

pub(crate) struct Core {
    local: Worker<Task>,
    next: Option<Task>,
    /// Whether its holder is counted as searching.
    pub(crate) searching: bool,
    index: usize,
    tick: u32,
    chain: u32,
}

/// The queues everybody may take from.
pub(crate) struct Queues {
    shared: Injector<Task>,
    stealers: Box<[Stealer<Task>]>,
}

impl Queues {
    /// `n` cores and the queues between them.
    #[expect(clippy::vec_box, reason = "cores move between threads all the time")]
    pub(crate) fn new(n: usize) -> (Self, Vec<Box<Core>>) {
        let cores: Vec<_> = (0..n).map(Core::new).collect();
        let queues = Self {
            shared: Injector::new(),
            stealers: cores.iter().map(|core| core.local.stealer()).collect(),
        };
        (queues, cores)
    }

    pub(crate) fn n_cores(&self) -> usize {
        self.stealers.len()
    }

    /// Queues a goroutine for whoever comes first.
    pub(crate) fn push(&self, task: Task) {
        self.shared.push(task);
    }

    /// Whether there is anything to take.
    pub(crate) fn has_work(&self) -> bool {
        !self.shared.is_empty() || self.stealers.iter().any(|s| !s.is_empty())
    }
}

impl Core {
    fn new(index: usize) -> Box<Self> {
        Box::new(Self {
            local: Worker::new_fifo(),
            next: None,
            searching: false,
            index,
            tick: 0,
            chain: 0,
        })
    }

    pub(crate) fn has_work(&self) -> bool {
        self.next.is_some() || !self.local.is_empty()
    }

    /// Queues a goroutine to run next. Returns whether that left one for others to steal.
    pub(crate) fn push_next(&mut self, task: Task) -> bool {
        match self.next.replace(task) {
            Some(before) => {
                self.local.push(before);
                true
            }
            None => false,
        }
    }

    /// Queues a goroutine behind the others here.
    pub(crate) fn push_back(&mut self, task: Task) {
        self.local.push(task);
    }

    /// Moves everything to the shared queue.
    pub(crate) fn give_away(&mut self, queues: &Queues) {
        if let Some(task) = self.next.take() {
            queues.push(task);
        }
        while let Some(task) = self.local.pop() {
            queues.push(task);
        }
    }

    /// The next goroutine from its own queue or the shared one.
    pub(crate) fn pop(&mut self, queues: &Queues) -> Option<Task> {
        self.tick = self.tick.wrapping_add(1);
        if self.tick % SHARED_FIRST == 0 {
            if let Some(task) = take(|| queues.shared.steal()) {
                return Some(task);
            }
        }
        if let Some(next) = self.next.take() {
            if self.chain < MAX_CHAIN {
                self.chain += 1;
                return Some(next);
            }
            self.local.push(next);
        }
        self.chain = 0;
        self.local
            .pop()
            .or_else(|| take(|| queues.shared.steal_batch_and_pop(&self.local)))
    }

    /// A goroutine from anybody's queue: half of what lies there comes along.
    pub(crate) fn steal(&mut self, queues: &Queues) -> Option<Task> {
        let n = queues.n_cores();
        let start = hooks::random_below(n);
        (start..n)
            .chain(0..start)
            .filter(|&i| i != self.index)
            .find_map(|i| take(|| queues.stealers[i].steal_batch_and_pop(&self.local)))
            .or_else(|| take(|| queues.shared.steal_batch_and_pop(&self.local)))
    }
}

/// Steals until that succeeds or there is nothing. Each retry means that somebody else has
/// taken something, so all together get on.
fn take(mut steal: impl FnMut() -> Steal<Task>) -> Option<Task> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => rendez_core::shim::spin_loop(),
        }
    }
}
