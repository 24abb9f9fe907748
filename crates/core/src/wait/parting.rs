//! Threads that wait for one another on one processor, and how they part.
//!
//! Two that give way to one another go on, each for a moment, at the price of a change of threads
//! at each turn; and the system leaves them where they are for many milliseconds though another
//! processor is idle, since each has run there a moment ago. Whoever sleeps is put on an idle
//! processor when he is woken. So a thread that has found again and again, after giving its
//! processor away and nowhere else, what it waited for sleeps once instead. Where that was in
//! vain, all processors being busy, it does so less and less often.

use std::cell::Cell;
use std::time::Duration;

use crate::shim::multicore;

/// Giving way took so long: somebody else has run.
pub(super) const TURN: Duration = Duration::from_nanos(800);

std::thread_local! {
    static SHARING: Cell<Sharing> = const { Cell::new(Sharing::new()) };
}

/// What was waited for came during a pause: whoever brought it runs elsewhere.
pub(super) fn met_elsewhere() {
    update(Sharing::met_elsewhere);
}

/// It came while somebody else had this processor.
pub(super) fn met_here() {
    update(Sharing::met_here);
}

/// Whether the thread shall sleep instead of giving way, to be woken elsewhere.
pub(super) fn is_due() -> bool {
    multicore() && SHARING.try_with(Cell::get).is_ok_and(Sharing::is_due)
}

/// It has slept.
pub(super) fn has_slept() {
    update(Sharing::has_slept);
}

fn update(change: impl FnOnce(&mut Sharing)) {
    let _ = SHARING.try_with(|cell| {
        let mut sharing = cell.get();
        change(&mut sharing);
        cell.set(sharing);
    });
}

/// How often in a row a thread has met others on its own processor.
#[derive(Clone, Copy)]
struct Sharing {
    times: u32,
    /// At so many it sleeps.
    limit: u32,
}

impl Sharing {
    const LEAST: u32 = 16;
    const MOST: u32 = 4096;

    const fn new() -> Self {
        Self {
            times: 0,
            limit: Self::LEAST,
        }
    }

    fn met_elsewhere(&mut self) {
        self.times = 0;
        self.limit = (self.limit / 2).max(Self::LEAST);
    }

    fn met_here(&mut self) {
        self.times += 1;
    }

    fn is_due(self) -> bool {
        self.times >= self.limit
    }

    fn has_slept(&mut self) {
        if self.is_due() {
            self.times = 0;
            self.limit = (self.limit * 4).min(Self::MOST);
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::Sharing;

    /// How many meetings here it takes until it sleeps, which it then does.
    fn meetings(sharing: &mut Sharing) -> u32 {
        let mut times = 0;
        while !sharing.is_due() {
            sharing.met_here();
            times += 1;
        }
        sharing.has_slept();
        times
    }

    #[test]
    fn who_sleeps_in_vain_does_so_less_often_but_does() {
        let mut sharing = Sharing::new();
        let times = [(); 7].map(|()| meetings(&mut sharing));
        assert_eq!(times, [16, 64, 256, 1024, 4096, 4096, 4096]);
    }

    #[test]
    fn who_meets_elsewhere_does_not_sleep_and_tries_sooner_the_next_time() {
        let mut sharing = Sharing::new();
        while sharing.limit < Sharing::MOST {
            meetings(&mut sharing);
        }
        for _ in 0..10_000 {
            sharing.met_here();
            sharing.met_elsewhere();
            assert!(!sharing.is_due());
        }
        assert_eq!(meetings(&mut sharing), Sharing::LEAST);
    }

    #[test]
    fn a_sleep_for_another_reason_changes_nothing() {
        let mut sharing = Sharing::new();
        (0..15).for_each(|_| sharing.met_here());
        sharing.has_slept();
        assert_eq!(meetings(&mut sharing), 1);
    }
}
