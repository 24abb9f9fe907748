//! What stands in the locks while nobody watches them: nothing. It has no size, and its
//! methods have no code.

use std::panic::Location;
use std::task::{Context, Poll};

use super::Mode;

/// A lock's place among those watched, of which there are none.
#[derive(Debug)]
pub(crate) struct Watch;

/// What is remembered of a future's wait: nothing.
#[derive(Debug)]
pub(crate) struct Asked;

impl Watch {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn before(&self, _: Mode) {}

    #[inline(always)]
    pub(crate) fn before_bounded(&self, _: Mode) {}

    #[inline(always)]
    pub(crate) fn before_again(&self, _: Mode, _: &'static Location<'static>) {}

    #[inline(always)]
    pub(crate) fn must_wait(&self, _: Mode) {}

    #[inline(always)]
    pub(crate) fn entered(&self, _: Mode) {}

    #[inline(always)]
    pub(crate) fn entered_at(&self, _: Mode, _: &'static Location<'static>) {}

    #[inline(always)]
    pub(crate) fn leaves(&self, _: Mode) {}

    #[inline(always)]
    pub(crate) fn turns(&self, _: Mode, _: Mode) {}
}

impl Asked {
    pub(crate) const fn new(_: &'static Location<'static>) -> Self {
        Self
    }

    /// Polls the wait.
    #[inline(always)]
    pub(crate) fn poll(
        &mut self,
        _: &Watch,
        _: Mode,
        cx: &mut Context<'_>,
        wait: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        wait(cx)
    }
}
