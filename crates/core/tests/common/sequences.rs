//! Every short sequence of operations on something that waits, all by one thread, and longer
//! ones at random: futures that are polled, dropped or left alone, and tries.
//!
//! What takes several threads in one instant does not come up so (that is what models are
//! for), but what takes a certain order of a few steps is certain to. A test says what its
//! operations are and, when a sequence is over and whoever was woken has been polled, who of
//! those left could go on.
//!
//! Every crate's tests include this file. `RENDEZ_SEQUENCE_LENGTH` sets how long the sequences
//! are that are all run, `RENDEZ_SEQUENCE_SECONDS` for how long random ones are, from
//! `RENDEZ_STRESS_SEED`.
#![allow(dead_code, clippy::disallowed_types, clippy::disallowed_methods)]

use std::fmt::Debug;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Whether somebody has been woken since he was last polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Wait<'a, K, D> {
    kind: K,
    future: Pin<Box<dyn Future<Output = D> + 'a>>,
    woken: Arc<Woken>,
}

/// Futures that are pending, oldest first: of what kind each is, and whether it was woken.
pub(crate) struct Waits<'a, K, D>(Vec<Wait<'a, K, D>>);

impl<'a, K, D> Waits<'a, K, D> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|wait| &wait.kind)
    }

    /// How many are of a kind.
    pub(crate) fn count(&self, is: impl Fn(&K) -> bool) -> usize {
        self.kinds().filter(|kind| is(kind)).count()
    }

    /// Polls a new one; what it came to at once, or it waits.
    #[must_use]
    pub(crate) fn start(
        &mut self,
        kind: K,
        future: impl Future<Output = D> + 'a,
    ) -> Option<(K, D)> {
        self.0.push(Wait {
            kind,
            future: Box::pin(future),
            woken: Arc::default(),
        });
        self.poll(self.0.len() - 1)
    }

    /// Polls one, by its place, with a new waker. It is gone if it is done.
    #[must_use]
    pub(crate) fn poll(&mut self, i: usize) -> Option<(K, D)> {
        let wait = &mut self.0[i];
        wait.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&wait.woken));
        match wait.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => Some((self.0.remove(i).kind, done)),
            Poll::Pending => None,
        }
    }

    /// Drops one; what kind it was.
    pub(crate) fn remove(&mut self, i: usize) -> K {
        let Wait { kind, future, .. } = self.0.remove(i);
        drop(future);
        kind
    }

    /// Drops all, oldest first.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Polls those who have been woken until one is done. `None`: nobody is woken any more.
    #[must_use]
    pub(crate) fn settle(&mut self) -> Option<(K, D)> {
        // Whoever wakes himself for ever is a bug too.
        for _ in 0..1000 {
            let i = self
                .0
                .iter()
                .position(|w| w.woken.0.load(Ordering::SeqCst))?;
            if let Some(done) = self.poll(i) {
                return Some(done);
            }
        }
        panic!("wakes without end");
    }

    /// Polls all whether they have been woken or not: none may be done by that.
    pub(crate) fn assert_all_pend(&mut self)
    where
        K: Debug,
    {
        for i in 0..self.0.len() {
            if let Some((kind, _)) = self.poll(i) {
                panic!("{kind:?} could go on and was not woken");
            }
        }
    }
}

/// What can be done with those who wait, whatever they wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    PollOldest,
    PollNewest,
    DropOldest,
    DropNewest,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [
        Self::PollOldest,
        Self::PollNewest,
        Self::DropOldest,
        Self::DropNewest,
    ];

    /// Does it; what one came to by it. `Err`: there is nobody, or the newest is the oldest.
    #[allow(clippy::type_complexity, reason = "as of a poll")]
    pub(crate) fn apply<K, D>(self, waits: &mut Waits<'_, K, D>) -> Result<Option<(K, D)>, ()> {
        let newest = matches!(self, Self::PollNewest | Self::DropNewest);
        if waits.len() < 1 + usize::from(newest) {
            return Err(());
        }
        let i = if newest { waits.len() - 1 } else { 0 };
        Ok(match self {
            Self::PollOldest | Self::PollNewest => waits.poll(i),
            Self::DropOldest | Self::DropNewest => {
                waits.remove(i);
                None
            }
        })
    }
}

/// Runs every sequence of up to `length` of `ops`, and as many at random that are longer as take
/// a moment. `run` gives the place of the first operation that had nothing to be done with, or
/// that would repeat another sequence: then no sequence that begins so is run.
pub(crate) fn each<Op: Copy + Debug>(
    what: &str,
    ops: &[Op],
    length: usize,
    mut run: impl FnMut(&[Op]) -> Result<(), usize>,
) {
    let set = |name| std::env::var(name).ok().map(|n| n.parse().expect(name));
    for length in 1..=set("RENDEZ_SEQUENCE_LENGTH").unwrap_or(length) {
        let n = all_of(what, ops, length, &mut run);
        println!("{what}, length {length}: {n}");
    }
    let limit = set("RENDEZ_SEQUENCE_SECONDS").map_or(Duration::from_millis(300), |n| {
        Duration::from_secs(n as u64)
    });
    let n = at_random(what, ops, limit, &mut run);
    println!("{what}, longer: {n}");
}

/// How many sequences of that length there are; each is run.
fn all_of<Op: Copy + Debug>(
    what: &str,
    ops: &[Op],
    length: usize,
    run: &mut impl FnMut(&[Op]) -> Result<(), usize>,
) -> usize {
    let mut digits = vec![0; length];
    let mut sequence = vec![ops[0]; length];
    let mut n = 0;
    loop {
        let mut last = match told(what, &sequence, run) {
            Ok(()) => {
                n += 1;
                length - 1
            }
            Err(i) => i,
        };
        // The next that does not begin as this does up to `last`.
        digits[last + 1..].fill(0);
        loop {
            digits[last] += 1;
            if digits[last] < ops.len() {
                break;
            }
            digits[last] = 0;
            if last == 0 {
                return n;
            }
            last -= 1;
        }
        for (op, &digit) in sequence.iter_mut().zip(&digits) {
            *op = ops[digit];
        }
    }
}

/// Runs sequences at random, leaving out what has nothing to be done with. One that fails is
/// made as short as it can be.
fn at_random<Op: Copy + Debug>(
    what: &str,
    ops: &[Op],
    limit: Duration,
    run: &mut impl FnMut(&[Op]) -> Result<(), usize>,
) -> usize {
    let seed = std::env::var("RENDEZ_STRESS_SEED").map_or_else(
        |_| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), what),
        |seed| seed.parse().expect("a seed"),
    );
    let mut dice = seed;
    let mut roll = |n: usize| {
        dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ((dice >> 33) % n as u64) as usize
    };
    let began = Instant::now();
    let mut n = 0;
    while began.elapsed() < limit {
        let length = 6 + roll(20);
        let mut sequence: Vec<Op> = (0..length).map(|_| ops[roll(ops.len())]).collect();
        let mut attempt = |sequence: &mut Vec<Op>| -> std::thread::Result<()> {
            loop {
                match catch_unwind(AssertUnwindSafe(|| run(sequence)))? {
                    Ok(()) => return Ok(()),
                    Err(i) => drop(sequence.remove(i)),
                }
            }
        };
        if let Err(mut panic) = attempt(&mut sequence) {
            let mut i = 0;
            while i < sequence.len() {
                let mut shorter = sequence.clone();
                shorter.remove(i);
                match attempt(&mut shorter) {
                    Ok(()) => i += 1,
                    Err(again) => (panic, sequence, i) = (again, shorter, 0),
                }
            }
            eprintln!("{what}: {sequence:?} (RENDEZ_STRESS_SEED={seed})");
            resume_unwind(panic);
        }
        n += 1;
    }
    n
}

/// Runs one, and says which it was if it panics.
fn told<Op: Copy + Debug>(
    what: &str,
    sequence: &[Op],
    run: &mut impl FnMut(&[Op]) -> Result<(), usize>,
) -> Result<(), usize> {
    struct Told<'a, Op: Debug>(&'a str, &'a [Op]);
    impl<Op: Debug> Drop for Told<'_, Op> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}: {:?}", self.0, self.1);
            }
        }
    }
    let _told = Told(what, sequence);
    run(sequence)
}

/// Applies all, each telling whether there was anything to be done with.
pub(crate) fn play<Op: Copy>(
    sequence: &[Op],
    mut apply: impl FnMut(Op) -> bool,
) -> Result<(), usize> {
    match sequence.iter().position(|&op| !apply(op)) {
        Some(i) => Err(i),
        None => Ok(()),
    }
}
