//! A simulated process that is not scheduled for a while, as by SIGSTOP: whatever it was at stands still, and goes on later.
//!
//! In a build without the feature `bug-switches` every process is always scheduled, and what it spawns is left as it is.

#[cfg(feature = "bug-switches")]
use std::future::poll_fn;
#[cfg(feature = "bug-switches")]
use std::pin::pin;
#[cfg(feature = "bug-switches")]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "bug-switches")]
use std::task::{Poll, Waker};

#[cfg(feature = "bug-switches")]
tokio::task_local! {
    static PROCESS: Scheduling;
}

/// Whether a process is scheduled. Cheap to clone.
#[cfg(feature = "bug-switches")]
#[derive(Debug, Clone, Default)]
pub struct Scheduling(Arc<Mutex<State>>);

#[cfg(feature = "bug-switches")]
#[derive(Debug, Default)]
struct State {
    /// How many have stopped it and not let it go on: it runs while there are none.
    stops: u32,
    /// What would run, in the order in which it would have.
    waiting: Vec<Waker>,
}

#[cfg(feature = "bug-switches")]
impl Scheduling {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing of the process runs. Whoever calls this out of the process itself runs until it waits next.
    pub fn stop(&self) {
        self.lock().stops += 1;
    }

    /// Takes one stop back. After the last one what would have run meanwhile runs, in the order in which it would have.
    pub fn go_on(&self) {
        let waiting = {
            let mut state = self.lock();
            state.stops = state.stops.saturating_sub(1);
            if state.stops > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// It is stopped.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.lock().stops > 0
    }

    /// Work of the process. What the engine spawns out of it belongs to the process too.
    pub async fn of<T>(self, work: impl Future<Output = T>) -> T {
        let process = self.clone();
        let mut work = pin!(PROCESS.scope(self, work));
        poll_fn(move |cx| {
            if process.holds(cx.waker()) {
                return Poll::Pending;
            }
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Whether whoever has this waker must wait, who is then woken when the process goes on.
    fn holds(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if state.stops == 0 {
            return false;
        }
        if !state.waiting.iter().any(|other| other.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        true
    }
}

/// What is about to be spawned stands still with the process that spawns it.
#[cfg(feature = "bug-switches")]
pub(crate) fn along<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let process = PROCESS.try_with(Clone::clone).ok();
    async move {
        match process {
            Some(process) => process.of(work).await,
            None => work.await,
        }
    }
}

/// What is about to be spawned, as it is.
#[cfg(not(feature = "bug-switches"))]
pub(crate) fn along<F: Future>(work: F) -> F {
    work
}

#[cfg(all(test, feature = "bug-switches"))]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    /// Two waits of a second each, the second one in what the first one's task spawned.
    async fn two_waits() -> Instant {
        sleep(Duration::from_secs(1)).await;
        let spawned = tokio::spawn(along(async {
            sleep(Duration::from_secs(1)).await;
            Instant::now()
        }));
        spawned.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stopped_goes_on_where_it_stood_and_so_does_what_it_spawned() {
        let began = Instant::now();
        let process = Scheduling::default();
        let stopped = tokio::spawn(process.clone().of(two_waits()));
        let other = tokio::spawn(two_waits());
        sleep(Duration::from_millis(1_500)).await;
        process.stop();
        process.stop();
        assert!(process.stands_still());
        sleep(Duration::from_secs(60)).await;
        process.go_on();
        assert!(process.stands_still(), "it was stopped twice");
        sleep(Duration::from_secs(60)).await;
        process.go_on();
        assert!(!process.stands_still());
        let after_s = |at: Instant| (at - began).as_secs();
        assert_eq!(after_s(stopped.await.unwrap()), 121);
        assert_eq!(after_s(other.await.unwrap()), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_have_run_runs_in_that_order() {
        let process = Scheduling::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [30, 10, 20]
            .into_iter()
            .map(|ms| {
                let order = order.clone();
                tokio::spawn(process.clone().of(async move {
                    sleep(Duration::from_millis(ms)).await;
                    order.lock().unwrap().push(ms);
                }))
            })
            .collect();
        tokio::task::yield_now().await;
        process.stop();
        sleep(Duration::from_secs(1)).await;
        assert!(order.lock().unwrap().is_empty());
        process.go_on();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [10, 20, 30]);
    }
}
