//! The part of each lock that tells of it. It speaks before a wait, after the lock has been
//! entered, and before it is left: so the graph holds no hold that another may have by then.

use rendez_core::shim::thread::panicking;
use std::panic::Location;
use std::task::{Context, Poll};

use rendez_core::goroutine;
use rendez_core::parker::Parker;
use rendez_core::shim::unique_id;
use rendez_core::shim::unmodelled::{AtomicU64, Ordering};

use super::Mode;
use super::graph::{self, Ask, Owner};
use super::report::tell;

/// A lock's place in the graph.
#[derive(Debug)]
pub(crate) struct Watch {
    // Its number, from the first time it is asked for.
    id: AtomicU64,
}

/// What is remembered of a future's wait.
#[derive(Debug)]
pub(crate) struct Asked {
    at: &'static Location<'static>,
    /// Whether it has been polled.
    before: bool,
    /// Whether it has been told to wait in vain.
    in_vain: bool,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self {
            id: AtomicU64::new(0),
        }
    }

    fn id(&self) -> u64 {
        let id = self.id.load(Ordering::Relaxed);
        if id != 0 {
            return id;
        }
        let new = unique_id();
        let set = (self.id).compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        set.err().unwrap_or(new)
    }

    fn ask(&self, mode: Mode, owner: Owner, at: &'static Location<'static>) -> Ask {
        let lock = self.id();
        Ask {
            lock,
            mode,
            owner,
            at,
        }
    }

    /// The caller is about to block until it has the lock.
    ///
    /// # Panics
    ///
    /// If that would be for ever.
    #[track_caller]
    pub(crate) fn before(&self, mode: Mode) {
        let found = graph::before(&self.ask(mode, Owner::current(), Location::caller()));
        found.reports.iter().for_each(tell);
        if let Some(report) = found
            .reports
            .first()
            .filter(|_| found.in_vain && !panicking())
        {
            panic!("{report}");
        }
    }

    /// The caller is about to wait for a bounded time.
    #[track_caller]
    pub(crate) fn before_bounded(&self, mode: Mode) {
        let ask = self.ask(mode, Owner::current(), Location::caller());
        graph::before(&ask).reports.iter().for_each(tell);
    }

    /// The caller waits for a lock it has left for another wait.
    pub(crate) fn before_again(&self, mode: Mode, at: &'static Location<'static>) {
        let ask = self.ask(mode, Owner::current(), at);
        graph::before(&ask).reports.iter().for_each(tell);
    }

    /// The caller has tried in vain and is about to block.
    ///
    /// # Panics
    ///
    /// If it waits behind a writer that waits for the caller.
    #[track_caller]
    pub(crate) fn must_wait(&self, mode: Mode) {
        let report = graph::blocks(&self.ask(mode, Owner::current(), Location::caller()));
        if let Some(report) = report {
            tell(&report);
            if !panicking() {
                panic!("{report}");
            }
        }
    }

    #[track_caller]
    pub(crate) fn entered(&self, mode: Mode) {
        self.entered_at(mode, Location::caller());
    }

    pub(crate) fn entered_at(&self, mode: Mode, at: &'static Location<'static>) {
        graph::entered(&self.ask(mode, Owner::current(), at));
    }

    /// The lock is about to be left by whoever holds it so.
    pub(crate) fn leaves(&self, mode: Mode) {
        graph::leaves(self.id(), mode, Owner::current());
    }

    /// The hold is about to become another.
    pub(crate) fn turns(&self, from: Mode, to: Mode) {
        graph::turns(self.id(), from, to, Owner::current());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let id = self.id.load(Ordering::Relaxed);
        if id != 0 {
            graph::forget(id);
        }
    }
}

impl Asked {
    pub(crate) const fn new(at: &'static Location<'static>) -> Self {
        Self {
            at,
            before: false,
            in_vain: false,
        }
    }

    /// Polls the wait: reports before its first poll what it may lead to, and once, when it is
    /// pending, that it is in vain.
    pub(crate) fn poll(
        &mut self,
        watch: &Watch,
        mode: Mode,
        cx: &mut Context<'_>,
        wait: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let ask = watch.ask(mode, Owner::polled(cx), self.at);
        if !std::mem::replace(&mut self.before, true) {
            let found = graph::before(&ask);
            self.in_vain = found.in_vain;
            found.reports.iter().for_each(tell);
        }
        let end = wait(cx);
        if end.is_ready() {
            graph::entered(&ask);
        } else if !self.in_vain {
            let report = graph::blocks(&ask);
            self.in_vain = report.is_some();
            report.iter().for_each(tell);
        }
        end
    }
}

impl Owner {
    fn current() -> Self {
        goroutine::with_current(|g| Self::Goroutine(g.id()))
    }

    /// Who polls a future: the goroutine that runs here, or the task of a foreign executor. A
    /// thread that blocks on a future, or polls it by hand, is known as a goroutine itself.
    fn polled(cx: &Context<'_>) -> Self {
        let waker = cx.waker();
        goroutine::with_running(|g| Self::Goroutine(g.id())).unwrap_or_else(|| {
            // A waker without data, such as `Waker::noop`, is nobody's.
            let by_hand = waker.data().is_null();
            if by_hand || waker.vtable() == Parker::new().waker().vtable() {
                Self::current()
            } else {
                Self::Task(waker.data().addr())
            }
        })
    }
}
