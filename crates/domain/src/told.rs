//! A place for who is told of something: empty until one is set, and that one stays.

use std::fmt;
use std::sync::OnceLock;

/// Who is told of each `T`, if anybody is.
pub struct Told<T>(OnceLock<Box<dyn Fn(T) + Send + Sync>>);

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() {
            "Told"
        } else {
            "Told(nobody)"
        })
    }
}

impl<T> Told<T> {
    /// From now on `told` is told. The first one that is set stays.
    pub fn set(&self, told: impl Fn(T) + Send + Sync + 'static) {
        // A second one is not wanted and changes nothing.
        drop(self.0.set(Box::new(told)));
    }

    /// Whether there is anybody to be told.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    /// Tells, on the caller's own thread.
    pub fn tell(&self, what: T) {
        if let Some(told) = self.0.get() {
            told(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_first_who_is_set_is_told_and_nobody_before() {
        let told = Told::default();
        told.tell(1);
        assert!(!told.is_set());
        let (first, second) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        for sum in [&first, &second] {
            let sum = Arc::clone(sum);
            told.set(move |n: u64| {
                sum.fetch_add(n, Ordering::Relaxed);
            });
        }
        told.tell(20);
        told.tell(300);
        assert_eq!(first.load(Ordering::Relaxed), 320);
        assert_eq!(second.load(Ordering::Relaxed), 0);
    }
}
