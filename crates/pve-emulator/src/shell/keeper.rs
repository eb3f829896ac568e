//! The task that owns the world.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock;
use super::conf_files::ConfFiles;
use super::driver::GuestDriver;
use super::error::ShellError;
use super::journal::Journal;
use super::outside::Outside;
use crate::core::guest::{GuestCommand, GuestDone, GuestError, JobId};
use crate::core::{self, ApiRequest, Effects, Input, RequestId, Response, World};
use crate::persist::Writer;

/// Inputs that may wait.
const QUEUE: usize = 1_024;
/// Inputs that share a commit.
const BATCH: usize = 256;
/// The keeper looks at the time at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

type Reading = Box<dyn FnOnce(&World) + Send>;
type Changing = Box<dyn FnOnce(&mut World) + Send>;

enum Message {
    Request(Box<ApiRequest>, oneshot::Sender<Response>),
    Done(GuestDone),
    Read(Reading),
    Change(Changing, oneshot::Sender<()>),
    /// The sender of a call is gone.
    Gone(RequestId),
}

/// The way to the keeper; clones lead to the same one.
#[derive(Clone)]
pub(super) struct Door {
    messages: mpsc::Sender<Message>,
    requests: Arc<AtomicU64>,
    journal: Journal,
    outside: watch::Receiver<Outside>,
}

impl Door {
    /// A number for a request.
    pub(super) fn next_request(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Hands a request in and waits for its answer; nothing when the keeper has stopped.
    pub(super) async fn request(&self, request: ApiRequest) -> Option<Response> {
        self.journal.arrived(&request, self.now_ms());
        let (answer, answered) = oneshot::channel();
        let id = request.id;
        self.messages
            .send(Message::Request(Box::new(request), answer))
            .await
            .ok()?;
        let response = answered.await.ok()?;
        self.journal.answered(id, response.status, response.cut);
        Some(response)
    }

    /// The sender of a call is gone; what was asked for goes on.
    pub(super) async fn forget_caller(&self, id: RequestId) {
        // A keeper that has stopped waits for nobody either.
        let _ = self.messages.send(Message::Gone(id)).await;
    }

    /// What there is to know of the world without asking the keeper.
    pub(super) fn outside(&self) -> watch::Receiver<Outside> {
        self.outside.clone()
    }

    /// The time in the world, Unix ms.
    pub(super) fn now_ms(&self) -> u64 {
        clock::now_ms() + self.outside.borrow().ahead_ms
    }

    /// Looks at the world.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&World) -> T + Send + 'static,
    ) -> Result<T, ShellError> {
        let (give, take) = oneshot::channel();
        let reading: Reading = Box::new(move |world| {
            // Nobody waits any more: fine.
            let _ = give.send(look(world));
        });
        self.messages
            .send(Message::Read(reading))
            .await
            .map_err(|_| ShellError::Stopped)?;
        take.await.map_err(|_| ShellError::Stopped)
    }

    /// Changes the world; the change is committed when this returns.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut World) + Send + 'static,
    ) -> Result<(), ShellError> {
        let (give, take) = oneshot::channel();
        let message = Message::Change(Box::new(change), give);
        self.messages
            .send(message)
            .await
            .map_err(|_| ShellError::Stopped)?;
        take.await.map_err(|_| ShellError::Stopped)
    }
}

impl Door {
    /// Changes the world and gives what came of it; the change is committed when this returns.
    pub(super) async fn alter<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Result<T, ShellError> {
        let (give, take) = oneshot::channel();
        self.change(move |world| {
            // Nobody waits any more: fine.
            let _ = give.send(change(world));
        })
        .await?;
        take.await.map_err(|_| ShellError::Stopped)
    }
}

/// Owns the world and everything that waits for it.
pub(super) struct Keeper {
    world: World,
    writer: Writer,
    conf_files: ConfFiles,
    driver: Arc<dyn GuestDriver>,
    messages: mpsc::Receiver<Message>,
    back: mpsc::WeakSender<Message>,
    waiting: HashMap<RequestId, Waiting>,
    commands: TaskTracker,
    stop: CancellationToken,
    outside: watch::Sender<Outside>,
}

/// A request that has not been answered.
struct Waiting {
    answer: oneshot::Sender<Response>,
    /// Its effect must be on disk before its answer leaves.
    writes: bool,
}

/// What one batch of inputs asks for.
#[derive(Default)]
struct Batch {
    effects: Effects,
    changed: Vec<oneshot::Sender<()>>,
    /// Something that must survive may have changed.
    durable: bool,
}

impl Keeper {
    /// A keeper and the door to it.
    pub(super) fn new(
        world: World,
        writer: Writer,
        conf_files: ConfFiles,
        driver: Arc<dyn GuestDriver>,
        journal: Journal,
        stop: CancellationToken,
    ) -> (Self, Door) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let back = sender.downgrade();
        let outside = watch::Sender::new(Outside::of(&world));
        let door = Door {
            messages: sender,
            requests: Arc::default(),
            journal,
            outside: outside.subscribe(),
        };
        let keeper = Self {
            world,
            writer,
            conf_files,
            driver,
            messages,
            back,
            waiting: HashMap::new(),
            commands: TaskTracker::new(),
            stop,
            outside,
        };
        (keeper, door)
    }

    /// Runs until stopped or until the state cannot be written any more.
    pub(super) async fn run(mut self) -> Result<(), ShellError> {
        let now_ms = self.now_ms();
        let effects = core::resume(&mut self.world, now_ms);
        self.finish(Batch {
            effects,
            durable: true,
            ..Batch::default()
        })
        .await?;
        loop {
            let wait = self.until_wakeup();
            let first = tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => Some(message),
                    None => break,
                },
                () = tokio::time::sleep(wait) => None,
                () = self.stop.cancelled() => break,
            };
            let batch = self.take_in(first);
            self.finish(batch).await?;
        }
        Ok(())
    }

    /// The time in the world, Unix ms.
    fn now_ms(&self) -> u64 {
        clock::now_ms() + self.world.clock_ahead_ms()
    }

    fn until_wakeup(&self) -> Duration {
        let now_ms = self.now_ms();
        let due = core::next_wakeup(&self.world).map(|at_ms| at_ms.saturating_sub(now_ms));
        due.map_or(LONGEST_SLEEP, |wait_ms| {
            Duration::from_millis(wait_ms).min(LONGEST_SLEEP)
        })
    }

    /// Lets the core decide about everything that has arrived.
    fn take_in(&mut self, first: Option<Message>) -> Batch {
        let mut batch = Batch::default();
        let mut next = first;
        for _ in 0..BATCH {
            let Some(message) = next else { break };
            self.apply(message, &mut batch);
            next = self.messages.try_recv().ok();
        }
        if let Some(message) = next {
            self.apply(message, &mut batch);
        }
        // Time passes with every batch; only what is due then can change something.
        let now_ms = self.now_ms();
        if core::next_wakeup(&self.world).is_some_and(|at_ms| at_ms <= now_ms) {
            self.decide(Input::Tick, &mut batch);
            batch.durable = true;
        }
        batch
    }

    fn apply(&mut self, message: Message, batch: &mut Batch) {
        match message {
            Message::Request(request, answer) => {
                let writes = request.method != "GET";
                self.waiting.insert(request.id, Waiting { answer, writes });
                batch.durable |= writes;
                self.decide(Input::Request(*request), batch);
            }
            Message::Done(done) => {
                batch.durable |= !self.world.is_look(done.job);
                self.decide(Input::GuestDone(done), batch);
            }
            Message::Read(look) => look(&self.world),
            Message::Change(change, changed) => {
                change(&mut self.world);
                batch.changed.push(changed);
                batch.durable = true;
            }
            Message::Gone(request) => {
                self.waiting.remove(&request);
                self.world.forget_caller(request);
            }
        }
    }

    fn decide(&mut self, input: Input, batch: &mut Batch) {
        let now_ms = self.now_ms();
        let effects = core::handle(&mut self.world, input, now_ms);
        // A command must be known to the next start before the driver gets it; looks are simply
        // asked for again.
        batch.durable |= !effects
            .commands
            .iter()
            .all(|command| matches!(command, GuestCommand::Inspect { .. }));
        batch.effects.responses.extend(effects.responses);
        batch.effects.commands.extend(effects.commands);
    }

    /// Commits, then lets answers leave and commands start.
    async fn finish(&mut self, batch: Batch) -> Result<(), ShellError> {
        let mut answers = Vec::new();
        for response in batch.effects.responses {
            answers.extend(
                self.waiting
                    .remove(&response.request)
                    .map(|waiting| (waiting, response)),
            );
        }
        // A write that was parked is answered in a batch without a write of its own.
        let outside = Outside::of(&self.world);
        let seen = outside != *self.outside.borrow();
        let durable = batch.durable || seen || answers.iter().any(|(waiting, _)| waiting.writes);
        self.commit(durable).await?;
        if seen {
            self.outside.send_replace(outside);
        }
        for (waiting, response) in answers {
            // The client may have gone away.
            let _ = waiting.answer.send(response);
        }
        for changed in batch.changed {
            let _ = changed.send(());
        }
        for command in batch.effects.commands {
            self.give(command);
        }
        Ok(())
    }

    /// What need not be durable is in its configuration file all the same: whoever was told of it may look there.
    async fn commit(&mut self, durable: bool) -> Result<(), ShellError> {
        let confs = self.conf_files.prepare(&self.world);
        let write = match durable {
            true => self.writer.prepare(&mut self.world)?,
            false => None,
        };
        if write.is_none() && confs.is_empty() {
            return Ok(());
        }
        let work = move || -> Result<(), ShellError> {
            if let Some(write) = write {
                write.carry_out()?;
            }
            confs.carry_out()
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.unwrap_or(Err(ShellError::Stopped))
    }

    fn give(&self, command: GuestCommand) {
        let driver = Arc::clone(&self.driver);
        let (back, stop, job) = (self.back.clone(), self.stop.clone(), command.job());
        self.commands.spawn(async move {
            // A task of its own, so that a panic in the driver becomes an answer.
            let work = tokio::spawn(async move { driver.run(command).await });
            let abort = work.abort_handle();
            let done = tokio::select! {
                done = work => done.unwrap_or_else(|error| lost(job, &error.to_string())),
                () = stop.cancelled() => {
                    abort.abort();
                    return;
                }
            };
            if let Some(back) = back.upgrade() {
                // A stopped keeper asks again at its next start.
                let _ = back.send(Message::Done(done)).await;
            }
        });
    }
}

fn lost(job: JobId, why: &str) -> GuestDone {
    GuestDone {
        job,
        result: Err(GuestError::Failed(format!(
            "the guest driver failed: {why}"
        ))),
    }
}
