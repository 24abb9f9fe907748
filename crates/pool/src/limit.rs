//! How many closures run at the same time at most: [`Builder::max_blocking`].
//!
//! A closure that waits in one of our primitives does not count, so closures that wait for
//! each other never wait for room. When it goes on it counts again, above the limit if
//! somebody has come in its place.
//!
//! Invariant: nobody waits while there is room.
//!
//! [`Builder::max_blocking`]: crate::Builder::max_blocking

use std::collections::VecDeque;

use rendez_core::shim::Mutex;

/// The limit, and those who wait for room.
#[derive(Debug)]
pub struct Limit<T> {
    max: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    running: usize,
    waiting: VecDeque<T>,
}

impl<T> Limit<T> {
    /// Room for `max`.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            state: Mutex::new(State {
                running: 0,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// Counts `one` in and gives it back, or lets it wait.
    #[must_use]
    pub fn enter(&self, one: T) -> Option<T> {
        let mut state = self.state.lock();
        if state.running < self.max {
            state.running += 1;
            return Some(one);
        }
        state.waiting.push_back(one);
        None
    }

    /// One has ended or waits for something: gives the next who has room, counted in.
    #[must_use]
    pub fn leave(&self) -> Option<T> {
        let mut state = self.state.lock();
        state.running -= 1;
        if state.running < self.max {
            let next = state.waiting.pop_front()?;
            state.running += 1;
            return Some(next);
        }
        None
    }

    /// One that had left goes on.
    pub fn enter_again(&self) {
        self.state.lock().running += 1;
    }

    /// How many wait for room.
    pub fn n_waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Shows each that waits to `f`, which must not call back here.
    pub fn for_each(&self, f: impl FnMut(&T)) {
        self.state.lock().waiting.iter().for_each(f);
    }
}
