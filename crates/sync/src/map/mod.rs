//! A map for many goroutines: Go's `sync.Map`, over a hash trie without locks.
//!
//! Nobody waits for another in it, so hashing, comparing, cloning and dropping keys and values,
//! and the closures given here, may all use the map themselves. A call pins the trie's
//! memory while it lasts; nothing that would keep it pinned is given out.

mod node;
mod reclaim;
mod trie;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

// A model must do the same each time.
#[cfg(rendez_loom)]
use foldhash::fast::FixedState as RandomState;
#[cfg(not(rendez_loom))]
use foldhash::fast::RandomState;

use self::node::Entry;
use self::reclaim::Pin;
use self::trie::{Put, Trie};

/// A map that goroutines share without a lock around it.
///
/// All of Go's `sync.Map`, and typed. Loads take no lock and write nothing; whatever a call
/// sees or changes, it does at one instant. Values come out cloned: put what is large into
/// an `Arc`. What is overwritten or deleted is dropped when no call that could see it runs any
/// more: some dozens at a time, at the end of a later call, whatever that does and whichever
/// goroutine's it is, and at the latest with the map. So their `Drop` should take no lock under
/// which the map is used, and what has to end at once should not wait for it.
///
/// A map takes some 20 kB, more on a machine of more than 32 processors: it is for one of many
/// keys, not for thousands of a few.
///
/// Keys should tell themselves apart by their `Hash`. Those that have one hash are searched one by
/// one, and each change among them copies a list of pointers to them.
///
/// # Examples
///
/// ```
/// use rendez_sync::Map;
///
/// let ages = Map::new();
/// ages.store("gopher", 10);
/// assert_eq!(ages.load(&"gopher"), Some(10));
/// assert_eq!(ages.load_or_store("gopher", 11), (10, true));
/// assert!(ages.compare_and_swap(&"gopher", &10, 11));
/// assert_eq!(ages.load_and_delete(&"gopher"), Some(11));
/// assert!(ages.is_empty());
/// ```
pub struct Map<K, V, S = RandomState> {
    trie: Trie<K, V>,
    hasher: S,
}

impl<K, V> Map<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::default())
    }
}

impl<K, V, S> Map<K, V, S> {
    /// An empty map that hashes its keys with `hasher`.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        let trie = Trie::new();
        Self { trie, hasher }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Map<K, V, S> {
    /// The value of `key`.
    #[inline]
    pub fn load<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.load_with(key, V::clone)
    }

    /// Runs `f` with the value of `key`, which need not be cloned then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rendez_sync::Map;
    /// let map: Map<_, _> = Map::from_iter([("numbers", vec![1, 2, 3])]);
    /// assert_eq!(map.load_with(&"numbers", |numbers| numbers.len()), Some(3));
    /// ```
    #[inline]
    pub fn load_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let pin = self.trie.pin();
        let entry = self.trie.get(hash, key, &pin)?;
        Some(f(&entry.value))
    }

    /// Whether `key` has a value.
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.load_with(key, |_| ()).is_some()
    }

    /// Sets the value of `key`.
    #[inline]
    pub fn store(&self, key: K, value: V) {
        let new = self.entry(key, value);
        self.trie.put(new, &self.trie.pin(), |_| true);
    }

    /// Sets the value of `key` and gives the one before.
    #[inline]
    pub fn swap(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        let new = self.entry(key, value);
        match self.trie.put(new, &self.trie.pin(), |_| true) {
            Put::In(_, old) | Put::Out(old) => old.map(|old| old.value.clone()),
        }
    }

    /// The value of `key`, which is now `value` if it had none; and whether it had one.
    #[inline]
    pub fn load_or_store(&self, key: K, value: V) -> (V, bool)
    where
        V: Clone,
    {
        let new = self.entry(key, value);
        let pin = self.trie.pin();
        if let Some(entry) = self.trie.get(new.hash, &new.key, &pin) {
            return (entry.value.clone(), true);
        }
        self.put_if_absent(new, &pin)
    }

    fn put_if_absent(&self, new: Entry<K, V>, pin: &Pin<'_>) -> (V, bool)
    where
        V: Clone,
    {
        match self.trie.put(new, pin, |old| old.is_none()) {
            Put::In(entry, _) => (entry.value.clone(), false),
            Put::Out(entry) => {
                let entry = entry.expect("only another value is a reason not to store this one");
                (entry.value.clone(), true)
            }
        }
    }

    /// As [`load_or_store`](Self::load_or_store), with a value that is made only if there
    /// is none.
    ///
    /// No lock is held while `f` runs. If another goroutine stores a value meanwhile, that
    /// one stays and what `f` made is dropped; [`SingleFlight`](crate::SingleFlight) makes
    /// one for all.
    ///
    /// # Examples
    ///
    /// ```
    /// let map = rendez_sync::Map::new();
    /// assert_eq!(map.load_or_store_with(1, || "made"), ("made", false));
    /// assert_eq!(map.load_or_store_with(1, || unreachable!()), ("made", true));
    /// ```
    pub fn load_or_store_with(&self, key: K, f: impl FnOnce() -> V) -> (V, bool)
    where
        V: Clone,
    {
        let hash = self.hasher.hash_one(&key);
        let pin = self.trie.pin();
        if let Some(entry) = self.trie.get(hash, &key, &pin) {
            return (entry.value.clone(), true);
        }
        // It may take long.
        drop(pin);
        let value = f();
        self.put_if_absent(Entry { hash, key, value }, &self.trie.pin())
    }

    /// Takes `key` out and gives its value.
    #[inline]
    pub fn load_and_delete<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let hash = self.hasher.hash_one(key);
        let pin = self.trie.pin();
        let entry = self.trie.take(hash, key, &pin, |_| true)?;
        Some(entry.value.clone())
    }

    /// Takes `key` out. Returns whether it was there.
    #[inline]
    pub fn delete<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.delete_if(key, |_| true)
    }

    /// Sets the value of `key` to `new` if it is `old`. Returns whether it did; it does not
    /// for a key that has no value.
    #[inline]
    pub fn compare_and_swap(&self, key: &K, old: &V, new: V) -> bool
    where
        K: Clone,
        V: PartialEq,
    {
        let hash = self.hasher.hash_one(key);
        let pin = self.trie.pin();
        let is_old = |entry: Option<&Entry<K, V>>| entry.is_some_and(|entry| entry.value == *old);
        // A look first: an entry is made only where there is a chance for it.
        if !is_old(self.trie.get(hash, key, &pin)) {
            return false;
        }
        let new = Entry {
            hash,
            key: key.clone(),
            value: new,
        };
        matches!(self.trie.put(new, &pin, is_old), Put::In(..))
    }

    /// Takes `key` out if its value is `old`. Returns whether it did.
    #[inline]
    pub fn compare_and_delete<Q>(&self, key: &Q, old: &V) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: PartialEq,
    {
        self.delete_if(key, |value| value == old)
    }

    pub(crate) fn delete_if<Q>(&self, key: &Q, mut wanted: impl FnMut(&V) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let pin = self.trie.pin();
        let taken = self
            .trie
            .take(hash, key, &pin, |entry| wanted(&entry.value));
        taken.is_some()
    }

    /// Calls `f` with each key and its value until it returns `false`.
    ///
    /// No key is visited twice. A key that is there all the while is visited; one that is
    /// stored or deleted meanwhile may be or not, and of its values any it had meanwhile.
    /// Nobody is held up, and `f` may call anything of the map, `range` included.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rendez_sync::Map;
    /// let map: Map<_, _> = Map::from_iter((1..=4).map(|n| (n, n * n)));
    /// map.range(|n, _| {
    ///     map.delete(n);
    ///     true
    /// });
    /// assert_eq!(map.len(), 0);
    /// ```
    pub fn range(&self, mut f: impl FnMut(&K, &V) -> bool) {
        let pin = self.trie.pin();
        self.trie
            .each(&pin, &mut |entry| f(&entry.key, &entry.value));
    }

    /// Takes all keys out, and drops them at once where no other call runs that could see them.
    pub fn clear(&self) {
        self.trie.clear();
    }

    /// How many keys there are.
    ///
    /// Beside others that store and delete it misses none, but may count some of theirs that have
    /// just gone or are about to come.
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn entry(&self, key: K, value: V) -> Entry<K, V> {
        let hash = self.hasher.hash_one(&key);
        Entry { hash, key, value }
    }
}

impl<K, V, S: Default> Default for Map<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V)> for Map<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries
            .into_iter()
            .for_each(|(key, value)| self.store(key, value));
    }
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> FromIterator<(K, V)> for Map<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K, V, S> fmt::Debug for Map<K, V, S>
where
    K: Hash + Eq + fmt::Debug,
    V: fmt::Debug,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.range(|key, value| {
            map.entry(key, value);
            true
        });
        map.finish()
    }
}
