//! A hierarchical timing wheel: entries by time, put in and taken out in constant time.
//!
//! Time is nanoseconds, gathered in ticks of 2^15 (33 µs). Level 0 has a slot for each of
//! 64 ticks, level 1 for each 64 of those, and so on; eight levels reach 292 years. An
//! entry lies on the lowest level whose slots distinguish its tick from `elapsed`, and
//! comes down as time comes near. Entries keep their exact time: within a tick they are
//! told apart by that.
//!
//! Invariants:
//!
//! - `elapsed` never decreases, and no entry's slot begins before it but the current
//!   one of level 0.
//! - An entry's tick agrees with `elapsed` in all digits above its level; so on each level
//!   all slots in use come after the current one, and every entry of a lower level comes
//!   before every entry of a higher one. (Excepted is a slot on its way down, which holds
//!   entries of its first tick onwards and is emptied before anything else is looked at.)
//! - A slot's bit in `in_use` is set while its list is not empty.

use super::slab::{NIL, Slab};

const TICK_BITS: u32 = 15;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 8;
const END: u64 = (1 << (TICK_BITS + SLOT_BITS * LEVELS as u32)) - 1;

/// How many entries are moved or taken in one go, so that whoever waits for the lock does
/// not wait long.
const BATCH: usize = 512;
/// How many entries of a slot are looked at to find the earliest; of a fuller slot only
/// its bounds count.
const LOOK: usize = 64;

/// One entry. Its id is never used again.
// Packed, so that what may be one, as each future that waits holds, has its mark in the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(super) struct Key {
    at: u32,
    id: u64,
}

#[derive(Debug)]
struct Entry<T> {
    when: u64,
    id: u64,
    prev: u32,
    next: u32,
    level: u8,
    slot: u8,
    item: T,
}

/// What is due: when, in which order of insertion, what.
pub(super) type Due<T> = (u64, u64, T);

/// When there will be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    At(u64),
    Never,
}

#[derive(Debug)]
pub(super) struct Wheel<T> {
    entries: Slab<Entry<T>>,
    elapsed: u64,
    next_id: u64,
    in_use: [u64; LEVELS],
    // The lists' first entries; a list goes round, so the first one's `prev` is the last.
    heads: [[u32; SLOTS]; LEVELS],
    coming_down: Option<(usize, usize)>,
}

impl<T> Wheel<T> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Slab::new(),
            elapsed: 0,
            next_id: 0,
            in_use: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
            coming_down: None,
        }
    }

    /// Puts `item` in at `when`.
    pub(super) fn insert(&mut self, when: u64, item: T) -> Key {
        let when = when.min(END);
        let id = self.next_id;
        self.next_id += 1;
        let (level, slot) = self.place(when);
        let (prev, next) = self.ends(level, slot);
        let at = self.entries.insert(|at| Entry {
            when,
            id,
            prev: if prev == NIL { at } else { prev },
            next: if next == NIL { at } else { next },
            level,
            slot,
            item,
        });
        self.join(at, prev, next, level, slot);
        Key { at, id }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_use.iter().all(|&slots| slots == 0) && self.coming_down.is_none()
    }

    /// The time and item of an entry that is still in.
    pub(super) fn get(&self, key: Key) -> Option<(u64, &T)> {
        let entry = self.entries.get(key.at).filter(|e| e.id == key.id)?;
        Some((entry.when, &entry.item))
    }

    /// Takes an entry out, if it is still in.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.unlink(key.at);
        Some(self.entries.remove(key.at).item)
    }

    /// Takes out what is due at `now`, at most so much in one go. In the order of time
    /// from slot to slot, in that of insertion within.
    pub(super) fn expire(&mut self, now: u64, due: &mut Vec<Due<T>>) -> Next {
        let now_tick = now.min(END) >> TICK_BITS;
        let mut n_left = BATCH;
        while n_left > 0 {
            if let Some((level, slot)) = self.coming_down {
                match self.heads[level][slot] {
                    NIL => self.coming_down = None,
                    at => {
                        let when = self.unlink(at);
                        self.link(at, when);
                        n_left -= 1;
                    }
                }
                continue;
            }
            let Some((level, slot)) = self.first() else {
                self.elapsed = self.elapsed.max(now_tick);
                return Next::Never;
            };
            let begin = self.begin(level, slot);
            if begin > now_tick {
                self.elapsed = self.elapsed.max(now_tick);
                return Next::At(self.earliest(level, slot, begin));
            }
            self.elapsed = self.elapsed.max(begin);
            if level > 0 {
                self.coming_down = Some((level, slot));
            } else if begin < now_tick {
                due.push(self.take(self.heads[0][slot]));
                n_left -= 1;
            } else if let Some(next) = self.expire_current(now, slot, due) {
                return next;
            }
        }
        Next::Now
    }

    /// What is due in the current tick; when the rest is, if there is a rest.
    fn expire_current(&mut self, now: u64, slot: usize, due: &mut Vec<Due<T>>) -> Option<Next> {
        let mut at = self.heads[0][slot];
        // A list goes round; nothing is put in meanwhile.
        let end = self.entries.get(at).expect("linked").prev;
        let mut rest = u64::MAX;
        for n_seen in 0.. {
            if n_seen == LOOK {
                // So many that the others are left to the end of the tick.
                rest = (self.elapsed + 1) << TICK_BITS;
                break;
            }
            let entry = self.entries.get(at).expect("linked");
            let (when, next, is_end) = (entry.when, entry.next, at == end);
            if when <= now {
                due.push(self.take(at));
            } else {
                rest = rest.min(when);
            }
            if is_end {
                break;
            }
            at = next;
        }
        (rest != u64::MAX).then_some(Next::At(rest))
    }

    /// The first slot in use.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.in_use.iter().position(|&slots| slots != 0)?;
        Some((level, self.in_use[level].trailing_zeros() as usize))
    }

    /// The first tick of a slot that comes after `elapsed`, or is its own.
    fn begin(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        let above = self.elapsed >> (shift + SLOT_BITS) << SLOT_BITS;
        (above | slot as u64) << shift
    }

    /// When to look at a slot again that begins in the future: at the time of its
    /// earliest entry, or, if there are many, when it is time to take them down or out.
    fn earliest(&self, level: usize, slot: usize, begin: u64) -> u64 {
        let head = self.heads[level][slot];
        let mut earliest = u64::MAX;
        let mut at = head;
        for _ in 0..LOOK {
            let entry = self.entries.get(at).expect("linked");
            earliest = earliest.min(entry.when);
            at = entry.next;
            if at == head {
                return earliest;
            }
        }
        (begin + u64::from(level == 0)) << TICK_BITS
    }

    /// Puts an entry that is in no list into the one of its time.
    fn link(&mut self, at: u32, when: u64) {
        let (level, slot) = self.place(when);
        let (prev, next) = self.ends(level, slot);
        let entry = self.entries.get_mut(at).expect("about to be linked");
        entry.prev = if prev == NIL { at } else { prev };
        entry.next = if next == NIL { at } else { next };
        (entry.level, entry.slot) = (level, slot);
        self.join(at, prev, next, level, slot);
    }

    /// The level and slot of what is due at `when`.
    fn place(&self, when: u64) -> (u8, u8) {
        let tick = (when >> TICK_BITS).max(self.elapsed);
        let apart = tick ^ self.elapsed;
        // The highest digit in which they differ.
        let level = (63 - (apart | 1).leading_zeros()) / SLOT_BITS;
        let slot = (tick >> (SLOT_BITS * level)) as usize % SLOTS;
        #[expect(clippy::cast_possible_truncation, reason = "below 8 and 64")]
        (level as u8, slot as u8)
    }

    /// The last and the first of a list, between which a new entry comes; NIL if it is empty.
    fn ends(&self, level: u8, slot: u8) -> (u32, u32) {
        match self.heads[usize::from(level)][usize::from(slot)] {
            NIL => (NIL, NIL),
            first => (self.entries.get(first).expect("linked").prev, first),
        }
    }

    /// Has its list know of a new entry that knows its neighbours.
    fn join(&mut self, at: u32, last: u32, first: u32, level: u8, slot: u8) {
        if first == NIL {
            self.heads[usize::from(level)][usize::from(slot)] = at;
            self.in_use[usize::from(level)] |= 1 << slot;
        } else {
            self.entries.get_mut(first).expect("linked").prev = at;
            self.entries.get_mut(last).expect("linked").next = at;
        }
    }

    #[inline(always)]
    fn unlink(&mut self, at: u32) -> u64 {
        let entry = self.entries.get(at).expect("linked");
        let (prev, next, when) = (entry.prev, entry.next, entry.when);
        let (level, slot) = (entry.level as usize, entry.slot as usize);
        if next == at {
            self.heads[level][slot] = NIL;
            self.in_use[level] &= !(1 << slot);
        } else {
            self.entries.get_mut(prev).expect("linked").next = next;
            self.entries.get_mut(next).expect("linked").prev = prev;
            if self.heads[level][slot] == at {
                self.heads[level][slot] = next;
            }
        }
        when
    }

    fn take(&mut self, at: u32) -> Due<T> {
        self.unlink(at);
        let entry = self.entries.remove(at);
        (entry.when, entry.id, entry.item)
    }
}
