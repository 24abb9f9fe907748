//! Places for entries, found by number: no allocation per entry, and memory given back
//! after a burst, a chunk of places at a time.
//!
//! Invariants: a chunk with a free place has its number in `open`, once; a number in
//! `open` whose chunk has no free place or is gone is dropped when it is met.

/// How many places a chunk has.
const CHUNK: usize = 256;
/// No place.
pub(super) const NIL: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    open: Vec<u32>,
    // Numbers of chunks that are gone.
    vacant: Vec<u32>,
    n_free: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    // All of them, or none if the chunk is gone.
    places: Box<[Place<T>]>,
    // The first free place; the others follow through it. NIL if the chunk is gone.
    free: u32,
    n_used: u32,
    in_open: bool,
}

#[derive(Debug)]
enum Place<T> {
    Free(u32),
    Used(T),
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            open: Vec::new(),
            vacant: Vec::new(),
            n_free: 0,
        }
    }

    /// How many places there are, free ones included.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.places.len()).sum()
    }

    /// Puts in what `value` gives for the number of its place.
    #[inline]
    pub(super) fn insert(&mut self, value: impl FnOnce(u32) -> T) -> u32 {
        let number = self.open_chunk();
        let chunk = &mut self.chunks[number];
        let place = &mut chunk.places[chunk.free as usize];
        let Place::Free(next) = *place else {
            unreachable!("the free list holds free places")
        };
        let at = u32::try_from(number * CHUNK).expect("fewer than 2^32 alarms") + chunk.free;
        *place = Place::Used(value(at));
        chunk.free = next;
        chunk.n_used += 1;
        self.n_free -= 1;
        at
    }

    /// The number of a chunk with a free place.
    #[inline]
    fn open_chunk(&mut self) -> usize {
        match self.open.last() {
            Some(&number) if self.chunks[number as usize].free != NIL => number as usize,
            _ => self.open_another(),
        }
    }

    #[cold]
    fn open_another(&mut self) -> usize {
        while let Some(&number) = self.open.last() {
            let chunk = &mut self.chunks[number as usize];
            if chunk.free != NIL {
                return number as usize;
            }
            chunk.in_open = false;
            self.open.pop();
            if chunk.places.is_empty() {
                self.vacant.push(number);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "below CHUNK")]
        let free = |i: usize| Place::Free(if i + 1 == CHUNK { NIL } else { i as u32 + 1 });
        let chunk = Chunk {
            // Written where they lie.
            places: (0..CHUNK).map(free).collect(),
            free: 0,
            n_used: 0,
            in_open: true,
        };
        self.n_free += CHUNK;
        let number = if let Some(number) = self.vacant.pop() {
            self.chunks[number as usize] = chunk;
            number
        } else {
            self.chunks.push(chunk);
            u32::try_from(self.chunks.len() - 1).expect("fewer than 2^32 alarms")
        };
        self.open.push(number);
        number as usize
    }

    /// # Panics
    ///
    /// If the place is free.
    // Of what it gives hardly anything is wanted, which only the caller knows.
    #[inline(always)]
    pub(super) fn remove(&mut self, at: u32) -> T {
        let number = at / CHUNK as u32;
        let chunk = &mut self.chunks[number as usize];
        let place = &mut chunk.places[at as usize % CHUNK];
        let Place::Used(value) = std::mem::replace(place, Place::Free(chunk.free)) else {
            unreachable!("removed once")
        };
        chunk.free = at % CHUNK as u32;
        chunk.n_used -= 1;
        self.n_free += 1;
        if chunk.n_used == 0 && self.n_free >= 2 * CHUNK {
            self.free(number);
        } else if !chunk.in_open {
            chunk.in_open = true;
            self.open.push(number);
        }
        value
    }

    /// Gives a chunk's memory back. One chunk's worth of free places stays, so that a single
    /// alarm set and cancelled does not allocate each time.
    #[cold]
    fn free(&mut self, number: u32) {
        let chunk = &mut self.chunks[number as usize];
        chunk.places = Box::default();
        chunk.free = NIL;
        self.n_free -= CHUNK;
        // Its number goes to another chunk only after `open` has forgotten it.
        if !chunk.in_open {
            self.vacant.push(number);
        }
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let chunk = self.chunks.get(at as usize / CHUNK)?;
        match chunk.places.get(at as usize % CHUNK)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(at as usize / CHUNK)?;
        match chunk.places.get_mut(at as usize % CHUNK)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }
}
