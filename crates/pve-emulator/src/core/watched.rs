//! A file of the cluster: plain data that keeps, while it is watched, what it was before it changed.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// Reads and changes as what it wraps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Watched<T> {
    now: T,
    #[serde(skip)]
    watching: bool,
    /// As it was before the first change since it is watched, or since it was asked last.
    #[serde(skip, default = "Option::default")]
    before: Option<Box<T>>,
}

impl<T> From<T> for Watched<T> {
    fn from(now: T) -> Self {
        Self {
            now,
            watching: false,
            before: None,
        }
    }
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T: Clone> DerefMut for Watched<T> {
    fn deref_mut(&mut self) -> &mut T {
        if self.watching && self.before.is_none() {
            self.before = Some(Box::new(self.now.clone()));
        }
        &mut self.now
    }
}

impl<T> Watched<T> {
    /// From now on it is watched, or no longer; what it was before is forgotten.
    pub(crate) fn watch(&mut self, watch: bool) {
        self.watching = watch;
        self.before = None;
    }

    /// Whether it says something else than when it was asked last. What is no part of the file is left out of `content`.
    pub(crate) fn take_changed<C: PartialEq>(&mut self, content: impl Fn(&T) -> C) -> bool {
        let before = self.before.take();
        before.is_some_and(|before| content(&before) != content(&self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_only_while_it_is_watched() {
        let mut file = Watched::from(vec![1]);
        file.push(2);
        assert!(!file.take_changed(Vec::clone), "nobody watched");
        file.watch(true);
        file.retain(|_| true);
        assert!(!file.take_changed(Vec::clone), "it says the same");
        file.push(3);
        file.push(4);
        assert!(file.take_changed(Vec::clone));
        assert!(!file.take_changed(Vec::clone));
        file.push(5);
        assert!(!file.take_changed(|it| it[0]), "that part did not change");
        file.watch(false);
        file.push(6);
        assert!(!file.take_changed(Vec::clone));
        assert_eq!(*file, [1, 2, 3, 4, 5, 6]);
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(json, "[1,2,3,4,5,6]");
    }
}
