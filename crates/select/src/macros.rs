//! The select macros: syntax only. They parse the arms and call the drivers of rendez-core.
//!
//! ```text
//! @arms   [mode] [cases] [arms] [default] (count) rest... ,  parses one arm a step
//! @make   [cases] ...                                        makes two cases a step
//! @emit   [mode] [arms] [default]                            the expression
//! ```
//!
//! A step of `@make` goes on inside of the scope of its cases, so that what arms are made of is
//! evaluated in order and lives until the select ends. Each step of `@arms` names its case
//! `case`; names made in different expansion steps are different names, so they can stand
//! side by side.
//!
//! A guard ends at `->`, which no fragment may be followed by, so its tokens are matched
//! one by one: a guard of up to sixteen in the step of its arm, so that 64 arms with such guards
//! stay below the default recursion limit of 128; more in a step for each eight.

/// Waits on several operations at once, blocking, and runs the arm of the one that
/// completes.
///
/// An arm is `recv(r) -> result => body`, `send(s, value) -> result => body`,
/// `default => body` or `default(timeout) => body`. `r` is anything that can be waited
/// for: a [`Receiver`](crate::Receiver), a wait group's `zero()`, a join handle, or an
/// `Option` of one, whose `None` is never ready (Go's nil channel). `s` is a
/// [`Sender`](crate::Sender), a [`broadcast::Sender`](crate::broadcast::Sender) or an `Option` of
/// one. (The senders of a oneshot and of a watch never wait: they need no arm.)
///
/// An arm may have a guard, `recv(r) if condition -> result => body`, `default if condition =>
/// body`. Guards are evaluated once, in order, on entry; where one is false the arm is never
/// ready and its channel expression, or `default`'s timeout, is not evaluated.
///
/// - One arm among the ready ones is chosen at random, each with the same probability.
/// - Without `default` it blocks until an arm is ready. `default` runs if there was an
///   instant at which no arm was ready; `default(timeout)` once the time has passed.
/// - Exactly one arm commits. Bodies are plain arms: `?`, `break` and `return` work.
/// - A `send` arm's value is evaluated only if the arm is chosen, as in crossbeam. (Go
///   evaluates every value on entry.)
/// - A receive on a closed and drained channel, and a send on a closed one, are ready:
///   they give an error.
/// - At least 64 arms are possible; more, or a number known only at run time, take a
///   [`Select`](crate::Select) or a [`Selector`](crate::Selector). (A guard of more than sixteen
///   tokens counts as two arms or more, unless it stands in parentheses.)
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
        $crate::__select!(@arms [block Fair] [] [] [] () $($arms)* ,)
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
        $crate::__select!(@arms [block Biased] [] [] [] () $($arms)* ,)
    };
}

/// [`select!`](crate::select!) for async code: the same arms, awaited; bodies may
/// `.await`. The value of a `send` arm may not.
///
/// There is one more kind of arm, `await(future) -> output => body`, for any future. The
/// future is dropped with the select unless it is a `&mut` to one that is kept elsewhere.
/// All futures are polled on entry, in random order with the other arms, and whenever the
/// task is woken.
///
/// # Cancel safety
///
/// Dropped while it waits, it has taken nothing: what an arm had been granted goes to
/// the next waiter. The same happens to what an arm had been granted if a future of an
/// `await` arm completes in the same instant.
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
/// let got = select_async! {
///     recv(rx) -> msg => msg.ok(),
///     await(std::future::ready(2)) -> two => Some(two),
/// };
/// assert_eq!(got, Some(2));
/// # });
/// ```
#[macro_export]
macro_rules! select_async {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [await Fair] [] [] [] () $($arms)* ,)
    };
}

/// As [`select_async!`](crate::select_async!), but of several ready arms the first is
/// chosen.
#[macro_export]
macro_rules! select_biased_async {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [await Biased] [] [] [] () $($arms)* ,)
    };
}

/// The name under which code written for crossbeam-channel reaches its macro's inside.
#[doc(hidden)]
#[macro_export]
macro_rules! crossbeam_channel_internal {
    ($($arms:tt)*) => {
        $crate::__select!(@arms [block Fair] [] [] [] () $($arms)* ,)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // All arms are parsed.
    (@arms $mode:tt $made:tt $arms:tt $default:tt $n:tt $(,)?) => {
        $crate::__select!(@make $made $mode $arms $default)
    };

    (@arms [block $order:ident] $made:tt $arms:tt $default:tt $n:tt await $($rest:tt)*) => {
        compile_error!("an `await` arm takes `select_async!`")
    };
    // Two of the plainest kind in a step, so that the compiler takes fewer.
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        recv ($($args:tt)*) -> $result:pat => $body:expr,
        recv ($($x:tt)*) -> $r:pat => $b:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode
            [$($made)* {recv case () ($($args)*)} {recv other () ($($x)*)}]
            [$($arms)* {recv case (0 $($n)*) ($($args)*) ($result) ($body)}
                {recv other (1 $($n)*) ($($x)*) ($r) ($b)}]
            $default ($($n)* + 2) $($rest)*)
    };
    // An arm ends with a comma, or with its block.
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case () ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case () ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    // With a guard. That of `default` ends at `=>`, which an expression may be followed by.
    (@arms $mode:tt [$($made:tt)*] $arms:tt [] $n:tt
        default $(($($timeout:tt)*))? if $guard:expr => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* (limit ($guard) $(($($timeout)*))?)]
            $arms [made limit ($body)] $n $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] $arms:tt [] $n:tt
        default $(($($timeout:tt)*))? if $guard:expr => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* (limit ($guard) $(($($timeout)*))?)]
            $arms [made limit ($body)] $n $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt $g15:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14 $g15) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt $g15:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14 $g15) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt $g15:tt $g16:tt -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14 $g15 $g16) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    (@arms $mode:tt [$($made:tt)*] [$($arms:tt)*] $default:tt ($($n:tt)*)
        $kind:ident ($($args:tt)*) if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt $g15:tt $g16:tt -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode [$($made)* {$kind case ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14 $g15 $g16) ($($args)*)}]
            [$($arms)* {$kind case (0 $($n)*) ($($args)*) ($result) ($body)}]
            $default ($($n)* + 1) $($rest)*)
    };
    // A longer one is made one token.
    (@arms $mode:tt $made:tt $arms:tt $default:tt $n:tt
        $kind:ident $args:tt if $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $g9:tt $g10:tt $g11:tt $g12:tt $g13:tt $g14:tt $g15:tt $g16:tt
        $($rest:tt)*) => {
        $crate::__select!(@long ($mode $made $arms $default $n $kind $args) ($g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8 $g9 $g10 $g11 $g12 $g13 $g14 $g15 $g16) $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)*) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt $g3:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2 $g3) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt $g3:tt $g4:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2 $g3 $g4) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2 $g3 $g4 $g5) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2 $g3 $g4 $g5 $g6) -> $($rest)*)
    };
    (@long ($($arm:tt)*) ($($guard:tt)*) $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt -> $($rest:tt)*) => {
        $crate::__select!(@arms $($arm)* if ($($guard)* $g1 $g2 $g3 $g4 $g5 $g6 $g7) -> $($rest)*)
    };
    (@long $arm:tt ($($guard:tt)*) $g1:tt $g2:tt $g3:tt $g4:tt $g5:tt $g6:tt $g7:tt $g8:tt $($rest:tt)*) => {
        $crate::__select!(@long $arm ($($guard)* $g1 $g2 $g3 $g4 $g5 $g6 $g7 $g8) $($rest)*)
    };
    (@long $($rest:tt)*) => {
        compile_error!("a guard ends with `->`: `recv(r) if condition -> result => body`")
    };

    (@arms $mode:tt $made:tt $arms:tt [] $n:tt
        default $(())? => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode $made $arms [now ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $made:tt $arms:tt [] $n:tt
        default $(())? => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode $made $arms [now ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $made:tt $arms:tt [] $n:tt
        default ($timeout:expr $(,)?) => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arms $mode $made $arms [later ($timeout) ($body)] $n $($rest)*)
    };
    (@arms $mode:tt $made:tt $arms:tt [] $n:tt
        default ($timeout:expr $(,)?) => $body:block $($rest:tt)*) => {
        $crate::__select!(@arms $mode $made $arms [later ($timeout) ($body)] $n $($rest)*)
    };

    // What is no arm, said by name.
    (@arms $mode:tt $made:tt $arms:tt [$($default:tt)+] $n:tt default $($rest:tt)*) => {
        compile_error!("a select has at most one `default` arm")
    };
    (@arms $mode:tt $made:tt $arms:tt $default:tt $n:tt recv ($($args:tt)*) => $($rest:tt)*) => {
        compile_error!("a `recv` arm names its result: `recv(r) -> result => body`")
    };
    (@arms $mode:tt $made:tt $arms:tt $default:tt $n:tt send ($($args:tt)*) => $($rest:tt)*) => {
        compile_error!("a `send` arm names its result: `send(s, value) -> result => body`")
    };
    (@arms $mode:tt $made:tt $arms:tt $default:tt $n:tt $($rest:tt)+) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> result => body`, `send(sender, value) -> result => body`, ",
            "`default => body` or `default(timeout) => body`, found `", stringify!($($rest)+), "`",
        ))
    };

    // Makes the cases in order, each inside of the scope of those before it, two in a step.
    (@make [] $mode:tt $arms:tt $default:tt) => {
        $crate::__select!(@emit $mode $arms $default)
    };
    (@make [{$k:ident $a:ident () $x:tt} {$l:ident $b:ident () $y:tt} $($made:tt)*]
        $($rest:tt)*) => {
        match $crate::__select!(@end $k $x) {
            $a => {
                $crate::__select! { @bind $k $a }
                match $crate::__select!(@end $l $y) {
                    $b => {
                        $crate::__select! { @bind $l $b }
                        $crate::__select!(@make [$($made)*] $($rest)*)
                    }
                }
            }
        }
    };
    (@make [{$k:ident $a:ident () $x:tt} {$l:ident $b:ident $h:tt $y:tt} $($made:tt)*]
        $($rest:tt)*) => {
        match $crate::__select!(@end $k $x) {
            $a => {
                $crate::__select! { @bind $k $a }
                {
                    let $b = $crate::__select!(@if $h $l $y);
                    $crate::__select! { @bind_if $l $b }
                    $crate::__select!(@make [$($made)*] $($rest)*)
                }
            }
        }
    };
    (@make [{$k:ident $a:ident () $x:tt} $($made:tt)*]
        $($rest:tt)*) => {
        match $crate::__select!(@end $k $x) {
            $a => {
                $crate::__select! { @bind $k $a }
                $crate::__select!(@make [$($made)*] $($rest)*)
            }
        }
    };
    (@make [{$k:ident $a:ident $g:tt $x:tt} {$l:ident $b:ident () $y:tt} $($made:tt)*]
        $($rest:tt)*) => {
        {
            let $a = $crate::__select!(@if $g $k $x);
            $crate::__select! { @bind_if $k $a }
            match $crate::__select!(@end $l $y) {
                $b => {
                    $crate::__select! { @bind $l $b }
                    $crate::__select!(@make [$($made)*] $($rest)*)
                }
            }
        }
    };
    (@make [{$k:ident $a:ident $g:tt $x:tt} {$l:ident $b:ident $h:tt $y:tt} $($made:tt)*]
        $($rest:tt)*) => {
        {
            let $a = $crate::__select!(@if $g $k $x);
            $crate::__select! { @bind_if $k $a }
            {
                let $b = $crate::__select!(@if $h $l $y);
                $crate::__select! { @bind_if $l $b }
                $crate::__select!(@make [$($made)*] $($rest)*)
            }
        }
    };
    (@make [{$k:ident $a:ident $g:tt $x:tt} $($made:tt)*]
        $($rest:tt)*) => {
        {
            let $a = $crate::__select!(@if $g $k $x);
            $crate::__select! { @bind_if $k $a }
            $crate::__select!(@make [$($made)*] $($rest)*)
        }
    };
    (@make [($limit:ident $guard:tt $($timeout:tt)?) $($made:tt)*] $($rest:tt)*) => {
        {
            let $limit = $crate::__select!(@limit_if $guard $($timeout)?);
            $crate::__select!(@make [$($made)*] $($rest)*)
        }
    };

    // What an arm waits for: its end by reference, its future by value.
    (@end recv ($receiver:expr $(,)?)) => { &$receiver };
    (@end send ($sender:expr, $value:expr $(,)?)) => { &$sender };
    (@end await ($future:expr $(,)?)) => {
        ::core::option::Option::Some(::core::future::IntoFuture::into_future($future))
    };
    (@end $kind:ident ($($args:tt)*)) => {
        compile_error!(concat!(
            "expected `recv(receiver)`, `send(sender, value)` or `await(future)`, found `",
            stringify!($kind($($args)*)), "`",
        ))
    };
    // The same under a guard. Braces around the field: a temporary then lives as long as
    // the `let` this stands in.
    (@if ($($guard:tt)*) await $args:tt) => {{
        let guard: bool = $($guard)*;
        if guard { $crate::__select!(@end await $args) } else { ::core::option::Option::None }
    }};
    (@if ($($guard:tt)*) $kind:ident $args:tt) => {{
        let guard: bool = $($guard)*;
        if guard {
            ::core::option::Option::Some { 0: $crate::__select!(@end $kind $args) }
        } else {
            ::core::option::Option::None
        }
    }};

    // How long a select with a guarded `default` waits.
    (@limit_if ($guard:expr) $(())?) => {
        $crate::__select!(@limit_if ($guard) then $crate::__private::Limit::Now)
    };
    (@limit_if ($guard:expr) ($timeout:expr $(,)?)) => {
        $crate::__select!(@limit_if ($guard) then $crate::__private::Limit::after($timeout))
    };
    (@limit_if ($guard:expr) then $limit:expr) => {{
        let guard: bool = $guard;
        if guard { $limit } else { $crate::__private::Limit::Never }
    }};

    // The case of what an arm waits for.
    (@bind recv $case:ident) => {
        let $case = { use $crate::__private::AsCase as _; $case.__case() };
    };
    (@bind send $case:ident) => {
        let $case = { use $crate::__private::AsOffer as _; $case.__offer() };
    };
    (@bind await $case:ident) => {
        let mut $case = ::core::pin::pin!($crate::__private::Awaiting::new($case));
    };
    (@bind $kind:ident $case:ident) => {};
    (@bind_if await $case:ident) => { $crate::__select! { @bind await $case } };
    (@bind_if $kind:ident $case:ident) => {
        let $case = match $case {
            ::core::option::Option::Some($case) => {
                $crate::__select! { @bind $kind $case }
                ::core::option::Option::Some($case)
            }
            ::core::option::Option::None => ::core::option::Option::None,
        };
    };

    // The expression.
    (@emit [$wait:ident $order:ident]
        [$({$kind:ident $case:ident $index:tt $args:tt ($result:pat) ($body:expr)})*]
        $default:tt) => {{
        // A body's braces are those of a match arm, and no more to be remarked on.
        #[allow(unused_braces)]
        match $crate::__select!(@wait $wait $order $default [$(($kind $case $index))*]) {
            ::core::option::Option::Some((arm, outcome)) => {
                // Not used by every list of arms.
                let _ = (arm, outcome);
                $($crate::__select! { @leave $kind $case arm $index })*
                $(if arm == $index {
                    let $result = $crate::__select!(@finish $kind $case outcome $args);
                    $body
                } else)* {
                    ::core::unreachable!("an arm's number is below the number of arms")
                }
            }
            ::core::option::Option::None => {
                $($crate::__select! { @leave $kind $case })*
                $crate::__select!(@default $default)
            }
        }
    }};

    // Lets go of the futures that have lost, before a body runs.
    (@leave await $case:ident $($won:tt)*) => { $case.as_mut().leave(); };
    (@leave $kind:ident $case:ident $($won:tt)*) => {};

    (@finish recv $case:ident $outcome:ident $args:tt) => {
        $crate::__private::Arm::finish(&$case, $outcome)
    };
    (@finish send $case:ident $outcome:ident ($sender:expr, $value:expr $(,)?)) => {{
        // Held while the value is made: if that panics or leaves, the peer is let go.
        let permit = $crate::__private::Offering::permit(&$case, $outcome);
        permit.send($value)
    }};
    (@finish await $case:ident $outcome:ident $args:tt) => { $case.as_mut().output() };
    (@finish $kind:ident $case:ident $outcome:ident $args:tt) => { () };

    (@wait block $order:ident [] [$(($kind:ident $case:ident $index:tt))*]) => {
        $crate::__private::block(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order)
    };
    (@wait block $order:ident [now $body:tt] [$(($kind:ident $case:ident $index:tt))*]) => {
        $crate::__private::try_any(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order)
    };
    (@wait block $order:ident [later ($timeout:expr) $body:tt]
        [$(($kind:ident $case:ident $index:tt))*]) => {
        $crate::__private::block_timeout(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order, $timeout)
    };
    (@wait block $order:ident [made $limit:ident $body:tt]
        [$(($kind:ident $case:ident $index:tt))*]) => {
        $crate::__private::block_limit(&[$(&$case as &dyn $crate::__private::Case),*],
            $crate::__private::Order::$order, $limit)
    };
    (@wait await $order:ident $default:tt [$(($kind:ident $case:ident $index:tt))*]) => {
        $crate::__private::wait_async::<_, _, {0 $(+ $crate::__select!(@one $index))*}>(
            $crate::__private::Empty$(.and($crate::__select!(@case $kind $case)))*,
            $crate::__private::NoFuture$(.and($crate::__select!(@future $kind $case)))*,
            $crate::__private::Order::$order,
            $crate::__select!(@limit $default),
        ).await
    };
    (@one $index:tt) => { 1 };
    (@case await $case:ident) => { $crate::__private::Elsewhere };
    (@case $kind:ident $case:ident) => { &$case };
    (@future await $case:ident) => { $case.as_mut() };
    (@future $kind:ident $case:ident) => { $crate::__private::Elsewhere };
    (@limit []) => { $crate::__private::Limit::Never };
    (@limit [now $body:tt]) => { $crate::__private::Limit::Now };
    (@limit [later ($timeout:expr) $body:tt]) => { $crate::__private::Limit::after($timeout) };
    (@limit [made $limit:ident $body:tt]) => { $limit };

    (@default []) => {
        ::core::unreachable!("a select without default ends with a winner")
    };
    (@default [now ($body:expr)]) => { $body };
    (@default [later $timeout:tt ($body:expr)]) => { $body };
    (@default [made $limit:ident ($body:expr)]) => { $body };
}

/// What an arm's body leaves unused is remarked on, as anywhere else.
///
/// ```compile_fail
/// #![deny(unused_variables)]
/// let (_tx, rx) = rendez_select::bounded::<u8>(1);
/// rendez_select::select! {
///     recv(rx) -> _ => {}
///     default => { let unused = 1; }
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_variables)]
/// let (_tx, rx) = rendez_select::bounded::<u8>(1);
/// rendez_select::select! {
///     recv(rx) -> unused => {}
///     default => {}
/// }
/// ```
///
/// ```
/// #![deny(unused)]
/// let (_tx, rx) = rendez_select::bounded::<u8>(1);
/// rendez_select::select! {
///     recv(rx) -> _ => {}
///     default => {}
/// }
/// ```
#[cfg(doctest)]
pub struct Unused;
