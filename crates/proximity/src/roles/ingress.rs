//! The engine's ingress, carried out by the gateway over its control socket.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::ports::PortPair;
use proximity_domain::time::Clock;
use proximity_engine::seams::{Ingress, IngressError, LedName, RouteSpec, RouteView};
use proximity_gateway::client::{ClientError, GatewayClient};
use proximity_gateway::protocol::{ListenerReport, ListenerState, RouteReport};
use proximity_gateway::{Endpoint, Generation, OwnerId, RefusalCode, Route};

/// Speaks to one gateway.
#[derive(Debug)]
pub(crate) struct GatewayIngress {
    client: GatewayClient,
    clock: Arc<dyn Clock>,
    /// The newest generation given out by this process.
    newest: AtomicU64,
}

impl GatewayIngress {
    pub(crate) fn new(client: GatewayClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            newest: AtomicU64::new(0),
        }
    }

    /// Newer than any before: by the wall clock, so that it holds across restarts, and never the same twice.
    fn next_generation(&self) -> Generation {
        let now = u64::try_from(self.clock.now().0).unwrap_or(0);
        let newest = |last: u64| now.max(last + 1);
        let last = self
            .newest
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
                Some(newest(last))
            });
        Generation(match last {
            Ok(last) | Err(last) => newest(last),
        })
    }

    /// The generation to send for an app whose route the gateway knows under `known`.
    fn after(&self, known: Option<Generation>) -> Generation {
        let next = self.next_generation();
        known.map_or(next, |known| next.max(Generation(known.0 + 1)))
    }

    async fn known(&self, app: AppId) -> Result<Option<Generation>, IngressError> {
        let known = self.client.known_generation(wire_id(app)?).await;
        known.map_err(refused)
    }
}

#[async_trait]
impl Ingress for GatewayIngress {
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        let known = self.known(route.app).await?;
        let wire = Route {
            app_id: wire_id(route.app)?,
            owner: Some(wire_owner(route.installation)?),
            generation: self.after(known),
            public: endpoint(route.ports.public)?,
            internal: endpoint(route.ports.internal)?,
            target: Some(route.target),
        };
        let report = self.client.set_route(wire).await.map_err(refused)?;
        view(&report)
    }

    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        let generation = self.after(self.known(app).await?);
        self.client
            .remove_route(wire_id(app)?, generation)
            .await
            .map_err(refused)?;
        Ok(())
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        let list = self.client.list_routes().await.map_err(refused)?;
        list.routes.iter().map(view).collect()
    }
}

fn wire_id(app: AppId) -> Result<proximity_gateway::AppId, IngressError> {
    let text = app.to_string();
    text.parse()
        .map_err(|e| IngressError::Refused(format!("{text}: {e}")))
}

fn wire_owner(installation: InstallationId) -> Result<OwnerId, IngressError> {
    let text = installation.to_string();
    text.parse()
        .map_err(|e| IngressError::Refused(format!("{text}: {e}")))
}

fn endpoint(port: u16) -> Result<Endpoint, IngressError> {
    NonZeroU16::new(port)
        .map(Endpoint::on_default)
        .ok_or_else(|| IngressError::Refused("port 0 cannot be listened on".to_owned()))
}

fn view(report: &RouteReport) -> Result<RouteView, IngressError> {
    let route = &report.route;
    let listeners = [&report.public_listener, &report.internal_listener];
    let troubles: Vec<String> = listeners.into_iter().filter_map(trouble).collect();
    Ok(RouteView {
        app: route.app_id.as_str().parse().map_err(|_| {
            IngressError::Refused(format!(
                "it has a route of {}, which is no app",
                route.app_id
            ))
        })?,
        // A name of another form is of another kind of control plane.
        installation: route.owner.as_ref().and_then(|it| it.as_str().parse().ok()),
        ports: PortPair {
            public: route.public.port.get(),
            internal: route.internal.port.get(),
        },
        target: route.target,
        listening: troubles.is_empty(),
        trouble: (!troubles.is_empty()).then(|| troubles.join("; ")),
        dial_failures: report.target_dial_failures,
        name: LedName::Nobody,
    })
}

fn trouble(listener: &ListenerReport) -> Option<String> {
    let address = listener.address;
    match &listener.state {
        ListenerState::Listening => None,
        ListenerState::PortTaken { error } => {
            Some(format!("another program has {address}: {error}"))
        }
        ListenerState::CannotListen { error } => {
            Some(format!("cannot listen on {address}: {error}"))
        }
        ListenerState::NoTarget => Some(format!("nothing to lead to at {address}")),
    }
}

fn refused(error: ClientError) -> IngressError {
    match error {
        // It has no time now, or not any more: asking again later helps.
        ClientError::Refused {
            code: RefusalCode::TooManyClients,
            message,
        } => IngressError::Busy(message),
        error @ (ClientError::NoTurn { .. } | ClientError::LateTurn { .. }) => {
            IngressError::Busy(error.to_string())
        }
        ClientError::Refused {
            code: RefusalCode::ShuttingDown,
            message,
        } => IngressError::Unreachable(message),
        ClientError::Refused { code, message } => {
            IngressError::Refused(format!("{message} ({code})"))
        }
        other => IngressError::Unreachable(other.to_string()),
    }
}

#[cfg(test)]
#[path = "ingress_tests.rs"]
mod tests;
