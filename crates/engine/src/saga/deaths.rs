//! Deaths of a simulated process: it comes to an end at the place that it is told, as by SIGKILL, and what it came by is known.
//!
//! In a build without the feature `bug-switches` nobody dies.

#[cfg(feature = "bug-switches")]
use std::cell::RefCell;
#[cfg(feature = "bug-switches")]
use std::sync::Arc;

#[cfg(feature = "bug-switches")]
use tokio::sync::Notify;

#[cfg(feature = "bug-switches")]
#[derive(Debug, Default)]
struct Life {
    passed: Vec<String>,
    dies_at: Option<usize>,
    is_dead: bool,
    died: Arc<Notify>,
}

#[cfg(feature = "bug-switches")]
thread_local! {
    static LIFE: RefCell<Life> = RefCell::default();
}

/// What is seen of the process whose engine runs on this thread.
#[cfg(feature = "bug-switches")]
#[derive(Debug)]
pub struct Mortal(Arc<Notify>);

#[cfg(feature = "bug-switches")]
impl Mortal {
    /// A new process begins on this thread. It dies at the place of this number, counted from 0, that it comes by; or does not.
    #[must_use]
    pub fn begin(dies_at: Option<usize>) -> Self {
        let life = Life {
            dies_at,
            ..Life::default()
        };
        let died = life.died.clone();
        LIFE.set(life);
        Self(died)
    }

    /// Waits until it has died. What was at work stands still from then on, and is to be dropped.
    pub async fn died(&self) {
        self.0.notified().await;
    }

    /// The places it came by, as `saga/step/place`.
    #[must_use]
    pub fn passed(&self) -> Vec<String> {
        LIFE.with_borrow(|life| life.passed.clone())
    }
}

/// A process comes by this place.
#[cfg(feature = "bug-switches")]
pub(super) fn pass(saga: &str, step: &str, place: &str) {
    let dies = LIFE.with_borrow_mut(|life| {
        let dies = life.dies_at == Some(life.passed.len());
        life.passed.push(format!("{saga}/{step}/{place}"));
        life.is_dead |= dies;
        if dies {
            life.died.notify_one();
        }
        dies
    });
    if dies {
        // The work on the operation is unwound up to its root, which goes no further.
        std::panic::resume_unwind(Box::new("dead"));
    }
}

/// Goes no further in a process that is dead.
pub(crate) async fn rest_if_dead() {
    #[cfg(feature = "bug-switches")]
    if LIFE.with_borrow(|life| life.is_dead) {
        std::future::pending::<()>().await;
    }
}
