//! The cases that a wait is for, and the order in which they are looked at.

use crate::case::Case;
use crate::hooks;

/// The cases of one wait.
pub trait Arms {
    /// How many.
    fn len(&self) -> usize;
    /// The `i`-th.
    fn arm(&self, i: usize) -> &dyn Case;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The first thing `visit` gives for an arm, in their order. In a typed list each arm is
    /// met as what it is, where [`arm`](Self::arm) has to find it first.
    #[inline]
    fn each<T>(&self, visit: &mut impl FnMut(usize, &dyn Case) -> Option<T>) -> Option<T> {
        (0..self.len()).find_map(|i| visit(i, self.arm(i)))
    }
}

impl Arms for [&dyn Case] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }
    fn arm(&self, i: usize) -> &dyn Case {
        self[i]
    }
}

/// The one case of a plain operation.
#[derive(Debug)]
pub struct Only<C>(pub C);

impl<C: Case> Arms for Only<C> {
    #[inline]
    fn len(&self) -> usize {
        1
    }
    #[inline]
    fn arm(&self, _: usize) -> &dyn Case {
        &self.0
    }
}

/// No case: where a typed list begins.
#[derive(Clone, Copy, Debug)]
pub struct Empty;

impl Empty {
    /// A list of `case` alone.
    pub fn and<C: Case>(self, case: C) -> And<Self, C> {
        And(self, case)
    }
}

impl<R: Arms, C: Case> And<R, C> {
    /// This list and `case` after it.
    pub fn and<D: Case>(self, case: D) -> And<Self, D> {
        And(self, case)
    }
}

impl Arms for Empty {
    fn len(&self) -> usize {
        0
    }
    fn arm(&self, _: usize) -> &dyn Case {
        unreachable!("an arm's number is below the number of arms")
    }
    #[inline]
    fn each<T>(&self, _: &mut impl FnMut(usize, &dyn Case) -> Option<T>) -> Option<T> {
        None
    }
}

/// A list of cases and one more: it keeps its arms' types, so that a future over it is
/// `Send` when they are.
#[derive(Clone, Copy, Debug)]
pub struct And<R, C>(pub R, pub C);

impl<R: Arms, C: Case> Arms for And<R, C> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len() + 1
    }
    #[inline]
    fn arm(&self, i: usize) -> &dyn Case {
        if i == self.0.len() {
            &self.1
        } else {
            self.0.arm(i)
        }
    }
    #[inline]
    fn each<T>(&self, visit: &mut impl FnMut(usize, &dyn Case) -> Option<T>) -> Option<T> {
        self.0.each(visit).or_else(|| visit(self.0.len(), &self.1))
    }
}

/// Which of several ready arms is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each with the same probability.
    Fair,
    /// The first.
    Biased,
}

impl Order {
    /// Where to begin among `n` arms.
    pub(super) fn start(self, n: usize) -> usize {
        if self == Self::Biased || n < 2 {
            0
        } else {
            hooks::random_below(n)
        }
    }
}
