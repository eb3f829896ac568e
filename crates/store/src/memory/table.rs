//! A map that remembers what its rows were before the write that is under way.

use std::collections::BTreeMap;
use std::ops::Deref;

/// How many of the newest changes of a write are looked through for one of the same row.
const NEWEST: usize = 16;

/// Rows by key. Reading goes through the map inside; every change goes through the methods here.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    rows: BTreeMap<K, V>,
    /// What was at a key before it was changed, oldest first: of several for a key the first one counts.
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
        // A write changes few rows, and some of them again and again: a copy for each time is wanted by nobody.
        let mut newest = self.before.iter().rev().take(NEWEST);
        if newest.all(|(changed, _)| changed != key) {
            self.before.push((key.clone(), Some(row.clone())));
        }
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
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Counts its copies.
    #[derive(Debug, PartialEq, Eq)]
    struct Counted {
        value: u32,
        copies: Rc<Cell<u32>>,
    }

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.copies.set(self.copies.get() + 1);
            Self {
                value: self.value,
                copies: Rc::clone(&self.copies),
            }
        }
    }

    #[test]
    fn a_row_is_copied_once_for_a_write_however_often_it_is_changed() {
        let copies = Rc::new(Cell::new(0));
        let mut table = Table::default();
        for key in 0..40 {
            let row = Counted {
                value: key,
                copies: Rc::clone(&copies),
            };
            table.put(key, row);
        }
        table.keep();
        for value in 100..110 {
            table.row(&1).unwrap().value = value;
            table.row(&2).unwrap().value = value;
        }
        assert_eq!(copies.get(), 2);
        // Long ago in this write: it is copied once more, and the first copy is the one that counts.
        for key in 10..40 {
            table.row(&key).unwrap().value = 7;
        }
        table.row(&1).unwrap().value = 200;
        table.take_back();
        let values = table.iter().map(|(key, row)| (*key, row.value));
        assert!(values.clone().all(|(key, value)| key == value));
        assert_eq!(values.count(), 40);
        table.row(&1).unwrap().value = 5;
        table.keep();
        table.row(&1).unwrap().value = 6;
        table.take_back();
        assert_eq!(table[&1].value, 5, "the next write begins anew");
    }

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
