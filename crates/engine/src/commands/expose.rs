//! Exposing an app because a person said so: the gateway listens on an adopted app's ports and leads to its container, and any app is led
//! to under a host name.

use std::net::SocketAddr;

use proximity_domain::app::AppClass;
use proximity_domain::site::Site;
use proximity_store::exposure::Exposure;
use proximity_store::records::{Actor, AppRecord};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::route_sweep;
use crate::seams::LedName;

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
    /// sweep's, every 10 s. Closing ends an app's host name too, and for a native one that alone.
    ///
    /// # Errors
    /// Unknown app, one that is native and has no host name, or one that an operation works on.
    pub async fn expose(
        &self,
        actor: &Actor,
        app: &str,
        exposure: Exposure,
    ) -> Result<ExposedApp, EngineError> {
        let app = self.find_app(app).await?;
        refuse_port_0(exposure)?;
        if exposure == Exposure::Closed && app.site.is_some() {
            let now = self.now();
            let unnamed = self.store().set_site(app.id, None, actor, now).await?;
            if unnamed.class == AppClass::Native {
                return self.exposed_now(unnamed).await;
            }
        }
        let now = self.now();
        let app = self.store().expose(app.id, exposure, actor, now).await?;
        self.exposed_now(app).await
    }

    /// Leads an app under a host name: on record, then at once at the ingress, by which its first page is fetched. An adopted app's
    /// ports are opened too, to `port` or to the one on record. What does not work now is the sweep's, every 10 s.
    ///
    /// # Errors
    /// Unknown app, a port for a native one, a name that another app has, one that an operation works on, or an ingress that leads
    /// under no host names.
    pub async fn lead_by_name(
        &self,
        actor: &Actor,
        app: &str,
        port: Option<u16>,
        site: Site,
    ) -> Result<ExposedApp, EngineError> {
        let app = self.find_app(app).await?;
        refuse_port_0(Exposure::Open(port))?;
        self.refuse_without_names()?;
        if app.class == AppClass::Native && port.is_some() {
            return Err(EngineError::Invalid {
                field: "port".to_owned(),
                message: "the port of an app that was deployed is its catalog entry's".to_owned(),
            });
        }
        let now = self.now();
        let mut app = self
            .store()
            .set_site(app.id, Some(site), actor, now)
            .await?;
        if app.class == AppClass::Adopted {
            let open = Exposure::Open(port);
            app = self.store().expose(app.id, open, actor, now).await?;
        }
        self.exposed_now(app).await
    }

    /// Refuses a host name where nothing leads under one.
    pub(super) fn refuse_without_names(&self) -> Result<(), EngineError> {
        if self.inner.parts.ingress.leads_names() {
            return Ok(());
        }
        Err(EngineError::Invalid {
            field: "host_name".to_owned(),
            message: "this server leads no app under a host name: set ingress.driver to caddy in its configuration, and \
                      ingress.caddy.server"
                .to_owned(),
        })
    }

    /// Brings the ingress to what is on record, and tells what it does then.
    async fn exposed_now(&self, app: AppRecord) -> Result<ExposedApp, EngineError> {
        let swept = route_sweep::sweep(self).await;
        let mut trouble = swept.err().map(|e| e.to_string());
        let routes = self.inner.parts.ingress.routes().await.unwrap_or_default();
        let route = routes.into_iter().find(|route| route.app == app.id);
        // What was fetched by its name was written down meanwhile.
        let app = match app.site.is_some() {
            true => self.store().app(app.id).await?.unwrap_or(app),
            false => app,
        };
        let (target, listening) = match &route {
            Some(route) => (route.target, route.listening),
            None => (None, false),
        };
        let name = route.as_ref().map(|route| route.name.clone());
        if let Some(route) = route {
            trouble = trouble.or(route.trouble);
        }
        if app.exposed && target.is_none() && trouble.is_none() {
            trouble = Some(
                "it does not run, or shows no address on the device that was recorded".to_owned(),
            );
        }
        let trouble = trouble.or_else(|| trouble_of_name(&app, name));
        Ok(ExposedApp {
            app,
            target,
            listening,
            trouble,
        })
    }
}

fn refuse_port_0(exposure: Exposure) -> Result<(), EngineError> {
    if exposure == Exposure::Open(Some(0)) {
        return Err(EngineError::Invalid {
            field: "port".to_owned(),
            message: "port 0 is none that anything listens on".to_owned(),
        });
    }
    Ok(())
}

/// Why an app that is to have a host name does not answer by it.
fn trouble_of_name(app: &AppRecord, name: Option<LedName>) -> Option<String> {
    let of = app.site.as_ref()?;
    if let Some(why) = &of.trouble {
        return Some(why.clone());
    }
    match name {
        Some(LedName::As { site, .. }) if site == of.site => None,
        Some(_) | None => Some(format!("it is not led to under {} yet", of.site.name)),
    }
}
