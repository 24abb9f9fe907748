//! The trie: a hash's bits lead through branches to the slot of its keys.
//!
//! 1. A key is at one place: the slot to which its hash leads. Whatever changes about it is one
//!    compare-and-swap of that slot, and what is read is one load of it.
//! 2. A slot holds nothing, an entry, or a crowd, or a branch below it. Where an entry or a crowd
//!    of another hash is in the way, it is put into a branch first.
//! 3. A branch found empty is taken out: its slots are *frozen* one by one, so that no more is put
//!    there, then the slot above gets what was left in it. Whoever wants to change a frozen slot
//!    does that too, and begins again. What a reader finds in a frozen slot was there
//!    when it passed the slot above.
//! 4. `clear` puts a new top in the old one's place. Who has passed the old top goes on in it:
//!    whatever it does there is as if done just before.
//! 5. What comes is counted before it is in, what goes when it is out, and `len` reads first how many
//!    went: it misses none, and finds none only where for a moment there was none.
//! 6. No user's code runs while others wait for it: nobody waits.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ptr;

use rendez_core::quiet::drop_quietly;
use rendez_core::shim::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::node::{BITS, Branch, Child, Crowd, Entry, Link, Shared, Slot, Unshared, index};
use super::reclaim::{Pin, Reclaim};

/// How many bits of the hash the top tells apart. Wider than a branch, so that few branches are
/// on the way to a key: each costs a cache line.
const TOP_BITS: u32 = if cfg!(rendez_loom) { 1 } else { 8 };
const TOP_WIDTH: usize = 1 << TOP_BITS;

/// Counts are kept in so many places, for threads that store and delete at the same time.
const LANES: usize = 4;

pub(super) struct Trie<K, V> {
    /// Null before the first store and after a `clear`.
    top: AtomicPtr<Top<K, V>>,
    reclaim: Reclaim,
    entries: PhantomData<*mut (K, V)>,
}

// SAFETY: it owns its keys and values; with it they go to another thread.
unsafe impl<K: Send, V: Send> Send for Trie<K, V> {}
// SAFETY: who has a reference to it puts in keys and values, reads them, and drops those of others.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Trie<K, V> {}

/// The first slots, and how many keys there are below them. Its slots are never frozen.
struct Top<K, V> {
    slots: [Slot<K, V>; TOP_WIDTH],
    counts: [Count; LANES],
}

/// How many keys have come, and how many have gone. Alone in its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Count {
    came: AtomicUsize,
    went: AtomicUsize,
}

/// A slot that holds no branch, and how it was reached.
struct Place<'g, K, V> {
    top: &'g Top<K, V>,
    slot: &'g Slot<K, V>,
    link: Link<K, V>,
    /// How many bits of the hash lead to the slot.
    behind: u32,
    /// The slot's branch and the slot that holds it, below the top.
    above: Option<Above<'g, K, V>>,
}

/// A branch, and the slot that held it.
type Above<'g, K, V> = (&'g Slot<K, V>, Shared<'g, Branch<K, V>>);

/// What became of an entry.
pub(super) enum Put<'g, K, V> {
    /// It is in; another was there.
    In(&'g Entry<K, V>, Option<&'g Entry<K, V>>),
    /// It is not wanted, because of this one or because there is none.
    Out(Option<&'g Entry<K, V>>),
}

impl<K, V> Trie<K, V> {
    pub(super) fn new() -> Self {
        Self {
            top: AtomicPtr::new(ptr::null_mut()),
            reclaim: Reclaim::new(),
            entries: PhantomData,
        }
    }

    #[inline]
    pub(super) fn pin(&self) -> Pin<'_> {
        self.reclaim.pin()
    }

    #[inline]
    fn top<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g Top<K, V>> {
        // SAFETY: it is retired after it is out of its place.
        unsafe { pin.load(&self.top).as_ref() }
    }

    #[inline]
    fn find<'g>(top: &'g Top<K, V>, hash: u64, pin: &'g Pin<'_>) -> Place<'g, K, V> {
        let (mut slot, mut behind, mut above) = (top.slot(hash), TOP_BITS, None);
        loop {
            let link = slot.load(pin);
            // SAFETY: loaded under the pin.
            match unsafe { link.child() } {
                Child::Branch(branch) if !link.is_frozen() => {
                    above = Some((slot, branch));
                    slot = branch.get().slot(hash, behind);
                    behind += BITS;
                }
                _ => {
                    return Place {
                        top,
                        slot,
                        link,
                        behind,
                        above,
                    };
                }
            }
        }
    }

    /// The place of `hash`, to be changed; it is not frozen.
    fn place<'g>(&self, hash: u64, pin: &'g Pin<'_>) -> Place<'g, K, V> {
        loop {
            let Some(top) = self.top(pin) else {
                self.begin();
                continue;
            };
            let place = Self::find(top, hash, pin);
            match place.above {
                Some((slot, branch)) if place.link.is_frozen() => {
                    Self::collapse(slot, branch, pin);
                }
                _ => return place,
            }
        }
    }

    #[cold]
    fn begin(&self) {
        let top = Box::into_raw(Box::new(Top {
            slots: std::array::from_fn(|_| Slot::new(Link::NOTHING)),
            counts: Default::default(),
        }));
        // ORDERING: publishes the top to `Pin::load`.
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let place = self
            .top
            .compare_exchange(ptr::null_mut(), top, success, failure);
        if place.is_err() {
            // SAFETY: it was not put anywhere.
            drop(unsafe { Box::from_raw(top) });
        }
    }

    /// Takes `branch` out of `slot`, which gets what was left in it. Returns whether it was this
    /// call that did.
    #[cold]
    fn collapse(slot: &Slot<K, V>, branch: Shared<'_, Branch<K, V>>, pin: &Pin<'_>) -> bool {
        let (rest, copy) = branch.get().freeze(pin);
        let done = slot.replace(Link::branch(branch.pointer()), rest);
        if done {
            copy.map(Unshared::share);
            // SAFETY: the slot alone held it, as a box, and now does not. What it holds is in
            // the slot.
            unsafe { pin.retire(branch.pointer().as_ptr()) };
        }
        done
    }

    /// The entry of `key`.
    #[inline]
    pub(super) fn get<'g, Q>(&self, hash: u64, key: &Q, pin: &'g Pin<'_>) -> Option<&'g Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut slot = self.top(pin)?.slot(hash);
        let mut behind = TOP_BITS;
        loop {
            // SAFETY: loaded under the pin.
            match unsafe { slot.load(pin).child() } {
                Child::Branch(branch) => slot = branch.get().slot(hash, behind),
                Child::Entry(entry) => {
                    let entry = entry.get();
                    return (entry.hash == hash && entry.key.borrow() == key).then_some(entry);
                }
                Child::Nothing => return None,
                Child::Crowd(crowd) => return Self::get_of(crowd, hash, key),
            }
            behind += BITS;
        }
    }

    #[cold]
    fn get_of<'g, Q>(crowd: Shared<'g, Crowd<K, V>>, hash: u64, key: &Q) -> Option<&'g Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if crowd.get().hash != hash {
            return None;
        }
        let at = crowd.get().find(key)?;
        Some(crowd.at(at).get())
    }

    /// Puts `new` in, in the place of what its key has, if `wanted` says so of that; which may be
    /// asked again when others came between.
    pub(super) fn put<'g>(
        &self,
        new: Entry<K, V>,
        pin: &'g Pin<'_>,
        mut wanted: impl FnMut(Option<&'g Entry<K, V>>) -> bool,
    ) -> Put<'g, K, V>
    where
        K: Eq,
    {
        let new = Unshared::new(new);
        let hash = new.hash;
        loop {
            let place = self.place(hash, pin);
            // SAFETY: loaded under the pin.
            let (old, crowd) = match unsafe { place.link.child() } {
                Child::Nothing => (None, None),
                Child::Entry(entry) if entry.get().hash == hash => {
                    if entry.get().key == new.key {
                        (Some(entry), None)
                    } else {
                        let entries = vec![entry.pointer(), new.pointer()];
                        (None, Some(Crowd { hash, entries }))
                    }
                }
                Child::Crowd(crowd) if crowd.get().hash == hash => {
                    let at = crowd.get().find(&new.key);
                    let mut entries = crowd.get().entries.clone();
                    match at {
                        Some(at) => entries[at] = new.pointer(),
                        None => entries.push(new.pointer()),
                    }
                    (at.map(|at| crowd.at(at)), Some(Crowd { hash, entries }))
                }
                Child::Entry(entry) => {
                    Self::make_room(&place, entry.get().hash);
                    continue;
                }
                Child::Crowd(crowd) => {
                    Self::make_room(&place, crowd.get().hash);
                    continue;
                }
                Child::Branch(_) => unreachable!("a place holds no branch"),
            };
            if !wanted(old.map(Shared::get)) {
                return Put::Out(old.map(Shared::get));
            }
            let crowd = crowd.map(Unshared::new);
            let to = match &crowd {
                Some(crowd) => Link::crowd(crowd.pointer()),
                None => Link::entry(new.pointer()),
            };
            let came = &place.top.count(pin).came;
            if old.is_none() {
                came.fetch_add(1, Ordering::Relaxed);
            }
            if place.slot.replace(place.link, to) {
                crowd.map(Unshared::share);
                let new = new.share();
                Self::retire(place.link, old, pin);
                return Put::In(new.get(), old.map(Shared::get));
            }
            if old.is_none() {
                came.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Puts what is at `place`, of another `hash`, into a branch.
    #[cold]
    fn make_room(place: &Place<'_, K, V>, hash: u64) {
        let branch = Unshared::new(Branch::with(place.link, hash, place.behind));
        if place
            .slot
            .replace(place.link, Link::branch(branch.pointer()))
        {
            branch.share();
        }
    }

    /// Takes the entry of `key` out if `wanted` says so, which may be asked again.
    pub(super) fn take<'g, Q>(
        &self,
        hash: u64,
        key: &Q,
        pin: &'g Pin<'_>,
        mut wanted: impl FnMut(&'g Entry<K, V>) -> bool,
    ) -> Option<&'g Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            self.top(pin)?;
            let place = self.place(hash, pin);
            // SAFETY: loaded under the pin.
            let (old, rest) = match unsafe { place.link.child() } {
                Child::Entry(entry)
                    if entry.get().hash == hash && entry.get().key.borrow() == key =>
                {
                    (entry, Vec::new())
                }
                Child::Crowd(crowd) if crowd.get().hash == hash => {
                    let at = crowd.get().find(key)?;
                    let mut rest = crowd.get().entries.clone();
                    rest.swap_remove(at);
                    (crowd.at(at), rest)
                }
                _ => return None,
            };
            if !wanted(old.get()) {
                return None;
            }
            let done = match rest.as_slice() {
                [] => place.slot.replace(place.link, Link::NOTHING),
                [only] => place.slot.replace(place.link, Link::entry(*only)),
                _ => {
                    let crowd = Unshared::new(Crowd {
                        hash,
                        entries: rest,
                    });
                    let done = place.slot.replace(place.link, Link::crowd(crowd.pointer()));
                    if done {
                        crowd.share();
                    }
                    done
                }
            };
            if done {
                // ORDERING: with `len`, which then sees that what went had come.
                place.top.count(pin).went.fetch_add(1, Ordering::Release);
                Self::retire(place.link, Some(old), pin);
                if place
                    .above
                    .is_some_and(|(_, branch)| branch.get().is_empty(pin))
                {
                    Self::prune(place.top, hash, pin);
                }
                return Some(old.get());
            }
        }
    }

    /// Retires what a slot held: the crowd, if it was one, and the entry that is not in it any more.
    #[inline]
    fn retire(link: Link<K, V>, old: Option<Shared<'_, Entry<K, V>>>, pin: &Pin<'_>) {
        // SAFETY: who replaces a link takes it out, and is the only one; the same goes for an
        // entry that is in a slot or in its crowd.
        unsafe {
            if let Child::Crowd(crowd) = link.child() {
                pin.retire(crowd.pointer().as_ptr());
            }
            if let Some(old) = old {
                pin.retire(old.pointer().as_ptr());
            }
        }
    }

    /// Takes out the branches on the way of `hash` that are empty.
    #[cold]
    fn prune(top: &Top<K, V>, hash: u64, pin: &Pin<'_>) {
        while let Some((slot, branch)) = Self::find(top, hash, pin).above {
            // Where others are at it they see to it.
            if !branch.get().is_empty(pin) || !Self::collapse(slot, branch, pin) {
                return;
            }
        }
    }

    /// Shows every entry to `f` until it says `false`.
    ///
    /// Slots are passed in the order of the hashes' bits, so no key is shown twice.
    pub(super) fn each<'g>(&self, pin: &'g Pin<'_>, f: &mut dyn FnMut(&'g Entry<K, V>) -> bool) {
        if let Some(top) = self.top(pin) {
            Self::each_of(&top.slots, pin, f);
        }
    }

    fn each_of<'g>(
        slots: &'g [Slot<K, V>],
        pin: &'g Pin<'_>,
        f: &mut dyn FnMut(&'g Entry<K, V>) -> bool,
    ) -> bool {
        // SAFETY: loaded under the pin.
        slots
            .iter()
            .all(|slot| match unsafe { slot.load(pin).child() } {
                Child::Nothing => true,
                Child::Entry(entry) => f(entry.get()),
                Child::Crowd(crowd) => {
                    (0..crowd.get().entries.len()).all(|at| f(crowd.at(at).get()))
                }
                Child::Branch(branch) => Self::each_of(&branch.get().slots, pin, f),
            })
    }

    pub(super) fn clear(&self) {
        let pin = self.pin();
        // ORDERING: with `begin`, and with who loads null and begins anew.
        let top = self.top.swap(ptr::null_mut(), Ordering::AcqRel);
        if !top.is_null() {
            // SAFETY: it was a box, is out of its place, and only who took it out retires it.
            unsafe { pin.retire(top) };
            // It may be all there is: that does not wait for others to be thrown away.
            pin.flush();
        }
    }

    pub(super) fn len(&self) -> usize {
        let pin = self.pin();
        let Some(top) = self.top(&pin) else { return 0 };
        let sum = |of: fn(&Count) -> &AtomicUsize| {
            // ORDERING: with `take`. Who has come is read after who went.
            let counts = top.counts.iter().map(|it| of(it).load(Ordering::Acquire));
            counts.fold(0, usize::wrapping_add)
        };
        let went = sum(|count| &count.went);
        sum(|count| &count.came).wrapping_sub(went)
    }
}

impl<K, V> Top<K, V> {
    #[inline]
    fn slot(&self, hash: u64) -> &Slot<K, V> {
        &self.slots[index(hash, 0, TOP_WIDTH)]
    }

    #[inline]
    fn count(&self, pin: &Pin<'_>) -> &Count {
        &self.counts[pin.thread() % LANES]
    }
}

impl<K, V> Drop for Trie<K, V> {
    fn drop(&mut self) {
        let top = self.top.load(Ordering::Relaxed);
        if !top.is_null() {
            // SAFETY: nobody else has the trie, and what is retired is not reachable from the top.
            drop(unsafe { Box::from_raw(top) });
        }
    }
}

impl<K, V> Drop for Top<K, V> {
    fn drop(&mut self) {
        free(&mut self.slots);
    }
}

/// Frees what is below `slots`, all the way down.
fn free<K, V>(slots: &mut [Slot<K, V>]) {
    for slot in slots {
        let link = slot.alone();
        // SAFETY: nobody else has the trie, each link is in one slot, and all were boxes.
        unsafe {
            match link.child() {
                Child::Nothing => {}
                Child::Entry(entry) => drop_quietly(Box::from_raw(entry.pointer().as_ptr())),
                Child::Crowd(crowd) => {
                    let crowd = Box::from_raw(crowd.pointer().as_ptr());
                    for entry in &crowd.entries {
                        drop_quietly(Box::from_raw(entry.as_ptr()));
                    }
                }
                Child::Branch(branch) => {
                    free(&mut Box::from_raw(branch.pointer().as_ptr()).slots);
                }
            }
        }
    }
}
