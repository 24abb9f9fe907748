//! The forms every receive comes in, over one case: for the ends whose receive is that of
//! their own case.

/// Methods of an `impl` block: each form of receiving a `$T`, with the names of its errors.
macro_rules! receive_forms {
    ($T:ty, $RecvError:ty, $TryRecvError:ident, $RecvTimeoutError:ident) => {
        /// Receives without waiting.
        ///
        /// # Errors
        ///
        /// `Empty` if there is nothing now; otherwise as [`recv`](Self::recv).
        pub fn try_recv(&self) -> Result<$T, $TryRecvError> {
            ::rendez_core::hooks::switch_point();
            match ::rendez_core::case::Case::try_now(self) {
                Some(outcome) => Ok(::rendez_core::case::Arm::finish(self, outcome)?),
                None => Err($TryRecvError::Empty),
            }
        }

        /// Receives, blocking until there is something.
        ///
        /// # Errors
        ///
        /// When there will never be anything; see the type.
        #[track_caller]
        pub fn recv(&self) -> Result<$T, $RecvError> {
            let location = ::std::panic::Location::caller();
            match ::rendez_core::wait::block_on_case(self, None, location) {
                Some(received) => received,
                None => unreachable!("a wait without deadline ends with a winner"),
            }
        }

        /// As [`recv`](Self::recv), for at most `timeout`.
        ///
        /// # Errors
        ///
        /// `Timeout` if it has passed; otherwise as [`recv`](Self::recv).
        #[track_caller]
        pub fn recv_timeout(
            &self,
            timeout: ::std::time::Duration,
        ) -> Result<$T, $RecvTimeoutError> {
            let deadline = ::rendez_core::clock::deadline_after(timeout);
            self.recv_by(deadline, ::std::panic::Location::caller())
        }

        /// As [`recv`](Self::recv), until `deadline` at most.
        ///
        /// # Errors
        ///
        /// `Timeout` if it has passed; otherwise as [`recv`](Self::recv).
        #[track_caller]
        pub fn recv_deadline(
            &self,
            deadline: ::std::time::Instant,
        ) -> Result<$T, $RecvTimeoutError> {
            self.recv_by(Some(deadline), ::std::panic::Location::caller())
        }

        fn recv_by(
            &self,
            deadline: Option<::std::time::Instant>,
            location: &'static ::std::panic::Location<'static>,
        ) -> Result<$T, $RecvTimeoutError> {
            match ::rendez_core::wait::block_on_case(self, deadline, location) {
                Some(received) => Ok(received?),
                None => Err($RecvTimeoutError::Timeout),
            }
        }

        /// The awaiting form of [`recv`](Self::recv).
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv).
        ///
        /// # Cancel safety
        ///
        /// Dropped before it completes, it has received nothing.
        #[track_caller]
        pub fn recv_async(&self) -> RecvFuture<'_, T> {
            RecvFuture(::rendez_core::wait::CaseFuture::new(
                self,
                ::std::panic::Location::caller(),
            ))
        }
    };
}

/// A future with a name of its own over a case: `name<'a, T>` awaits `case`.
macro_rules! named_future {
    ($(#[$doc:meta])* $name:ident<'a, T $(: $bound:ident)?>($case:ty) -> $output:ty) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<'a, T $(: $bound)?>(::rendez_core::wait::CaseFuture<$case>);

        impl<'a, T $(: $bound)?> ::std::future::Future for $name<'a, T> {
            type Output = $output;

            fn poll(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<$output> {
                // SAFETY: the field is pinned with the whole and never moved out.
                unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
            }
        }

        impl<T $(: $bound)?> ::std::fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(concat!(stringify!($name), " { .. }"))
            }
        }
    };
}

/// A receiving end that is a case: it stands as an arm by reference, or by itself in a set of
/// arms that keeps it.
macro_rules! receiver_arm {
    ($name:ident<T $(: $bound:ident)?>) => {
        impl<T $(: $bound)?> ::rendez_core::case::AsCase for $name<T> {
            type Case<'c>
                = &'c Self
            where
                Self: 'c;

            fn __case(&self) -> &Self {
                self
            }
        }

        impl<'a, T: 'a $(+ $bound)?> ::rendez_core::case::IntoArm<'a> for $name<T> {
            type Arm = Self;

            fn __into_arm(self) -> Self {
                self
            }
        }
    };
}

pub(crate) use {named_future, receive_forms, receiver_arm};
