//! The ingress of the configuration: the gateway's alone, or the gateway's with Caddy's host names.

use std::sync::Arc;

use proximity_domain::ids::InstallationId;
use proximity_engine::caddy::{AdminAddress, CaddyIngress, CaddyOptions};
use proximity_engine::seams::Ingress;

use crate::config::{IngressDriver, IngressSettings};
use crate::failed::Failed;

/// `ports`, with host names at Caddy if that is the driver. Nothing is sent.
///
/// # Errors
/// The authorities cannot be read, or what the configuration says cannot be used.
pub(crate) fn with_names(
    ports: Arc<dyn Ingress>,
    settings: &IngressSettings,
    installation: InstallationId,
) -> Result<Arc<dyn Ingress>, Failed> {
    if settings.driver == IngressDriver::Gateway {
        return Ok(ports);
    }
    let caddy = &settings.caddy;
    let admin: AdminAddress = caddy.admin.parse().map_err(|why: &str| {
        bad(
            format!("ingress.caddy.admin {why}"),
            "correct ingress.caddy.admin",
        )
    })?;
    let server = caddy.server.clone().ok_or_else(|| {
        bad(
            "ingress.caddy.server is not set".to_owned(),
            "name the HTTP server in Caddy's configuration that is to get the routes",
        )
    })?;
    let ca_pem = caddy.ca_file.as_deref().map(std::fs::read).transpose();
    let ca_pem = ca_pem.map_err(|e| {
        bad(
            format!("ingress.caddy.ca_file cannot be read: {e}"),
            "check the path and its permissions",
        )
    })?;
    let options = CaddyOptions {
        admin,
        server,
        address: caddy.address,
        https: caddy.https,
        ca_pem,
    };
    let ingress = CaddyIngress::new(ports, installation, options)
        .map_err(|e| bad(e.to_string(), "check ingress.caddy.ca_file"))?;
    tracing::info!(admin = %caddy.admin, "host names are led by Caddy");
    Ok(Arc::new(ingress))
}

fn bad(message: String, hint: &str) -> Failed {
    Failed::config("bad_config", message, hint)
}

#[cfg(test)]
mod tests {
    use proximity_engine::seams::{IngressError, RouteSpec, RouteView};

    use super::*;
    use crate::config::ingress::CaddySettings;

    #[derive(Debug)]
    struct Ports;

    #[async_trait::async_trait]
    impl Ingress for Ports {
        async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
            Err(IngressError::Refused(route.app.to_string()))
        }

        async fn withdraw(&self, app: proximity_domain::ids::AppId) -> Result<(), IngressError> {
            Err(IngressError::Refused(app.to_string()))
        }

        async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
            Ok(Vec::new())
        }
    }

    fn settings(driver: IngressDriver) -> IngressSettings {
        IngressSettings {
            driver,
            caddy: CaddySettings {
                admin: "http://127.0.0.1:2019".to_owned(),
                server: Some("srv0".to_owned()),
                address: "127.0.0.1:443".parse().unwrap(),
                https: true,
                ca_file: None,
            },
        }
    }

    #[test]
    fn the_driver_decides_whether_names_are_led() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let led = |settings: &IngressSettings| {
            let installation =
                InstallationId("018f0000-0000-7000-8000-000000000009".parse().unwrap());
            with_names(Arc::new(Ports), settings, installation)
        };
        let gateway = led(&settings(IngressDriver::Gateway)).unwrap();
        assert!(!gateway.leads_names());
        let caddy = led(&settings(IngressDriver::Caddy)).unwrap();
        assert!(caddy.leads_names());
        let mut without = settings(IngressDriver::Caddy);
        without.caddy.ca_file = Some("/nowhere/ca.pem".into());
        let refused = led(&without).unwrap_err().to_string();
        assert!(refused.contains("ingress.caddy.ca_file"), "{refused}");
    }
}
