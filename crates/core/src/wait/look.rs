//! Looking, without queueing: once, twice to be sure that nothing is ready, or for a while
//! because a peer that finds nobody queued has nobody to wake.
//!
//! Nobody sleeps here: what is overlooked is found by who queues next.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Arms, Deadline, Order, parting};
use crate::case::Outcome;
use crate::hooks;
use crate::shim::{multicore, pause, thread};
use crate::waiter::Waiter;

/// The arm that won, and how.
pub type Won = (usize, Outcome);

/// What a look over all arms found.
pub(super) enum Look {
    /// A ready arm, now taken.
    Won(Won),
    /// No ready arm, and the sum of their epochs.
    Idle(u64),
    /// Ready arms that others have taken.
    Late,
}

/// Takes a ready arm without waiting; `None` if none could be taken at this look.
#[inline]
pub fn look<A: Arms + ?Sized>(arms: &A, order: Order) -> Option<Won> {
    match look_over(arms, order) {
        Look::Won(won) => Some(won),
        Look::Idle(_) | Look::Late => None,
    }
}

#[inline]
pub(super) fn look_over<A: Arms + ?Sized>(arms: &A, order: Order) -> Look {
    let n = arms.len();
    if order == Order::Biased || n == 1 {
        return look_in_order(arms);
    }
    if let Some(won) = guess(arms) {
        return Look::Won(won);
    }
    let (mut ready, mut epochs) = (Draw::default(), 0_u64);
    arms.each(&mut |i, arm| {
        let probe = arm.probe();
        if probe.ready {
            ready.note(i);
        } else {
            epochs = epochs.wrapping_add(probe.epoch);
        }
        None::<()>
    });
    let Some(drawn) = ready.draw() else {
        return Look::Idle(epochs);
    };
    // Somebody was faster at the one drawn: any other will do.
    let won = try_arm(arms, drawn).or_else(|| {
        let start = hooks::random_below(n);
        (start..n).chain(0..start).find_map(|i| try_ready(arms, i))
    });
    won.map_or(Look::Late, Look::Won)
}

fn look_in_order<A: Arms + ?Sized>(arms: &A) -> Look {
    let (mut late, mut epochs) = (false, 0_u64);
    let won = arms.each(&mut |i, arm| {
        let probe = arm.probe();
        if probe.ready {
            late = true;
            return arm.try_now().map(|outcome| (i, outcome));
        }
        epochs = epochs.wrapping_add(probe.epoch);
        None
    });
    match won {
        Some(won) => Look::Won(won),
        None if late => Look::Late,
        None => Look::Idle(epochs),
    }
}

/// Of very many arms a few are tried before all are looked at. Each is drawn from all, so one
/// that is found ready has been drawn from the ready ones.
fn guess<A: Arms + ?Sized>(arms: &A) -> Option<Won> {
    const SHARE: usize = 64;
    let n = arms.len();
    (0..n / SHARE).find_map(|_| try_ready(arms, hooks::random_below(n)))
}

fn try_ready<A: Arms + ?Sized>(arms: &A, i: usize) -> Option<Won> {
    arms.arm(i).probe().ready.then(|| try_arm(arms, i))?
}

fn try_arm<A: Arms + ?Sized>(arms: &A, i: usize) -> Option<Won> {
    arms.arm(i).try_now().map(|outcome| (i, outcome))
}

/// Draws one of the numbers noted, each with the same probability. They are noted in rising
/// order; a random number is needed for each block of them, and for none that is alone.
#[derive(Default)]
struct Draw {
    block: usize,
    noted: u64,
    // The block drawn of those that are complete, and what was noted in it.
    drawn: (usize, u64),
    n: usize,
}

impl Draw {
    const BLOCK: usize = u64::BITS as usize;

    #[inline]
    fn note(&mut self, i: usize) {
        if i / Self::BLOCK != self.block {
            self.complete();
            self.block = i / Self::BLOCK;
        }
        self.noted |= 1 << (i % Self::BLOCK);
    }

    fn complete(&mut self) {
        let noted = std::mem::take(&mut self.noted);
        let n = noted.count_ones() as usize;
        self.n += n;
        // With probability n of all, so that each number is as likely as any other.
        if n == self.n || hooks::random_below(self.n) < n {
            self.drawn = (self.block, noted);
        }
    }

    #[inline]
    fn draw(mut self) -> Option<usize> {
        self.complete();
        let (block, mut noted) = self.drawn;
        if self.n == 0 {
            return None;
        }
        if !noted.is_power_of_two() {
            for _ in 0..hooks::random_below(noted.count_ones() as usize) {
                noted &= noted - 1;
            }
        }
        Some(block * Self::BLOCK + noted.trailing_zeros() as usize)
    }
}

/// The sum of all epochs if no arm is ready. Epochs never decrease, so the sum is the
/// same twice only if each is.
pub(super) fn idle<A: Arms + ?Sized>(arms: &A) -> Option<u64> {
    let mut sum = 0_u64;
    let ready = arms.each(&mut |_, arm| {
        let probe = arm.probe();
        sum = sum.wrapping_add(probe.epoch);
        probe.ready.then_some(())
    });
    ready.is_none().then_some(sum)
}

/// Not in a model, which would explore each look.
const LOOKS: bool = !cfg!(rendez_loom);

/// Looks for about as long as a sleep and its wake would take, before it queues. A peer that
/// comes meanwhile finds nobody to wake, which would cost it more than all the looking.
pub(super) fn look_a_while<A: Arms + ?Sized>(
    arms: &A,
    deadline: Deadline,
    order: Order,
    watch: bool,
) -> Option<Won> {
    if watch || matches!(deadline, Deadline::Past) || !may_look(arms) {
        return None;
    }
    let mut done = || {
        let ready = (0..arms.len()).any(|i| arms.arm(i).glance());
        let won = ready.then(|| look(arms, order)).flatten();
        won.map(Some)
            .or_else(|| deadline.has_passed().then_some(None))
    };
    // Of many threads on one processor most would give way to one another. They queue sooner.
    let times = if multicore() { 100 } else { 16 };
    doubling(7, &mut done)
        .or_else(|| giving_way(arms, times, &mut done))
        .flatten()
}

/// Whether to look pays, as far as it depends on who looks at what.
fn may_look<A: Arms + ?Sized>(arms: &A) -> bool {
    // A pool's worker has other goroutines to run, and virtual time stands still.
    LOOKS
        && !hooks::has_scheduler()
        && hooks::bubble().is_none()
        && (0..arms.len()).all(|i| arms.arm(i).worth_watching())
}

/// Waits a little, queued, for a peer that is already on its way. Not on one processor, after
/// a look: who is queued and runs on takes a turn for each value that he is handed, and those
/// who sleep leave the processor to peers who pass values in batches.
pub(super) fn spin<A: Arms + ?Sized>(arms: &A, waiter: &Waiter) -> Option<usize> {
    if !LOOKS || !multicore() && may_look(arms) {
        return None;
    }
    let ready = || waiter.ready();
    patiently(ready).or_else(|| giving_way(arms, 50, ready))
}

/// How often the arms have become ready, all together.
fn epochs<A: Arms + ?Sized>(arms: &A) -> u64 {
    let mut sum = 0_u64;
    arms.each(&mut |_, arm| {
        sum = sum.wrapping_add(arm.probe().epoch);
        None::<()>
    });
    sum
}

/// Asks `done` after pauses: three of about a hand-over's length, in which a peer that passes
/// values by the dozen gets ahead by as many, then each twice as long as the one before, since a
/// peer is faster the less its cache lines are asked for. Where there is one processor nobody is
/// on his way during a pause, and there are none.
fn doubling<R>(times: u32, mut done: impl FnMut() -> Option<R>) -> Option<R> {
    const PAUSES: u32 = 4;
    let times = if multicore() { times } else { 0 };
    let found = (0..times).find_map(|time| {
        pause(PAUSES << time.saturating_sub(2));
        done()
    });
    if found.is_some() {
        parting::met_elsewhere();
    }
    found
}

std::thread_local! {
    /// So many waits more give way to nobody.
    static WARY_FOR: Cell<u32> = const { Cell::new(0) };
}

/// Whether the thread will give way, once its pauses were in vain.
fn gives_way() -> bool {
    WARY_FOR.try_with(Cell::get) == Ok(0) && hooks::may_linger() && !parting::is_due()
}

/// Asks `done` after pauses of one length, about that of a hand-over. A thread that did so in vain
/// does it half as often the next time, down to once, and gives way the sooner: for whom it waits
/// may want its processor. One that did not does it twice as often.
fn patiently<R>(mut done: impl FnMut() -> Option<R>) -> Option<R> {
    const PAUSES: u32 = 4;
    const MOST: u32 = 16;
    std::thread_local! {
        static PATIENCE: Cell<u32> = const { Cell::new(MOST) };
    }
    if !multicore() {
        return None;
    }
    // Who does not give way sleeps next, which costs more than all the pauses.
    let patience = match PATIENCE.try_with(Cell::get) {
        Ok(patience) if gives_way() => patience,
        _ => MOST,
    };
    let found = (0..patience).find_map(|_| {
        pause(PAUSES);
        done()
    });
    let next = if found.is_some() {
        parting::met_elsewhere();
        (patience * 2).min(MOST)
    } else {
        (patience / 2).max(1)
    };
    let _ = PATIENCE.try_with(|patience| patience.set(next));
    found
}

/// Asks `done` each time after giving way to other threads, which on a busy machine lets the peer
/// run. A pool's worker has goroutines for whoever else would run: it hands them on instead.
///
/// If it lets a stranger run instead, for as long as the system gives him, a sleep and its
/// wake would have been better: a thread to which that happens gives way no more for a while.
/// It was none if the `arms` have become ready again and again meanwhile: those who ran were peers.
/// From peers with whom it shares its processor it [parts](parting), now and then.
fn giving_way<A: Arms + ?Sized, R>(
    arms: &A,
    times: u32,
    mut done: impl FnMut() -> Option<R>,
) -> Option<R> {
    /// A turn that took so long was a stranger's.
    const LONG: Duration = Duration::from_millis(1);
    /// But not if the arms have become ready so often since this began: a stranger's peers are
    /// stopped after one or two.
    const OFTEN: u64 = 8;
    /// So many waits give way to nobody then.
    const WARY: u32 = 100;
    let wary = WARY_FOR.try_with(|wary| wary.replace(wary.get().saturating_sub(1)));
    if wary != Ok(0) || !hooks::may_linger() || parting::is_due() {
        return None;
    }
    // Looked at again only where it matters: the peers need its line.
    let (mut before, seen) = (Instant::now(), epochs(arms));
    for _ in 0..times {
        thread::yield_now();
        let now = Instant::now();
        let turn = now - before;
        let long = turn > LONG && epochs(arms).wrapping_sub(seen) < OFTEN;
        before = now;
        if long {
            let _ = WARY_FOR.try_with(|wary| wary.set(WARY));
        }
        if let Some(done) = done() {
            if turn > parting::TURN {
                parting::met_here();
            }
            return Some(done);
        }
        if long {
            break;
        }
    }
    None
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::Draw;

    fn drawn(noted: &[usize]) -> Option<usize> {
        let mut draw = Draw::default();
        noted.iter().for_each(|&i| draw.note(i));
        draw.draw()
    }

    #[test]
    fn of_nothing_nothing_is_drawn() {
        assert_eq!(drawn(&[]), None);
    }

    #[test]
    fn one_that_is_alone_is_drawn() {
        for i in [0, 1, 63, 64, 65, 127, 128, 1000] {
            assert_eq!(drawn(&[i]), Some(i));
        }
    }

    #[test]
    fn each_is_drawn_equally_often_whatever_block_it_is_in() {
        const ROUNDS: usize = 40_000;
        let noted = [0, 62, 63, 64, 200, 201, 202, 1000];
        let mut times = [0; 8];
        for _ in 0..ROUNDS {
            let drawn = drawn(&noted);
            times[noted
                .iter()
                .position(|&i| Some(i) == drawn)
                .expect("was noted")] += 1;
        }
        let (mean, sigma) = (ROUNDS as f64 / 8.0, (ROUNDS as f64 * 7.0 / 64.0).sqrt());
        for n in times {
            assert!((f64::from(n) - mean).abs() < 6.0 * sigma, "{times:?}");
        }
    }
}
