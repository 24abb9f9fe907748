//! A map for many goroutines: Go's `sync.Map` over papaya's lock-free table.
//!
//! The table takes no locks, so hashing, comparing, cloning and dropping keys and values,
//! and the closures given here, may all use the map themselves. A call pins the table's
//! memory while it lasts; nothing that would keep it pinned is given out.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use papaya::{Compute, HashMap, Operation};

/// A map that goroutines share without a lock around it.
///
/// All of Go's `sync.Map`, and typed. Loads take no lock and write nothing; whatever a call
/// sees or changes, it does at one instant. Values come out cloned: put what is large into
/// an `Arc`. What is overwritten or deleted is dropped soon after, when no call that could
/// see it runs any more, and at the latest with the map.
///
/// Keys must tell themselves apart by their `Hash`: where more than thirty of them have one
/// hash, the table grows beyond need and a [`range`](Self::range) may never end.
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
    table: HashMap<K, V, S>,
}

impl<K, V> Map<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::default())
    }
}

impl<K, V, S> Map<K, V, S> {
    /// An empty map that hashes its keys with `hasher`, which must tell them apart, as the
    /// keys' own `Hash` must.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        let table = HashMap::with_hasher(hasher);
        Self { table }
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
        self.table.pin().get(key).cloned()
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
        self.table.pin().get(key).map(f)
    }

    /// Whether `key` has a value.
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.pin().contains_key(key)
    }

    /// Sets the value of `key`.
    #[inline]
    pub fn store(&self, key: K, value: V) {
        self.table.pin().insert(key, value);
    }

    /// Sets the value of `key` and gives the one before.
    #[inline]
    pub fn swap(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        self.table.pin().insert(key, value).cloned()
    }

    /// The value of `key`, which is now `value` if it had none; and whether it had one.
    #[inline]
    pub fn load_or_store(&self, key: K, value: V) -> (V, bool)
    where
        V: Clone,
    {
        match self.table.pin().try_insert(key, value) {
            Ok(stored) => (stored.clone(), false),
            Err(occupied) => (occupied.current.clone(), true),
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
        match self.load(&key) {
            Some(value) => (value, true),
            None => self.load_or_store(key, f()),
        }
    }

    /// Takes `key` out and gives its value.
    #[inline]
    pub fn load_and_delete<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.table.pin().remove(key).cloned()
    }

    /// Takes `key` out. Returns whether it was there.
    #[inline]
    pub fn delete<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.pin().remove(key).is_some()
    }

    /// Sets the value of `key` to `new` if it is `old`. Returns whether it did; it does not
    /// for a key that has no value.
    #[inline]
    pub fn compare_and_swap(&self, key: &K, old: &V, new: V) -> bool
    where
        K: Clone,
        V: Clone + PartialEq,
    {
        let table = self.table.pin();
        // The closure may run again if others change the entry meanwhile.
        let changed = table.compute(key.clone(), |entry| match entry {
            Some((_, value)) if value == old => Operation::Insert(new.clone()),
            _ => Operation::Abort(()),
        });
        matches!(changed, Compute::Updated { .. })
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
        let table = self.table.pin();
        matches!(table.remove_if(key, |_, value| wanted(value)), Ok(Some(_)))
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
        let table = self.table.pin();
        // A key that is deleted and stored again may lie farther on.
        let mut seen = HashSet::with_hasher(RandomState::default());
        for (key, value) in &table {
            if seen.insert(key) && !f(key, value) {
                return;
            }
        }
    }

    /// Takes all keys out.
    pub fn clear(&self) {
        self.table.pin().clear();
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
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
        self.table.pin().fmt(f)
    }
}
