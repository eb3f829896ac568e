//! Exposing an adopted app: the gateway listens on its ports and leads to its container, because a person said so.

use std::net::SocketAddr;

use proximity_store::exposure::Exposure;
use proximity_store::records::{Actor, AppRecord};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::route_sweep;

/// What came of it, as the gateway says.
#[derive(Debug, Clone, PartialEq)]
pub struct ExposedApp {
    /// The app as recorded.
    pub app: AppRecord,
    /// Where its route leads now.
    pub target: Option<SocketAddr>,
    /// The gateway listens on its ports.
    pub listening: bool,
    /// Why it is not as wanted yet. The sweep of the routes goes on with it.
    pub trouble: Option<String>,
}

impl Engine {
    /// Opens or closes an adopted app's ports: on record, then at once at the gateway. What the gateway does not take now is the
    /// sweep's, every 10 s.
    ///
    /// # Errors
    /// Unknown app, one that is native, or one that an operation works on.
    pub async fn expose(
        &self,
        actor: &Actor,
        app: &str,
        exposure: Exposure,
    ) -> Result<ExposedApp, EngineError> {
        let app = self.find_app(app).await?;
        if exposure == Exposure::Open(Some(0)) {
            return Err(EngineError::Invalid {
                field: "port".to_owned(),
                message: "port 0 is none that anything listens on".to_owned(),
            });
        }
        let now = self.now();
        let app = self.store().expose(app.id, exposure, actor, now).await?;
        let swept = route_sweep::sweep(self).await;
        let mut trouble = swept.err().map(|e| e.to_string());
        let routes = self.inner.parts.ingress.routes().await.unwrap_or_default();
        let route = routes.into_iter().find(|route| route.app == app.id);
        let (target, listening) = match &route {
            Some(route) => (route.target, route.listening),
            None => (None, false),
        };
        if let Some(route) = route {
            trouble = trouble.or(route.trouble);
        }
        if app.exposed && target.is_none() && trouble.is_none() {
            trouble = Some(
                "it does not run, or shows no address on the device that was recorded".to_owned(),
            );
        }
        Ok(ExposedApp {
            app,
            target,
            listening,
            trouble,
        })
    }
}
