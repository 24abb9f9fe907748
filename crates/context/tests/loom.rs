//! Models of the tree of contexts: under `--cfg rendez_loom` every interleaving is
//! explored, otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../src/tree/counts.rs"]
#[allow(dead_code)]
mod counts;
#[path = "../src/signal/table.rs"]
#[allow(dead_code)]
mod table;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, Waker};

use counts::{Counts, Last};
use rendez_context::{Context, ContextError};
use rendez_core::block_on::block_on;
use rendez_core::hooks;
use rendez_core::shim::atomic::{AtomicBool, AtomicUsize, Ordering};
use rendez_core::shim::{Arc, Mutex, model, thread};
use table::{Flag as Settable, Flags, Table};

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);

#[test]
fn a_child_made_beside_a_cancel_has_ended_when_both_are_over() {
    model("context: cancel against derive", || {
        let (parent, cancel) = Context::background().with_cancel();
        let theirs = parent.clone();
        let deriver = thread::spawn(move || theirs.with_cancel());
        cancel.cancel();
        let (child, _cancel) = deriver.join().unwrap();
        assert_eq!(child.err(), CANCELED);
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_child_may_be_dropped_while_its_parent_is_cancelled() {
    model("context: cancel against drop", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, detached) = parent.with_cancel();
        let (sibling, _cancel) = parent.with_cancel();
        detached.detach();
        let dropper = thread::spawn(move || drop(child));
        cancel.cancel();
        assert_eq!(sibling.err(), CANCELED);
        dropper.join().unwrap();
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_child_with_a_waiter_may_be_cancelled_by_itself_while_its_parent_is() {
    model("context: cancel of a child against its parent's", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, cancel_child) = parent.with_cancel();
        let theirs = child.clone();
        let waiter = thread::spawn(move || theirs.wait());
        let canceller = thread::spawn(move || {
            cancel_child.cancel_with("first");
        });
        cancel.cancel_with("second");
        assert_eq!(child.err(), CANCELED);
        let cause = child.cause().unwrap().to_string();
        assert!(cause == "first" || cause == "second");
        canceller.join().unwrap();
        assert_eq!(child.cause().unwrap().to_string(), cause);
        assert_eq!(waiter.join().unwrap(), ContextError::Canceled);
    });
}

#[test]
fn a_cancel_wakes_a_thread_and_a_task() {
    model("context: cancel against wait and done", || {
        let (ctx, cancel) = Context::background().with_cancel();
        let (blocking, awaiting) = (ctx.clone(), ctx.with_value(1_u8));
        let thread = thread::spawn(move || blocking.wait());
        let task = thread::spawn(move || block_on(awaiting.done()));
        cancel.cancel();
        assert_eq!(thread.join().unwrap(), ContextError::Canceled);
        assert_eq!(task.join().unwrap(), ContextError::Canceled);
    });
}

#[test]
fn each_of_two_cancels_returns_when_all_descendants_have_ended() {
    model("context: two cancels of one context", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, _cancel) = parent.with_cancel();
        let (grandchild, _cancel) = child.with_cancel();
        let (cancel, seen) = (Arc::new(cancel), grandchild.clone());
        let theirs = Arc::clone(&cancel);
        let other = thread::spawn(move || {
            theirs.cancel();
            assert_eq!(seen.err(), CANCELED);
        });
        cancel.cancel();
        assert_eq!(grandchild.err(), CANCELED);
        other.join().unwrap();
    });
}

#[test]
fn cancels_at_two_levels_return_when_what_is_below_has_ended() {
    model("context: cancel of a parent and of its child", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, cancel_child) = parent.with_cancel();
        let (grandchild, _cancel) = child.with_cancel();
        let seen = grandchild.clone();
        let other = thread::spawn(move || {
            cancel_child.cancel();
            assert_eq!(seen.err(), CANCELED);
        });
        cancel.cancel();
        assert_eq!(grandchild.err(), CANCELED);
        other.join().unwrap();
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_deadline_and_a_cancel_agree_on_one_end() {
    model("context: deadline against cancel", || {
        // Time is the thread that calls what the alarm would.
        let (ctx, cancel) = Context::background().with_cancel();
        let (child, _cancel) = ctx.with_cancel();
        let bell = ctx.__bell().unwrap();
        let clock = thread::spawn(move || bell.wake());
        cancel.cancel_with("enough");
        let err = ctx.err().unwrap();
        let cause = ctx.cause().unwrap().to_string();
        let by_cancel = err == ContextError::Canceled;
        assert_eq!(cause == "enough", by_cancel);
        clock.join().unwrap();
        assert_eq!(ctx.err(), Some(err));
        assert_eq!(child.err(), Some(err));
        assert_eq!(child.cause().unwrap().to_string(), cause);
    });
}

#[test]
fn a_deadline_may_come_while_the_parent_is_cancelled() {
    model("context: deadline against the parent's cancel", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (ctx, _cancel) = parent.with_cancel();
        let (child, _cancel) = ctx.with_cancel();
        let bell = ctx.__bell().unwrap();
        let clock = thread::spawn(move || bell.wake());
        cancel.cancel_with("enough");
        let err = child.err().unwrap();
        let by_cancel = child.cause().unwrap().to_string() == "enough";
        assert_eq!(by_cancel, err == ContextError::Canceled);
        clock.join().unwrap();
        assert_eq!((ctx.err(), child.err()), (Some(err), Some(err)));
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn both_parents_of_a_merged_context_may_end_it() {
    model("context: merge, both parents cancelled", || {
        let (a, cancel_a) = Context::background().with_cancel();
        let (b, cancel_b) = Context::background().with_cancel();
        let (merged, _cancel) = Context::merge(&[&a, &b]);
        let other = thread::spawn(move || cancel_b.cancel_with("b"));
        cancel_a.cancel_with("a");
        assert_eq!(merged.err(), CANCELED);
        let cause = merged.cause().unwrap().to_string();
        other.join().unwrap();
        assert_eq!(merged.cause().unwrap().to_string(), cause);
        drop(merged);
        assert_eq!((a.__n_children(), b.__n_children()), (0, 0));
    });
}

#[test]
fn a_closure_runs_or_is_stopped() {
    hooks::set_spawner(|f| f());
    model("context: cancel against stop of an after_func", || {
        let (ctx, cancel) = Context::background().with_cancel();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let after = ctx.after_func(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let stopper = thread::spawn(move || usize::from(after.stop()));
        cancel.cancel();
        let stopped = stopper.join().unwrap();
        assert_eq!(stopped + runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_merged_context_made_while_a_parent_is_cancelled_leaves_the_other() {
    model("context: merge against the cancel of a parent", || {
        let (a, cancel_a) = Context::background().with_cancel();
        let (b, _cancel_b) = Context::background().with_cancel();
        let canceller = thread::spawn(move || cancel_a.cancel());
        let (merged, cancel) = Context::merge(&[&a, &b]);
        canceller.join().unwrap();
        assert_eq!(merged.err(), CANCELED);
        assert_eq!(b.__n_children(), 0);
        cancel.detach();
        drop(merged);
        assert_eq!(b.__n_children(), 0);
    });
}

#[test]
fn a_merged_context_may_be_dropped_while_a_parent_is_cancelled() {
    model(
        "context: drop of a merged against the cancel of a parent",
        || {
            let (a, cancel_a) = Context::background().with_cancel();
            let (b, _cancel_b) = Context::background().with_cancel();
            let (merged, cancel) = Context::merge(&[&a, &b]);
            cancel.detach();
            let dropper = thread::spawn(move || drop(merged));
            cancel_a.cancel();
            dropper.join().unwrap();
            assert_eq!((a.__n_children(), b.__n_children()), (0, 0));
        },
    );
}

#[test]
fn a_child_may_cancel_itself_while_its_parent_is_cancelled() {
    model(
        "context: cancel of a vacant child against its parent's",
        || {
            let (parent, cancel) = Context::background().with_cancel();
            let (child, cancel_child) = parent.with_cancel();
            let canceller = thread::spawn(move || {
                cancel_child.cancel();
                drop(child);
            });
            cancel.cancel();
            canceller.join().unwrap();
            assert_eq!(parent.__n_children(), 0);
        },
    );
}

/// Ready once it is told, or once its signal has gone; forgets whom to wake when it is polled.
struct Told(Arc<Flag>);

#[derive(Default)]
struct Flag {
    told: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
}

impl Flag {
    fn tell(&self) {
        self.told.store(1, Ordering::Release);
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Future for Told {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        self.0.wakers.lock().push(cx.waker().clone());
        match self.0.told.load(Ordering::Acquire) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

#[test]
fn a_source_told_while_it_is_polled_ends_its_context() {
    hooks::set_spawner(|f| f());
    model("context: a source's wake against its poll", || {
        let flag = Arc::new(Flag::default());
        let theirs = Arc::clone(&flag);
        let teller = thread::spawn(move || theirs.tell());
        let ctx = Context::until(Told(flag));
        teller.join().unwrap();
        assert_eq!(ctx.err(), CANCELED, "no wake is lost");
    });
}

#[test]
fn a_source_is_dropped_with_its_context_whoever_wakes_it_meanwhile() {
    hooks::set_spawner(|f| f());
    model(
        "context: a source's wake against the last handle's drop",
        || {
            let flag = Arc::new(Flag::default());
            let theirs = Arc::clone(&flag);
            let ctx = Context::until(Told(Arc::clone(&flag)));
            let teller = thread::spawn(move || theirs.tell());
            drop(ctx);
            teller.join().unwrap();
            // Else the source and its waker would keep each other alive.
            let left = std::mem::take(&mut *flag.wakers.lock());
            drop(left);
            assert_eq!(Arc::strong_count(&flag), 1, "the source is gone");
        },
    );
}

/// Two strong handles and a weak one that would be strong: one of the three takes the node
/// down, and one frees it, after that.
#[test]
fn whoever_comes_last_takes_it_down_and_frees_it_once() {
    model("context: the last handles of a node", || {
        struct Cell {
            counts: Counts,
            downs: AtomicUsize,
            frees: AtomicUsize,
        }
        impl Cell {
            fn release(&self) {
                let Some(last) = self.counts.remove() else {
                    return;
                };
                assert_eq!(self.downs.fetch_add(1, Ordering::Relaxed), 0);
                if last == Last::Alone || self.counts.remove_weak() {
                    self.free();
                }
            }
            fn release_weak(&self) {
                if self.counts.remove_weak() {
                    self.free();
                }
            }
            fn free(&self) {
                assert_eq!(self.downs.load(Ordering::Relaxed), 1);
                assert_eq!(self.frees.fetch_add(1, Ordering::Relaxed), 0);
            }
        }
        let cell = Arc::new(Cell {
            counts: Counts::new(2),
            downs: AtomicUsize::new(0),
            frees: AtomicUsize::new(0),
        });
        cell.counts.add_weak();
        let (second, weak) = (Arc::clone(&cell), Arc::clone(&cell));
        let second = thread::spawn(move || second.release());
        let weak = thread::spawn(move || {
            if weak.counts.upgrade() {
                assert_eq!(weak.downs.load(Ordering::Relaxed), 0);
                weak.release();
            }
            weak.release_weak();
        });
        cell.release();
        second.join().unwrap();
        weak.join().unwrap();
        assert_eq!(cell.frees.load(Ordering::Relaxed), 1);
    });
}

const SIGNAL: i32 = 15;

impl Settable for Arc<AtomicBool> {
    fn set(&self, to: bool) {
        self.store(to, Ordering::SeqCst);
    }

    fn take(&self) -> bool {
        self.swap(false, Ordering::SeqCst)
    }
}

/// A process as its signals see it: those who wait are words that say who ended them.
struct Process {
    table: Mutex<Table<Arc<AtomicBool>, Waiter>>,
    default: Arc<AtomicBool>,
    pending: Arc<AtomicBool>,
    defaults: AtomicUsize,
}

type Waiter = Arc<AtomicUsize>;

const LIVES: usize = 0;
const CANCELLED: usize = 1;
const TOLD: usize = 2;

impl Process {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new()),
            default: Arc::new(AtomicBool::new(true)),
            pending: Arc::new(AtomicBool::new(false)),
            defaults: AtomicUsize::new(0),
        })
    }

    fn place(&self) -> (u64, Waiter) {
        self.deliver();
        let who = Waiter::new(AtomicUsize::new(LIVES));
        let flags = |_| {
            Ok::<_, ()>(Flags {
                default: Arc::clone(&self.default),
                pending: Arc::clone(&self.pending),
            })
        };
        let signals = BTreeSet::from([SIGNAL]);
        let key = self.table.lock().take(signals, Arc::clone(&who), flags);
        (key.unwrap(), who)
    }

    /// The context ends for another reason, and its place is given back.
    fn cancel(&self, (key, who): &(u64, Waiter)) {
        end(who, CANCELLED);
        let given_back = self.table.lock().give_back(*key);
        drop(given_back);
    }

    /// The handler's actions, one by one, and what its ring leads to.
    fn raise(&self) {
        if self.default.load(Ordering::SeqCst) {
            self.defaults.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.default.store(true, Ordering::SeqCst);
        // The handler stores. Loom would let a store come between what another's swap reads
        // and what it writes.
        self.pending.swap(true, Ordering::SeqCst);
        self.deliver();
    }

    fn deliver(&self) {
        table::deliver(
            || self.table.lock().taken(),
            |who, _| end(&who, TOLD),
            |_| {
                self.defaults.fetch_add(1, Ordering::SeqCst);
            },
        );
    }

    fn n_defaults(&self) -> usize {
        self.defaults.load(Ordering::SeqCst)
    }
}

fn end(who: &Waiter, how: usize) -> bool {
    who.compare_exchange(LIVES, how, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

fn is_told(who: &Waiter) -> bool {
    who.load(Ordering::SeqCst) == TOLD
}

#[test]
fn a_signal_beside_a_cancel_ends_the_context_or_everything() {
    model("context: a signal against a place given back", || {
        let process = Process::new();
        let place = process.place();
        let theirs = Arc::clone(&process);
        let raiser = thread::spawn(move || theirs.raise());
        process.cancel(&place);
        raiser.join().unwrap();
        let told = usize::from(is_told(&place.1));
        assert_eq!(
            told + process.n_defaults(),
            1,
            "told or default, never neither"
        );
        // Nobody waits any more: the next takes its default action.
        process.raise();
        assert_eq!(told + process.n_defaults(), 2);
    });
}

#[test]
fn a_signal_beside_a_place_being_taken_ends_the_context_or_everything() {
    model("context: a signal against a place taken", || {
        let process = Process::new();
        let theirs = Arc::clone(&process);
        let raiser = thread::spawn(move || theirs.raise());
        let place = process.place();
        raiser.join().unwrap();
        let told = usize::from(is_told(&place.1));
        assert_eq!(told + process.n_defaults(), 1);
        if told == 0 {
            process.raise();
            assert!(is_told(&place.1), "it waits, so the next is its");
        }
    });
}

#[test]
fn the_second_of_two_signals_is_nobodys_unless_they_were_one() {
    model("context: a second signal", || {
        let process = Process::new();
        let place = process.place();
        let theirs = Arc::clone(&process);
        let raiser = thread::spawn(move || theirs.raise());
        process.raise();
        raiser.join().unwrap();
        assert!(is_told(&place.1));
        assert!(process.n_defaults() <= 1);
        process.raise();
        assert!(process.n_defaults() >= 1, "once told, the default is back");
    });
}

#[test]
fn a_place_taken_while_a_signal_is_delivered_waits_or_is_told() {
    model("context: a place taken beside another's signal", || {
        let process = Process::new();
        let first = process.place();
        let theirs = Arc::clone(&process);
        let raiser = thread::spawn(move || theirs.raise());
        let canceller = Arc::clone(&process);
        let key = (first.0, Arc::clone(&first.1));
        let canceller = thread::spawn(move || canceller.cancel(&key));
        let second = process.place();
        raiser.join().unwrap();
        canceller.join().unwrap();
        let told = usize::from(is_told(&first.1)) + usize::from(is_told(&second.1));
        assert!(told + process.n_defaults() >= 1, "none is lost");
        assert!(process.n_defaults() <= 1 - usize::from(told > 0));
        let before = process.n_defaults();
        process.cancel(&second);
        process.raise();
        assert_eq!(process.n_defaults(), before + 1, "nobody waits any more");
    });
}
