//! How many handles a node has, strong ones and weak ones, in one word.
//!
//! ```text
//! word: | weak, and one for all the strong (bits 32-63) | strong (bits 0-31) |
//! ```
//!
//! In one word, so that whoever takes the last strong one away sees at the same look whether
//! anybody else could still touch the memory: most nodes never have a weak handle, and go with one
//! read-modify-write.
//!
//! - While there is a strong handle, the node lives; a weak one becomes strong only then.
//! - Whoever takes the last strong one away takes the node down, and then the weak one that stood
//!   for all of them.
//! - Whoever takes the last weak one away frees the memory.
//!
//! ORDERING: taking away is Release, and Acquire for the last: what every handle did to the node
//! comes before it is taken down, and every look at its memory before that is freed.

use rendez_core::shim::atomic::{AtomicU64, Ordering, fence};

const WEAK: u64 = 1 << 32;
/// No program has so many, unless it forgets them in a loop: then it ends, before they wrap.
const MAX: u64 = 1 << 31;

fn strong_of(word: u64) -> u64 {
    word % WEAK
}

/// What is left for whoever has taken away the last strong handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The node, and nobody else can touch its memory.
    Alone,
    /// The node; its memory goes with the last weak handle.
    Watched,
}

/// The word.
#[derive(Debug)]
pub(crate) struct Counts(AtomicU64);

impl Counts {
    /// Of `strong` handles.
    pub(crate) fn new(strong: u32) -> Self {
        Self(AtomicU64::new(u64::from(strong) + WEAK))
    }

    /// One more; the caller has one.
    #[inline]
    pub(crate) fn add(&self) {
        // ORDERING: Relaxed, as the caller's own keeps the node.
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if strong_of(before) > MAX {
            std::process::abort();
        }
    }

    /// One less.
    #[inline]
    pub(crate) fn remove(&self) -> Option<Last> {
        let before = self.0.fetch_sub(1, Ordering::Release);
        if strong_of(before) != 1 {
            return None;
        }
        fence(Ordering::Acquire);
        // With the last strong handle gone only a weak one could make others.
        Some(if before / WEAK == 1 {
            Last::Alone
        } else {
            Last::Watched
        })
    }

    /// One more weak one; the caller has a handle.
    pub(crate) fn add_weak(&self) {
        // ORDERING: as in `add`.
        let before = self.0.fetch_add(WEAK, Ordering::Relaxed);
        if before / WEAK > MAX {
            std::process::abort();
        }
    }

    /// One less; whether the memory is the caller's to free.
    pub(crate) fn remove_weak(&self) -> bool {
        let last = self.0.fetch_sub(WEAK, Ordering::Release) / WEAK == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// A strong one more, if the node lives; the caller has a weak one.
    pub(crate) fn upgrade(&self) -> bool {
        self.0
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                (strong_of(word) != 0).then(|| word + 1)
            })
            .is_ok()
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_strong_takes_the_node_down_and_the_last_of_all_frees_it() {
        let counts = Counts::new(2);
        counts.add();
        counts.add_weak();
        assert_eq!((counts.remove(), counts.remove()), (None, None));
        assert!(counts.upgrade());
        assert_eq!(
            (counts.remove(), counts.remove()),
            (None, Some(Last::Watched))
        );
        assert!(!counts.upgrade());
        assert!(!counts.remove_weak(), "the weak one of the strong");
        assert!(counts.remove_weak());

        assert_eq!(Counts::new(1).remove(), Some(Last::Alone));
    }
}
