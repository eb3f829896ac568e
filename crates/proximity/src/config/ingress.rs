//! How people reach apps.

use std::net::SocketAddr;
use std::path::PathBuf;

use confique::Config;
use proximity_engine::caddy::AdminAddress;
use serde::{Deserialize, Serialize};

use super::check::{Wrong, wrong};

/// How people reach apps.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct IngressSettings {
    /// `gateway`: by their ports. `caddy`: by host names too, which Caddy on this machine leads to them; the gateway goes on leading
    /// their ports.
    #[config(default = "gateway", env = "PROXIMITY_INGRESS_DRIVER")]
    pub(crate) driver: IngressDriver,
    /// Caddy, where it is the driver.
    #[config(nested)]
    pub(crate) caddy: CaddySettings,
}

/// What leads people to apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IngressDriver {
    /// The gateway alone.
    Gateway,
    /// The gateway and Caddy.
    Caddy,
}

/// Caddy, where it is the driver.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct CaddySettings {
    /// Its admin API: `http://127.0.0.1:2019`, or `unix:` and the path of a socket.
    #[config(
        default = "http://127.0.0.1:2019",
        env = "PROXIMITY_INGRESS_CADDY_ADMIN"
    )]
    pub(crate) admin: String,
    /// The HTTP server in its configuration that gets a route for each host name, e.g. `srv0`; the others, and all other routes, are
    /// left alone. It has to be there.
    #[config(env = "PROXIMITY_INGRESS_CADDY_SERVER")]
    pub(crate) server: Option<String>,
    /// Where that server takes requests, as this machine reaches it: there each app is fetched before its URL is told.
    #[config(default = "127.0.0.1:443", env = "PROXIMITY_INGRESS_CADDY_ADDRESS")]
    pub(crate) address: SocketAddr,
    /// It takes them over TLS.
    #[config(default = true, env = "PROXIMITY_INGRESS_CADDY_HTTPS")]
    pub(crate) https: bool,
    /// Certificates of the authorities to trust instead of the system's when an app is fetched, PEM.
    #[config(env = "PROXIMITY_INGRESS_CADDY_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// What is wrong about it, if anything.
pub(super) fn check(ingress: &IngressSettings) -> Result<(), Wrong> {
    let caddy = &ingress.caddy;
    if let Err(why) = caddy.admin.parse::<AdminAddress>() {
        return Err(wrong(
            format!("ingress.caddy.admin {why}: {}", caddy.admin),
            "write it as http://127.0.0.1:2019 or unix:/run/caddy/admin.sock; its configuration would cross a network unprotected",
        ));
    }
    if let Some(server) = &caddy.server {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if server.is_empty() || server.len() > 100 || !server.chars().all(is_plain) {
            return Err(wrong(
                format!("ingress.caddy.server is {server:?}"),
                "choose a name of letters, digits, dashes, dots and underscores, as the server has it in Caddy's configuration",
            ));
        }
    }
    if caddy.address.port() == 0 || caddy.address.ip().is_unspecified() {
        return Err(wrong(
            format!(
                "ingress.caddy.address is {}, where nobody can be reached",
                caddy.address
            ),
            "name an address and port at which this machine reaches Caddy, e.g. 127.0.0.1:443",
        ));
    }
    if ingress.driver == IngressDriver::Caddy && caddy.server.is_none() {
        return Err(wrong(
            "ingress.driver is caddy, and ingress.caddy.server is not set",
            "name the HTTP server in Caddy's configuration that is to get the routes, e.g. srv0; look for it with: \
             curl http://127.0.0.1:2019/config/apps/http/servers",
        ));
    }
    Ok(())
}
