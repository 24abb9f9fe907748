//! The memory of a channel, and who keeps it.
//!
//! A channel and its first few slots are one allocation. It is kept by its senders
//! together, by its receivers together, and by each [`Keeper`]. The keepers are counted
//! under the channel's lock, and whoever takes the last away frees the memory: nobody else
//! can come to the lock then, and the last who held it has touched nothing since.
//!
//! The handles of an end are counted beside the lock:
//!
//! - One is added through another, or, by a weak handle, under the lock and only to others.
//! - So who finds that his is the only one, under the lock, is the last for ever.
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use rendez_core::shim::atomic::{AtomicUsize, Ordering};

use super::ring::Ring;
use super::state::{NO_RECEIVERS, NO_SENDERS};
use super::store::All;
use super::{Chan, Locked};

/// How many bytes of slots lie behind the channel.
const SLOTS: usize = 64;

/// One of the ends of a channel.
pub(crate) trait End {
    /// How many handles it has.
    fn count<T>(chan: &Chan<T>) -> &AtomicUsize;
    /// The last of them is gone, and the other end is not, or weak handles. What is returned
    /// nobody can receive any more.
    fn gone<T>(chan: Locked<'_, T>) -> Option<All<T>>;
}

pub(crate) enum Sending {}
pub(crate) enum Receiving {}

impl End for Sending {
    fn count<T>(chan: &Chan<T>) -> &AtomicUsize {
        &chan.n_senders
    }
    fn gone<T>(mut chan: Locked<'_, T>) -> Option<All<T>> {
        chan.ends_by(NO_SENDERS);
        chan.end();
        None
    }
}

impl End for Receiving {
    fn count<T>(chan: &Chan<T>) -> &AtomicUsize {
        &chan.n_receivers
    }
    fn gone<T>(mut chan: Locked<'_, T>) -> Option<All<T>> {
        chan.ends_by(NO_RECEIVERS);
        chan.end();
        Some(chan.clear())
    }
}

/// A handle of one end.
pub(crate) struct Handle<T, E: End> {
    chan: NonNull<Chan<T>>,
    _end: PhantomData<E>,
}

/// Keeps the memory of a channel, and neither of its ends connected.
pub(crate) struct Keeper<T>(NonNull<Chan<T>>);

// SAFETY: a channel hands its values from thread to thread, as its lock does; the counts are
// atomics, or under the lock.
unsafe impl<T: Send, E: End> Send for Handle<T, E> {}
// SAFETY: as above.
unsafe impl<T: Send, E: End> Sync for Handle<T, E> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Keeper<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Keeper<T> {}

/// Makes a channel.
pub(crate) fn channel<T>(cap: Option<usize>) -> (Handle<T, Sending>, Handle<T, Receiving>) {
    let n = n_slots::<T>(cap);
    let (layout, offset) = layout::<T>(n);
    // SAFETY: a channel has a size. What is allocated fits it and its slots.
    let chan = unsafe {
        let Some(memory) = NonNull::new(alloc::alloc(layout)) else {
            alloc::handle_alloc_error(layout)
        };
        let slots = memory.add(offset).cast::<T>();
        let chan = memory.cast::<Chan<T>>();
        chan.write(Chan::new(cap, Ring::within(slots, n)));
        chan
    };
    let (sender, receiver) = (Handle::of(chan), Handle::of(chan));
    if cfg!(rendez_lanes) {
        sender.expect_rivals();
    }
    (sender, receiver)
}

/// How many slots lie behind a channel of capacity `cap`: as many as it can need, or fit.
fn n_slots<T>(cap: Option<usize>) -> usize {
    // A power of two, or none.
    let fit = SLOTS.checked_div(size_of::<T>()).unwrap_or(0);
    let most = fit.checked_ilog2().map_or(0, |log| 1 << log);
    cap.map_or(most, |cap| cap.min(most).next_power_of_two().min(most))
}

fn layout<T>(n: usize) -> (Layout, usize) {
    Layout::array::<T>(n)
        .and_then(|slots| Layout::new::<Chan<T>>().extend(slots))
        .expect("a few slots are small")
}

/// Drops a channel that nobody keeps any more, and what it holds.
///
/// # Safety
///
/// The caller has taken the last keeper away, and comes to the channel no more.
unsafe fn free<T>(chan: NonNull<Chan<T>>) {
    struct Memory(NonNull<u8>, Layout);
    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: allocated by `channel`, by this layout.
            unsafe { alloc::dealloc(self.0.as_ptr(), self.1) };
        }
    }
    // SAFETY: so nobody else has access. The memory is freed even if a value's drop panics.
    unsafe {
        let (layout, _) = layout::<T>(n_slots::<T>(chan.as_ref().capacity()));
        let _memory = Memory(chan.cast(), layout);
        chan.drop_in_place();
    }
}

/// One handle more of an end that has `n`.
fn count_up(n: &AtomicUsize) {
    // Handles that were forgotten must not make the count pass through zero.
    if n.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
        std::process::abort();
    }
}

impl<T, E: End> Handle<T, E> {
    fn of(chan: NonNull<Chan<T>>) -> Self {
        Self {
            chan,
            _end: PhantomData,
        }
    }

    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.chan == other.chan
    }

    /// One that keeps the memory alone.
    pub(crate) fn keeper(&self) -> Keeper<T> {
        self.lock_beside().keep();
        Keeper(self.chan)
    }

    /// Takes the last handle away, which is `counted` still unless that made it the last.
    #[inline(never)]
    fn leave(&mut self, counted: bool) {
        let mut state = self.lock_beside();
        let n = E::count(self);
        // ORDERING: Acquire pairs with the Release of the other handles' `fetch_sub`.
        if counted && n.load(Ordering::Acquire) == 1 {
            // Nobody adds one now, so nobody else takes one away.
            n.store(0, Ordering::Relaxed);
        } else if counted && n.fetch_sub(1, Ordering::AcqRel) != 1 {
            // A weak handle has made another meanwhile.
            return;
        }
        if state.keep_no_more() {
            // Nobody waits and nobody looks.
            drop(state);
            // SAFETY: it was the last keeper, and this handle is not used again.
            return unsafe { free(self.chan) };
        }
        let values = E::gone(Locked::of(self, self.stop_beside(state)));
        drop(values);
    }
}

impl<T, E: End> Deref for Handle<T, E> {
    type Target = Chan<T>;
    #[inline]
    fn deref(&self) -> &Chan<T> {
        // SAFETY: the handles of an end keep the channel together, until the last is dropped.
        unsafe { self.chan.as_ref() }
    }
}

impl<T, E: End> Clone for Handle<T, E> {
    fn clone(&self) -> Self {
        count_up(E::count(self));
        Self::of(self.chan)
    }
}

impl<T, E: End> Drop for Handle<T, E> {
    #[inline]
    fn drop(&mut self) {
        let n = E::count(self);
        // What is most likely the last, of one-shot channels above all, is spared a
        // read-modify-write beside the lock's.
        if n.load(Ordering::Relaxed) == 1 {
            self.leave(true);
        } else if n.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.leave(false);
        }
    }
}

impl<T> Keeper<T> {
    /// A handle of an end, if that has one still.
    pub(crate) fn upgrade<E: End>(&self) -> Option<Handle<T, E>> {
        // Under the lock: see the file's head.
        let _locked = self.lock_beside();
        let n = E::count(self);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        n.fetch_update(set, fetch, |n| (n > 0).then_some(n + 1))
            .ok()?;
        Some(Handle::of(self.0))
    }
}

impl<T> Deref for Keeper<T> {
    type Target = Chan<T>;
    #[inline]
    fn deref(&self) -> &Chan<T> {
        // SAFETY: a keeper keeps it.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Keeper<T> {
    fn clone(&self) -> Self {
        self.lock_beside().keep();
        Self(self.0)
    }
}

impl<T> Drop for Keeper<T> {
    fn drop(&mut self) {
        let mut chan = self.lock_beside();
        let last = chan.keep_no_more();
        drop(chan);
        if last {
            // SAFETY: it was the last, and this one is not used again.
            unsafe { free(self.0) };
        }
    }
}
