//! Sources of documents: branches of repositories that are looked at again and again, and applied by policy.
//!
//! What a repository holds is text from outside: it is read as documents, planned as any others, and applied by nothing but the commands
//! that a person has. How a plan without a person is bounded is decided purely ([`proximity_domain::source::judge`]).

mod checkout;
mod credential;
mod entries;
mod git;
mod hook;
mod listing;
mod look;
mod run_folder;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt, stream};
use proximity_domain::source::{Due, Sight};
use proximity_domain::time::Timestamp;
use proximity_store::error::StoreError;
use proximity_store::plans::PlanRecord;
use proximity_store::sources::SourceRecord;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;

pub(crate) use credential::Credential;
pub(crate) use entries::Fetched;
pub use hook::HookSignature;

/// Looks at the same time, at most.
const AT_ONCE: usize = 4;
/// Longest pause: others may share the database, and clocks may be set.
const POLL: Duration = Duration::from_secs(15);
/// Where there is no source: who adds one here says so.
const AT_REST: Duration = Duration::from_secs(60);
/// After the store failed it is waited for so long.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// How repositories are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLimits {
    /// Where what is fetched is kept while it is looked at; without one nothing is fetched.
    pub folder: Option<PathBuf>,
    /// The program git.
    pub program: PathBuf,
    /// Repositories that are folders of this machine are taken (`file:///…`). Whoever may add a source could read any repository that
    /// the server can, so it is off.
    pub allow_files: bool,
    /// Bytes that are fetched for one look, at most.
    pub most_bytes: u64,
    /// How long fetching may take.
    pub patience: Duration,
}

const MOST_FETCHED_BYTES: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(120);

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            folder: None,
            program: PathBuf::from("git"),
            allow_files: false,
            most_bytes: MOST_FETCHED_BYTES,
            patience: PATIENCE,
        }
    }
}

/// Looks at sources when they are due, until it is told to stop.
#[derive(Debug)]
pub struct Sources {
    engine: Engine,
}

impl Sources {
    /// One that has not looked yet. What looks of a process that died have left behind is removed.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let folder = engine.inner.parts.limits.sources.folder.as_deref();
        if let Some(Err(e)) = folder.map(run_folder::clear) {
            tracing::warn!(error = %e, "cannot remove what was fetched before");
        }
        Self { engine }
    }

    /// Looks at what is due, and at what becomes due, until `shutdown`. A look that is under way then ends as a crash would end it: its
    /// commit was not recorded, and is looked at again.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let pause = match self.pass(&shutdown).await {
                Ok(next) => {
                    let ms = next.map(|next| next.0.saturating_sub(self.engine.now().0));
                    let ms = ms.map(|ms| u64::try_from(ms).unwrap_or(0));
                    ms.map_or(AT_REST, |ms| POLL.min(Duration::from_millis(ms)))
                }
                Err(e) => {
                    tracing::warn!(error = %e, "cannot look at the sources");
                    AFTER_TROUBLE
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.engine.inner.sources.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at all that are due, some at the same time, and records what was seen. Gives when the next one is due.
    ///
    /// # Errors
    /// The store's, of the last look that could not be recorded; all others were.
    pub async fn pass(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Timestamp>, StoreError> {
        let now = self.engine.now();
        let mut all = self.engine.store().sources().await?;
        all.retain(|source| {
            let every_s = source.every_s;
            source.sight.is_due(Due { now, every_s })
        });
        let mut trouble = Ok(());
        // A repository that takes long keeps one place, and none of the others from being looked at.
        let looks = all.iter().map(|source| self.look(source, shutdown));
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some(ended) = looks.next().await {
            match ended {
                // It was removed while it was looked at.
                Ok(()) | Err(StoreError::NotFound { what: "source", .. }) => {}
                Err(e) => trouble = Err(e),
            }
        }
        trouble?;
        let all = self.engine.store().sources().await?;
        Ok(all.iter().map(|source| source.sight.due_at).min())
    }

    async fn look(
        &self,
        source: &SourceRecord,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        let (engine, seen, stop) = (self.engine.clone(), source.clone(), shutdown.clone());
        let looking = async move || {
            tokio::select! {
                biased;
                () = stop.cancelled() => None,
                sight = look::look(&engine, &seen) => Some(sight),
            }
        };
        let Some(sight) = on_a_thread(looking).await.flatten() else {
            return Ok(());
        };
        let sight = sight?;
        self.note(source, &sight).await
    }

    async fn note(&self, source: &SourceRecord, sight: &Sight) -> Result<(), StoreError> {
        let store = self.engine.store();
        let after = store.note_source(source, sight, self.engine.now()).await?;
        let sight = &after.sight;
        if (sight.state, &sight.commit) != (source.sight.state, &source.sight.commit) {
            let commit = sight.commit.as_ref().map(ToString::to_string);
            tracing::info!(source = %after.name, state = sight.state.label(), commit, "looked at a source");
        }
        Ok(())
    }
}

impl Engine {
    /// What the newest commit of a source would change, were it applied now. Nothing is kept.
    ///
    /// # Errors
    /// The repository cannot be read, or its documents are wrong.
    pub(crate) async fn preview_of(
        &self,
        source: &SourceRecord,
    ) -> Result<PlanRecord, EngineError> {
        Box::pin(look::preview(self, source)).await
    }
}

/// Makes and drives the work on a thread of its own, because it borrows in ways that the compiler cannot prove to be `Send`. `None`: it
/// panicked.
async fn on_a_thread<T, W>(work: W) -> Option<T>
where
    T: Send + 'static,
    W: AsyncFnOnce() -> T + Send + 'static,
{
    let runtime = Handle::current();
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(work())).await;
    ended
        .inspect_err(|e| tracing::error!(error = %e, "a look at a source panicked"))
        .ok()
}
