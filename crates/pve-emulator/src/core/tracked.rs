//! Collections that know what changed in them since it was last written down.
//!
//! They read as what they wrap; only what is named here can change them. A world of 10,000 guests is too large to be
//! written down whole for each change of one, or to be compared whole: while they are watched, they keep what was there
//! before each change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Index, IndexMut};

use serde::{Deserialize, Serialize};

/// What is kept in a tracked collection.
pub(crate) trait Tracked {
    /// It is about to change: what was derived from it is void.
    fn touched(&mut self) {}
}

/// What became of entries since the last time: the new value, or nothing for what is gone.
pub(crate) type Changes<'a, K, V> = BTreeMap<K, Option<&'a V>>;

/// What was there before it changed: nothing for what was made since.
pub(crate) type Before<K, V> = BTreeMap<K, Option<V>>;

/// A map.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(deserialize = "K: Ord + Deserialize<'de>, V: Deserialize<'de>")
)]
pub(crate) struct TrackedMap<K, V> {
    entries: BTreeMap<K, V>,
    #[serde(skip, default = "BTreeSet::new")]
    changed: BTreeSet<K>,
    /// Counts changes, also those that are not written down.
    #[serde(skip)]
    version: u64,
    /// None while nobody watches.
    #[serde(skip)]
    before: Option<Before<K, V>>,
}

impl<K, V> Default for TrackedMap<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changed: BTreeSet::new(),
            version: 0,
            before: None,
        }
    }
}

impl<K, V> Deref for TrackedMap<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<K: Ord + Clone, V: Tracked + Clone> TrackedMap<K, V> {
    /// Another one after each change of an entry.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// From now on it keeps what was there before each change, passing ones aside; what it kept until now is forgotten.
    pub(crate) fn watch(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// What was there before what changed since it is watched, or since this was asked last.
    pub(crate) fn take_before(&mut self) -> Before<K, V> {
        self.before.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody watches any longer.
    pub(crate) fn unwatch(&mut self) {
        self.before = None;
    }

    fn keep(&mut self, key: &K) {
        if let Some(before) = self.before.as_mut().filter(|it| !it.contains_key(key)) {
            before.insert(key.clone(), self.entries.get(key).cloned());
        }
    }

    /// An entry to change.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.before.is_some() && self.entries.contains_key(key) {
            self.keep(key);
        }
        let entry = self.entries.get_mut(key)?;
        self.version += 1;
        self.changed.insert(key.clone());
        entry.touched();
        Some(entry)
    }

    /// An entry to change in what need not outlive the process: the change alone is no reason to write it down.
    pub(crate) fn get_mut_passing(&mut self, key: &K) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        self.version += 1;
        entry.touched();
        Some(entry)
    }

    /// Keeps beside an entry what was derived from it, which is no change.
    pub(crate) fn derive(&mut self, key: &K, keep: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(key) {
            keep(entry);
        }
    }

    /// Puts an entry in, in place of what was there.
    pub(crate) fn insert(&mut self, key: K, entry: V) {
        self.keep(&key);
        self.version += 1;
        self.changed.insert(key.clone());
        self.entries.insert(key, entry);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        if self.before.is_some() && self.entries.contains_key(key) {
            self.keep(key);
        }
        let entry = self.entries.remove(key)?;
        self.version += 1;
        self.changed.insert(key.clone());
        Some(entry)
    }

    /// Takes out what is not wanted any more.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&K, &V) -> bool) {
        let gone = self
            .entries
            .iter()
            .filter(|(key, entry)| !wanted(key, entry));
        let gone: Vec<K> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Changes those that are meant.
    pub(crate) fn change_where(
        &mut self,
        meant: impl Fn(&V) -> bool,
        mut change: impl FnMut(&mut V),
    ) {
        let hit = self.entries.iter().filter(|(_, entry)| meant(entry));
        let hit: Vec<K> = hit.map(|(key, _)| key.clone()).collect();
        for key in hit {
            if let Some(entry) = self.get_mut(&key) {
                change(entry);
            }
        }
    }

    /// What changed since [`forget_changes`](Self::forget_changes).
    pub(crate) fn changes(&self) -> Changes<'_, K, V> {
        let changed = self.changed.iter();
        changed
            .map(|key| (key.clone(), self.entries.get(key)))
            .collect()
    }

    /// It was all written down.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Does again what was written down.
    pub(crate) fn redo(&mut self, changes: BTreeMap<K, Option<V>>) {
        for (key, entry) in changes {
            match entry {
                Some(entry) => {
                    self.entries.insert(key, entry);
                }
                None => {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

/// A list. Entries keep their order; each has a number of its own that is never given again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: Deserialize<'de>"))]
pub(crate) struct TrackedList<V> {
    /// By ascending numbers.
    entries: Vec<(u64, V)>,
    next: u64,
    #[serde(skip)]
    changed: BTreeSet<u64>,
    /// None while nobody watches.
    #[serde(skip)]
    before: Option<Before<u64, V>>,
}

impl<V> Default for TrackedList<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            next: 0,
            changed: BTreeSet::new(),
            before: None,
        }
    }
}

fn keep<V: Clone>(before: &mut Option<Before<u64, V>>, number: u64, entry: &V) {
    if let Some(before) = before {
        before.entry(number).or_insert_with(|| Some(entry.clone()));
    }
}

impl<V> Index<usize> for TrackedList<V> {
    type Output = V;

    fn index(&self, at: usize) -> &V {
        &self.entries[at].1
    }
}

impl<V: Clone> IndexMut<usize> for TrackedList<V> {
    fn index_mut(&mut self, at: usize) -> &mut V {
        let (number, entry) = &mut self.entries[at];
        keep(&mut self.before, *number, entry);
        self.changed.insert(*number);
        entry
    }
}

impl<V: Clone> TrackedList<V> {
    /// From now on it keeps what was there before each change; what it kept until now is forgotten.
    pub(crate) fn watch(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// What was there before what changed since it is watched, or since this was asked last, and what is there now.
    pub(crate) fn take_before(&mut self) -> Vec<(Option<V>, Option<&V>)> {
        let before = self.before.as_mut().map(std::mem::take).unwrap_or_default();
        let now = |number| Some(&self.entries[self.place(number).ok()?].1);
        let before = before.into_iter();
        before.map(|(number, was)| (was, now(number))).collect()
    }

    /// Nobody watches any longer.
    pub(crate) fn unwatch(&mut self) {
        self.before = None;
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<&V> {
        self.entries.last().map(|(_, entry)| entry)
    }

    /// By its place.
    pub(crate) fn get(&self, at: usize) -> Option<&V> {
        Some(&self.entries.get(at)?.1)
    }

    /// By its place, to change it.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut V> {
        let (number, entry) = self.entries.get_mut(at)?;
        keep(&mut self.before, *number, entry);
        self.changed.insert(*number);
        Some(entry)
    }

    /// The last one, to change it.
    pub(crate) fn last_mut(&mut self) -> Option<&mut V> {
        self.get_mut(self.len().checked_sub(1)?)
    }

    /// Adds one at the end.
    pub(crate) fn push(&mut self, entry: V) {
        if let Some(before) = &mut self.before {
            before.insert(self.next, None);
        }
        self.changed.insert(self.next);
        self.entries.push((self.next, entry));
        self.next += 1;
    }

    /// Takes out what is not wanted any more; asks in order.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(&V) -> bool) {
        let (changed, before) = (&mut self.changed, &mut self.before);
        self.entries.retain(|(number, entry)| {
            let stays = wanted(entry);
            if !stays {
                keep(before, *number, entry);
                changed.insert(*number);
            }
            stays
        });
    }

    /// Changes those that are meant.
    pub(crate) fn change_where(
        &mut self,
        meant: impl Fn(&V) -> bool,
        mut change: impl FnMut(&mut V),
    ) {
        for (number, entry) in &mut self.entries {
            if meant(entry) {
                keep(&mut self.before, *number, entry);
                self.changed.insert(*number);
                change(entry);
            }
        }
    }

    /// What changed since [`forget_changes`](Self::forget_changes).
    pub(crate) fn changes(&self) -> Changes<'_, u64, V> {
        let changed = self.changed.iter();
        changed
            .map(|number| {
                let at = self.place(*number).ok();
                (*number, at.map(|at| &self.entries[at].1))
            })
            .collect()
    }

    /// It was all written down.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Does again what was written down.
    pub(crate) fn redo(&mut self, changes: BTreeMap<u64, Option<V>>) {
        for (number, entry) in changes {
            self.next = self.next.max(number + 1);
            match (self.place(number), entry) {
                (Ok(at), Some(entry)) => self.entries[at].1 = entry,
                (Err(at), Some(entry)) => self.entries.insert(at, (number, entry)),
                (Ok(at), None) => {
                    self.entries.remove(at);
                }
                (Err(_), None) => {}
            }
        }
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&number, |(known, _)| *known)
    }
}

impl<V: Clone> FromIterator<V> for TrackedList<V> {
    fn from_iter<I: IntoIterator<Item = V>>(entries: I) -> Self {
        let mut list = Self::default();
        entries.into_iter().for_each(|entry| list.push(entry));
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Tracked for u8 {}

    #[derive(Debug, Clone)]
    enum Act {
        Put(u32, u8),
        Change(u32, u8),
        Remove(u32),
        RetainBelow(u8),
        AddWhere(u8),
        Written,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let one = prop_oneof![
            (0..9_u32, any::<u8>()).prop_map(|(key, value)| Act::Put(key, value)),
            (0..9_u32, any::<u8>()).prop_map(|(key, value)| Act::Change(key, value)),
            (0..9_u32).prop_map(Act::Remove),
            any::<u8>().prop_map(Act::RetainBelow),
            any::<u8>().prop_map(Act::AddWhere),
            Just(Act::Written),
        ];
        proptest::collection::vec(one, 0..40)
    }

    fn owned<K: Ord + Clone>(changes: &Changes<'_, K, u8>) -> BTreeMap<K, Option<u8>> {
        changes
            .iter()
            .map(|(key, value)| (key.clone(), value.copied()))
            .collect()
    }

    proptest! {
        /// A copy to which only the changes are told stays the same.
        #[test]
        fn changes_of_a_map_tell_all(acts in acts()) {
            let mut map = TrackedMap::default();
            let mut copy = map.clone();
            for act in acts {
                match act {
                    Act::Put(key, value) => map.insert(key, value),
                    Act::Change(key, value) => {
                        if let Some(entry) = map.get_mut(&key) {
                            *entry = value;
                        }
                    }
                    Act::Remove(key) => {
                        map.remove(&key);
                    }
                    Act::RetainBelow(limit) => map.retain(|_, value| *value < limit),
                    Act::AddWhere(limit) => {
                        map.change_where(|value| *value > limit, |value| *value = value.wrapping_add(1));
                    }
                    Act::Written => {
                        copy.redo(owned(&map.changes()));
                        map.forget_changes();
                        prop_assert_eq!(&copy.entries, &map.entries);
                    }
                }
            }
            copy.redo(owned(&map.changes()));
            prop_assert_eq!(&copy.entries, &map.entries);
        }

        /// Likewise of a list, whose order stays too.
        #[test]
        fn changes_of_a_list_tell_all(acts in acts()) {
            let mut list = TrackedList::default();
            let mut copy = list.clone();
            for act in acts {
                match act {
                    Act::Put(_, value) => list.push(value),
                    Act::Change(at, value) => {
                        if let Some(entry) = list.get_mut(at as usize) {
                            *entry = value;
                        }
                    }
                    Act::Remove(at) => {
                        let mut place = 0;
                        list.retain(|_| {
                            place += 1;
                            place != at + 1
                        });
                    }
                    Act::RetainBelow(limit) => list.retain(|value| *value < limit),
                    Act::AddWhere(limit) => {
                        list.change_where(|value| *value > limit, |value| *value = value.wrapping_add(1));
                    }
                    Act::Written => {
                        copy.redo(owned(&list.changes()));
                        list.forget_changes();
                        prop_assert_eq!(&copy.entries, &list.entries);
                    }
                }
            }
            copy.redo(owned(&list.changes()));
            prop_assert_eq!(&copy.entries, &list.entries);
            copy.push(0);
            list.push(0);
            prop_assert_eq!(&copy.entries, &list.entries);
        }
    }
}
