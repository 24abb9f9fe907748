//! What a pool counts, and [`Metrics`], what it tells.
//!
//! Each core has counters of its own, which only its holder writes, with plain stores; the
//! pool has one more set for threads without a core. Readers add them up.

use std::fmt;
use std::time::Duration;

use rendez_core::goroutine::WaitKind;
use rendez_core::shim::unmodelled::{AtomicU64, Ordering};

const KINDS: usize = WaitKind::ALL.len();
/// Bucket `i` counts latencies below 2^i microseconds that no bucket before counts, the last
/// one all others.
const BUCKETS: usize = 26;
/// One in so many goroutines that become runnable has its latency measured.
pub(crate) const SAMPLE: u32 = 64;

#[derive(Debug)]
pub(crate) struct Stats {
    spawned: AtomicU64,
    waited: [AtomicU64; KINDS],
    latencies: [AtomicU64; BUCKETS],
}

/// Whether other threads write the same counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    One,
    Many,
}

impl Writers {
    fn add(self, counter: &AtomicU64, n: u64) {
        match self {
            Self::One => counter.store(
                counter.load(Ordering::Relaxed).wrapping_add(n),
                Ordering::Relaxed,
            ),
            Self::Many => drop(counter.fetch_add(n, Ordering::Relaxed)),
        }
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            spawned: AtomicU64::new(0),
            waited: std::array::from_fn(|_| AtomicU64::new(0)),
            latencies: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    #[inline]
    pub(crate) fn spawned(&self, by: Writers) {
        by.add(&self.spawned, 1);
    }

    pub(crate) fn waited(&self, kind: WaitKind, d: Duration, by: Writers) {
        by.add(&self.waited[kind as usize], nanos(d));
    }

    #[cold]
    pub(crate) fn latency(&self, d: Duration, by: Writers) {
        let micros = nanos(d) / 1000;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        by.add(&self.latencies[bucket.min(BUCKETS - 1)], 1);
    }

    /// Adds these up.
    pub(crate) fn add_to(&self, metrics: &mut Metrics) {
        metrics.spawned += self.spawned.load(Ordering::Relaxed);
        for (sum, n) in metrics.waited.iter_mut().zip(&self.waited) {
            *sum += Duration::from_nanos(n.load(Ordering::Relaxed));
        }
        for (sum, n) in metrics.latencies.counts.iter_mut().zip(&self.latencies) {
            *sum += n.load(Ordering::Relaxed);
        }
    }
}

/// What a pool does and has done: see [`Pool::metrics`](crate::Pool::metrics).
///
/// Followed: Go's `runtime/metrics`, `/sched/…`. The numbers are read one after the other
/// while the pool runs on, so they fit together only as well as that allows.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// How many goroutines may run at the same time, those that block not counted.
    pub workers: usize,
    /// Goroutines that run on a thread and do not block.
    pub running: usize,
    /// Goroutines in run queues.
    pub runnable: usize,
    /// Goroutines that wait for something.
    pub waiting: usize,
    /// Goroutines started, ever.
    pub spawned: u64,
    /// Threads, those that block and those kept for later included.
    pub threads: usize,
    /// How long goroutines lay in run queues before they ran: a sample of one in 64.
    pub latencies: Histogram,
    pub(crate) waited: [Duration; KINDS],
}

impl Metrics {
    /// How long goroutines have waited for this kind of thing, all together, waits under way
    /// not counted. Waits in futures are timed to within a few milliseconds, which evens out
    /// over many.
    pub fn waited(&self, kind: WaitKind) -> Duration {
        self.waited[kind as usize]
    }
}

/// Durations counted in buckets, each twice as wide as the one before.
#[derive(Clone, Copy, Default)]
pub struct Histogram {
    counts: [u64; BUCKETS],
}

impl Histogram {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The buckets: each's upper bound, not included, and how many lie below it and in no
    /// bucket before. The last has no bound: [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bound = |i| match i {
            _ if i == BUCKETS - 1 => Duration::MAX,
            i => Duration::from_micros(1_u64 << i),
        };
        self.counts
            .into_iter()
            .enumerate()
            .map(move |(i, n)| (bound(i), n))
    }

    /// The upper bound of the bucket below which this part of all durations lies, 0.99 for
    /// the 99th percentile; zero if none was counted.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = part.clamp(0.0, 1.0) * self.count() as f64;
        let mut seen = 0;
        for (bound, n) in self.buckets() {
            seen += n;
            if n > 0 && seen as f64 >= rank {
                return bound;
            }
        }
        Duration::ZERO
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filled = self.buckets().filter(|&(_, n)| n > 0);
        f.debug_map().entries(filled).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_below_their_bound() {
        let stats = Stats::new();
        for micros in [0, 1, 3, 1000, u64::MAX / 2000] {
            stats.latency(Duration::from_micros(micros), Writers::One);
        }
        let mut metrics = Metrics::default();
        stats.add_to(&mut metrics);
        let latencies = metrics.latencies;
        assert_eq!(latencies.count(), 5);
        assert_eq!(latencies.quantile(0.0), Duration::from_micros(1));
        assert_eq!(latencies.quantile(0.6), Duration::from_micros(4));
        assert_eq!(latencies.quantile(0.8), Duration::from_micros(1024));
        assert_eq!(latencies.quantile(1.0), Duration::MAX);
    }
}
