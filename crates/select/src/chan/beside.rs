//! What runs beside a channel's lock: the [lane](super::lane) of a bounded one, by which values
//! pass, or the [front](super::front) of an unbounded one, by which they are received.
//!
//! It is laid once somebody has found the lock taken, and runs while nothing but values is here, and
//! nobody waits: that is what RUNNING says in the channel's word. Whoever wants more than a value or
//! a place takes the lock and stops it.

use std::cell::Cell;

use rendez_core::backoff::Company;
use rendez_core::lock::WordGuard;
use rendez_core::shim::{Arc, multicore, pause};

use super::front::Front;
use super::lane::{Lane, Refused};
use super::ring::KEPT;
use super::state::State;
use super::{ASIDE, Chan, EPOCH, FRONTED, LEAST, RUNNING};

/// How many bytes a lane may take that nobody fights for: a program may have very many
/// channels through which a value passes now and then.
const SMALL: usize = 4096;
/// As many sends and receives by a lane pay for its run and its stop.
const PAYS: u64 = 32;
/// Tests of what runs, whose runs are short, let it begin and go on whenever it can.
const EAGER: bool = cfg!(any(rendez_lanes, rendez_loom));
/// With how many values a lane begins to run: they are moved under the lock.
const MOVED_AT_ONCE: usize = 4;
/// For somebody who has found the lock taken, and has waited longer than that takes.
const MOVED: usize = 64;
/// With how many values a front begins to run, or goes on: who sends is ahead of who receives.
const AHEAD: usize = if EAGER { 1 } else { 8 };
/// Who has filled the front with fewer values waits a little before he fills it again.
const BATCH: usize = 64;
/// Half a microsecond, in which as many come.
const PAUSES: u32 = 8;

pub(super) enum Beside<T> {
    Lane(Arc<Lane<T>>),
    Front(Box<Front<T>>),
}

impl<T> Beside<T> {
    /// Lets it run, if it can; at first with `most` values that are to be moved to it, or with not
    /// less than `least`.
    fn run(&self, state: &mut WordGuard<'_, State<T>>, most: usize, least: usize) -> bool {
        let flags = match self {
            Self::Lane(lane) if state.suits_lane(most) => {
                state.run_lane(lane);
                RUNNING | ASIDE
            }
            Self::Front(front) if state.suits_front(least) => {
                state.run_front(front);
                FRONTED
            }
            _ => return false,
        };
        let epoch = (state.word() / EPOCH).wrapping_add(1);
        state.set_word(epoch.wrapping_mul(EPOCH) | flags);
        true
    }

    /// Lets it run again, if it can and that is worth it; nobody is queued.
    #[inline]
    pub(super) fn goes_on(&self, state: &mut WordGuard<'_, State<T>>) -> bool {
        let may = match self {
            Self::Lane(_) => !state.lane_rests,
            Self::Front(_) => EAGER || state.has_behind(),
        };
        may && self.run(state, MOVED_AT_ONCE, 1)
    }

    /// Stops it, which runs. How often its ends may have become ready since it began.
    fn stop(&self, state: &mut State<T>) -> u64 {
        match self {
            Self::Lane(lane) => {
                let times = state.stop_lane(lane);
                state.lane_rests = !EAGER && times < PAYS;
                if state.lane_rests {
                    state.leave_lane();
                }
                times
            }
            Self::Front(front) => {
                state.stop_front(front);
                1
            }
        }
    }

    fn is_running(&self) -> bool {
        match self {
            Self::Lane(lane) => lane.is_running(),
            Self::Front(front) => front.is_running(),
        }
    }
}

impl<T> Chan<T> {
    /// As [`lock_unmirrored`](Self::lock_unmirrored); but if somebody else has the lock, what is
    /// beside it runs from here on, if it can.
    #[inline]
    pub(super) fn lock_or_beside(&self) -> Result<WordGuard<'_, State<T>>, &Beside<T>> {
        let lost = Cell::new(false);
        let state = self.state.lock_among(|| {
            lost.set(true);
            self.company()
        });
        // Who comes here while there are many values in an unbounded channel has mostly found the
        // lock taken when he looked at it, though it may be free by now. On one processor nobody has.
        if lost.get() || self.cap.is_none() && (EAGER || multicore()) {
            self.run_beside(state)
        } else {
            Ok(self.stop_beside(state))
        }
    }

    /// Lets what is beside the lock run, unless it does or cannot.
    #[cold]
    fn run_beside<'a>(
        &self,
        mut state: WordGuard<'a, State<T>>,
    ) -> Result<WordGuard<'a, State<T>>, &Beside<T>> {
        let beside = match self.cap {
            None if state.word() & RUNNING == 0 && !state.suits_front(AHEAD) => None,
            _ => self.lay(LEAST, KEPT),
        };
        match beside {
            Some(beside) if state.word() & RUNNING != 0 => Err(beside),
            Some(beside) if beside.run(&mut state, MOVED, AHEAD) => Err(beside),
            _ => Ok(state),
        }
    }

    /// Lets the lane run, if it can, though nobody has fought for the lock: its ends take less. To
    /// be called when the epoch has grown by 64.
    #[cold]
    #[inline(never)]
    pub(super) fn run_lane_alone(&self, mut state: WordGuard<'_, State<T>>) {
        if self.cap.is_some() {
            if let Some(lane) = self.lay(LEAST, SMALL) {
                lane.run(&mut state, MOVED, AHEAD);
            }
        }
    }

    /// Stops what is beside the lock if it runs. What is ready is to be mirrored anew then.
    #[inline]
    pub(super) fn stop_beside<'a>(
        &self,
        mut state: WordGuard<'a, State<T>>,
    ) -> WordGuard<'a, State<T>> {
        if state.word() & RUNNING != 0 {
            self.stop_beside_slow(&mut state);
        }
        state
    }

    #[cold]
    fn stop_beside_slow(&self, state: &mut WordGuard<'_, State<T>>) {
        if let Some(beside) = self.beside.get() {
            let times = beside.stop(state);
            let epoch = (state.word() / EPOCH).wrapping_add(times);
            state.set_word(epoch.wrapping_mul(EPOCH));
        }
    }

    /// What is beside the lock, made if it was not; no lane if the capacity is less than `least`, or
    /// it took more than `most` bytes.
    fn lay(&self, least: usize, most: usize) -> Option<&Beside<T>> {
        if let Some(beside) = self.beside.get() {
            return Some(beside);
        }
        let worth = |cap| cap >= least && Lane::<T>::bytes(cap) <= most;
        self.cap.is_none_or(worth).then(|| {
            self.beside.get_or_init(|| match self.cap {
                Some(cap) => Beside::Lane(Arc::new(Lane::new(cap))),
                None => Beside::Front(Box::new(Front::new())),
            })
        })
    }

    /// As if somebody had found the lock taken, for tests: at capacity 1 as well.
    pub(crate) fn expect_rivals(&self) {
        let locked = self.lock();
        self.lay(1, KEPT);
        drop(locked);
    }

    /// The lane, if it has been laid.
    #[inline]
    pub(super) fn lane(&self) -> Option<&Lane<T>> {
        match self.beside.get() {
            Some(Beside::Lane(lane)) => Some(lane),
            _ => None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.beside.get().is_some_and(Beside::is_running)
    }

    /// How many values there are beyond those granted, if what is beside the lock runs.
    pub(super) fn len_running(&self) -> Option<usize> {
        match self.beside.get()? {
            Beside::Lane(lane) => lane.len_running(),
            Beside::Front(front) => {
                let state = self.lock_beside();
                let runs = state.word() & RUNNING != 0;
                runs.then(|| front.len() + state.ring.len())
            }
        }
    }

    /// Does something to the oldest values by what is beside the lock, if that runs.
    ///
    /// # Errors
    ///
    /// If there are none to be seen, or the lock is the way.
    pub(super) fn at_front<R>(
        &self,
        by_lane: impl FnOnce(&Lane<T>) -> Result<R, Refused>,
        by_front: impl Fn(&Front<T>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        match self.beside.get() {
            None => Err(Refused::Stopped),
            Some(Beside::Lane(lane)) => by_lane(lane),
            Some(Beside::Front(front)) => loop {
                match by_front(front) {
                    Err(Refused::Idle) => self.fill(front),
                    done => return done,
                }
            },
        }
    }

    /// Fills the front, or stops it if there is too little to fill it with.
    fn fill(&self, front: &Front<T>) {
        if multicore() && front.last_filled() < BATCH {
            pause(PAUSES);
        }
        let mut state = self.state.lock_between(|| Company::Passing);
        if state.word() & RUNNING != 0 && !front.fill(&mut state.ring, AHEAD) {
            self.stop_beside_slow(&mut state);
            self.mirror_plain(&mut state);
        }
    }

    /// Sends to those who receive by the front, if it runs.
    pub(super) fn send_to_front(&self, value: T) -> Result<(), T> {
        let runs = |word| word & RUNNING != 0;
        if !runs(self.state.peek()) {
            return Err(value);
        }
        let mut state = self.lock_beside();
        if !runs(state.word()) {
            return Err(value);
        }
        state.ring.push_back(value);
        Ok(())
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::{Receiver, Select, Sender, TryRecvError, unbounded};

    /// An unbounded channel with the values 0, 1 ... at its front, and up to `behind` behind them.
    fn fronted(front: u32, behind: u32) -> (Sender<u32>, Receiver<u32>) {
        let (tx, rx) = unbounded();
        (0..front).for_each(|n| tx.send(n).unwrap());
        assert!(run(&tx));
        (front..behind).for_each(|n| tx.send(n).unwrap());
        assert!(tx.chan.is_running());
        (tx, rx)
    }

    /// Whether the front runs, as if somebody had found the lock taken.
    fn run<T>(tx: &Sender<T>) -> bool {
        tx.chan.run_beside(tx.chan.lock_unmirrored()).is_err()
    }

    #[test]
    fn a_front_runs_where_who_sends_is_ahead() {
        let (tx, rx) = unbounded();
        for n in 1..=AHEAD {
            assert!(!run(&tx));
            tx.send(n).unwrap();
        }
        assert!(run(&tx));
        assert_eq!(rx.try_iter().count(), AHEAD);
        assert!(
            !tx.chan.is_running() && !run(&tx),
            "there is nothing to run with"
        );
    }

    #[test]
    fn values_are_received_in_the_order_sent_wherever_they_lie() {
        let (tx, rx) = fronted(10, 30);
        (0..15).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
        (30..40).for_each(|n| tx.send(n).unwrap());
        assert!(tx.chan.is_running());
        (15..40).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert!(!tx.chan.is_running());

        // Stopped with values in both places: they are in their order, and it goes on.
        let (tx, rx) = fronted(10, 30);
        tx.chan.lock().counted();
        assert!(tx.chan.is_running());
        assert_eq!(rx.recv_many(&mut Vec::new(), 5), Ok(5));
        tx.send(30).unwrap();
        assert!(tx.chan.is_running());
        assert_eq!(rx.drain().collect::<Vec<_>>(), (5..31).collect::<Vec<_>>());
    }

    #[test]
    #[cfg(not(rendez_lanes))]
    fn a_front_stops_where_who_receives_is_close_behind() {
        let (tx, rx) = fronted(10, 12);
        (0..10).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
        assert!(tx.chan.is_running());
        (10..20).for_each(|n| {
            assert_eq!(rx.recv(), Ok(n));
            assert!(!tx.chan.is_running());
            tx.send(n + 2).unwrap();
        });
    }

    #[test]
    fn one_that_ended_gives_all_it_holds() {
        let (tx, rx) = fronted(10, 30);
        tx.close();
        assert!(!tx.chan.is_running() && tx.send(30).is_err());
        assert_eq!(rx.iter().collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());

        let (tx, rx) = fronted(10, 30);
        let permit = tx.reserve().unwrap();
        tx.send(30).unwrap();
        assert!(!tx.chan.is_running() && rx.recv() == Ok(0));
        permit.send(31).unwrap();
        drop(tx);
        assert_eq!(rx.iter().collect::<Vec<_>>(), (1..32).collect::<Vec<_>>());
    }

    #[test]
    fn all_values_are_dropped_with_the_last_receiver() {
        let token = Rc::new(());
        let (tx, rx) = unbounded();
        let send = || tx.send(Rc::clone(&token)).unwrap();
        (0..10).for_each(|_| send());
        assert!(run(&tx));
        (0..10).for_each(|_| send());
        drop(rx.recv());
        assert_eq!(Rc::strong_count(&token), 20);
        drop(rx);
        assert_eq!(Rc::strong_count(&token), 1);
    }

    #[test]
    fn to_count_them_it_is_not_stopped() {
        let (tx, rx) = fronted(10, 30);
        assert_eq!((tx.len(), rx.len()), (30, 30));
        assert!(!tx.is_empty() && !tx.is_full() && !rx.is_closed());
        assert!(tx.chan.is_running());
    }

    #[test]
    fn what_is_granted_at_the_front_is_left_to_who_comes_for_it() {
        let (tx, rx) = fronted(10, 10);
        let granted = |rx: &Receiver<u32>| {
            let mut select = Select::new();
            let arm = select.recv(rx);
            let granted = select.select();
            (arm, granted.recv(rx))
        };
        assert_eq!(granted(&rx), (0, Ok(0)));
        let mut select = Select::new();
        select.recv(&rx);
        let promised = select.select();
        assert!(tx.chan.is_running());
        assert_eq!(tx.len(), 8);
        (1..9).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
        tx.send(10).unwrap();
        assert_eq!(rx.try_recv(), Ok(9), "who comes first takes the oldest");
        assert_eq!((rx.try_recv(), tx.len()), (Err(TryRecvError::Empty), 0));
        assert_eq!(promised.recv(&rx), Ok(10));
    }
}
