//! A model of how the memory of cells goes from thread to thread: under `--cfg rendez_loom`
//! every interleaving is explored, otherwise it runs once.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use rendez_core::shim::{UnsafeCell, model, thread};
use rendez_pool::__private::{Kept, Link, Shelf};

/// Enough for one thread's batches and the shelf, if a batch is of one.
const EACH: usize = 3;

/// A piece of memory, and a place that only its owner may touch.
struct Piece {
    memory: NonNull<Link>,
    owned: UnsafeCell<usize>,
}

// SAFETY: the memory is the owner's, and that `owned` is used by one at a time is what the
// model is about.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    fn new() -> Self {
        let memory = NonNull::from(Box::leak(Box::new([0_usize; 4])));
        Self {
            memory: memory.cast(),
            owned: UnsafeCell::new(0),
        }
    }

    fn touch(&self) {
        // SAFETY: the caller owns the piece, or loom finds that it does not.
        self.owned.with_mut(|n| unsafe { *n += 1 });
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, and nobody's any more.
        drop(unsafe { Box::from_raw(self.memory.as_ptr().cast::<[usize; 4]>()) });
    }
}

/// Frees these pieces, then takes as many as there are.
fn free_and_take(pieces: &[Piece], mine: &[Piece], shelf: &Shelf) -> Vec<usize> {
    let kept = Kept::default();
    let mut owned = Vec::new();
    for piece in mine {
        piece.touch();
        // SAFETY: it is this thread's, and large enough.
        if !unsafe { kept.put(piece.memory, shelf) } {
            owned.push(piece.memory);
        }
    }
    owned.extend(std::iter::from_fn(|| kept.take(shelf)).take(EACH));
    let index = |memory| {
        let found = pieces.iter().position(|p| p.memory == memory);
        let found = found.expect("one of the pieces");
        pieces[found].touch();
        found
    };
    owned.into_iter().map(index).collect()
}

#[test]
fn a_piece_of_memory_has_one_owner_at_a_time() {
    model("cells: two threads free and take", || {
        let pieces: Arc<Vec<Piece>> = Arc::new((0..2 * EACH).map(|_| Piece::new()).collect());
        let shelf = Arc::new(Shelf::default());
        let (theirs, shared) = (Arc::clone(&pieces), Arc::clone(&shelf));
        let other = thread::spawn(move || free_and_take(&theirs, &theirs[EACH..], &shared));
        let mut owned = free_and_take(&pieces, &pieces[..EACH], &shelf);
        owned.extend(other.join().unwrap());
        owned.sort_unstable();
        let n = owned.len();
        owned.dedup();
        assert_eq!(owned.len(), n, "a piece is given to one");
    });
}
