//! One blocked goroutine: whom to wake, and the claim word that is won exactly once.
//!
//! A waiter is queued on one or many cases at the same time, and whoever can serve one
//! of them must first win its word.
//!
//! ```text
//! word: | arm (from bit 3) | BUSY (bit 2) | phase (bits 0-1) |
//!
//!  OPEN ──claim──▶ CLAIMED(arm) ──ready──▶ READY(arm)        the end
//!   │ ▲                ▲
//!   │ └──unreserve──┐  │ claim_reserved
//!   └──reserve──▶ RESERVED
//!
//!  OPEN, or RESERVED where that may be left ──abort──▶ READY(ABORTED)
//!  READY ──reopen──▶ OPEN                               standing waiters only
//! ```
//!
//! - **OPEN**: anybody who holds the lock of a queue the waiter stands in may claim it.
//! - **CLAIMED**: the winner writes the outcome and takes the wake. Short: the winner
//!   holds the queue's lock and runs no foreign code meanwhile.
//! - **READY**: outcome and payload are visible; the winner touches the waiter no more,
//!   so its owner may free it once it has left the other queues.
//! - **RESERVED**: an offer (a chosen, uncompleted send) holds the waiter; other queues
//!   pass it over. It goes back to OPEN if the offer is dropped.
//! - **BUSY**: somebody holds the word for a few instructions, to claim two waiters at
//!   once or to change the wake; others spin.
//!
//! **Standing waiters** ([`standing`](crate::standing)) wait again and again and leave their
//! nodes queued in between. Who comes by such a node while the waiter cannot be claimed
//! unlinks it as usual, and notes the arm (`Waiter::miss`) under a lock under which alone
//! the waiter is reopened: so the owner learns of it before its next wait, or it is claimed.
//!
//! **Two waiters at once** (`claim_both`): a select that stands in queues and meets a
//! peer must win its own word and the peer's, or neither. Both are held BUSY in the order
//! of their addresses, so two selects that meet each other on two channels cannot wait for one
//! another in a circle, and exactly one of the two pairings happens.
//!
//! **Read everything, then publish, then touch nothing.** A waiter lives on its owner's
//! stack or in its future. A claimer may touch it only while the owner cannot leave: under
//! the lock of a queue it still stands in, or between CLAIMED and READY.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomPinned;

use crate::shim::atomic::{AtomicUsize, Ordering};
use crate::shim::{Mutex, UnsafeCell, spin_loop, thread};
use crate::to_wake::ToWake;
use crate::wake::{Wake, WakeList};

const OPEN: usize = 0;
const RESERVED: usize = 1;
const CLAIMED: usize = 2;
const READY: usize = 3;
const PHASE: usize = 3;
const BUSY: usize = 4;
const ARM: u32 = 3;
const ABORTED: usize = usize::MAX >> ARM;

/// One blocked goroutine.
pub struct Waiter {
    word: AtomicUsize,
    // By which two are told apart: elsewhere by their addresses, which in a model differ from run
    // to run.
    #[cfg(rendez_loom)]
    id: u64,
    // Written by the owner before the waiter is queued or while it holds BUSY; taken by
    // the claimer between CLAIMED and READY, or under BUSY.
    wake: UnsafeCell<ToWake>,
    // Of a waiter whose nodes stay queued while nobody waits. No lock is taken under it.
    missed: Option<Box<Mutex<Missed>>>,
    // Others point to it while its owner looks for it in what is his alone.
    _pinned: PhantomPinned,
}

/// What happened to the nodes of a standing waiter while it could not be claimed.
#[derive(Debug, Default)]
struct Missed {
    /// The arms whose nodes were unlinked because it could not.
    arms: Vec<usize>,
    /// Whether an offer has held it: any arm may have been passed over then.
    reserved: bool,
}

// SAFETY: `wake` is the only field that is not Sync by itself; the word grants access to
// it to one thread at a time, as described on it.
unsafe impl Sync for Waiter {}

/// What [`Waiter::set_wake`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeSet {
    /// An arm has won; nobody needs to be woken.
    TooLate,
    /// The wake before was still there.
    Replaced,
    /// There was none: never set, or spent by an offer that let the waiter go, in which
    /// case every arm must be looked at again.
    Anew,
}

/// Why a waiter could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Another arm has won it, or its owner gave up.
    Gone,
    /// An offer holds it; it may become open again.
    Reserved,
}

/// Why a waiter cannot end its wait yet. See [`Waiter::abort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// An offer holds it, and its completion is under way.
    Held,
    /// An offer has let it go: it has been passed over meanwhile, so every arm must be
    /// looked at again. Its wake is spent and under way.
    LetGo,
}

/// Which of two waiters could not be claimed. See `claim_both`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaired {
    /// The first.
    First(Taken),
    /// The second.
    Second(Taken),
}

impl Waiter {
    /// A waiter that is woken by `wake`.
    #[inline]
    pub fn new(wake: Wake) -> Self {
        Self::with(wake.into())
    }

    /// A waiter for one queue, of a thread that is awake: before it sleeps it sets its wake.
    pub fn looking() -> Self {
        Self::with(ToWake::LOOKER)
    }

    #[inline]
    fn with(wake: ToWake) -> Self {
        Self {
            word: AtomicUsize::new(OPEN),
            #[cfg(rendez_loom)]
            id: crate::shim::unique_id(),
            wake: UnsafeCell::new(wake),
            missed: None,
            _pinned: PhantomPinned,
        }
    }

    /// A waiter whose nodes stay queued between its waits. It begins as one that has given
    /// up; see [`reopen`](Self::reopen).
    pub(crate) fn standing() -> Self {
        Self {
            word: AtomicUsize::new(READY | ABORTED << ARM),
            missed: Some(Box::default()),
            ..Self::with(ToWake::NOBODY)
        }
    }

    /// Begins another wait of a standing waiter that is READY: it can be claimed again, and
    /// `wake` will be woken. The arms missed until this very moment are added to `missed`;
    /// whether an offer has held it since the last time.
    pub(crate) fn reopen(&self, wake: Wake, missed: &mut Vec<usize>) -> bool {
        debug_assert_eq!(self.word.load(Ordering::Relaxed) & PHASE, READY);
        let wake = ToWake::from(wake);
        // SAFETY: READY: the claimer has left, no other comes, and this is the owner.
        let spent = self
            .wake
            .with_mut(|w| unsafe { std::mem::replace(&mut *w, wake) });
        let reserved = self.take_missed(missed, || self.word.store(OPEN, Ordering::Release));
        drop(spent);
        reserved
    }

    /// Adds the arms missed until now to `missed`; whether an offer has held it since the
    /// last time.
    pub(crate) fn collect(&self, missed: &mut Vec<usize>) -> bool {
        self.take_missed(missed, || {})
    }

    fn take_missed(&self, missed: &mut Vec<usize>, then: impl FnOnce()) -> bool {
        let Some(all) = &self.missed else {
            return false;
        };
        let mut all = all.lock();
        missed.append(&mut all.arms);
        then();
        std::mem::take(&mut all.reserved)
    }

    /// Notes that the node of `arm` is unlinked because the waiter could not be claimed.
    /// `false` if it can be claimed now: then it must not be unlinked but tried again.
    pub(crate) fn miss(&self, arm: usize) -> bool {
        let Some(missed) = &self.missed else {
            return true;
        };
        let mut missed = missed.lock();
        // ORDERING: `reopen` changes the word under the same lock, so either it comes later
        // and finds the arm, or this sees the waiter open.
        let gone = matches!(self.word.load(Ordering::Relaxed) & PHASE, CLAIMED | READY);
        if gone {
            missed.arms.push(arm);
        }
        gone
    }

    /// Makes it RESERVED; the caller holds BUSY.
    fn set_reserved(&self) {
        if let Some(missed) = &self.missed {
            missed.lock().reserved = true;
        }
        self.word.store(RESERVED, Ordering::Release);
    }

    /// The arm that won, once its outcome is visible. Waits out a claim under way.
    #[inline]
    pub fn ready(&self) -> Option<usize> {
        // ORDERING: Acquire pairs with the Release in `publish`.
        let word = self.word.load(Ordering::Acquire);
        match word & PHASE {
            READY => Some(word >> ARM),
            CLAIMED => self.ready_soon(),
            _ => None,
        }
    }

    /// As [`ready`](Self::ready), during a claim.
    #[cold]
    fn ready_soon(&self) -> Option<usize> {
        let mut turns = 0;
        loop {
            // ORDERING: as in `ready`.
            let word = self.word.load(Ordering::Acquire);
            match word & PHASE {
                READY => return Some(word >> ARM),
                CLAIMED => pause(&mut turns),
                _ => return None,
            }
        }
    }

    /// Whether `arm` has won, and its outcome is visible.
    #[inline]
    pub(crate) fn is_won_by(&self, arm: usize) -> bool {
        // ORDERING: as in `ready`.
        self.word.load(Ordering::Acquire) == READY | arm << ARM
    }

    /// Whether an offer holds it.
    pub fn is_reserved(&self) -> bool {
        self.word.load(Ordering::Relaxed) & PHASE == RESERVED
    }

    /// Sets whom to wake.
    pub fn set_wake(&self, wake: Wake) -> WakeSet {
        if self
            .hold(|phase| phase == OPEN || phase == RESERVED)
            .is_err()
        {
            return WakeSet::TooLate;
        }
        let wake = ToWake::from(wake);
        // SAFETY: BUSY is held, which keeps every claimer off `wake`.
        let old = self
            .wake
            .with_mut(|w| unsafe { std::mem::replace(&mut *w, wake) });
        self.release();
        if old.is_nobody() {
            WakeSet::Anew
        } else {
            WakeSet::Replaced
        }
    }

    /// Claims it for `arm`; the caller holds the lock of the queue of that arm.
    #[inline]
    pub(crate) fn claim(&self, arm: usize) -> Result<(), Taken> {
        if self.claim_open(arm) {
            Ok(())
        } else {
            self.claim_slow(arm)
        }
    }

    /// As [`claim`](Self::claim), if it is open and nobody holds it.
    #[inline]
    pub(crate) fn claim_open(&self, arm: usize) -> bool {
        // ORDERING: Acquire as in `hold`.
        let open = self.word.compare_exchange(
            OPEN,
            CLAIMED | arm << ARM,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        open.is_ok()
    }

    /// As [`claim`](Self::claim): it is not open, or somebody holds it.
    #[cold]
    fn claim_slow(&self, arm: usize) -> Result<(), Taken> {
        self.hold(|phase| phase == OPEN)?;
        self.word.store(CLAIMED | arm << ARM, Ordering::Relaxed);
        Ok(())
    }

    /// Claims it for `arm` if `take` gives something, otherwise leaves it open.
    pub(crate) fn claim_if<R>(
        &self,
        arm: usize,
        take: impl FnOnce() -> Option<R>,
    ) -> Result<Option<R>, Taken> {
        self.hold(|phase| phase == OPEN)?;
        let taken = take();
        match taken {
            Some(_) => self.word.store(CLAIMED | arm << ARM, Ordering::Relaxed),
            None => self.release(),
        }
        Ok(taken)
    }

    /// Claims it for `arm` although an offer holds it; the caller is that offer.
    pub(crate) fn claim_reserved(&self, arm: usize) -> Result<(), Taken> {
        self.hold(|phase| phase == RESERVED)?;
        self.word.store(CLAIMED | arm << ARM, Ordering::Relaxed);
        Ok(())
    }

    /// Publishes the outcome of a claim and gives the wake. Nothing may be touched
    /// after this: the owner may free the waiter.
    #[inline]
    #[must_use = "the owner sleeps until it is woken"]
    pub(crate) fn publish(&self) -> Option<Wake> {
        // SAFETY: the word is CLAIMED by the caller, which keeps everyone else off `wake`.
        let wake = self.wake.with_mut(|w| unsafe { (*w).take() });
        let word = self.word.load(Ordering::Relaxed);
        debug_assert_eq!(word & PHASE, CLAIMED);
        // ORDERING: Release pairs with the Acquire in `ready`.
        self.word.store(word | READY, Ordering::Release);
        wake
    }

    /// Publishes a claim that the owner made itself: nobody is to be woken.
    pub(crate) fn publish_to_self(&self) {
        let word = self.word.load(Ordering::Relaxed);
        debug_assert_eq!(word & PHASE, CLAIMED);
        self.word.store(word | READY, Ordering::Release);
    }

    /// Lets an offer hold it.
    pub(crate) fn reserve(&self) -> Result<(), Taken> {
        self.hold(|phase| phase == OPEN)?;
        self.set_reserved();
        Ok(())
    }

    /// Ends an offer's hold without serving. The owner is woken, since other queues have
    /// passed it over meanwhile.
    pub(crate) fn unreserve(&self, wakes: &mut WakeList) {
        if self.hold(|phase| phase == RESERVED).is_err() {
            return;
        }
        // SAFETY: BUSY is held, which keeps everyone else off `wake`.
        let wake = self.wake.with_mut(|w| unsafe { (*w).take() });
        self.word.store(OPEN, Ordering::Release);
        if let Some(wake) = wake {
            wakes.push(wake);
        }
    }

    /// Ends an offer's hold without serving, for an owner that has left the offer's queue and
    /// needs no waking. Nothing happens if no offer holds it any more.
    pub(crate) fn let_go(&self) {
        if self.hold(|phase| phase == RESERVED).is_ok() {
            self.word.store(OPEN, Ordering::Release);
        }
    }

    /// Spends its wake without winning it: the owner looks again and sets the next.
    pub(crate) fn nudge(&self, wakes: &mut WakeList) -> Result<(), Taken> {
        self.hold(|phase| phase == OPEN)?;
        // SAFETY: BUSY is held, which keeps everyone else off `wake`.
        let wake = self.wake.with_mut(|w| unsafe { (*w).take() });
        self.release();
        if let Some(wake) = wake {
            wakes.push(wake);
        }
        Ok(())
    }

    /// Ends the wait from its owner's side, so that nobody claims it any more. Returns the
    /// arm that had won before, if one had. `force` ends it whatever is under way.
    ///
    /// # Errors
    ///
    /// Without `force`, what the owner has to wait for, or look at, first.
    pub fn abort(&self, force: bool) -> Result<Option<usize>, Unsettled> {
        match self.hold(|phase| phase == OPEN || force && phase == RESERVED) {
            Ok(()) => {
                // SAFETY: BUSY is held, which keeps everyone else off `wake`.
                let spent = self.wake.with(|w| unsafe { (*w).is_nobody() });
                if spent && !force {
                    self.release();
                    return Err(Unsettled::LetGo);
                }
                self.word.store(READY | ABORTED << ARM, Ordering::Relaxed);
                Ok(None)
            }
            Err(Taken::Reserved) => Err(Unsettled::Held),
            Err(Taken::Gone) => Ok(self.ready().filter(|&arm| arm != ABORTED)),
        }
    }

    /// Whether it could be claimed at this instant.
    pub(crate) fn is_open(&self) -> Result<(), Taken> {
        match self.word.load(Ordering::Relaxed) & PHASE {
            OPEN => Ok(()),
            RESERVED => Err(Taken::Reserved),
            _ => Err(Taken::Gone),
        }
    }

    /// Whether the one to be woken is a thread, which can complete an offer by itself.
    pub(crate) fn is_thread(&self) -> bool {
        if self.hold(|phase| phase == OPEN).is_err() {
            return false;
        }
        // SAFETY: BUSY is held, which keeps everyone else off `wake`.
        let thread = self.wake.with(|w| unsafe { (*w).is_thread() });
        self.release();
        thread
    }

    /// Sets BUSY if the phase is one of those wanted.
    fn hold(&self, wanted: impl Fn(usize) -> bool) -> Result<(), Taken> {
        let mut turns = 0;
        loop {
            let word = self.word.load(Ordering::Relaxed);
            let phase = word & PHASE;
            if !wanted(phase) {
                return Err(if phase == RESERVED {
                    Taken::Reserved
                } else {
                    Taken::Gone
                });
            }
            // ORDERING: Acquire pairs with the Release of whoever held or set it before,
            // so that `wake` is seen as they left it.
            if word & BUSY == 0
                && self
                    .word
                    .compare_exchange_weak(word, word | BUSY, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return Ok(());
            }
            pause(&mut turns);
        }
    }

    /// Whether it is held first of the two. All who hold two do so in this order: a circle of
    /// holders, each waiting for the next, cannot close.
    fn goes_before(&self, other: &Self) -> bool {
        #[cfg(rendez_loom)]
        return self.id < other.id;
        // Neither moves while others know of it.
        #[cfg(not(rendez_loom))]
        return std::ptr::from_ref(self) < std::ptr::from_ref(other);
    }

    fn release(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(word & !BUSY, Ordering::Release);
    }
}

/// Waits for somebody who is a few instructions from done, unless they were preempted.
fn pause(turns: &mut u32) {
    *turns += 1;
    if *turns % 64 == 0 {
        thread::yield_now();
    } else {
        spin_loop();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        let phase = ["open", "reserved", "claimed", "ready"][word & PHASE];
        f.debug_struct("Waiter").field("phase", &phase).finish()
    }
}

/// What becomes of the first of two waiters claimed together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pairing {
    /// Both are claimed.
    Claim,
    /// The first is only reserved: the second has made it an offer.
    Reserve,
}

/// Claims `first` for its arm (or reserves it) and `second` for its own, or neither. The
/// caller holds the lock of a queue in which at least one stands, and is the owner of, or
/// holds a queue lock of, the other.
pub(crate) fn claim_both(
    first: (&Waiter, usize),
    second: (&Waiter, usize),
    pairing: Pairing,
) -> Result<(), Unpaired> {
    debug_assert!(
        !std::ptr::eq(first.0, second.0),
        "a waiter is never its own peer"
    );
    let open = |phase| phase == OPEN;
    if first.0.goes_before(second.0) {
        first.0.hold(open).map_err(Unpaired::First)?;
        if let Err(taken) = second.0.hold(open) {
            first.0.release();
            return Err(Unpaired::Second(taken));
        }
    } else {
        second.0.hold(open).map_err(Unpaired::Second)?;
        if let Err(taken) = first.0.hold(open) {
            second.0.release();
            return Err(Unpaired::First(taken));
        }
    }
    second
        .0
        .word
        .store(CLAIMED | second.1 << ARM, Ordering::Relaxed);
    match pairing {
        Pairing::Claim => first
            .0
            .word
            .store(CLAIMED | first.1 << ARM, Ordering::Relaxed),
        Pairing::Reserve => first.0.set_reserved(),
    }
    Ok(())
}
