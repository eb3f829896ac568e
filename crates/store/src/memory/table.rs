//! A map that remembers what its rows were before the write that is under way.

use std::collections::BTreeMap;
use std::ops::Deref;

/// Rows by key. Reading goes through the map inside; every change goes through the methods here.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    rows: BTreeMap<K, V>,
    /// What was at a key before it was changed, oldest first.
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            before: Vec::new(),
        }
    }
}

impl<K, V> Deref for Table<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.rows
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// Puts a row in, in place of one that is there.
    pub(crate) fn put(&mut self, key: K, row: V) {
        let before = self.rows.insert(key.clone(), row);
        self.before.push((key, before));
    }

    /// A row to change.
    pub(crate) fn row(&mut self, key: &K) -> Option<&mut V> {
        let row = self.rows.get_mut(key)?;
        self.before.push((key.clone(), Some(row.clone())));
        Some(row)
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(before) = self.rows.remove(key) {
            self.before.push((key.clone(), Some(before)));
        }
    }

    /// What was changed stays.
    pub(crate) fn keep(&mut self) {
        self.before.clear();
    }

    /// What was changed since the last [`Table::keep`] is as it was.
    pub(crate) fn take_back(&mut self) {
        while let Some((key, before)) = self.before.pop() {
            match before {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl<V: Clone> Table<i64, V> {
    /// The number of the next row of a journal.
    pub(crate) fn next_number(&self) -> i64 {
        self.last_key_value().map_or(0, |(last, _)| *last) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_sort_of_change_back_in_reverse() {
        let mut table = Table::default();
        table.put(1, "one");
        table.put(2, "two");
        table.keep();
        let kept = (*table).clone();
        table.put(3, "three");
        table.put(1, "eins");
        *table.row(&1).unwrap() = "uno";
        table.remove(&2);
        table.put(2, "zwei");
        table.remove(&3);
        assert_ne!(*table, kept);
        table.take_back();
        assert_eq!(*table, kept);
        assert_eq!(table.row(&9), None);
    }
}
