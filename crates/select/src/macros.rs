//! The select macros: syntax only. They parse the arms, one expansion step each, and
//! call the drivers of rendez-core.
//!
//! ```text
//! @arms   [mode] [arms so far] [default] (count) rest...   parses one arm a step
//! @emit   [mode] [arms] [default]                          the expression
//! ```
//!
//! Each step names its arm's case `case`; names made in different expansion steps are
//! different names, so they can stand side by side.

/// Waits on several operations at once, blocking, and runs the arm of the one that
/// completes.
///
/// An arm is `recv(r) -> result => body`, `send(s, value) -> result => body`,
/// `default => body` or `default(timeout) => body`. `r` is anything that can be waited
/// for: a [`Receiver`](crate::Receiver), a wait group's `zero()`, a join handle, or an
/// `Option` of one, whose `None` is never ready (Go's nil channel).
///
/// - One arm among the ready ones is chosen at random, each with the same probability.
/// - Without `default` it blocks until an arm is ready. `default` runs if there was an
///   instant at which no arm was ready; `default(timeout)` once the time has passed.
/// - Exactly one arm commits. Bodies are plain arms: `?`, `break` and `return` work.
/// - A `send` arm's value is evaluated only if the arm is chosen, as in crossbeam. (Go
///   evaluates every value on entry.)
/// - A receive on a closed and drained channel, and a send on a closed one, are ready:
///   they give an error.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rendez_select::{after, bounded, select};
///
/// let (tx, rx) = bounded(1);
/// tx.send("hello").unwrap();
/// let got = select! {
///     recv(rx) -> msg => msg.unwrap(),
///     recv(after(Duration::from_secs(5))) -> _ => "timed out",
/// };
/// assert_eq!(got, "hello");
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [block Fair] [] [] () $($arms)*)
    };
}

/// As [`select!`](crate::select!), but of several ready arms the first is chosen.
///
/// # Examples
///
/// ```
/// use rendez_select::{bounded, select_biased};
///
/// let (tx1, rx1) = bounded(1);
/// let (tx2, rx2) = bounded(1);
/// tx1.send(1).unwrap();
/// tx2.send(2).unwrap();
/// let got = select_biased! {
///     recv(rx1) -> msg => msg,
///     recv(rx2) -> msg => msg,
/// };
/// assert_eq!(got, Ok(1));
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [block Biased] [] [] () $($arms)*)
    };
}

/// [`select!`](crate::select!) for async code: the same arms, awaited; bodies may
/// `.await`.
///
/// # Cancel safety
///
/// Dropped while it waits, it has taken nothing: what an arm had been granted goes to
/// the next waiter.
///
/// # Examples
///
/// ```
/// # rendez_core::block_on::block_on(async {
/// use rendez_select::{select_async, unbounded};
///
/// let (tx, rx) = unbounded();
/// let (quit_tx, quit) = unbounded::<()>();
/// tx.send_async(1).await.unwrap();
/// let got = select_async! {
///     recv(rx) -> msg => msg.ok(),
///     recv(quit) -> _ => None,
/// };
/// assert_eq!(got, Some(1));
/// # drop(quit_tx);
/// # });
/// ```
#[macro_export]
macro_rules! select_async {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [await Fair] [] [] () $($arms)*)
    };
}

/// As [`select_async!`](crate::select_async!), but of several ready arms the first is
/// chosen.
#[macro_export]
macro_rules! select_biased_async {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [await Biased] [] [] () $($arms)*)
    };
}

/// The name under which code written for crossbeam-channel reaches its macro's inside.
#[doc(hidden)]
#[macro_export]
macro_rules! crossbeam_channel_internal {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [block Fair] [] [] () $($arms)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // All arms are parsed.
    (@arms $mode:tt $arms:tt $default:tt $n:tt) => {
        $crate::__select!(@emit $mode $arms $default)
    };
    // One step per arm. An arm ends with a comma, or with its block, or with the list.
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        recv ($receiver:expr $(,)?) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode
            [$($arms)* {recv case (0 $($n)*) ($receiver) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        recv ($receiver:expr $(,)?) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode
            [$($arms)* {recv case (0 $($n)*) ($receiver) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        recv ($receiver:expr $(,)?) -> $result:pat => $body:expr) => {
        $crate::__select!(@arms $mode
            [$($arms)* {recv case (0 $($n)*) ($receiver) ($result) ($body)}]
            $default ($($n)* + 1))
    };
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        send ($sender:expr, $value:expr $(,)?) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode
            [$($arms)* {send case (0 $($n)*) ($sender, $value) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        send ($sender:expr, $value:expr $(,)?) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode
            [$($arms)* {send case (0 $($n)*) ($sender, $value) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($arms:tt)*] $default:tt ($($n:tt)*)
        send ($sender:expr, $value:expr $(,)?) -> $result:pat => $body:expr) => {
        $crate::__select!(@arms $mode
            [$($arms)* {send case (0 $($n)*) ($sender, $value) ($result) ($body)}]
            $default ($($n)* + 1))
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default $(())? => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode $arms [now ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default $(())? => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode $arms [now ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default $(())? => $body:expr) => {
        $crate::__select!(@arms $mode $arms [now ($body)] $n)
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default ($timeout:expr $(,)?) => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode $arms [later ($timeout) ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default ($timeout:expr $(,)?) => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode $arms [later ($timeout) ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $arms:tt [] $n:tt
        default ($timeout:expr $(,)?) => $body:expr) => {
        $crate::__select!(@arms $mode $arms [later ($timeout) ($body)] $n)
    };

    // What is no arm, said by name.
    (@arms $mode:tt $arms:tt [$($default:tt)+] $n:tt default $($rest:tt)*) => {
        compile_error!("a select has at most one `default` arm")
    };
    (@arms $mode:tt $arms:tt $default:tt $n:tt recv ($($args:tt)*) => $($rest:tt)*) => {
        compile_error!("a `recv` arm names its result: `recv(r) -> result => body`")
    };
    (@arms $mode:tt $arms:tt $default:tt $n:tt send ($($args:tt)*) => $($rest:tt)*) => {
        compile_error!("a `send` arm names its result: `send(s, value) -> result => body`")
    };
    (@arms $mode:tt $arms:tt $default:tt $n:tt $($rest:tt)+) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> result => body`, `send(sender, value) -> result => body`, ",
            "`default => body` or `default(timeout) => body`, found `", stringify!($($rest)+), "`",
        ))
    };

    // The expression.
    (@emit [$wait:ident $order:ident]
        [$({$kind:ident $case:ident $index:tt ($end:expr $(, $value:expr)?) ($result:pat) ($body:expr)})*]
        $default:tt) => {
        match ($(&$end,)*) {
            ($($case,)*) => {
                #[allow(unused_imports)]
                use $crate::__private::{AsCase as _, AsOffer as _};
                $(let $case = $crate::__select!(@case $kind $case);)*
                #[allow(unused_variables)]
                match $crate::__select!(@wait $wait $order $default [$(($case $index))*]) {
                    ::core::option::Option::Some((arm, outcome)) => {
                        $(if arm == $index {
                            let $result =
                                $crate::__select!(@finish $kind $case outcome $($value)?);
                            $body
                        } else)* {
                            ::core::unreachable!("an arm's number is below the number of arms")
                        }
                    }
                    ::core::option::Option::None => $crate::__select!(@default $default),
                }
            }
        }
    };

    (@case recv $case:ident) => { $case.__case() };
    (@case send $case:ident) => { $case.__offer() };

    (@finish recv $case:ident $outcome:ident) => {
        $crate::__private::Arm::finish(&$case, $outcome)
    };
    (@finish send $case:ident $outcome:ident $value:expr) => {{
        // Held while the value is made: if that panics or leaves, the peer is let go.
        let permit = $crate::__private::Offering::permit(&$case, $outcome);
        permit.send($value)
    }};

    (@wait block $order:ident [] [$(($case:ident $index:tt))*]) => {
        $crate::__private::block(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order)
    };
    (@wait block $order:ident [now $body:tt] [$(($case:ident $index:tt))*]) => {
        $crate::__private::try_any(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order)
    };
    (@wait block $order:ident [later ($timeout:expr) $body:tt] [$(($case:ident $index:tt))*]) => {
        $crate::__private::block_timeout(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order, $timeout)
    };
    (@wait await $order:ident [now $body:tt] $cases:tt) => {
        $crate::__select!(@wait block $order [now $body] $cases)
    };
    (@wait await $order:ident [] [$(($case:ident $index:tt))*]) => {
        $crate::__private::wait_async::<_, {0 $(+ $crate::__select!(@one $index))*}>(
            $crate::__private::Empty$(.and(&$case))*,
            $crate::__private::Order::$order,
            ::core::option::Option::None,
        ).await
    };
    (@wait await $order:ident [later ($timeout:expr) $body:tt] [$(($case:ident $index:tt))*]) => {
        $crate::__private::wait_async::<_, {0 $(+ $crate::__select!(@one $index))*}>(
            $crate::__private::Empty$(.and(&$case))*,
            $crate::__private::Order::$order,
            ::core::option::Option::Some($timeout),
        ).await
    };
    (@one $index:tt) => { 1 };

    (@default []) => {
        ::core::unreachable!("a select without default ends with a winner")
    };
    (@default [now ($body:expr)]) => { $body };
    (@default [later $timeout:tt ($body:expr)]) => { $body };
}
