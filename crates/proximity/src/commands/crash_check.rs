//! `proximity crash-points check`: everything the data directory records, for a comparison with the world.
//!
//! Reads beside a server that runs; changes nothing.

use proximity_domain::operation::OperationState;
use proximity_domain::time::Clock;
use proximity_store::views::{AppFilter, OperationFilter};
use proximity_store::{Store, StoreOptions};
use serde::Serialize;

use crate::context::Context;
use crate::failed::Failed;
use crate::roles::clock::SystemClock;

/// What is recorded.
#[derive(Debug, Serialize)]
struct Records {
    /// Sentences that are broken.
    broken: Vec<String>,
    /// Live apps.
    apps: Vec<App>,
    /// Guests that are not gone.
    guests: Vec<Guest>,
    /// Port pairs in use.
    held: Vec<Held>,
    /// All operations, newest first.
    operations: Vec<Operation>,
    /// What is wanted of apps by name, as it was applied last.
    desired: Vec<Desired>,
}

#[derive(Debug, Serialize)]
struct App {
    id: String,
    hostname: String,
    status: String,
}

#[derive(Debug, Serialize)]
struct Guest {
    app: String,
    vmid: u32,
}

#[derive(Debug, Serialize)]
struct Held {
    app: String,
    public: u16,
    internal: u16,
}

#[derive(Debug, Serialize)]
struct Operation {
    id: String,
    kind: String,
    state: String,
    /// It has ended.
    ended: bool,
    /// Why it is not going on.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Desired {
    name: String,
    /// Counts what was applied of this name, from 1.
    revision: u64,
}

pub(crate) async fn run(context: &Context) -> Result<(), Failed> {
    let settings = context.settings()?;
    let options = StoreOptions {
        path: settings.database_file(),
        key_file: settings.key_file(),
        public: settings.ports.public.0,
        internal: settings.ports.internal.0,
        rest_ms: 0,
    };
    // Opening makes a database where there is none, and a check must not.
    if !options.path.exists() {
        let message = format!("there is no database {}", options.path.display());
        return Err(Failed::config(
            "no_database",
            message,
            "name the data directory of a server",
        ));
    }
    let store = Store::open(options, SystemClock::new().now()).await?;
    let read = records(&store).await;
    store.close().await;
    context
        .output
        .result(&read?, |records| format!("{records:#?}"))
}

async fn records(store: &Store) -> Result<Records, Failed> {
    let mut broken = store.invariants().await?;
    broken.extend(
        store
            .integrity()
            .await?
            .into_iter()
            .filter(|line| line != "ok"),
    );
    let filter = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    let (apps, _total) = store.apps(filter).await?;
    let mut guests = Vec::new();
    for host in store.hosts().await? {
        let recorded = store.host_guests(host.id).await?.into_iter();
        guests.extend(recorded.map(|guest| Guest {
            app: guest.app.to_string(),
            vmid: guest.identity.vmid.get(),
        }));
    }
    let held = store.ports().await?.held.into_iter();
    let filter = OperationFilter {
        limit: OperationFilter::MAX_LIMIT,
        ..OperationFilter::default()
    };
    let operations = store.operations(filter).await?.into_iter();
    let desired = store.all_desired().await?.into_iter();
    Ok(Records {
        broken,
        desired: desired
            .map(|one| Desired {
                name: one.name.to_string(),
                revision: one.revision,
            })
            .collect(),
        apps: apps
            .into_iter()
            .map(|app| App {
                id: app.id.to_string(),
                hostname: app.hostname.to_string(),
                status: app.status.label().label().to_owned(),
            })
            .collect(),
        guests,
        held: held
            .map(|(app, pair)| Held {
                app: app.to_string(),
                public: pair.public,
                internal: pair.internal,
            })
            .collect(),
        operations: operations
            .map(|operation| Operation {
                id: operation.id.to_string(),
                kind: operation.kind.label().to_owned(),
                state: operation.state.label().to_owned(),
                ended: operation.state.is_final(),
                problem: problem(&operation.state),
            })
            .collect(),
    })
}

fn problem(state: &OperationState) -> Option<String> {
    match state {
        OperationState::Unwinding { .. }
        | OperationState::Queued
        | OperationState::Running
        | OperationState::Succeeded
        | OperationState::Cancelled => None,
        OperationState::Failed { failure } | OperationState::Stuck { failure, .. } => {
            Some(format!("{}: {}", failure.code, failure.message))
        }
    }
}
