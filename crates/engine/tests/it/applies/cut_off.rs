//! A process that dies wherever the loop waits: nothing is done twice, and all of it is done.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use proximity_domain::apply::{ApplyState, ChangeState};
use proximity_domain::manifest::{Manifest, WantedPower};
use proximity_engine::apply::Applier;
use proximity_store::views::OperationFilter;

use super::{Stand, app, spec};

/// No single command waits so often; so what is cut off later than this comes forward.
const MOST: u32 = 128;
/// Less than the half minute after which the worker looks by itself: who takes over tells it what was put into the queue.
const LONGEST: Duration = Duration::from_secs(25);

/// Polls the work so often, and drops it then, as the end of its process does. `None`: it was cut off.
async fn cut_off<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

impl Stand {
    /// Carries out what is asked for by one process after the other: each is cut off in its first pass, the next one a wait
    /// later. Gives how many of them died, and how it ended.
    async fn by_mortals(&self, documents: &[Manifest]) -> (u32, ApplyState) {
        let id = self.apply(documents).await;
        // The first one dies at its first wait, each one after it at the next; when one lived to its end they begin anew. So many die also
        // where the apps come up quickly, and most passes have few waits.
        let (waits, died) = (Cell::new(0_u32), Cell::new(0_u32));
        let is_over = async || {
            // The next one knows that every other is dead, as a server that holds the lock of its data directory does.
            let mut applier = Applier::new(self.w.engine.clone(), true);
            match cut_off(applier.pass(), waits.get()).await {
                Some(passed) => {
                    assert!(passed.is_ok(), "{passed:?}");
                    waits.set(0);
                }
                None => {
                    waits.set((waits.get() + 1) % MOST);
                    died.set(died.get() + 1);
                }
            }
            let apply = self.w.store.apply(id).await.unwrap().unwrap();
            apply.state.is_over()
        };
        self.w.within(LONGEST, is_over).await.unwrap();
        let apply = self.w.store.apply(id).await.unwrap().unwrap();
        (died.get(), apply.state)
    }

    /// The kinds of all operations there were, each as often as it was begun.
    async fn begun(&self) -> Vec<&'static str> {
        let all = self.w.store.operations(OperationFilter {
            limit: OperationFilter::MAX_LIMIT,
            ..OperationFilter::default()
        });
        let all = all.await.unwrap();
        let mut kinds: Vec<&str> = all.iter().map(|one| one.kind.label()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// How often it was written down what is wanted of an app.
    async fn written(&self, name: &str) -> u64 {
        let desired = self.w.store.desired(&name.parse().unwrap()).await;
        desired.unwrap().map_or(0, |one| one.revision)
    }
}

#[tokio::test]
async fn apps_are_made_once_by_processes_that_die_wherever_they_wait() {
    let s = Stand::start().await;
    let documents = [
        app("web", &["mid"]),
        app("mid", &["data"]),
        app("data", &[]),
    ];
    let (died, state) = s.by_mortals(&documents).await;
    assert_eq!(state, ApplyState::Done);
    assert!(died > 3, "{died} died: that shows nothing");
    assert_eq!(s.begun().await, ["deploy", "deploy", "deploy"]);
    for name in ["data", "mid", "web"] {
        assert_eq!(s.written(name).await, 1, "{name}");
    }
    assert_eq!(s.hostnames().await, ["data", "mid", "web"]);
    s.is_as_wanted(&documents).await;
}

#[tokio::test]
async fn what_is_changed_stopped_and_taken_over_is_so_once_by_processes_that_die_wherever_they_wait()
 {
    let s = Stand::start().await;
    s.deployed("web").await;
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    s.w.pve.quiet().await;
    let mut web = app("web", &[]);
    spec(&mut web).resources.memory_mib = Some(128);
    spec(&mut web).power = Some(WantedPower::Stopped);
    let documents = [web, super::found("dbs", 150)];
    // That it runs is in the cluster's list some seconds later.
    let both = async || {
        let plan = s.plan(&documents, false).await.plan;
        plan.changes.iter().any(|one| one.fields.len() == 2)
    };
    s.w.until(both).await.unwrap();
    let (died, state) = s.by_mortals(&documents).await;
    assert_eq!(state, ApplyState::Done);
    // It waits less often than the one that makes apps.
    assert!(died > 1, "{died} died: that shows nothing");
    assert_eq!(s.begun().await, ["adopt", "deploy", "stop", "update"]);
    for name in ["dbs", "web"] {
        assert_eq!(s.written(name).await, 1, "{name}");
    }
    s.is_as_wanted(&documents).await;
}

/// The worker dies as well, together with the loop.
#[tokio::test]
async fn an_apply_goes_on_after_the_death_of_everything_that_is_at_work_on_it() {
    let mut s = Stand::start().await;
    let documents = [app("data", &[]), app("web", &["data"])];
    let id = s.apply(&documents).await;
    s.has_begun(id, 0).await;
    s.w.crash_worker().await;
    *s.applier.lock().await = Applier::new(s.w.engine.clone(), true);
    s.w.start_worker();
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    assert!(changes.iter().all(|one| one.state == ChangeState::Done));
    assert_eq!(s.begun().await, ["deploy", "deploy"]);
    for name in ["data", "web"] {
        assert_eq!(s.written(name).await, 1, "{name}");
    }
}
