//! Who schedules a goroutine, in one word of its cell.
//!
//! Most goroutines are a pool's, and count no reference to it: two threads that start and end
//! goroutines would fight for that count. A pool [keeps itself](crate::live) while any of its
//! goroutines lives. Any other scheduler is kept by a count, in a box.
//!
//! Invariant: who looks at a goroutine's scheduler here knows that the goroutine has not ended, or
//! keeps its pool by other means. Whoever queues it must [keep](Home::keep) the scheduler, as
//! long as it is at that: the goroutine may end meanwhile. (`tests/loom/home.rs` has models of
//! wakes, cancels and ends while the pool is let go.)
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use rendez_core::shim::Arc;

use crate::schedule::Schedule;
use crate::shared::Shared;

/// A scheduler, by a word.
pub(crate) struct Home {
    // A `Shared`, or with the bit `OTHER` a `Box<Other>`.
    word: NonNull<()>,
    _scheduler: PhantomData<Other>,
}

type Other = Arc<dyn Schedule>;

/// Both are aligned to more than this.
const OTHER: usize = 1;

// SAFETY: it stands for a reference or a count of what is `Send` and `Sync`.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Home {
    /// A pool that keeps itself while the goroutine lives.
    pub(crate) fn pool(pool: &Arc<Shared>) -> Self {
        Self {
            word: NonNull::from(&**pool).cast(),
            _scheduler: PhantomData,
        }
    }

    /// A scheduler that is kept.
    pub(crate) fn other(scheduler: Arc<dyn Schedule>) -> Self {
        let kept = NonNull::from(Box::leak(Box::new(scheduler)));
        Self {
            word: kept.cast().map_addr(|address| address | OTHER),
            _scheduler: PhantomData,
        }
    }

    /// Whether it is a pool.
    #[inline]
    pub(crate) fn is_pool(&self) -> bool {
        self.as_other().is_none()
    }

    #[inline]
    fn as_other(&self) -> Option<NonNull<Other>> {
        (self.word.addr().get() & OTHER != 0).then(|| self.untagged().cast())
    }

    fn untagged(&self) -> NonNull<()> {
        // SAFETY: the word is an address of either, which is not null.
        unsafe { NonNull::new_unchecked(self.word.as_ptr().map_addr(|address| address & !OTHER)) }
    }

    /// The scheduler.
    ///
    /// # Safety
    ///
    /// The goroutine has not ended, and does not before the caller is done with what it gets;
    /// or the caller keeps the scheduler.
    #[inline]
    pub(crate) unsafe fn get(&self) -> &(dyn Schedule + 'static) {
        match self.as_other() {
            // SAFETY: it is the box of `other`, which lives as long as we.
            Some(other) => &**unsafe { other.as_ref() },
            // SAFETY: a pool keeps itself, or the caller does.
            None => unsafe { self.word.cast::<Shared>().as_ref() },
        }
    }

    /// The scheduler, for as long as the caller likes.
    ///
    /// # Safety
    ///
    /// The goroutine has not ended, and does not before this returns.
    pub(crate) unsafe fn keep(&self) -> Arc<dyn Schedule> {
        match self.as_other() {
            // SAFETY: as in `get`.
            Some(other) => Arc::clone(unsafe { other.as_ref() }),
            // SAFETY: as in `get`.
            None => unsafe { self.word.cast::<Shared>().as_ref() }.this(),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(other) = self.as_other() {
            // SAFETY: made by `other`, and dropped once.
            drop(unsafe { Box::from_raw(other.as_ptr()) });
        }
    }
}
