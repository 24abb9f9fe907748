//! Constant construction, which loom's types do not have.
//!
//! Outside loom a [`Late`] is its content and [`const_new!`] makes a `const fn`. Under
//! loom the constant is empty and filled on first use, and `new` fills at once.

use std::ops::Deref;

#[cfg(rendez_loom)]
use rendez_core::shim::OnceLock;

/// A value that can stand in a constant.
#[cfg(not(rendez_loom))]
#[repr(transparent)]
pub(crate) struct Late<T>(T);

#[cfg(rendez_loom)]
pub(crate) struct Late<T>(OnceLock<T>);

#[cfg(not(rendez_loom))]
impl<T> Late<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

#[cfg(rendez_loom)]
impl<T> Late<T> {
    pub(crate) const EMPTY: Self = Self(OnceLock::new());

    pub(crate) fn new(value: T) -> Self {
        Self(OnceLock::from(value))
    }
}

#[cfg(not(rendez_loom))]
impl<T> Deref for Late<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(rendez_loom)]
impl<T: Default> Deref for Late<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_or_init(T::default)
    }
}

/// Defines `new` as a `const fn`, except under loom, where it cannot be one.
macro_rules! const_new {
    ($(#[$meta:meta])* $vis:vis fn new($($arg:ident: $ty:ty),*) -> Self $body:block) => {
        $(#[$meta])*
        #[cfg(not(rendez_loom))]
        $vis const fn new($($arg: $ty),*) -> Self $body

        $(#[$meta])*
        #[cfg(rendez_loom)]
        $vis fn new($($arg: $ty),*) -> Self $body
    };
}

pub(crate) use const_new;
