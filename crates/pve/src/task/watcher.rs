//! Waiting for tasks: one poller per cluster, shared by all who wait.
//!
//! The poller reads the cluster's task list, which is cheap, when an end may be expected (see [`super::pace`]), and only
//! notes where each awaited task stands. Who waits asks the task's node for the verdict when the list says that it ended, and now and then when the list is silent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use proximity_domain::time::{Clock, Monotonic};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::pace::{Learned, Took, pause_ms};
use super::standing::Standings;
use super::{TaskOutcome, TaskStatus};
use crate::error::{Error, Result};
use crate::read::ReadClient;
use crate::upid::Upid;

/// How often the list is read while it shows all that is awaited as ended, milliseconds.
const ENDED_MS: u64 = 200;
/// How often the list is read while reading it fails.
const LIST_EVERY_IN_TROUBLE: Duration = Duration::from_secs(1);
/// How often a task is asked for that the list does not show: no `Sys.Audit`, or it left the list's tail.
const ASK_EVERY_MS: u64 = 1_000;
/// How often a task is asked for that the list shows as running: the list of a lost node stands still.
const ASK_ANYWAY_EVERY_MS: u64 = 5_000;
/// How soon a task is asked for again when the list says ended and its node did not confirm it.
const CONFIRM_EVERY_MS: u64 = 200;
/// Answers `no such task` in a row that are believed.
const ENOUGH_DENIALS: u32 = 2;

/// Where the list says a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sighting {
    /// No list was read since it is awaited.
    NotLooked,
    /// The list does not show it.
    Absent,
    /// It runs.
    Running,
    /// It ended.
    Ended,
}

/// Waits for tasks of one cluster.
#[derive(Debug)]
pub struct TaskWatcher {
    client: ReadClient,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
}

/// The awaited tasks, for the poller.
#[derive(Debug)]
struct Board {
    clock: Arc<dyn Clock>,
    inner: Mutex<Awaited>,
    /// A task was put on it.
    added: Notify,
}

#[derive(Debug, Default)]
struct Awaited {
    /// In an order that is the same in every run: those who wait are told one after the other.
    tasks: BTreeMap<Upid, Task>,
    polled: bool,
    learned: Learned,
}

#[derive(Debug)]
struct Task {
    sighting: watch::Sender<Sighting>,
    /// Since when it is awaited: its start, as far as its caller waits at once.
    since: Monotonic,
    /// The age at which the list last showed that it runs.
    ran_at_ms: Option<u64>,
}

impl Board {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            inner: Mutex::default(),
            added: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Awaited> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a task on the board. True: nobody polls, so the caller must start it.
    fn add(&self, upid: &Upid) -> (watch::Receiver<Sighting>, bool) {
        let since = self.clock.monotonic();
        let mut awaited = self.lock();
        let task = awaited.tasks.entry(upid.clone()).or_insert_with(|| Task {
            sighting: watch::Sender::new(Sighting::NotLooked),
            since,
            ran_at_ms: None,
        });
        let receiver = task.sighting.subscribe();
        let must_start = !std::mem::replace(&mut awaited.polled, true);
        self.added.notify_one();
        (receiver, must_start)
    }

    /// Takes off what nobody awaits any more. False: nothing is left, the poller ends.
    fn is_needed(&self) -> bool {
        let mut awaited = self.lock();
        awaited
            .tasks
            .retain(|_, task| task.sighting.receiver_count() > 0);
        awaited.polled = !awaited.tasks.is_empty();
        awaited.polled
    }

    /// How long to wait before the list is read (again). What ended is of no interest any more.
    fn pause(&self) -> Duration {
        let now = self.clock.monotonic();
        let awaited = self.lock();
        let pauses = awaited
            .tasks
            .iter()
            .filter(|(_, task)| *task.sighting.borrow() != Sighting::Ended)
            .map(|(upid, task)| {
                let before = awaited.learned.about(upid);
                // Nothing was read, and nothing is known: perhaps it is over already.
                let is_new = *task.sighting.borrow() == Sighting::NotLooked && before.is_empty();
                if is_new {
                    0
                } else {
                    pause_ms(now.since_ms(task.since), &before)
                }
            });
        Duration::from_millis(pauses.min().unwrap_or(ENDED_MS))
    }

    /// Takes note of a list that was asked for at this moment.
    fn note(&self, asked_at: Monotonic, list: &Standings) {
        let now = self.clock.monotonic();
        let mut awaited = self.lock();
        let mut took = Vec::new();
        for (upid, task) in &mut awaited.tasks {
            let sighting = match list.has_ended(upid) {
                None => Sighting::Absent,
                Some(false) => {
                    task.ran_at_ms = Some(asked_at.since_ms(task.since));
                    Sighting::Running
                }
                Some(true) => Sighting::Ended,
            };
            let is_news = task
                .sighting
                .send_if_modified(|last| std::mem::replace(last, sighting) != sighting);
            if let (true, Sighting::Ended, Some(longer_than_ms)) =
                (is_news, sighting, task.ran_at_ms)
            {
                let at_most_ms = now.since_ms(task.since);
                took.push((
                    upid.clone(),
                    Took {
                        longer_than_ms,
                        at_most_ms,
                    },
                ));
            }
        }
        for (upid, took) in took {
            awaited.learned.note(&upid, took);
        }
    }
}

/// Reads the list until nobody waits.
async fn poll(client: ReadClient, board: Weak<Board>) {
    let mut read_at = Instant::now();
    let mut at_least = Duration::ZERO;
    loop {
        let Some(board) = board.upgrade().filter(|b| b.is_needed()) else {
            return;
        };
        let due = read_at + board.pause().max(at_least);
        if timeout_at(due, board.added.notified()).await.is_ok() {
            // There is one more, which may end earlier.
            continue;
        }
        if !board.is_needed() {
            return;
        }
        let asked_at = board.clock.monotonic();
        at_least = match client.cluster_standings().await {
            Ok(list) => {
                board.note(asked_at, &list);
                Duration::ZERO
            }
            Err(error) => {
                tracing::debug!(%error, "the cluster's task list cannot be read");
                // Nothing is seen: who waits must ask for the task itself.
                board.note(asked_at, &Standings::default());
                LIST_EVERY_IN_TROUBLE
            }
        };
        read_at = Instant::now();
    }
}

/// What one question to a task's node brought.
enum Asked {
    Over(TaskOutcome),
    /// Why it is not over, for the text at the deadline.
    NotYet(String),
    Denied(String),
}

impl TaskWatcher {
    /// A watcher; one per cluster. Deadlines are measured by this clock.
    #[must_use]
    pub fn new(client: ReadClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            board: Arc::new(Board::new(clock.clone())),
            clock,
        }
    }

    /// Waits until the task ended, at most `deadline_ms` milliseconds from now.
    ///
    /// Flow: the shared poller reads the cluster's list; when it shows the end, the task's node is asked for the exit
    /// status, once. Without `Sys.Audit` the list is empty, and the node is asked once a second.
    ///
    /// Guarantees: errors of reading are no outcome; they are outlived until the deadline. A task that still runs then,
    /// or whose node does not answer, is [`TaskOutcome::Unknown`], never failed. Any number may wait for one task.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] or a 403 when the token may not ask (any more).
    pub async fn wait(&self, upid: &Upid, deadline_ms: u64) -> Result<TaskOutcome> {
        let since = self.clock.monotonic();
        let deadline = since.plus_ms(deadline_ms);
        let mut sightings = self.await_on_board(upid);
        let mut asked_at: Option<Monotonic> = None;
        let mut denials = 0;
        let mut last = "nothing was heard of it".to_owned();
        loop {
            let sighting = *sightings.borrow_and_update();
            let now = self.clock.monotonic();
            let due = next_question(sighting, since, asked_at);
            if now >= due && now < deadline {
                asked_at = Some(now);
                match self.ask(upid, deadline.since_ms(now)).await? {
                    Asked::Over(outcome) => return Ok(outcome),
                    Asked::NotYet(why) => (last, denials) = (why, 0),
                    Asked::Denied(why) if denials + 1 >= ENOUGH_DENIALS => {
                        return Ok(TaskOutcome::Unknown(why));
                    }
                    Asked::Denied(why) => (last, denials) = (why, denials + 1),
                }
                continue;
            }
            if now >= deadline {
                return Ok(TaskOutcome::Unknown(format!(
                    "not over after {deadline_ms} ms: {last}"
                )));
            }
            self.pause(&mut sightings, due.min(deadline).since_ms(now))
                .await;
        }
    }

    fn await_on_board(&self, upid: &Upid) -> watch::Receiver<Sighting> {
        let (sightings, must_start) = self.board.add(upid);
        if must_start {
            tokio::spawn(poll(self.client.clone(), Arc::downgrade(&self.board)));
        }
        sightings
    }

    /// Waits for news from the list, at most so long.
    async fn pause(&self, sightings: &mut watch::Receiver<Sighting>, at_most_ms: u64) {
        // The sender lives as long as somebody waits, so an error cannot be; a time-out is as good as news.
        let news = timeout(
            Duration::from_millis(at_most_ms.max(1)),
            sightings.changed(),
        )
        .await;
        if let Ok(Err(_)) = news {
            sleep(Duration::from_millis(ENDED_MS)).await;
        }
    }

    async fn ask(&self, upid: &Upid, at_most_ms: u64) -> Result<Asked> {
        let asking = self.client.task_status(upid);
        let answer = match timeout(Duration::from_millis(at_most_ms.max(1)), asking).await {
            Ok(answer) => answer,
            Err(_) => return Ok(Asked::NotYet("its node did not answer".to_owned())),
        };
        match answer {
            Ok(TaskStatus::Stopped(outcome)) => Ok(Asked::Over(outcome)),
            Ok(TaskStatus::Running) => Ok(Asked::NotYet("it still runs".to_owned())),
            Err(e @ Error::Unauthorized { .. }) => Err(e),
            Err(e) if e.is_permission_denied() => Err(e),
            Err(Error::Refused { errors, .. })
                if errors
                    .get("upid")
                    .is_some_and(|t| t.contains("no such task")) =>
            {
                Ok(Asked::Denied("its node knows no such task".to_owned()))
            }
            Err(e) => Ok(Asked::NotYet(e.to_string())),
        }
    }
}

/// When the task's node is to be asked, given where the list says the task stands, since when it is awaited and when it
/// was asked last.
fn next_question(sighting: Sighting, since: Monotonic, asked_at: Option<Monotonic>) -> Monotonic {
    match (sighting, asked_at) {
        // The list knows better than waiting: it ended, or the list will not show it.
        (Sighting::Absent | Sighting::Ended, None) => since,
        (Sighting::Absent, Some(at)) => at.plus_ms(ASK_EVERY_MS),
        (Sighting::Ended, Some(at)) => at.plus_ms(CONFIRM_EVERY_MS),
        // A list that cannot be read must not make anybody wait forever.
        (Sighting::NotLooked, at) => at.unwrap_or(since).plus_ms(ASK_EVERY_MS),
        (Sighting::Running, at) => at.unwrap_or(since).plus_ms(ASK_ANYWAY_EVERY_MS),
    }
}
