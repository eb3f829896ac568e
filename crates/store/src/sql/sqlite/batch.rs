//! Writers that are committed together, and how each of them learns what came of it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::sql::{DatabaseError, Heads};

/// Writers in one commit at most.
const MAX_WRITERS: u32 = 512;
/// How long a transaction stays open for others to join.
const MAX_AGE: Duration = Duration::from_millis(20);

/// What came of the commit; nobody knows yet.
type Verdict = Option<Result<(), DatabaseError>>;

/// The open transaction and who is in it.
#[derive(Debug)]
pub(crate) struct Batch {
    verdict: watch::Sender<Verdict>,
    opened: Instant,
    /// Writers whose part is in it.
    pub(crate) writers: u32,
    /// Something of it is kept when it is committed: not all were refused.
    pub(crate) keeps: bool,
    /// The task that will commit it, if others may come before.
    pub(crate) committer: Option<AbortHandle>,
    /// Where the chains end for the next writer in it.
    pub(crate) heads: Heads,
}

/// Tells a writer what came of the commit it was in.
#[derive(Debug)]
pub(crate) struct Outcome(watch::Receiver<Verdict>);

impl Batch {
    pub(crate) fn new() -> Self {
        let (verdict, _) = watch::channel(None);
        Self {
            verdict,
            opened: Instant::now(),
            writers: 0,
            keeps: false,
            committer: None,
            heads: Heads::default(),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        Outcome(self.verdict.subscribe())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.writers >= MAX_WRITERS || self.opened.elapsed() >= MAX_AGE
    }

    /// Somebody is there to commit it.
    pub(crate) fn has_committer(&self) -> bool {
        let committer = self.committer.as_ref();
        committer.is_some_and(|task| !task.is_finished())
    }

    pub(crate) fn end(self, verdict: Result<(), DatabaseError>) {
        self.verdict.send_replace(Some(verdict));
    }
}

impl Outcome {
    pub(crate) async fn wait(mut self) -> Result<(), DatabaseError> {
        match self.0.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.clone().unwrap_or(Err(DatabaseError::Unknown)),
            Err(_) => Err(DatabaseError::Unknown),
        }
    }
}
