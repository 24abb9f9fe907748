//! Where a dump looks: the threads, and the goroutines that a dump could not find elsewhere: those that have waited, and those
//! with a name or labels.
//!
//! A goroutine that has never waited lies in a run queue or runs, and is found there; so
//! the many that start, run and end never come here, and cost nothing. One enters when it is
//! parked or blocks for the first time, and leaves when it ends.
//!
//! Invariants:
//!
//! - An entry's cell lives: it leaves under its shard's lock before its end is published, or
//!   before its memory is freed.
//! - A cell's place is its index in its shard; both change together under the lock.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use rendez_core::goroutine::Glimpse;
use rendez_core::shim::{Arc, Mutex};

use crate::cell::Header;
use crate::dump::Entry as Shown;

const SHARDS: usize = 8;

/// See the head of the file.
#[derive(Default)]
pub struct Registry {
    shards: [Mutex<Vec<Entry>>; SHARDS],
}

struct Entry(NonNull<Header>);

// SAFETY: a header is shared between threads as it is; the pointer is used under the
// shard's lock while the cell lives.
unsafe impl Send for Entry {}

impl Registry {
    fn shard(&self, header: &Header) -> &Mutex<Vec<Entry>> {
        // Cells are some cache lines apart.
        let address = std::ptr::from_ref(header).addr();
        &self.shards[((address / 64) ^ (address / 1024)) % SHARDS]
    }

    /// Enters a goroutine that is not there; the caller runs it, or it has not begun.
    pub(crate) fn enter(&self, header: &Header) {
        let mut shard = self.shard(header).lock();
        header.set_place(Some(shard.len()));
        shard.push(Entry(NonNull::from(header)));
    }

    /// Takes out a goroutine that is there.
    pub(crate) fn leave(&self, header: &Header) {
        let mut shard = self.shard(header).lock();
        let Some(place) = header.place() else { return };
        header.set_place(None);
        shard.swap_remove(place);
        if let Some(moved) = shard.get(place) {
            // SAFETY: it is in the list, so it lives.
            unsafe { moved.0.as_ref() }.set_place(Some(place));
        }
        if shard.len() < shard.capacity() / 4 {
            let half = shard.capacity() / 2;
            shard.shrink_to(half);
        }
    }

    /// Shows each to `f`, which must not call back here.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Header)) {
        for shard in &self.shards {
            for entry in shard.lock().iter() {
                // SAFETY: it is in the list, so it lives while the lock is held.
                f(unsafe { entry.0.as_ref() });
            }
        }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// What each of a pool's threads shows of the goroutine it runs.
#[derive(Debug, Default)]
pub(crate) struct Glimpses(Mutex<Vec<Arc<Glimpse>>>);

impl Glimpses {
    /// A thread more.
    pub(crate) fn add(&self) -> Arc<Glimpse> {
        let glimpse = Arc::new(Glimpse::default());
        self.0.lock().push(Arc::clone(&glimpse));
        glimpse
    }

    pub(crate) fn remove(&self, glimpse: &Arc<Glimpse>) {
        self.0.lock().retain(|other| !Arc::ptr_eq(other, glimpse));
    }

    /// How many threads run a goroutine that does not block.
    pub(crate) fn n_running(&self) -> usize {
        self.0
            .lock()
            .iter()
            .filter(|glimpse| glimpse.is_running())
            .count()
    }

    /// How many threads run no goroutine at all.
    pub(crate) fn n_spare(&self) -> usize {
        let glimpses = self.0.lock();
        glimpses
            .iter()
            .filter(|glimpse| glimpse.look().is_none())
            .count()
    }

    /// Shows what is known of each goroutine that runs on a thread.
    pub(crate) fn for_each(&self, f: &mut dyn FnMut(Shown)) {
        for glimpse in self.0.lock().iter() {
            if let Some((id, spawned_at)) = glimpse.look() {
                f(Shown::running(id, spawned_at));
            }
        }
    }
}
