//! Which cores are in service: as many as the pool has workers.
//!
//! A core is in service, or asked to retire, or out of service. What changes that:
//!
//! - **The monitor retakes** the core of a thread that is stuck outside our primitives. It
//!   cannot take the core itself, whose queue that thread may be pushing to at this moment.
//!   So it puts another core into service in its place and asks the thread to retire its
//!   own when it comes back. Meanwhile whatever lies in the old core's queue can be stolen.
//! - **`set_workers`** puts cores into service, or takes idle ones out of it and asks the
//!   holders of others to retire theirs.
//! - **A holder that is asked** gives its queue away and puts its core here, out of service,
//!   before it would run another goroutine, block, or go idle.
//!
//! For a moment more threads may run than the pool has workers: the one that is just coming
//! back with its core and the one that was given another. What can never happen is that work
//! lies where nobody looks: a queue can be stolen from whether or not its core is in service,
//! and who retires one says afterwards that work has come.

use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};

/// The cores that are out of service, and how many are in it.
#[derive(Debug)]
pub struct Crew<C> {
    // How many workers the pool is to have; changed under the lock.
    n_workers: AtomicUsize,
    // Taken before the lock of the idle cores.
    roll: Mutex<Roll<C>>,
}

#[derive(Debug)]
struct Roll<C> {
    // By the core's index: whether it is in service and not asked to retire.
    in_service: Vec<bool>,
    n_in_service: usize,
    out: Vec<C>,
}

/// What a crew needs to know of its cores.
pub trait Cores<C> {
    /// A core's index.
    fn index(&self, core: &C) -> usize;
    /// A new core, with the next index; `None` if there can be no more.
    fn make(&self) -> Option<C>;
    /// Takes a core that is idle.
    fn take_idle(&self) -> Option<C>;
    /// Asks the holder of the core at `index` to retire it.
    fn ask(&self, index: usize);
    /// Takes that back: the core at `index` is held by nobody.
    fn unask(&self, index: usize);
}

impl<C> Crew<C> {
    /// Nobody in service yet: see [`resize`](Self::resize).
    #[expect(
        clippy::new_without_default,
        reason = "a crew of nobody is a beginning"
    )]
    pub fn new() -> Self {
        Self {
            n_workers: AtomicUsize::new(0),
            roll: Mutex::new(Roll {
                in_service: Vec::new(),
                n_in_service: 0,
                out: Vec::new(),
            }),
        }
    }

    /// How many workers there are to be.
    pub fn n_workers(&self) -> usize {
        self.n_workers.load(Ordering::Relaxed)
    }

    /// How many cores were asked to retire and have not.
    pub fn n_retiring(&self) -> usize {
        let roll = self.roll.lock();
        roll.in_service.len() - roll.n_in_service - roll.out.len()
    }

    /// Makes `n` be in service. The cores it gives are new there: the caller lays each down
    /// as idle.
    #[must_use]
    pub fn resize(&self, n: usize, cores: &impl Cores<C>) -> Vec<C> {
        let mut roll = self.roll.lock();
        self.n_workers.store(n, Ordering::Relaxed);
        while roll.n_in_service > n {
            let Some(core) = cores.take_idle() else { break };
            roll.dismiss(cores.index(&core));
            cores.unask(cores.index(&core));
            roll.out.push(core);
        }
        while roll.n_in_service > n {
            let Some(held) = roll.in_service.iter().position(|&on| on) else {
                break;
            };
            roll.dismiss(held);
            cores.ask(held);
        }
        let missing = n.saturating_sub(roll.n_in_service);
        (0..missing).map_while(|_| roll.enlist(cores)).collect()
    }

    /// The holder of the core at `index` is stuck: asks it to retire, and gives another
    /// core in its place. `None` if it was asked already, or if there can be no more.
    #[must_use]
    pub fn retake(&self, index: usize, cores: &impl Cores<C>) -> Option<C> {
        let mut roll = self.roll.lock();
        if !roll.in_service[index] {
            return None;
        }
        let other = roll.enlist(cores)?;
        roll.dismiss(index);
        cores.ask(index);
        Some(other)
    }

    /// The holder of a core that was asked to puts it out of service, its queue empty.
    pub fn retire(&self, core: C, cores: &impl Cores<C>) {
        let mut roll = self.roll.lock();
        cores.unask(cores.index(&core));
        roll.out.push(core);
    }
}

impl<C> Roll<C> {
    fn enlist(&mut self, cores: &impl Cores<C>) -> Option<C> {
        let core = self.out.pop().or_else(|| cores.make())?;
        let index = cores.index(&core);
        if index >= self.in_service.len() {
            self.in_service.resize(index + 1, false);
        }
        self.in_service[index] = true;
        self.n_in_service += 1;
        Some(core)
    }

    fn dismiss(&mut self, index: usize) {
        if std::mem::take(&mut self.in_service[index]) {
            self.n_in_service -= 1;
        }
    }
}
