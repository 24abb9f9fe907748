//! Those who wait for a goroutine's end.
//!
//! Its end serves them once: everybody who only watches is told, and who came first wins the
//! result. A result that is given back serves the next.

use std::ptr;

use rendez_core::case::Outcome;
use rendez_core::queue::{Node, Registration};
use rendez_core::wake::WakeList;

use crate::state::Word;
use crate::task::Task;

impl Task {
    /// Queues a joiner, or lets it win at once.
    pub(crate) fn enqueue(&self, reg: &Registration<'_>) {
        let header = self.header();
        let mut joiners = header.joiners.lock();
        header.state.set_waited();
        if !self.serve(reg) {
            joiners.push(reg, payload(reg));
        }
    }

    /// Lets a queued joiner win if the result is there.
    pub(crate) fn recheck(&self, reg: &Registration<'_>) {
        let mut joiners = self.header().joiners.lock();
        if self.serve(reg) {
            joiners.remove(reg.node);
        }
    }

    /// Whether the registering joiner has been served, or cannot be any more.
    fn serve(&self, reg: &Registration<'_>) -> bool {
        let state = &self.header().state;
        if !state.load().is_ready() {
            return false;
        }
        let won = reg.claim_self_if(|| (reg.watch || state.take()).then_some(()));
        if let Ok(Some(())) = won {
            reg.complete_self(Outcome(0));
            return true;
        }
        false
    }

    pub(crate) fn dequeue(&self, node: &Node) {
        self.header().joiners.lock().remove(node);
    }

    /// Gives back a result that was won and not used. The handle still lives.
    pub(crate) fn untake(&self) {
        self.header().state.untake();
        self.release();
    }

    /// The result is there: tells who watches, and serves who came first. Returns whether
    /// the handle went meanwhile, and left the result to the caller.
    #[cold]
    pub(crate) fn release(&self) -> bool {
        let header = self.header();
        let mut wakes = WakeList::new();
        let mut joiners = header.joiners.lock();
        while let Some(watcher) = joiners.claim_if(|payload| !payload.is_null()) {
            watcher.complete(Outcome(0), &mut wakes);
        }
        let mut given_back = None;
        if joiners.has_open() && header.state.take() {
            match joiners.claim() {
                Some(joiner) => joiner.complete(Outcome(0), &mut wakes),
                None => given_back = Some(header.state.untake()),
            }
        }
        drop(joiners);
        given_back.is_some_and(Word::is_detached)
    }
}

/// Tells a watcher from one who takes the result.
fn payload(reg: &Registration<'_>) -> *const () {
    if reg.watch {
        ptr::without_provenance(1)
    } else {
        ptr::null()
    }
}
