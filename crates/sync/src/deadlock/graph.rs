//! Who holds what, and which lock has been waited for while which was held.
//!
//! Invariants, under the one lock:
//!
//! - A hold stands in `holds` under its lock and, once each, in `owned` under its owner.
//! - An order `a → b` stands in `orders[a]` and `a` in `before[b]`; it goes when either lock
//!   is dropped.
//! - `reported` holds the circles that have been told, each as its locks in order of their
//!   numbers; a circle of one lock is a recursive read.
//!
//! Nothing is told, and no code of a user's runs, under the lock: it takes in values and gives
//! reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::Location;

use rendez_core::shim::{Mutex, MutexGuard};

use super::Mode;
use super::report::{Hazard, Place, Report, Step};

/// Who locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Goroutine(u64),
    /// Known by its waker's data.
    Task(usize),
}

/// One goroutine's wish for a lock, or its hold on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) lock: u64,
    pub(super) mode: Mode,
    pub(super) owner: Owner,
    pub(super) at: &'static Location<'static>,
}

/// What a wait would lead to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) reports: Vec<Report>,
    /// Whether the wait could never end; the first report says so.
    pub(super) in_vain: bool,
}

/// That a lock was held when another was waited for.
#[derive(Debug)]
struct Order {
    step: Step,
    /// The locks that were held exclusively besides, each time.
    gates: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Graph {
    holds: BTreeMap<u64, Vec<Ask>>,
    owned: BTreeMap<Owner, Vec<u64>>,
    orders: BTreeMap<u64, BTreeMap<u64, Order>>,
    before: BTreeMap<u64, BTreeSet<u64>>,
    reported: BTreeSet<Vec<u64>>,
}

rendez_core::shim::global! {
    // Nothing is locked under it.
    static GRAPH: Mutex<Graph> = Mutex::new(Graph::default());
}

fn graph() -> MutexGuard<'static, Graph> {
    GRAPH.lock()
}

/// `ask` is about to be waited for.
pub(super) fn before(ask: &Ask) -> Found {
    let mut graph = graph();
    let mut found = Found::default();
    if let Some(held) = graph.own(ask, |held| excludes(held, ask.mode)) {
        found.in_vain = true;
        found.reports.push(report(Hazard::Relock, held, ask));
        return found;
    }
    let reads = graph.own(ask, |_| ask.mode != Mode::Upgrade);
    if let Some(held) = reads.filter(|_| graph.reported.insert(vec![ask.lock])) {
        found.reports.push(report(Hazard::RecursiveRead, held, ask));
    }
    for held in graph.held_by(ask.owner) {
        if held.lock != ask.lock && graph.order(held, ask) {
            found.reports.extend(graph.circle(held.lock, ask.lock));
        }
    }
    found
}

/// `ask` cannot be had now: what keeps its owner from ever having it, if that is a writer who
/// waits for a reader that its owner is itself.
pub(super) fn blocks(ask: &Ask) -> Option<Report> {
    let held = (graph()).own(ask, |_| ask.mode == Mode::Read)?;
    Some(report(Hazard::Relock, held, ask))
}

/// `hold` is held now.
pub(super) fn entered(hold: &Ask) {
    let mut graph = graph();
    if hold.mode == Mode::Upgrade {
        graph.turn(hold.lock, Mode::Upgradable, Mode::Write, hold.owner);
        return;
    }
    graph.holds.entry(hold.lock).or_default().push(*hold);
    graph.owned.entry(hold.owner).or_default().push(hold.lock);
}

/// `owner` leaves `lock`, or lets go the hold of another.
pub(super) fn leaves(lock: u64, mode: Mode, owner: Owner) {
    let mut graph = graph();
    if let Some(i) = graph.find(lock, mode, owner) {
        graph.remove(lock, i);
    }
}

/// A hold of `lock` becomes another kind of hold.
pub(super) fn turns(lock: u64, from: Mode, to: Mode, owner: Owner) {
    graph().turn(lock, from, to, owner);
}

/// `lock` is no more.
pub(super) fn forget(lock: u64) {
    let mut graph = graph();
    while graph.holds.contains_key(&lock) {
        graph.remove(lock, 0);
    }
    for after in graph.orders.remove(&lock).unwrap_or_default().into_keys() {
        graph.unlink(lock, after);
    }
    for before in graph.before.remove(&lock).unwrap_or_default() {
        if let Some(orders) = graph.orders.get_mut(&before) {
            orders.remove(&lock);
            if orders.is_empty() {
                graph.orders.remove(&before);
            }
        }
    }
    graph.reported.retain(|circle| !circle.contains(&lock));
}

/// Whether one who holds a lock so can never be given it once more.
fn excludes(held: Mode, wanted: Mode) -> bool {
    match (held, wanted) {
        // Its own turn to writer waits for other readers only.
        (Mode::Upgradable, Mode::Upgrade) => false,
        (Mode::Upgradable, Mode::Upgradable) => true,
        _ => held.is_exclusive() || wanted.is_exclusive(),
    }
}

fn place(ask: &Ask) -> Place {
    Place {
        kind: ask.mode.lock(),
        lock: ask.lock,
        at: ask.at,
    }
}

fn step(held: Ask, wanted: &Ask) -> Step {
    Step {
        owner: wanted.owner,
        held: place(&held),
        wanted: place(wanted),
    }
}

fn report(hazard: Hazard, held: Ask, wanted: &Ask) -> Report {
    let steps = vec![step(held, wanted)];
    Report { hazard, steps }
}

impl Graph {
    /// The first hold of `ask`'s owner on its lock that is such.
    fn own(&self, ask: &Ask, such: impl Fn(Mode) -> bool) -> Option<Ask> {
        let holds = self.holds.get(&ask.lock)?;
        let mut own = holds.iter().filter(|h| h.owner == ask.owner);
        own.find(|h| such(h.mode)).copied()
    }

    fn held_by(&self, owner: Owner) -> Vec<Ask> {
        let locks = self.owned.get(&owner).into_iter().flatten();
        let holds = locks.filter_map(|lock| self.holds.get(lock)).flatten();
        holds.filter(|h| h.owner == owner).copied().collect()
    }

    /// Which hold of `lock` one who leaves it so lets go: its own, or the only one. Where there
    /// are several, all of them are forgotten.
    fn find(&mut self, lock: u64, mode: Mode, owner: Owner) -> Option<usize> {
        let holds = self.holds.get(&lock)?;
        let such = |i: &usize| holds[*i].mode == mode;
        let own = (0..holds.len()).rev().filter(such);
        if let Some(own) = own.clone().find(|&i| holds[i].owner == owner) {
            return Some(own);
        }
        let others: Vec<usize> = own.collect();
        if others.len() > 1 {
            others.into_iter().for_each(|i| self.remove(lock, i));
            return None;
        }
        others.first().copied()
    }

    fn remove(&mut self, lock: u64, i: usize) {
        let Some(holds) = self.holds.get_mut(&lock) else {
            return;
        };
        let hold = holds.remove(i);
        if holds.is_empty() {
            self.holds.remove(&lock);
        }
        if let Some(owned) = self.owned.get_mut(&hold.owner) {
            if let Some(i) = owned.iter().rposition(|&l| l == lock) {
                owned.remove(i);
            }
            if owned.is_empty() {
                self.owned.remove(&hold.owner);
            }
        }
    }

    fn turn(&mut self, lock: u64, from: Mode, to: Mode, owner: Owner) {
        if let Some(i) = self.find(lock, from, owner) {
            if let Some(hold) = self.holds.get_mut(&lock).and_then(|h| h.get_mut(i)) {
                hold.mode = to;
            }
        }
    }

    /// Notes that `held` was held when `wanted` was waited for; whether that is news.
    fn order(&mut self, held: Ask, wanted: &Ask) -> bool {
        let owned = self.held_by(wanted.owner).into_iter();
        let gates = owned
            .filter(|h| h.mode.is_exclusive() && h.lock != held.lock && h.lock != wanted.lock)
            .map(|h| h.lock)
            .collect();
        let orders = self.orders.entry(held.lock).or_default();
        if let Some(order) = orders.get_mut(&wanted.lock) {
            let n = order.gates.len();
            order.gates.retain(|gate| BTreeSet::contains(&gates, gate));
            return order.gates.len() < n;
        }
        let step = step(held, wanted);
        orders.insert(wanted.lock, Order { step, gates });
        let before = self.before.entry(wanted.lock).or_default();
        before.insert(held.lock);
        true
    }

    fn unlink(&mut self, before: u64, after: u64) {
        if let Some(befores) = self.before.get_mut(&after) {
            befores.remove(&before);
            if befores.is_empty() {
                self.before.remove(&after);
            }
        }
    }

    /// The circle that the order `held → wanted` closes, if there is one to be told.
    fn circle(&mut self, held: u64, wanted: u64) -> Option<Report> {
        let mut locks = self.path(wanted, held)?;
        if !self.may_meet(&locks) {
            locks = self.detour(wanted, held)?;
        }
        let steps = edges(&locks)
            .filter_map(|(a, b)| Some(self.orders.get(&a)?.get(&b)?.step))
            .collect();
        locks.sort_unstable();
        let hazard = Hazard::LockOrder;
        (self.reported.insert(locks)).then_some(Report { hazard, steps })
    }

    /// The shortest way along the orders: the locks from `from` to `to`.
    fn path(&self, from: u64, to: u64) -> Option<Vec<u64>> {
        let mut came_from = BTreeMap::from([(from, from)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            if at == to {
                let back = std::iter::successors(Some(to), |&l| (l != from).then(|| came_from[&l]));
                let mut path: Vec<u64> = back.collect();
                path.reverse();
                return Some(path);
            }
            for &after in self.orders.get(&at).into_iter().flat_map(BTreeMap::keys) {
                came_from.entry(after).or_insert_with(|| {
                    next.push_back(after);
                    at
                });
            }
        }
        None
    }

    /// Another way, whose circle no common lock keeps from closing. It is looked for among so
    /// many, which are more than programs have.
    fn detour(&self, from: u64, to: u64) -> Option<Vec<u64>> {
        const TRIES: usize = 10_000;
        let mut paths = vec![vec![from]];
        for _ in 0..TRIES {
            let path = paths.pop()?;
            let &at = path.last()?;
            if at == to && self.may_meet(&path) {
                return Some(path);
            }
            let afters = self.orders.get(&at).into_iter().flat_map(BTreeMap::keys);
            for &after in afters.filter(|after| at != to && !path.contains(after)) {
                let mut longer = path.clone();
                longer.push(after);
                paths.push(longer);
            }
        }
        None
    }

    /// Whether the goroutines of this circle can be in it at the same time: no two of its
    /// orders have come about under one exclusive lock.
    fn may_meet(&self, locks: &[u64]) -> bool {
        let mut seen = BTreeSet::new();
        let orders = edges(locks).filter_map(|(a, b)| self.orders.get(&a)?.get(&b));
        orders
            .flat_map(|order| &order.gates)
            .all(|&gate| seen.insert(gate))
    }
}

/// The orders along `locks` and back to the first.
fn edges(locks: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    let afters = locks.iter().cycle().skip(1);
    locks.iter().zip(afters).map(|(&a, &b)| (a, b))
}
