//! A core: the right to run goroutines, and a run queue of its own.
//!
//! The queue is a deque others steal from, oldest first, and before it one slot for the
//! goroutine to run **next**: a future that wakes or starts another hands it over there,
//! warm and without a thief in between. A chain of such hand-overs may overtake the queue
//! only so many times, and no longer than the monitor lets it. What a closure wakes goes to
//! the deque, since a closure may compute for long and thieves leave the slot alone. Who is
//! woken by a goroutine's end lies in a slot of the holder's own, since nothing runs before.
//!
//! A core has two halves. [`Core`] belongs to the thread that holds it. [`Seen`] is what the
//! others see of it: the end of the queue they steal from, the slot, which turn it is at,
//! and what they ask of its holder.

use std::time::{Duration, Instant};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use rendez_core::hooks;
use rendez_core::shim::atomic::{AtomicU32, AtomicU64, Ordering};
use rendez_core::shim::{Arc, pause};

use crate::apart::Apart;
use crate::burst::Part;
use crate::list::List;
use crate::live::Account;
use crate::slot::Slot;
use crate::stats::{SAMPLE, Stats};
use crate::task::Task;

/// How many goroutines in a row may come from the next slot while the queue waits.
const MAX_CHAIN: u32 = 16;
/// Every how many goroutines the shared queue is looked at first, so that no amount of
/// local work starves it. A prime, so that it keeps step with nothing.
const SHARED_FIRST: u32 = 61;
/// Behind a queue shorter than this others come along: one by one most of them would wait longer,
/// and those that lie side by side in memory would run on different cores.
const SHORT: usize = SHARED_FIRST as usize * 16;

/// Asks a holder to put its core out of service.
pub(crate) const RETIRE: u32 = 1;
/// Asks a holder to look at the shared queue first, and to end the chain it is in.
pub(crate) const SHARE: u32 = 1 << 1;

pub(crate) struct Core {
    local: Worker<Task>,
    pub(crate) seen: Arc<Seen>,
    /// Whether its holder is counted as searching.
    pub(crate) searching: bool,
    /// What its holder was woken for, until it has found work or none.
    pub(crate) part: Part,
    /// Whether others lie in its queue that its holder has taken from the shared one.
    pub(crate) has_brought: bool,
    pub(crate) index: usize,
    tick: u32,
    chain: u32,
    turn: u64,
    until_sample: u32,
    // When its holder last found work elsewhere, and the turn it was at.
    found: Option<(Instant, u64)>,
    /// Whether its holder leaves the others alone.
    pub(crate) apart: Apart,
    // The goroutine to run at once. Empty while any runs, so that nobody need take it.
    after: Option<Task>,
}

/// What others see of a core.
pub(crate) struct Seen {
    stealer: Stealer<Task>,
    next: Slot,
    // Odd while its holder runs a goroutine; no two turns have the same number.
    turn: AtomicU64,
    // The last turn in which its holder did not come back.
    stuck: AtomicU64,
    // Bits: see `RETIRE` and `SHARE`.
    asked: AtomicU32,
    // The system's number of the thread that holds it.
    thread: AtomicU32,
    pub(crate) account: Account,
    pub(crate) stats: Stats,
}

impl Seen {
    /// The number of its turn, if its holder runs a goroutine.
    pub(crate) fn running(&self) -> Option<u64> {
        let turn = self.turn.load(Ordering::Relaxed);
        (turn % 2 == 1).then_some(turn)
    }

    /// Its holder has been in this turn for long.
    pub(crate) fn is_stuck_in(&self, turn: u64) {
        self.stuck.store(turn, Ordering::Relaxed);
    }

    /// Whether its holder runs a goroutine and is not known to be stuck in it: it looks at every
    /// queue before it lets the core go.
    fn comes_back(&self) -> bool {
        self.running()
            .is_some_and(|turn| turn != self.stuck.load(Ordering::Relaxed))
    }

    /// Whether its holder comes to its next turn while it is looked at for a moment.
    fn moves(&self) -> bool {
        const MOMENT: Duration = Duration::from_micros(5);
        let Some(turn) = self.running() else {
            return false;
        };
        let start = Instant::now();
        while self.running() == Some(turn) {
            if start.elapsed() > MOMENT {
                return false;
            }
            pause(4);
        }
        true
    }

    pub(crate) fn ask(&self, what: u32) {
        self.asked.fetch_or(what, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self, what: u32) -> bool {
        self.asked.load(Ordering::Relaxed) & what != 0
    }

    pub(crate) fn granted(&self, what: u32) {
        self.asked.fetch_and(!what, Ordering::Relaxed);
    }

    /// The system's number of the thread that held it last; 0 if there is none.
    pub(crate) fn thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// How many goroutines wait here.
    pub(crate) fn n_queued(&self) -> usize {
        self.stealer.len() + usize::from(self.next.is_some())
    }

    /// Moves to the shared queue of `queues` what waits for this core's holder, who does not come
    /// back: up to `most` goroutines. Returns whether there was any: the caller then says that
    /// work has come.
    pub(crate) fn relieve(&self, queues: &Queues, most: usize) -> bool {
        let next = self.next.take();
        // What its holder pushes meanwhile is behind these.
        let n = self.stealer.len().min(most);
        let others = (0..n).map_while(|_| take(|| self.stealer.steal()));
        let mut any = false;
        for task in next.into_iter().chain(others) {
            queues.push(task);
            any = true;
        }
        any
    }
}

/// The queues everybody may take from.
pub(crate) struct Queues {
    shared: Injector<Task>,
    pub(crate) cores: List<Arc<Seen>>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self {
            shared: Injector::new(),
            cores: List::new(),
        }
    }

    /// One core more. Calls are serialized by the caller.
    pub(crate) fn add_core(&self) -> Box<Core> {
        let local = Worker::new_fifo();
        let seen = Arc::new(Seen {
            stealer: local.stealer(),
            next: Slot::default(),
            turn: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            asked: AtomicU32::new(0),
            thread: AtomicU32::new(0),
            account: Account::default(),
            stats: Stats::new(),
        });
        let index = self.cores.len();
        self.cores.push(Arc::clone(&seen));
        Box::new(Core {
            local,
            seen,
            searching: false,
            part: Part::Any,
            has_brought: false,
            index,
            tick: 0,
            chain: 0,
            turn: 0,
            until_sample: 0,
            found: None,
            apart: Apart::new(),
            after: None,
        })
    }

    /// Queues a goroutine for whoever comes first.
    pub(crate) fn push(&self, task: Task) {
        self.shared.push(task);
    }

    /// Whether the queue that is nobody's has any.
    pub(crate) fn has_shared(&self) -> bool {
        !self.shared.is_empty()
    }

    /// How many goroutines wait in queues.
    pub(crate) fn n_queued(&self) -> usize {
        let own: usize = self.cores.iter().map(|core| core.n_queued()).sum();
        own + self.shared.len()
    }

    /// Shows each goroutine that waits in a queue to `f`, which moves it to the shared queue.
    /// Returns whether there was any: the caller then says that work has come.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Task)) -> bool {
        let mut any = false;
        // Those that are moved are behind these.
        let n_shared = self.shared.len();
        let mut show = |task: Option<Task>| {
            let Some(task) = task else { return false };
            f(&task);
            self.shared.push(task);
            any = true;
            true
        };
        for _ in 0..n_shared {
            if !show(take(|| self.shared.steal())) {
                break;
            }
        }
        for core in self.cores.iter() {
            show(core.next.take());
            for _ in 0..core.stealer.len() {
                if !show(take(|| core.stealer.steal())) {
                    break;
                }
            }
        }
        any
    }

    /// Whether any core's holder comes back from what it runs.
    pub(crate) fn any_comes_back(&self) -> bool {
        self.cores.iter().any(|core| core.comes_back())
    }

    /// How many turns there have been.
    pub(crate) fn n_turns(&self) -> u64 {
        let turns = self.cores.iter();
        turns.map(|c| c.turn.load(Ordering::Relaxed) / 2).sum()
    }

    /// Whether there is much to take, or something that is nobody's.
    pub(crate) fn has_much(&self) -> bool {
        /// More than this is much.
        const FEW: usize = 64;
        self.has_shared() || self.cores.iter().any(|core| core.stealer.len() > FEW)
    }

    /// Whether there is more than the holders of cores do by themselves soon: much, or anything
    /// in the queue of one who does not come to his next turn.
    pub(crate) fn needs_more(&self) -> bool {
        let waits = |core: &Arc<Seen>| !core.stealer.is_empty() && !core.moves();
        self.has_much() || self.cores.iter().any(waits)
    }

    /// Whether there is anything to take.
    pub(crate) fn has_work(&self) -> bool {
        self.has_shared() || self.cores.iter().any(|core| !core.stealer.is_empty())
    }
}

impl Core {
    pub(crate) fn has_work(&self) -> bool {
        self.after.is_some() || self.seen.next.is_some() || !self.local.is_empty()
    }

    /// Its holder begins to run a goroutine, or another.
    pub(crate) fn begin_turn(&mut self) {
        self.turn += 2;
        self.seen.turn.store(self.turn - 1, Ordering::Relaxed);
    }

    /// Its holder runs none any more.
    pub(crate) fn end_turn(&mut self) {
        self.seen.turn.store(self.turn, Ordering::Relaxed);
    }

    /// Its holder has found work elsewhere.
    pub(crate) fn found(&mut self, at: Instant) {
        self.found = Some((at, self.turn));
    }

    /// How long each goroutine took that ran here since work was last found elsewhere.
    pub(crate) fn take_pace(&mut self, now: Instant) -> Option<Duration> {
        let (at, turn) = self.found.take()?;
        let n = u32::try_from((self.turn - turn) / 2).ok()?;
        now.saturating_duration_since(at).checked_div(n)
    }

    /// It has a new holder, the thread with this number.
    pub(crate) fn held_by(&self, thread: u32) {
        self.seen.thread.store(thread, Ordering::Relaxed);
    }

    /// Whether to measure the latency of a goroutine that becomes runnable here.
    pub(crate) fn samples(&mut self) -> bool {
        self.until_sample = match self.until_sample {
            0 => SAMPLE,
            n => n,
        } - 1;
        self.until_sample == 0
    }

    /// Queues a goroutine to run next. Returns whether that left one for others to steal.
    pub(crate) fn push_next(&mut self, task: Task) -> bool {
        match self.seen.next.put(task) {
            Some(before) => {
                self.local.push(before);
                true
            }
            None => false,
        }
    }

    /// Queues a goroutine to run at once: none runs here, and [none](Self::has_work) is queued.
    pub(crate) fn push_after(&mut self, task: Task) {
        self.after = Some(task);
    }

    /// Queues a goroutine behind the others here.
    pub(crate) fn push_back(&mut self, task: Task) {
        self.local.push(task);
    }

    /// Moves everything to the shared queue.
    pub(crate) fn give_away(&mut self, queues: &Queues) {
        let next = self.after.take().into_iter().chain(self.seen.next.take());
        next.for_each(|task| queues.push(task));
        while let Some(task) = self.local.pop() {
            queues.push(task);
        }
    }

    /// The next goroutine from its own queue or the shared one.
    pub(crate) fn pop(&mut self, queues: &Queues) -> Option<Task> {
        self.tick = self.tick.wrapping_add(1);
        let mut share = self.tick % SHARED_FIRST == 0;
        if self.seen.is_asked(SHARE) {
            self.seen.granted(SHARE);
            self.chain = MAX_CHAIN;
            share = true;
        }
        if share {
            if let Some(after) = self.after.take() {
                self.local.push(after);
            }
            let task = if self.local.len() < SHORT {
                self.take_batch(queues)
            } else {
                take(|| queues.shared.steal())
            };
            if task.is_some() {
                return task;
            }
        }
        if let Some(next) = self.after.take().or_else(|| self.seen.next.take()) {
            if self.chain < MAX_CHAIN {
                self.chain += 1;
                return Some(next);
            }
            self.local.push(next);
        }
        self.chain = 0;
        self.local.pop().or_else(|| self.take_batch(queues))
    }

    /// A goroutine from the shared queue, and others with it to the core's own.
    fn take_batch(&mut self, queues: &Queues) -> Option<Task> {
        let task = take(|| queues.shared.steal_batch_and_pop(&self.local));
        self.has_brought |= task.is_some() && !self.local.is_empty();
        task
    }

    /// A goroutine from another core's queue of at least `min`, or from the shared one: half of
    /// what lies there comes along.
    pub(crate) fn steal(&mut self, queues: &Queues, min: usize) -> Option<Task> {
        self.steal_from_cores(queues, min)
            .or_else(|| take(|| queues.shared.steal_batch_and_pop(&self.local)))
    }

    /// As [`steal`](Self::steal), but for the shared queue.
    pub(crate) fn steal_from_cores(&mut self, queues: &Queues, min: usize) -> Option<Task> {
        let n = queues.cores.len();
        visit(n, hooks::random_below(n))
            .filter(|&i| i != self.index)
            .filter_map(|i| queues.cores.get(i))
            .filter(|core| min <= 1 || core.stealer.len() >= min)
            .find_map(|core| take(|| core.stealer.steal_batch_and_pop(&self.local)))
    }
}

/// The order in which a thief visits `n` cores from `start`: each once.
fn visit(n: usize, start: usize) -> impl Iterator<Item = usize> {
    (start..n).chain(0..start)
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use rendez_core::goroutine::Goroutine as Identity;
    use rendez_core::shim::atomic::AtomicBool;
    use rendez_core::shim::thread;

    use super::*;
    use crate::error::Payload;
    use crate::join::goroutine_on;
    use crate::schedule::Schedule;

    struct Nowhere;

    impl Schedule for Nowhere {
        fn schedule(&self, _: Task) {}
        fn reschedule(&self, _: Task) {}
        fn finished(&self) {}
        fn unclaimed_panic(&self, _: &Identity, _: Payload) {}
    }

    fn task() -> Task {
        goroutine_on(Arc::new(Nowhere), || ()).0
    }

    #[test]
    fn a_queue_that_holds_one_never_looks_empty() {
        let queues = Arc::new(Queues::new());
        let mut core = queues.add_core();
        core.push_back(task());
        let end = Arc::new(AtomicBool::new(false));
        let (seen, until) = (Arc::clone(&queues), Arc::clone(&end));
        let looking = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                assert!(seen.has_work());
            }
        });
        for _ in 0..20_000 {
            core.push_back(task());
            assert!(core.pop(&queues).is_some());
        }
        end.store(true, Ordering::Relaxed);
        looking.join().expect("it never looked empty");
    }

    #[test]
    fn what_waits_for_one_who_does_not_come_back_is_for_whoever_comes() {
        let queues = Queues::new();
        let (mut stuck, other) = (queues.add_core(), queues.add_core());
        (0..10).for_each(|_| stuck.push_back(task()));
        assert!(!stuck.push_next(task()));
        assert!(stuck.seen.relieve(&queues, 6));
        assert_eq!((queues.shared.len(), stuck.local.len()), (7, 4));
        assert!(stuck.seen.relieve(&queues, 6));
        assert_eq!((queues.shared.len(), stuck.local.len()), (11, 0));
        assert!(!stuck.seen.relieve(&queues, 6));
        assert!(!other.has_work());
    }

    #[test]
    fn from_the_shared_queue_others_come_along_to_a_short_queue_and_none_to_a_long_one() {
        for (n_own, alone) in [(0, false), (1, false), (SHORT - 1, false), (SHORT, true)] {
            let queues = Queues::new();
            let mut core = queues.add_core();
            (0..n_own).for_each(|_| core.push_back(task()));
            (0..10).for_each(|_| queues.push(task()));
            core.tick = SHARED_FIRST - 1;
            assert!(core.pop(&queues).is_some());
            assert_eq!(core.local.len() == n_own, alone, "{n_own} of its own");
            assert_eq!(core.has_brought, !alone, "{n_own} of its own");
        }
    }

    #[test]
    fn a_thief_visits_each_core_once_wherever_it_begins() {
        for n in 1..=64 {
            for start in 0..n {
                let mut visited: Vec<_> = visit(n, start).collect();
                assert_eq!(visited[0], start);
                visited.sort_unstable();
                assert!(visited.into_iter().eq(0..n));
            }
        }
    }
}
