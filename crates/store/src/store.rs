//! The store: one writer, many readers.

use std::any::type_name_of_val;
use std::ops::{AsyncFnOnce, Deref};
use std::sync::Arc;
use std::time::Duration;

use proximity_domain::ids::InstallationId;
use proximity_domain::ports::PortRange;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::calls::{CallEnd, Listeners, SnapshotWritten};
use crate::error::StoreError;
use crate::memory::{Model, State};
use crate::opening;
use crate::seal::Sealer;
use crate::sql;
use crate::sql::{Answer, DatabaseError, On, Sql, Tx, Value, postgres, query_scalar, sqlite};
use crate::usage::{StoreUsage, UnderWay};

/// Reads what is committed. Cheap to clone; cannot write: it has no connection that could.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    source: Source,
}

/// What readers and the writer have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) sealer: Sealer,
    pub(crate) installation: InstallationId,
    pub(crate) public: PortRange,
    pub(crate) internal: PortRange,
    pub(crate) rest_ms: i64,
    /// Moved on by every commit of this process.
    pub(crate) commits: watch::Sender<u64>,
    /// Which rows were written lately, where the database tells.
    pub(crate) touched: Option<sqlite::Touched>,
    pub(crate) listeners: Listeners,
    pub(crate) writes: UnderWay,
}

impl Shared {
    fn took(&self, took: Duration) {
        self.listeners.commits.tell(took);
    }

    fn committed(&self, took: Duration) {
        self.took(took);
        self.commits
            .send_modify(|commits| *commits = commits.wrapping_add(1));
    }
}

/// Where a reader reads.
#[derive(Debug, Clone)]
enum Source {
    Sql(sql::Readers),
    Memory(Model),
}

/// Where the store writes.
#[derive(Debug, Clone)]
enum Backend {
    Sql(sql::Writer),
    Memory(Model),
}

/// Looks at the model behind a reader, and says so.
pub(crate) struct Looking<'a> {
    model: &'a Model,
    listeners: &'a Listeners,
}

impl Looking<'_> {
    /// The one way to read in memory.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let call = self.listeners.begin(type_name_of_val(&look));
        let read = self.model.read(look);
        call.end_with(None);
        read
    }
}

/// Changes the model behind a store, and says so.
pub(crate) struct Changing<'a> {
    model: &'a Model,
    shared: &'a Shared,
}

impl Changing<'_> {
    /// The one way to write in memory: whole, or not at all when `change` fails.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let call = self.shared.listeners.begin(type_name_of_val(&change));
        let write = opening::Write::of_this_task();
        opening::begins();
        let written = self.model.write(change);
        write.ended(written.is_ok());
        call.end(&written);
        if written.is_ok() {
            self.shared.committed(Duration::ZERO);
        }
        written
    }
}

/// Durable state. Cheap to clone; offers everything that [`Reader`] does.
///
/// Every method is one transaction: when it returns without an error, what it says is on disk and survives kill -9
/// and power loss; when it returns an error, nothing was written. Writes wait for each other: up to 30 s for their
/// turn in this process, up to 10 s for another process. A call that is dropped commits whole or not at all.
/// A store in memory ([`Store::in_memory`]) is whole or nothing in the same way, waits for nobody, and keeps nothing.
#[derive(Debug, Clone)]
pub struct Store {
    reader: Reader,
    backend: Backend,
}

impl Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Reader {
    /// The installation this database belongs to; part of every mark.
    #[must_use]
    pub fn installation(&self) -> InstallationId {
        self.shared.installation
    }

    /// Moves on with every commit of this process: the moment to look for what is new. Commits of other processes
    /// do not show here, and on some databases an event is numbered after its commit: whoever must not miss one looks
    /// now and then as well.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// Runs `work` on one snapshot of the database.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_as(type_name_of_val(&work), work).await
    }

    /// As [`Reader::read`], for work that is no closure of the method with this name.
    pub(crate) async fn read_as<T>(
        &self,
        call: &'static str,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let call = self.shared.listeners.begin(call);
        let read = match &self.source {
            Source::Sql(readers) => call.within(readers.read(work)).await,
            Source::Memory(_) => Err(no_statements()),
        };
        call.end(&read);
        read
    }

    /// For a single statement of the method with this name, on a snapshot of its own.
    pub(crate) fn named(&self, call: &'static str) -> Named<'_> {
        Named { reader: self, call }
    }

    /// The model to look at, if one stands behind this reader instead of a database.
    pub(crate) fn model(&self) -> Option<Looking<'_>> {
        match &self.source {
            Source::Sql(_) => None,
            Source::Memory(model) => Some(Looking {
                model,
                listeners: &self.shared.listeners,
            }),
        }
    }

    /// Its database is a server's, not a file or in memory.
    pub(crate) fn is_on_a_server(&self) -> bool {
        matches!(&self.source, Source::Sql(sql::Readers::Postgres(_)))
    }

    /// Connections, and the bytes of a file.
    pub(crate) fn connections(&self) -> StoreUsage {
        match &self.source {
            Source::Sql(readers) => readers.usage(),
            Source::Memory(_) => StoreUsage::default(),
        }
    }

    /// From now on `told` is told how long each commit took, waiting for its turn included. The first one that is set stays, for
    /// all readers and writers of this store.
    pub fn observe_commits(&self, told: impl Fn(Duration) + Send + Sync + 'static) {
        self.shared.listeners.commits.set(told);
    }

    /// From now on `told` is told of each call that has ended, reads and writes, as [`Reader::observe_commits`] tells of commits.
    /// It is called on the way of every call, so it has to be quick.
    pub fn observe_calls(&self, told: impl Fn(CallEnd) + Send + Sync + 'static) {
        self.shared.listeners.calls.set(told);
    }

    /// From now on `told` is told of each snapshot of a resource once it is committed, as [`Reader::observe_commits`] tells of commits.
    pub fn observe_snapshots(&self, told: impl Fn(SnapshotWritten) + Send + Sync + 'static) {
        self.shared.listeners.snapshots.set(told);
    }
}

/// A reader for one statement, and the name of the method that runs it. See [`Reader::named`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'r> {
    reader: &'r Reader,
    call: &'static str,
}

impl On for Named<'_> {
    async fn run(self, sql: Sql, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        let call = self.reader.shared.listeners.begin(self.call);
        let answer = match &self.reader.source {
            Source::Sql(readers) => call.within(readers.run(sql, values)).await,
            Source::Memory(_) => Err(no_statements()),
        };
        call.end(&answer);
        answer
    }
}

impl Store {
    /// A store on a database that is ready.
    pub(crate) fn on_sql(shared: Shared, readers: sql::Readers, writer: sql::Writer) -> Self {
        let reader = Reader {
            shared: Arc::new(shared),
            source: Source::Sql(readers),
        };
        Self {
            reader,
            backend: Backend::Sql(writer),
        }
    }

    /// A store that keeps nothing.
    pub(crate) fn on_model(shared: Shared, model: Model) -> Self {
        let reader = Reader {
            shared: Arc::new(shared),
            source: Source::Memory(model.clone()),
        };
        Self {
            reader,
            backend: Backend::Memory(model),
        }
    }

    /// The model to change, if one stands behind this store instead of a database.
    pub(crate) fn model(&self) -> Option<Changing<'_>> {
        match &self.backend {
            Backend::Sql(_) => None,
            Backend::Memory(model) => Some(Changing {
                model,
                shared: &self.shared,
            }),
        }
    }

    /// A view that cannot write.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The one way to write: `work` runs alone among all writers and is committed whole or not at all.
    ///
    /// Nothing but the database is awaited inside. If the future is dropped, its part of the transaction is rolled
    /// back, unless it was whole already.
    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError> + Clone,
    ) -> Result<T, StoreError> {
        let write = opening::Write::of_this_task();
        let _alone = write.alone().await;
        let (begun, _under_way) = (Instant::now(), self.shared.writes.enter());
        let call = self.shared.listeners.begin(type_name_of_val(&work));
        opening::begins();
        let written = match &self.backend {
            Backend::Sql(writer) => call.within(writer.write(work)).await,
            Backend::Memory(_) => Err(no_statements()),
        };
        write.ended(written.is_ok());
        call.end(&written);
        if written.is_ok() {
            // Who commits moves the commits on, whether or not somebody is left here.
            self.shared.took(begun.elapsed());
        }
        written
    }

    /// Waits until every log line, event and audit entry that is committed has its number and can be read. On
    /// PostgreSQL that takes up to a second by itself; elsewhere they are numbered as they are written.
    ///
    /// # Errors
    /// The database's.
    pub async fn journal_numbered(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sql(writer) => writer.number().await,
            Backend::Memory(_) => Ok(()),
        }
    }

    /// The right to work on this database as its only server; `None` while another one does.
    ///
    /// On a file the lock on the data directory is that right, and nothing more is taken; in memory nobody else is. On
    /// PostgreSQL it was taken when the database was opened, and the first call gives it out.
    ///
    /// # Errors
    /// The database's.
    pub async fn serve_alone(&self) -> Result<Option<Alone>, StoreError> {
        match &self.backend {
            Backend::Sql(sql::Writer::Sqlite(_)) | Backend::Memory(_) => Ok(Some(Alone(None))),
            Backend::Sql(sql::Writer::Postgres(writer)) => {
                let session = writer.alone().await?;
                Ok(session.map(|session| Alone(Some(session))))
            }
        }
    }

    /// How the writer is set: `journal_mode`, `synchronous` and `foreign_keys` as SQLite reports them. For diagnosis.
    ///
    /// # Errors
    /// The database's; there are none on PostgreSQL and in memory.
    pub async fn settings(&self) -> Result<(String, i64, i64), StoreError> {
        if let Backend::Sql(sql::Writer::Postgres(_)) = &self.backend {
            let what = "PostgreSQL has no such settings".to_owned();
            return Err(DatabaseError::Misfit(what).into());
        }
        self.write(async |tx| {
            let journal = query_scalar("PRAGMA journal_mode");
            let journal = journal.fetch_one(&mut *tx).await?;
            let synchronous = query_scalar("PRAGMA synchronous");
            let synchronous = synchronous.fetch_one(&mut *tx).await?;
            let keys = query_scalar("PRAGMA foreign_keys").fetch_one(tx).await?;
            Ok((journal, synchronous, keys))
        })
        .await
    }

    /// Closes all connections; waits for those at work.
    pub async fn close(&self) {
        match &self.reader.source {
            Source::Sql(readers) => readers.close().await,
            Source::Memory(_) => {}
        }
        match &self.backend {
            Backend::Sql(writer) => writer.close().await,
            Backend::Memory(_) => {}
        }
    }
}

/// A method that the model does not have, or one that only a database has.
fn no_statements() -> StoreError {
    let what = "a store in memory runs no statements".to_owned();
    DatabaseError::Misfit(what).into()
}

/// See [`Store::serve_alone`]; given back when dropped.
#[derive(Debug)]
pub struct Alone(Option<postgres::Alone>);

impl Alone {
    /// Returns when the right is lost: the database ended the session. Then others may serve, so work has to stop.
    pub async fn lost(&mut self) -> StoreError {
        match &mut self.0 {
            Some(session) => session.lost().await.into(),
            None => std::future::pending().await,
        }
    }
}

/// Runs a read of unbounded size on a thread that may block, so that the tasks of this one are not held up.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
    done.unwrap_or_else(|error| {
        Err(StoreError::File {
            path: "a thread for reading".to_owned(),
            source: std::io::Error::other(error),
        })
    })
}
