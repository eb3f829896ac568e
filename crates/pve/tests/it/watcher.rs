//! The task watcher on virtual time, against a PVE that is played by a closure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proximity_pve::task::{TaskOutcome, TaskWatcher};
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use proximity_pve::{Error, ReadClient, Upid};
use tokio::time::Instant;

use crate::world::RuntimeClock;

const START: &str = "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:";
const STOP: &str = "UPID:pve2:000002F6:0006BA27:6B001DCE:vzstop:141:root@pam!gold:";

fn upid(text: &str) -> Upid {
    text.parse().unwrap()
}

/// A played PVE: one task that ends at a moment, and what goes wrong meanwhile.
struct Played {
    ends_at: Mutex<Instant>,
    exit: Mutex<String>,
    /// Whether `/cluster/tasks` shows anything.
    sees_list: AtomicBool,
    /// What every question to the task's node gets instead of an answer.
    node_trouble: Mutex<Option<(u16, &'static str, &'static str)>>,
    /// Whether no request is answered at all.
    is_cut: AtomicBool,
    lists: AtomicUsize,
    questions: AtomicUsize,
}

impl Played {
    fn ending_after(ms: u64) -> Arc<Self> {
        Arc::new(Self {
            ends_at: Mutex::new(Instant::now() + Duration::from_millis(ms)),
            exit: Mutex::new("OK".to_owned()),
            sees_list: AtomicBool::new(true),
            node_trouble: Mutex::new(None),
            is_cut: AtomicBool::new(false),
            lists: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
        })
    }

    fn answer(&self, request: &Request) -> Result<RawResponse, TransportError> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(TransportError::NotSent("cut".to_owned()));
        }
        let ended = Instant::now() >= *self.ends_at.lock().unwrap();
        let exit = self.exit.lock().unwrap().clone();
        if request.path == "/cluster/tasks" {
            self.lists.fetch_add(1, Ordering::SeqCst);
            let state = if ended {
                format!(r#","endtime":1,"status":"{exit}""#)
            } else {
                String::new()
            };
            let rows = [START, STOP]
                .map(|u| format!(r#"{{"upid":"{u}"{state}}}"#))
                .join(",");
            return ok(&if self.sees_list.load(Ordering::SeqCst) {
                format!("[{rows}]")
            } else {
                "[]".to_owned()
            });
        }
        assert!(request.path.ends_with("/status"), "{}", request.path);
        self.questions.fetch_add(1, Ordering::SeqCst);
        if let Some((status, reason, body)) = *self.node_trouble.lock().unwrap() {
            return Ok(RawResponse {
                status,
                reason: reason.to_owned(),
                body: Bytes::from(body),
            });
        }
        ok(&if ended {
            format!(r#"{{"status":"stopped","exitstatus":"{exit}"}}"#)
        } else {
            r#"{"status":"running"}"#.to_owned()
        })
    }

    fn watcher(self: &Arc<Self>) -> TaskWatcher {
        let played = self.clone();
        let transport = InProcess::new(move |request| {
            let played = played.clone();
            async move {
                // An exchange takes its time, and the state is that of its end.
                tokio::time::sleep(Duration::from_millis(2)).await;
                played.answer(&request)
            }
        });
        TaskWatcher::new(ReadClient::new(Arc::new(transport)), RuntimeClock::new())
    }

    fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

fn ok(data: &str) -> Result<RawResponse, TransportError> {
    let body = Bytes::from(format!(r#"{{"data":{data}}}"#));
    Ok(RawResponse {
        status: 200,
        reason: "OK".to_owned(),
        body,
    })
}

#[tokio::test(start_paused = true)]
async fn the_list_is_polled_and_the_node_asked_once() {
    let pve = Played::ending_after(2_000);
    let begun = Instant::now();
    let outcome = pve.watcher().wait(&upid(START), 60_000).await.unwrap();
    assert_eq!(outcome, TaskOutcome::Ok);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_millis(2_100),
        "noticed after {took:?}"
    );
    assert_eq!(pve.questions(), 1, "one question, for the verdict");
    assert!(
        (20..=41).contains(&pve.lists()),
        "{} lists in 2 s",
        pve.lists()
    );
}

/// What was learned of the ones before tells when the next one is to be looked at.
#[tokio::test(start_paused = true)]
async fn the_next_task_of_its_kind_is_noticed_at_once_with_fewer_looks() {
    let pve = Played::ending_after(1_000);
    let watcher = pve.watcher();
    let mut counts = Vec::new();
    for _ in 0..4 {
        let (begun, before) = (Instant::now(), pve.lists());
        let ends_at = begun + Duration::from_millis(1_003);
        *pve.ends_at.lock().unwrap() = ends_at;
        watcher.wait(&upid(START), 60_000).await.unwrap();
        counts.push((pve.lists() - before, ends_at.elapsed().as_millis()));
    }
    // The first one by looking all the time, the second with a rough idea, then exactly.
    let [(unknown, _), _, third, fourth] = counts[..] else {
        panic!("{counts:?}")
    };
    for (looks, late_ms) in [third, fourth] {
        assert!(late_ms <= 12 && looks < unknown, "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_share_one_poller_and_it_ends_with_the_last() {
    let pve = Played::ending_after(1_000);
    let watcher = Arc::new(pve.watcher());
    let waiting: Vec<_> = [START, STOP, START, STOP, START]
        .map(|text| {
            let watcher = watcher.clone();
            tokio::spawn(async move { watcher.wait(&upid(text), 60_000).await })
        })
        .into();
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap(), TaskOutcome::Ok);
    }
    assert!(pve.lists() <= 16, "{} lists in 1 s", pve.lists());
    let after = pve.lists();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pve.lists(), after, "nobody waits, nobody polls");
    // The next one starts it anew.
    assert_eq!(
        watcher.wait(&upid(START), 1_000).await.unwrap(),
        TaskOutcome::Ok
    );
    assert!(pve.lists() > after);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let pve = Played::ending_after(1_000_000);
    let watcher = pve.watcher();
    let impatient =
        tokio::time::timeout(Duration::from_secs(2), watcher.wait(&upid(START), 60_000)).await;
    assert!(impatient.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = pve.lists();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pve.lists(), after);
}

#[tokio::test(start_paused = true)]
async fn without_the_list_the_node_is_asked_once_a_second() {
    let pve = Played::ending_after(5_500);
    pve.sees_list.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    assert_eq!(
        pve.watcher().wait(&upid(START), 60_000).await.unwrap(),
        TaskOutcome::Ok
    );
    assert!(
        begun.elapsed() < Duration::from_millis(6_600),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        (6..=8).contains(&pve.questions()),
        "{} questions in 5.5 s",
        pve.questions()
    );
}

#[tokio::test(start_paused = true)]
async fn exit_statuses_become_outcomes() {
    for (exit, outcome) in [
        ("WARNINGS: 3", TaskOutcome::Warnings(3)),
        (
            "CT is locked (backup)",
            TaskOutcome::Failed("CT is locked (backup)".to_owned()),
        ),
        (
            "unexpected status",
            TaskOutcome::Unknown("unexpected status".to_owned()),
        ),
    ] {
        let pve = Played::ending_after(10);
        *pve.exit.lock().unwrap() = exit.to_owned();
        assert_eq!(
            pve.watcher().wait(&upid(START), 60_000).await.unwrap(),
            outcome
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_unknown_at_the_deadline_and_never_a_failure() {
    let pve = Played::ending_after(100);
    *pve.node_trouble.lock().unwrap() = Some((595, "No route to host", ""));
    let begun = Instant::now();
    let outcome = pve.watcher().wait(&upid(START), 30_000).await.unwrap();
    assert!(
        matches!(&outcome, TaskOutcome::Unknown(why) if why.contains("No route to host")),
        "{outcome:?}"
    );
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_secs(31),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_heals_is_outlived() {
    let pve = Played::ending_after(100);
    pve.is_cut.store(true, Ordering::SeqCst);
    let healed = pve.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        healed.is_cut.store(false, Ordering::SeqCst);
    });
    assert_eq!(
        pve.watcher().wait(&upid(START), 60_000).await.unwrap(),
        TaskOutcome::Ok
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_unknown_at_the_deadline() {
    let pve = Played::ending_after(1_000_000);
    let outcome = pve.watcher().wait(&upid(START), 12_000).await.unwrap();
    assert!(
        matches!(&outcome, TaskOutcome::Unknown(why) if why.contains("still runs")),
        "{outcome:?}"
    );
    assert!(
        (2..=3).contains(&pve.questions()),
        "a running task is asked every 5 s, was {}",
        pve.questions()
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_stands_still_does_not_hide_the_end() {
    let pve = Played::ending_after(3_000);
    let stale = pve.clone();
    let transport = InProcess::new(move |request| {
        let stale = stale.clone();
        async move {
            if request.path == "/cluster/tasks" {
                return ok(&format!(r#"[{{"upid":"{START}"}}]"#));
            }
            stale.answer(&request)
        }
    });
    let watcher = TaskWatcher::new(ReadClient::new(Arc::new(transport)), RuntimeClock::new());
    assert_eq!(
        watcher.wait(&upid(START), 60_000).await.unwrap(),
        TaskOutcome::Ok
    );
    assert_eq!(pve.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_nobody_knows_is_unknown_after_a_second_look() {
    let pve = Played::ending_after(0);
    let body = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"upid":"no such task"}}"#;
    *pve.node_trouble.lock().unwrap() = Some((400, "Parameter verification failed.", body));
    let outcome = pve.watcher().wait(&upid(START), 60_000).await.unwrap();
    assert!(
        matches!(&outcome, TaskOutcome::Unknown(why) if why.contains("no such task")),
        "{outcome:?}"
    );
    assert_eq!(pve.questions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_ask_is_an_error() {
    let pve = Played::ending_after(0);
    *pve.node_trouble.lock().unwrap() = Some((401, "Authentication failed!", ""));
    let error = pve.watcher().wait(&upid(START), 60_000).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}
