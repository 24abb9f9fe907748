//! Who is next: what a holder that leaves, or a waiter that gives up, does for those who wait.
//! All of it runs under the queues' lock.

use rendez_core::case::Outcome;
use rendez_core::shim::atomic::Ordering;
use rendez_core::wake::WakeList;

use super::state::{BLOCKED, Core, Queues, READER, Request, UPGRADABLE, WAITERS, WRITER};
use crate::patience;

impl Core {
    #[cold]
    pub(super) fn leave_slow(&self, fair: bool) {
        let mut wakes = WakeList::new();
        let mut queues = self.queues.lock();
        self.settle(&mut queues, fair, &mut wakes);
    }

    #[cold]
    pub(super) fn leave_exclusive_slow(&self, fair: bool) {
        let mut wakes = WakeList::new();
        let mut queues = self.queues.lock();
        let readers = queues.reads.first().is_some() || queues.upgradables.first().is_some();
        let heir = queues
            .writes
            .first()
            .filter(|&since| !readers && (fair || patience::is_old(since)))
            .and_then(|_| queues.writes.claim());
        if let Some(heir) = heir {
            self.tidy(&queues);
            heir.complete(Outcome(0), &mut wakes);
            return;
        }
        // As a reader we keep writers out while the readers enter.
        self.word.fetch_add(READER - WRITER, Ordering::AcqRel);
        self.admit(&mut queues, &mut wakes);
        self.word.fetch_sub(READER, Ordering::AcqRel);
        self.settle(&mut queues, fair, &mut wakes);
    }

    /// Lets in all readers queued, and an upgradable. The caller holds the lock itself as
    /// a reader or upgradable, so no writer can.
    pub(super) fn admit(&self, queues: &mut Queues, wakes: &mut WakeList) {
        while let Some(reader) = queues.reads.claim() {
            self.word.fetch_add(READER, Ordering::AcqRel);
            reader.complete(Outcome(0), wakes);
        }
        if queues.upgradables.first().is_some() && self.grant(Request::Upgradable) {
            match queues.upgradables.claim() {
                Some(upgradable) => upgradable.complete(Outcome(0), wakes),
                None => drop(self.word.fetch_and(!UPGRADABLE, Ordering::AcqRel)),
            }
        }
    }

    /// Lets in whoever is next now, and brings the word in line with the queues.
    pub(super) fn settle(&self, queues: &mut Queues, fair: bool, wakes: &mut WakeList) {
        loop {
            if queues.upgrades.first().is_some() {
                if self.grant(Request::Upgrade) {
                    match queues.upgrades.claim() {
                        Some(upgrade) => upgrade.complete(Outcome(0), wakes),
                        None => {
                            self.word.fetch_xor(UPGRADABLE | WRITER, Ordering::AcqRel);
                            continue;
                        }
                    }
                }
            } else if let Some(since) = queues.writes.first() {
                if !(fair || patience::is_old(since)) {
                    let free = Request::Write.granted(self.word.load(Ordering::Relaxed));
                    if free.is_some() && !queues.writes.nudge(wakes) {
                        continue;
                    }
                } else if self.grant(Request::Write) {
                    match queues.writes.claim() {
                        Some(writer) => writer.complete(Outcome(0), wakes),
                        None => {
                            self.word.fetch_and(!WRITER, Ordering::AcqRel);
                            continue;
                        }
                    }
                }
            } else if queues.bits() != 0 && self.grant(Request::Read) {
                self.admit(queues, wakes);
                self.word.fetch_sub(READER, Ordering::AcqRel);
            }
            break;
        }
        self.tidy(queues);
    }

    pub(super) fn tidy(&self, queues: &Queues) {
        let bits = queues.bits();
        self.change(|word| Some(word & !(WAITERS | BLOCKED) | bits));
    }
}
