//! A gateway that nobody needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use proximity_domain::ids::AppId;
use proximity_engine::seams::{
    HttpAnswer, Ingress, IngressError, LedName, Probe, RouteSpec, RouteView,
};

/// Routes that lead nowhere, and pages nobody serves: they are as they should be.
#[derive(Debug, Default)]
pub(crate) struct NoGateway(Mutex<BTreeMap<AppId, RouteView>>);

#[async_trait]
impl Ingress for NoGateway {
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        let view = RouteView {
            app: route.app,
            installation: Some(route.installation),
            ports: route.ports,
            target: Some(route.target),
            listening: true,
            trouble: None,
            dial_failures: 0,
            name: LedName::Nobody,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(route.app, view.clone());
        Ok(view)
    }

    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&app);
        Ok(())
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.values().cloned().collect())
    }
}

#[async_trait]
impl Probe for NoGateway {
    async fn http_get(&self, _: SocketAddr, _: &str, _: u64) -> Result<HttpAnswer, String> {
        Ok(HttpAnswer {
            status: 200,
            body: "proximity-app-bare".to_owned(),
        })
    }

    async fn tcp_open(&self, _: SocketAddr, _: u64) -> Result<(), String> {
        Ok(())
    }
}
