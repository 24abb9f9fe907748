//! A list that only grows, read without a lock.
//!
//! Items lie in blocks of doubling size that never move, so a reference to one stays good.
//! Invariant: an item and its block are in place before the length counts it (Release), so
//! a reader that sees the length (Acquire) finds every item below it.

use rendez_core::shim::OnceLock;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};

const BLOCKS: usize = 17;
/// How many items a list has at most.
pub(crate) const MAX: usize = (1 << BLOCKS) - 1;

pub(crate) struct List<T> {
    // Block k holds 2^k items.
    blocks: [OnceLock<Box<[OnceLock<T>]>>; BLOCKS],
    len: AtomicUsize,
}

impl<T> List<T> {
    pub(crate) fn new() -> Self {
        Self {
            blocks: std::array::from_fn(|_| OnceLock::new()),
            len: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The item at `i`, if there is one.
    pub(crate) fn get(&self, i: usize) -> Option<&T> {
        let (block, offset) = place(i);
        self.blocks.get(block)?.get()?.get(offset)?.get()
    }

    /// The items there are now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let slots = self.blocks.iter().map_while(OnceLock::get).flatten();
        slots.map_while(OnceLock::get)
    }

    /// Adds an item at the end. Calls are serialized by the caller.
    ///
    /// # Panics
    ///
    /// If the list is full.
    pub(crate) fn push(&self, item: T) {
        let i = self.len.load(Ordering::Relaxed);
        let (block, offset) = place(i);
        let block = self.blocks[block]
            .get_or_init(|| (0..1_usize << block).map(|_| OnceLock::new()).collect());
        let free = block[offset].set(item).is_ok();
        assert!(free, "items are added by one at a time");
        self.len.store(i + 1, Ordering::Release);
    }
}

fn place(i: usize) -> (usize, usize) {
    let block = (i + 1).ilog2() as usize;
    (block, i + 1 - (1 << block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_where_they_were_put() {
        let list = List::new();
        assert_eq!((list.len(), list.get(0)), (0, None));
        for i in 0..1000 {
            list.push(i);
            assert_eq!(list.len(), i + 1);
            assert_eq!(list.get(i), Some(&i));
            assert_eq!(list.get(i + 1), None);
        }
        assert!(list.iter().copied().eq(0..1000));
        assert_eq!(list.get(MAX), None);
    }
}
