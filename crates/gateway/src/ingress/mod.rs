//! Routes in action: the table, the file and the listeners, changed together.

mod connection;
mod listener;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::options::Limits;
use crate::protocol::{
    KnownGeneration, ListenerReport, ListenerState, RemovedReport, RouteList, RouteReport,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::route::{AppId, Generation, Route};
use crate::route_file::RouteFile;
use crate::table::{DefaultBinds, RouteTable};

pub(crate) use connection::ConnectionSlots;
use listener::Listener;
use upstream::Upstream;

/// All routes and what serves them.
#[derive(Debug)]
pub(crate) struct Ingress {
    binds: DefaultBinds,
    limits: Limits,
    slots: Arc<ConnectionSlots>,
    /// Listeners that were closed and whose connections may still go on.
    drains: TaskTracker,
    /// Parent of every listener's tokens; dropping the ingress ends them all.
    root: CancellationToken,
    _end_on_drop: DropGuard,
    file: Arc<RouteFile>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: RouteTable,
    running: BTreeMap<AppId, Running>,
    closed: bool,
}

/// What serves one route.
#[derive(Debug)]
struct Running {
    upstream: Arc<Upstream>,
    /// Public, then internal; both absent without a target.
    listeners: [Option<Listener>; 2],
}

impl Ingress {
    /// Opens the listeners of all routes in `table`.
    pub(crate) async fn start(
        file: RouteFile,
        table: RouteTable,
        binds: DefaultBinds,
        limits: Limits,
    ) -> Self {
        let root = CancellationToken::new();
        let app_ids: Vec<AppId> = table.routes().map(|route| route.app_id.clone()).collect();
        let ingress = Self {
            binds,
            limits,
            slots: Arc::new(ConnectionSlots::new(limits.connections)),
            drains: TaskTracker::new(),
            _end_on_drop: root.clone().drop_guard(),
            root,
            file: Arc::new(file),
            state: Mutex::new(State {
                table,
                running: BTreeMap::new(),
                closed: false,
            }),
        };
        {
            let mut state = ingress.state.lock().await;
            for app_id in &app_ids {
                ingress.apply(&mut state, app_id).await;
            }
        }
        ingress
    }

    /// Adds or replaces a route: decided, then written, then applied, then reported.
    pub(crate) async fn set_route(&self, route: Route) -> Result<RouteReport, Refusal> {
        let app_id = route.app_id.clone();
        let mut state = self.state.lock().await;
        refuse_closed(&state)?;
        if let Some(next) = state.table.with(route, self.binds, self.limits.routes)? {
            self.save(&mut state, next).await?;
            self.apply(&mut state, &app_id).await;
        }
        self.report(&state, &app_id).ok_or_else(|| {
            Refusal::new(
                RefusalCode::ShuttingDown,
                "the route is gone while it was being set",
            )
        })
    }

    /// Takes a route away: decided, then written, then its listeners are closed.
    pub(crate) async fn remove_route(
        &self,
        app_id: &AppId,
        generation: Generation,
    ) -> Result<RemovedReport, Refusal> {
        let mut state = self.state.lock().await;
        refuse_closed(&state)?;
        let (next, had_route) = state.table.without(app_id, generation)?;
        if next != state.table {
            self.save(&mut state, next).await?;
        }
        self.apply(&mut state, app_id).await;
        Ok(RemovedReport { had_route })
    }

    /// All routes and how they do.
    pub(crate) async fn list(&self) -> RouteList {
        let state = self.state.lock().await;
        let ids: Vec<&AppId> = state.table.routes().map(|route| &route.app_id).collect();
        RouteList {
            routes: ids
                .into_iter()
                .filter_map(|id| self.report(&state, id))
                .collect(),
        }
    }

    /// The generation an app's next request has to exceed.
    pub(crate) async fn known_generation(&self, app_id: &AppId) -> KnownGeneration {
        let state = self.state.lock().await;
        KnownGeneration {
            generation: state.table.known_generation(app_id),
        }
    }

    /// How many routes there are.
    pub(crate) async fn route_count(&self) -> usize {
        self.state.lock().await.table.routes().count()
    }

    /// Connections open now and the most there may be.
    pub(crate) fn connections(&self) -> (u64, u64) {
        (self.slots.open(), self.slots.max())
    }

    /// Damaged route files that lie beside ours.
    pub(crate) fn damaged_files(&self) -> Vec<PathBuf> {
        self.file.damaged()
    }

    /// Closes all listeners and waits until the open connections ended or the drain time is over.
    pub(crate) async fn close(&self) {
        {
            let mut state = self.state.lock().await;
            state.closed = true;
            for (_, running) in std::mem::take(&mut state.running) {
                self.retire(running.listeners.into_iter().flatten()).await;
            }
        }
        self.drains.close();
        self.drains.wait().await;
    }

    async fn save(&self, state: &mut State, next: RouteTable) -> Result<(), Refusal> {
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.save(&next).map(|()| next)).await;
        let error = match written {
            Ok(Ok(saved)) => {
                state.table = saved;
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        };
        tracing::error!(%error, "the route file could not be written");
        let message = format!("the route file could not be written: {error}");
        Err(Refusal::new(RefusalCode::RouteFile, message))
    }

    /// Makes the listeners of one app what the table says. Level-triggered: it compares, so it may
    /// be called at any time.
    async fn apply(&self, state: &mut State, app_id: &AppId) {
        let wanted = state.table.get(app_id).cloned();
        let Some(route) = wanted else {
            if let Some(running) = state.running.remove(app_id) {
                self.retire(running.listeners.into_iter().flatten()).await;
            }
            return;
        };
        let max = self.limits.connections_per_route;
        let running = state
            .running
            .entry(app_id.clone())
            .or_insert_with(|| Running {
                upstream: Arc::new(Upstream::new(app_id.clone(), max)),
                listeners: [None, None],
            });
        running.upstream.lead_to(route.target);
        let addresses = self.binds.addresses(&route);
        let keep = |listener: &mut Listener, address: SocketAddr| {
            route.target.is_some() && listener.address() == address
        };
        // All that go are closed before any is opened: a pair may have swapped its ports.
        let mut going = Vec::new();
        for (slot, address) in running.listeners.iter_mut().zip(addresses) {
            going.extend(slot.take_if(|listener| !keep(listener, address)));
        }
        self.retire(going.into_iter()).await;
        if route.target.is_none() {
            return;
        }
        for (slot, address) in running.listeners.iter_mut().zip(addresses) {
            slot.get_or_insert_with(|| {
                let (upstream, slots) = (Arc::clone(&running.upstream), Arc::clone(&self.slots));
                Listener::open(address, upstream, slots, self.limits, &self.root)
            });
        }
    }

    /// Closes listeners at once and lets their connections drain in the background.
    async fn retire(&self, listeners: impl Iterator<Item = Listener>) {
        for listener in listeners {
            let draining = listener.close().await;
            self.drains.spawn(draining.finish(self.limits.drain));
        }
    }

    fn report(&self, state: &State, app_id: &AppId) -> Option<RouteReport> {
        let route = state.table.get(app_id)?;
        let running = state.running.get(app_id)?;
        let [public, internal] = self.binds.addresses(route);
        let of = |listener: &Option<Listener>, address| ListenerReport {
            address,
            state: listener
                .as_ref()
                .map_or(ListenerState::NoTarget, Listener::state),
        };
        Some(RouteReport {
            route: route.clone(),
            public_listener: of(&running.listeners[0], public),
            internal_listener: of(&running.listeners[1], internal),
            open_connections: running.upstream.open(),
            totals: running.upstream.totals(),
            target_dial_failures: running.upstream.target_dial_failures(),
            last_dial_failure: running.upstream.last_dial_failure(),
        })
    }
}

fn refuse_closed(state: &State) -> Result<(), Refusal> {
    if state.closed {
        return Err(Refusal::new(
            RefusalCode::ShuttingDown,
            "the gateway is ending",
        ));
    }
    Ok(())
}
