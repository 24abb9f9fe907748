//! One context that can end: its place in the tree, and what it keeps.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::time::Instant;

use rendez_core::case::Outcome;
use rendez_core::clock::Alarm;
use rendez_core::lock::{WordGuard, WordLock};
use rendez_core::queue::{Node as Place, Queue, Registration};
use rendez_core::quiet::{drop_each_quietly, drop_quietly};
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, unique_id};

use super::children::{Children, Link};
use super::counts::Counts;
use super::shared::{Shared, Timed, Weak};
use super::word::{State, Why, Word};
use crate::context::Context;
use crate::error::{Canceled, Cause, ContextError};

/// What a context's end starts, each in a goroutine of its own.
pub(crate) type Func = Box<dyn FnOnce() + Send>;

/// One context that can end.
///
/// Kept small: a program may have a hundred thousand of them. What few have is boxed.
pub(crate) struct Node {
    pub(crate) counts: Counts,
    pub(super) word: Word,
    link: Link,
    pub(crate) parent: Context,
    // Where the earliest of its own deadline and those above it lies.
    due: Option<NonNull<Timed>>,
    /// `None` for one that is cancelled, or has a deadline, and no more.
    pub(crate) kind: Option<Box<Kind>>,
    made_at: &'static Location<'static>,
    // Guards what `Inner` holds, and the alarm. Order: after every ancestor's.
    pub(super) inner: WordLock<Inner>,
}

// SAFETY: `due` points to an ancestor, which its parent keeps, or to itself; the rest is Send.
unsafe impl Send for Node {}
// SAFETY: what lies there is atomic, never changes, or is under the node's lock.
unsafe impl Sync for Node {}

/// What few nodes are.
pub(crate) enum Kind {
    /// Made with a cause for when a deadline ends it.
    TimeoutCause(Cause),
    /// Made with something outside that ends it; how it is printed.
    Source(Box<str>),
    /// Ends with its parent or any of the others.
    Merged(Merged),
}

/// The parents of a merged node beyond the first.
pub(crate) struct Merged {
    pub(crate) others: Box<[(Context, Link)]>,
    // Which of the parents ended it, counted from 0 for the first. Written before the word.
    ended_by: AtomicUsize,
}

impl Merged {
    pub(crate) fn new(others: impl Iterator<Item = Context>) -> Self {
        Self {
            others: others.map(|c| (c, Link::new())).collect(),
            ended_by: AtomicUsize::new(0),
        }
    }

    /// The node is gone, and in no list.
    pub(super) fn give_up(self, others: &mut Vec<Context>) {
        others.extend(self.others.into_iter().map(|(c, _)| c));
    }
}

/// The cause somebody gave, and where.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) cause: Cause,
    pub(crate) at: &'static Location<'static>,
}

/// What a node's lock guards. Empty while the word is not OCCUPIED.
#[derive(Default)]
pub(crate) struct Inner {
    pub(super) waiters: Queue,
    pub(super) children: Children,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few nodes have.
#[derive(Default)]
pub(crate) struct Rare {
    // Written before the word says GIVEN, and never after.
    given: Option<Given>,
    /// What is needed only until it ends.
    pub(super) kept: Option<Box<dyn Send>>,
    /// Of a merged node, itself: whoever ends it through one parent has the others let it go.
    pub(super) merged: Option<Weak>,
    /// What its end starts, by the order in which they came.
    pub(super) funcs: BTreeMap<u64, Func>,
}

impl Drop for Rare {
    fn drop(&mut self) {
        drop_quietly(self.given.take());
        drop_quietly(self.kept.take());
        drop_each_quietly(mem::take(&mut self.funcs).into_values());
    }
}

impl Rare {
    /// Keeps the cause given; the node lives.
    pub(super) fn keep(&mut self, given: Given) {
        debug_assert!(self.given.is_none(), "a node ends once");
        self.given = Some(given);
    }
}

impl Inner {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

impl Node {
    /// Writes a node that lives, in no list yet, where it is to lie.
    #[inline]
    pub(super) fn write(
        at: NonNull<Self>,
        parent: Context,
        kind: Option<Box<Kind>>,
        due: Option<NonNull<Timed>>,
        made_at: &'static Location<'static>,
    ) {
        let others = match kind.as_deref() {
            Some(Kind::Merged(merged)) => &*merged.others,
            _ => &[],
        };
        let has_parent = parent.node().is_some() || others.iter().any(|(c, _)| c.node().is_some());
        let node = Self {
            // The context's handle and its `Cancel`.
            counts: Counts::new(2),
            word: Word::new(has_parent),
            link: Link::new(),
            parent,
            due,
            kind,
            made_at,
            inner: WordLock::new(0, Inner::default()),
        };
        // SAFETY: the room is there, and nobody else's.
        unsafe { at.write(node) };
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.word.load()
    }

    /// Where its deadline lies, or an ancestor's that comes no later.
    pub(crate) fn due(&self) -> Option<NonNull<Timed>> {
        self.due
    }

    fn timed(&self) -> Option<&Timed> {
        // SAFETY: it is itself, or an ancestor, kept by its parents.
        self.due.map(|due| unsafe { &*due.as_ptr() })
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(self.timed()?.deadline)
    }

    /// Whether its deadline is its own: earlier than any above it.
    pub(crate) fn is_timed(&self) -> bool {
        self.due
            .is_some_and(|due| ptr::eq(due.as_ptr().cast(), self))
    }

    /// The node whose own deadline it inherits; itself, if it inherits none.
    pub(crate) fn timed_by(&self) -> &Self {
        self.timed().map_or(self, Timed::node)
    }

    #[inline]
    pub(crate) fn err(&self) -> Option<ContextError> {
        self.word.load().err()
    }

    /// Each parent that can end, with this node's link in its list.
    fn parents(&self) -> impl Iterator<Item = (&Node, &Link)> {
        let others: &[(Context, Link)] = self.merged().map_or(&[], |merged| &merged.others);
        let first = self.parent.node().map(|parent| (parent, &self.link));
        first.into_iter().chain(
            others
                .iter()
                .filter_map(|(c, link)| Some((c.node()?, link))),
        )
    }

    pub(crate) fn merged(&self) -> Option<&Merged> {
        match self.kind.as_deref() {
            Some(Kind::Merged(merged)) => Some(merged),
            _ => None,
        }
    }

    /// Puts it into its parents' lists, or ends it if one of them has ended.
    pub(crate) fn join(&self, shared: &Shared) {
        if self.merged().is_some() {
            // Several may want to end it: never without its lock.
            let mut inner = self.inner.lock();
            self.word.occupy();
            inner.rare().merged = Some(shared.downgrade());
        }
        for (parent, link) in self.parents() {
            let ended = {
                let mut inner = parent.inner.lock();
                let ended = parent.word.occupy().err();
                if ended.is_none() {
                    // SAFETY: the node does not move, and takes all its links out before it
                    // is freed.
                    unsafe { inner.children.push(link, self) };
                }
                ended
            };
            if let Some(err) = ended {
                self.end_with_parent(err, link);
                self.leave();
                return;
            }
        }
        // One parent may have ended it, and had it leave, before it entered another's list.
        if self.merged().is_some() && self.word.load().has_ended() {
            self.leave();
        }
    }

    /// Ends a node that is in no list yet, or whose lock decides.
    fn end_with_parent(&self, err: ContextError, link: &Link) {
        let why = Why::WithParent(err);
        if self.word.end_vacant(why).is_err() {
            let _inner = self.inner.lock();
            if !self.word.occupy().has_ended() {
                self.note_parent(link);
                self.word.end_occupied(why);
            }
        }
    }

    /// Notes which parent ends it; the caller holds its lock.
    pub(super) fn note_parent(&self, link: &Link) {
        if let Some(merged) = self.merged() {
            let by = merged
                .others
                .iter()
                .position(|(_, l)| std::ptr::eq(l, link));
            merged
                .ended_by
                .store(by.map_or(0, |i| i + 1), Ordering::Relaxed);
        }
    }

    /// Ends it, if it lives and is not occupied, and takes it out of its parent's list.
    pub(super) fn end_vacant(&self, why: Why) -> Result<(), State> {
        // Merged nodes are occupied from the start.
        let Some(parent) = self.parent.node() else {
            return self.word.end_vacant(why);
        };
        let mut siblings = parent.inner.lock();
        self.word.end_vacant(why)?;
        siblings.children.remove(&self.link);
        Ok(())
    }

    /// Takes it out of its parents' lists.
    pub(crate) fn leave(&self) {
        if !self.word.load().is_linked() {
            return;
        }
        self.unlink();
        // A merged node keeps the bit: it may be entering another list at this very moment,
        // and leaves again then.
        if self.merged().is_none() {
            self.word.clear_linked();
        }
    }

    /// As [`leave`](Self::leave), for the last time.
    pub(super) fn unlink(&self) {
        if self.word.load().is_linked() {
            for (parent, link) in self.parents() {
                parent.inner.lock().children.remove(link);
            }
        }
    }

    /// The cause given, and where.
    fn given<R>(&self, get: impl FnOnce(&Given) -> R) -> Option<R> {
        let inner = self.inner.lock();
        inner.rare.as_ref()?.given.as_ref().map(get)
    }

    /// Sets the alarm for its deadline, unless it has ended.
    pub(crate) fn set_alarm(&self, alarm: Alarm) {
        let inner = self.inner.lock();
        let kept = if self.word.occupy().has_ended() {
            alarm
        } else {
            self.swap_alarm(&inner, alarm)
        };
        drop(inner);
        drop(kept);
    }

    /// Puts `alarm` in the place of its own; gives it back if it has none.
    pub(super) fn swap_alarm(&self, _locked: &WordGuard<'_, Inner>, alarm: Alarm) -> Alarm {
        match self.timed().filter(|_| self.is_timed()) {
            // SAFETY: the caller holds the lock.
            Some(own) => unsafe { own.swap_alarm(alarm) },
            None => alarm,
        }
    }

    /// Keeps `thing` until it ends or is dropped.
    pub(crate) fn keep_until_end(&self, thing: Box<dyn Send>) {
        let mut inner = self.inner.lock();
        if self.word.occupy().has_ended() {
            drop(inner);
            drop(thing);
        } else {
            inner.rare().kept = Some(thing);
        }
    }

    /// Adds what its end is to start; `Err` gives it back if the node has ended.
    pub(crate) fn add_func(&self, func: Func) -> Result<u64, Func> {
        let mut inner = self.inner.lock();
        if self.word.occupy().has_ended() {
            return Err(func);
        }
        let key = unique_id();
        inner.rare().funcs.insert(key, func);
        Ok(key)
    }

    /// Takes it back, unless it has been started or taken back.
    pub(crate) fn take_func(&self, key: u64) -> Option<Func> {
        self.inner.lock().rare.as_mut()?.funcs.remove(&key)
    }

    /// Queues a waiter, or serves it if the node has ended.
    pub(crate) fn enqueue(&self, reg: &Registration<'_>) {
        let mut inner = self.inner.lock();
        if !self.word.occupy().has_ended() {
            inner.waiters.push(reg, std::ptr::null());
        } else if reg.claim_self().is_ok() {
            reg.complete_self(Outcome(0));
        }
    }

    /// Serves a queued waiter if the node has ended: an offer held it meanwhile.
    pub(crate) fn recheck(&self, reg: &Registration<'_>) {
        let mut inner = self.inner.lock();
        if self.word.load().has_ended() && reg.claim_self().is_ok() {
            inner.waiters.remove(reg.node);
            reg.complete_self(Outcome(0));
        }
    }

    /// Takes a waiter out of the queue.
    pub(crate) fn dequeue(&self, place: &Place) {
        self.inner.lock().waiters.remove(place);
    }

    /// How many contexts stand in its list.
    pub(crate) fn n_children(&self) -> usize {
        let inner = self.inner.lock();
        inner.children.len() + inner.rare.as_ref().map_or(0, |rare| rare.funcs.len())
    }

    /// Who ended it, going up to the node where it began.
    ///
    /// A deadline ends a context without a word of its own; then the timeout cause of the
    /// context nearest to it counts.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let mut node = self;
        let mut of_timeout = None;
        loop {
            let why = node.state().why()?;
            if let Some(Kind::TimeoutCause(cause)) = node.kind.as_deref() {
                of_timeout = Some(cause);
            }
            let timed_out = |cause: Option<&Cause>| match cause {
                Some(cause) => Arc::clone(cause),
                None => Arc::new(ContextError::DeadlineExceeded),
            };
            return Some(match why {
                Why::At(at) => Arc::new(Canceled { at, dropped: false }),
                Why::Dropped => Arc::new(Canceled {
                    at: node.made_at,
                    dropped: true,
                }),
                Why::Given => node.given(|given| Arc::clone(&given.cause))?,
                Why::Expired => timed_out(of_timeout),
                Why::WithParent(_) => {
                    node = node.ended_by()?;
                    continue;
                }
            });
        }
    }

    /// Where the call was that ended it or its ancestor; `None` for a deadline.
    pub(crate) fn ended_at(&self) -> Option<&'static Location<'static>> {
        let mut node = self;
        loop {
            match node.state().why()? {
                Why::At(at) => return Some(at),
                Why::Dropped => return Some(node.made_at),
                Why::Given => return node.given(|given| given.at),
                Why::Expired => return None,
                Why::WithParent(_) => node = node.ended_by()?,
            }
        }
    }

    /// The parent it ended with.
    fn ended_by(&self) -> Option<&Node> {
        match self.merged() {
            Some(merged) => match merged.ended_by.load(Ordering::Relaxed) {
                0 => self.parent.node(),
                i => merged.others[i - 1].0.node(),
            },
            None => self.parent.node(),
        }
    }
}
