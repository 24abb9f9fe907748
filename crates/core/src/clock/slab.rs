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
    chunks: Vec<Home<T>>,
    open: Vec<u32>,
    // Numbers of chunks that are gone.
    vacant: Vec<u32>,
    n_free: usize,
}

#[derive(Debug)]
struct Home<T> {
    chunk: Option<Box<Chunk<T>>>,
    in_open: bool,
}

#[derive(Debug)]
struct Chunk<T> {
    places: [Place<T>; CHUNK],
    // The first free place; the others follow through it.
    free: u32,
    n_used: usize,
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
        self.chunks
            .iter()
            .filter(|home| home.chunk.is_some())
            .count()
            * CHUNK
    }

    /// Puts in what `value` gives for the number of its place.
    #[inline]
    pub(super) fn insert(&mut self, value: impl FnOnce(u32) -> T) -> u32 {
        let home = self.open_home();
        let chunk = self.chunks[home].chunk.as_mut().expect("open, so there");
        let place = &mut chunk.places[chunk.free as usize];
        let Place::Free(next) = *place else {
            unreachable!("the free list holds free places")
        };
        let at = u32::try_from(home * CHUNK).expect("fewer than 2^32 alarms") + chunk.free;
        *place = Place::Used(value(at));
        chunk.free = next;
        chunk.n_used += 1;
        self.n_free -= 1;
        at
    }

    /// The number of a chunk with a free place.
    #[inline]
    fn open_home(&mut self) -> usize {
        let has_room = |home: &Home<T>| home.chunk.as_ref().is_some_and(|c| c.free != NIL);
        match self.open.last() {
            Some(&home) if has_room(&self.chunks[home as usize]) => home as usize,
            _ => self.open_another(),
        }
    }

    #[cold]
    fn open_another(&mut self) -> usize {
        while let Some(&number) = self.open.last() {
            let home = &mut self.chunks[number as usize];
            if home.chunk.as_ref().is_some_and(|c| c.free != NIL) {
                return number as usize;
            }
            home.in_open = false;
            let gone = home.chunk.is_none();
            let number = self.open.pop().expect("just looked");
            if gone {
                self.vacant.push(number);
            }
        }
        let chunk = Box::new(Chunk {
            #[expect(clippy::cast_possible_truncation, reason = "below CHUNK")]
            places: std::array::from_fn(|i| {
                Place::Free(if i + 1 == CHUNK { NIL } else { i as u32 + 1 })
            }),
            free: 0,
            n_used: 0,
        });
        self.n_free += CHUNK;
        let home = self
            .vacant
            .pop()
            .map_or(self.chunks.len(), |home| home as usize);
        if home == self.chunks.len() {
            self.chunks.push(Home {
                chunk: None,
                in_open: false,
            });
        }
        self.chunks[home] = Home {
            chunk: Some(chunk),
            in_open: true,
        };
        self.open
            .push(u32::try_from(home).expect("fewer than 2^32 alarms"));
        home
    }

    /// # Panics
    ///
    /// If the place is free.
    #[inline]
    pub(super) fn remove(&mut self, at: u32) -> T {
        let (number, at) = (at as usize / CHUNK, at as usize % CHUNK);
        let home = &mut self.chunks[number];
        let chunk = home.chunk.as_mut().expect("in use, so there");
        let place = std::mem::replace(&mut chunk.places[at], Place::Free(chunk.free));
        let Place::Used(value) = place else {
            unreachable!("removed once")
        };
        #[expect(clippy::cast_possible_truncation, reason = "below CHUNK")]
        {
            chunk.free = at as u32;
        }
        chunk.n_used -= 1;
        self.n_free += 1;
        #[expect(clippy::cast_possible_truncation, reason = "numbers fit")]
        let id = number as u32;
        if chunk.n_used == 0 && self.n_free >= 2 * CHUNK {
            // One chunk's worth of free places stays, so that a single alarm set and
            // cancelled does not allocate each time.
            home.chunk = None;
            self.n_free -= CHUNK;
            // Its number goes to another chunk only after `open` has forgotten it.
            if !home.in_open {
                self.vacant.push(id);
            }
        } else if !home.in_open {
            home.in_open = true;
            self.open.push(id);
        }
        value
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let chunk = self.chunks.get(at as usize / CHUNK)?.chunk.as_ref()?;
        match &chunk.places[at as usize % CHUNK] {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(at as usize / CHUNK)?.chunk.as_mut()?;
        match &mut chunk.places[at as usize % CHUNK] {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }
}
