//! Ending a node and all its descendants, without recursion.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::mem;

use rendez_core::case::Outcome;
use rendez_core::clock::Alarm;
use rendez_core::hooks;
use rendez_core::lock::WordGuard;
use rendez_core::quiet::drop_quietly;
use rendez_core::wake::WakeList;

use super::children::Drain;
use super::node::{Func, Given, Inner, Node};
use super::shared::Shared;
use super::word::Why;

/// Ends `node` as `why` says, and every descendant with it. Returns whether this call did:
/// otherwise it had ended before. Either way all of the subtree has ended on return.
pub(crate) fn end(node: &Node, why: Why) -> bool {
    hooks::switch_point();
    let mut state = node.state();
    if !state.is_occupied() && !state.has_ended() {
        match node.end_vacant(why) {
            // There is nobody to tell.
            Ok(()) => return true,
            Err(now) => state = now,
        }
    }
    state.is_occupied() && end_locked(node, why, None)
}

/// As [`end`], with a cause that the node keeps.
pub(crate) fn end_given(node: &Node, given: Given) -> bool {
    hooks::switch_point();
    end_locked(node, Why::Given, Some(given))
}

fn end_locked(node: &Node, why: Why, given: Option<Given>) -> bool {
    // Declared before the path, so dropped after it: all locks are released then.
    let mut after = After::default();
    let mut path = Path(Vec::new());
    let mut inner = node.inner.lock();
    if node.word.occupy().has_ended() {
        // The lock was free, so whoever ended it has finished with its descendants.
        drop(inner);
        drop(given);
        return false;
    }
    if let Some(given) = given {
        inner.rare().keep(given);
    }
    settle(node, inner, why, &mut path, &mut after);
    descend(Why::WithParent(why.err()), &mut path, &mut after);
    drop(path);
    node.leave();
    true
}

/// What is to be done once all locks are released: done when it is dropped, each part whichever
/// of the others panics.
#[derive(Default)]
struct After {
    wakes: WakeList,
    // The first: few ends have a second, and this one costs no allocation.
    alarm: Option<Alarm>,
    rest: Rest,
}

/// What few have, in one list.
#[derive(Default)]
struct Rest(Vec<Later>);

enum Later {
    /// To be started.
    Funcs(BTreeMap<u64, Func>),
    /// To leave the other parents' lists too.
    Merged(Shared),
    /// To be dropped.
    Alarm(Alarm),
    Kept(Box<dyn Send>),
}

impl Drop for Rest {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.finish();
        }
    }
}

impl Rest {
    fn finish(&mut self) {
        for later in mem::take(&mut self.0) {
            match later {
                Later::Funcs(funcs) => funcs.into_values().for_each(hooks::spawn_detached),
                Later::Merged(node) => node.leave(),
                Later::Alarm(alarm) => drop(alarm),
                Later::Kept(kept) => drop_quietly(kept),
            }
        }
    }
}

/// The nodes from the one first ended down to the one at hand, all locked.
struct Path<'a>(Vec<Level<'a>>);

struct Level<'a> {
    node: &'a Node,
    _inner: WordGuard<'a, Inner>,
    children: Drain,
}

impl Drop for Path<'_> {
    fn drop(&mut self) {
        // The youngest first: a node is alive while its parent's lock is held.
        while self.0.pop().is_some() {}
    }
}

/// Ends `node`, which lives and whose lock is held, and collects whom that concerns. Whether
/// it has children, and so is on the path now; if not, its lock is released.
fn settle<'a>(
    node: &'a Node,
    mut inner: WordGuard<'a, Inner>,
    why: Why,
    path: &mut Path<'a>,
    after: &mut After,
) -> bool {
    node.word.end_occupied(why);
    while let Some(waiter) = inner.waiters.claim() {
        waiter.complete(Outcome(0), &mut after.wakes);
    }
    let rest = &mut after.rest.0;
    if node.is_timed() {
        let alarm = node.swap_alarm(&inner, Alarm::new());
        match after.alarm {
            Some(_) => rest.push(Later::Alarm(alarm)),
            None => after.alarm = Some(alarm),
        }
    }
    if let Some(rare) = &mut inner.rare {
        rest.push(Later::Funcs(mem::take(&mut rare.funcs)));
        rest.extend(rare.kept.take().map(Later::Kept));
        // `None`, if it is being dropped and leaves by itself.
        let merged = rare.merged.take().and_then(|node| node.upgrade());
        rest.extend(merged.map(Later::Merged));
    }
    if inner.children.is_empty() {
        return false;
    }
    let children = inner.children.drain();
    path.0.push(Level {
        node,
        _inner: inner,
        children,
    });
    true
}

/// Ends all that is below the one node on the path.
fn descend(why: Why, path: &mut Path<'_>, after: &mut After) {
    while let Some(level) = path.0.last_mut() {
        // SAFETY: the level holds the lock of the list. A child that is done with is not
        // touched after its bit is cleared, here or when its own level is left below.
        let Some((child, link)) = (unsafe { level.children.next() }) else {
            let is_origin = path.0.len() == 1;
            if let Some(Level { node, _inner, .. }) = path.0.pop() {
                drop(_inner);
                if !is_origin {
                    let_go(node);
                }
            }
            continue;
        };
        if child.word.end_vacant(why).is_ok() {
            continue;
        }
        let inner = child.inner.lock();
        if child.word.load().has_ended() {
            drop(inner);
            let_go(child);
        } else {
            child.note_parent(link);
            if !settle(child, inner, why, path, after) {
                let_go(child);
            }
        }
    }
}

/// The last access to a child that is in its parent's list no more.
fn let_go(child: &Node) {
    // A merged node stands in other lists too: it leaves all of them under their locks.
    if child.merged().is_none() {
        child.word.clear_linked();
    }
}
