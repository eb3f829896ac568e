//! Configuration: environment over file over defaults.

// The derive of the layers writes paths whole.
#![allow(unused_qualifications)]

mod check;
pub(crate) mod env;
pub(crate) mod ingress;
mod load;
pub(crate) mod notify;
mod otlp;
mod range;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use confique::Config;
use proximity_domain::janitor::Limits;
use proximity_domain::names::CatalogId;
use proximity_domain::prepared::Policy;
use proximity_domain::retention::{Keep, Retention};
use serde::{Deserialize, Serialize};

pub(crate) use ingress::{IngressDriver, IngressSettings};
pub(crate) use load::{Loaded, load};
pub(crate) use notify::NotifySettings;
pub(crate) use otlp::OtlpSettings;
pub(crate) use range::Range;

/// Where the configuration file is unless named otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/proximity/config.yaml";

/// Everything that can be configured.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Settings {
    /// Where the database, the first token and the gateway's files are kept.
    #[config(default = "/var/lib/proximity", env = "PROXIMITY_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// File with the key that seals secrets. Default: `secret.key` in the data directory. Back it up apart
    /// from the database: whoever has both can read every secret.
    #[config(env = "PROXIMITY_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Folders with catalog entries of your own, each `FOLDER/ID/app.yaml`. In the environment separated by colons.
    #[config(
        default = [],
        env = "PROXIMITY_CATALOG_FOLDERS",
        parse_env = confique::env::parse::list_by_colon
    )]
    pub(crate) catalog_folders: Vec<PathBuf>,
    /// Ids of entries of the program that are left out of the catalog, so that one of yours may have the id. Nothing else takes the place
    /// of such an entry: what is meant by its id is for whoever configures the server to say, and for no repository. In the environment
    /// separated by commas.
    #[config(
        default = [],
        env = "PROXIMITY_CATALOG_LEAVE_OUT",
        parse_env = confique::env::parse::list_by_comma
    )]
    pub(crate) catalog_leave_out: Vec<CatalogId>,
    /// Look at the folders once a minute, and read the catalog again when a file of them was changed. Without it they are read at the start
    /// and by `proximity catalog reload`.
    #[config(default = false, env = "PROXIMITY_CATALOG_WATCH")]
    pub(crate) catalog_watch: bool,
    /// The database.
    #[config(nested)]
    pub(crate) database: Database,
    /// The API.
    #[config(nested)]
    pub(crate) api: Api,
    /// Port pairs of apps.
    #[config(nested)]
    pub(crate) ports: Ports,
    /// The gateway.
    #[config(nested)]
    pub(crate) gateway: Gateway,
    /// How people reach apps.
    #[config(nested)]
    pub(crate) ingress: IngressSettings,
    /// What the commands use to reach the API.
    #[config(nested)]
    pub(crate) client: ClientSettings,
    /// Work on apps.
    #[config(nested)]
    pub(crate) engine: EngineSettings,
    /// Marking apps that are stuck.
    #[config(nested)]
    pub(crate) janitor: JanitorSettings,
    /// How much of what happened is kept.
    #[config(nested)]
    pub(crate) retention: RetentionSettings,
    /// Telling people what happened.
    #[config(nested)]
    pub(crate) notify: NotifySettings,
    /// Sending traces to a collector.
    #[config(nested)]
    pub(crate) otlp: OtlpSettings,
    /// Logs of the long-running roles.
    #[config(nested)]
    pub(crate) log: Log,
}

/// The database.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Database {
    /// `sqlite`: a file in the data directory. Or PostgreSQL 15 or later: `postgres://USER@HOST:PORT/NAME`, without a
    /// password; `?sslmode=verify-full&sslrootcert=FILE` checks the server's certificate.
    #[config(default = "sqlite", env = "PROXIMITY_DATABASE_URL")]
    pub(crate) url: String,
    /// File with the password for PostgreSQL, on its first line.
    #[config(env = "PROXIMITY_DATABASE_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// The API.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Api {
    /// Address and port. Anything but this machine's own address needs TLS or `insecure_http: true`.
    #[config(default = "127.0.0.1:7640", env = "PROXIMITY_API_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Certificate chain, PEM.
    #[config(env = "PROXIMITY_API_TLS_CERT_FILE")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[config(env = "PROXIMITY_API_TLS_KEY_FILE")]
    pub(crate) tls_key_file: Option<PathBuf>,
    /// Serve plain HTTP on an address others can reach. Tokens then cross the network unprotected.
    #[config(default = false, env = "PROXIMITY_API_INSECURE_HTTP")]
    pub(crate) insecure_http: bool,
}

/// Port pairs of apps.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Ports {
    /// Public ports are taken from this range.
    #[config(default = "8100-8999", env = "PROXIMITY_PORTS_PUBLIC")]
    pub(crate) public: Range,
    /// Internal ports are taken from this range.
    #[config(default = "9100-9999", env = "PROXIMITY_PORTS_INTERNAL")]
    pub(crate) internal: Range,
}

/// The gateway.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Gateway {
    /// Address public ports listen on.
    #[config(default = "0.0.0.0", env = "PROXIMITY_GATEWAY_PUBLIC_BIND")]
    pub(crate) public_bind: IpAddr,
    /// Address internal ports listen on.
    #[config(default = "127.0.0.1", env = "PROXIMITY_GATEWAY_INTERNAL_BIND")]
    pub(crate) internal_bind: IpAddr,
    /// Host name or address under which people reach the public ports; it is the host in an app's URL.
    #[config(default = "127.0.0.1", env = "PROXIMITY_GATEWAY_PUBLIC_HOST")]
    pub(crate) public_host: String,
    /// Where routes are kept. Default: `gateway/routes.json` in the data directory.
    #[config(env = "PROXIMITY_GATEWAY_ROUTE_FILE")]
    pub(crate) route_file: Option<PathBuf>,
    /// Socket between control plane and gateway. Default: `gateway/control.sock` in the data directory.
    #[config(env = "PROXIMITY_GATEWAY_CONTROL_SOCKET")]
    pub(crate) control_socket: Option<PathBuf>,
    /// File that the gateway logs to, as `log.file` is the server's. Default: `log.file` with `-gateway` before its
    /// extension; without `log.file`, stderr.
    #[config(env = "PROXIMITY_GATEWAY_LOG_FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// What the commands use to reach the API.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct ClientSettings {
    /// URL of the server. Default: this machine at the port of `api.listen`.
    #[config(env = "PROXIMITY_URL")]
    pub(crate) url: Option<String>,
    /// File with the token. Default: `admin.token` in the data directory.
    #[config(env = "PROXIMITY_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates of the authorities to trust instead of the system's, PEM.
    #[config(env = "PROXIMITY_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Work on apps.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct EngineSettings {
    /// Operations worked on at the same time.
    #[config(default = 32, env = "PROXIMITY_ENGINE_OPERATIONS")]
    pub(crate) operations: usize,
    /// Of these, per host. Each host may always have one.
    #[config(default = 4, env = "PROXIMITY_ENGINE_OPERATIONS_PER_HOST")]
    pub(crate) operations_per_host: usize,
    /// Create containers with the protection of Proxmox VE switched on.
    #[config(default = true, env = "PROXIMITY_ENGINE_PROTECT")]
    pub(crate) protect: bool,
    /// `on`: of what is deployed again and again a template of Proxmox VE is prepared, with the packages in its cache, and the next containers
    /// are clones of it. `off`: none is made or used, and those that there are go as soon as nothing hangs on them.
    #[config(default = "off", env = "PROXIMITY_ENGINE_TEMPLATE_CACHE")]
    pub(crate) template_cache: TemplateCache,
}

/// Whether prepared templates are made and used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TemplateCache {
    /// None.
    Off,
    /// Of what is deployed again and again.
    On,
}

impl EngineSettings {
    /// As the engine takes it.
    pub(crate) fn templates(&self) -> Policy {
        Policy {
            on: self.template_cache == TemplateCache::On,
            ..Policy::default()
        }
    }
}

/// Marking apps that are stuck: on their way to another status for longer than this, with nobody at work on them. They are
/// shown as *error*; nothing else is done to them.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct JanitorSettings {
    /// How often it looks for them.
    #[config(default = 60, env = "PROXIMITY_JANITOR_EVERY_MINUTES")]
    pub(crate) every_minutes: u32,
    /// How long an app may be deployed.
    #[config(default = 60, env = "PROXIMITY_JANITOR_DEPLOYING_MINUTES")]
    pub(crate) deploying_minutes: u32,
    /// How long a container may be adopted.
    #[config(default = 60, env = "PROXIMITY_JANITOR_ADOPTING_MINUTES")]
    pub(crate) adopting_minutes: u32,
    /// How long an app may be removed.
    #[config(default = 60, env = "PROXIMITY_JANITOR_REMOVING_MINUTES")]
    pub(crate) removing_minutes: u32,
}

impl JanitorSettings {
    /// All keys with what they are set to.
    fn all(&self) -> [(&'static str, u32); 4] {
        [
            ("janitor.every_minutes", self.every_minutes),
            ("janitor.deploying_minutes", self.deploying_minutes),
            ("janitor.adopting_minutes", self.adopting_minutes),
            ("janitor.removing_minutes", self.removing_minutes),
        ]
    }

    /// As the janitor takes it. Nothing clones or updates yet, so that there is nothing to set for these.
    pub(crate) fn limits(&self) -> Limits {
        let ms = |minutes: u32| i64::from(minutes) * 60_000;
        Limits {
            deploying_ms: ms(self.deploying_minutes),
            adopting_ms: ms(self.adopting_minutes),
            removing_ms: ms(self.removing_minutes),
            ..Limits::default()
        }
    }

    /// From the end of one look to the next.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.every_minutes))
    }
}

/// How much of what happened is kept: the log of events, and the steps and log lines of operations that have ended. What is older,
/// or more, goes, oldest first; 0 is no bound. The audit, the archive and the operations themselves are kept whatever is
/// set here, and so are the steps of a live app's newest operation, the newest line of each app, and events that a channel
/// of notices has not been told of.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct RetentionSettings {
    /// Events are kept for so many days. Whoever follows them and comes back later than that is told so.
    #[config(default = 90, env = "PROXIMITY_RETENTION_EVENT_DAYS")]
    pub(crate) event_days: u32,
    /// Of events so many of the newest are kept, at least 100. Each takes some 200 bytes.
    #[config(default = 500000, env = "PROXIMITY_RETENTION_EVENTS")]
    pub(crate) events: u64,
    /// Operations keep their steps and log lines for so many days after their end.
    #[config(default = 90, env = "PROXIMITY_RETENTION_OPERATION_DAYS")]
    pub(crate) operation_days: u32,
    /// So many of the operations that ended last keep them. A deploy has some 8 KB of them.
    #[config(default = 20000, env = "PROXIMITY_RETENTION_OPERATIONS")]
    pub(crate) operations: u64,
    /// What a resource of a cluster was is kept for so many days after it was so last. Tasks of Proxmox VE are kept as long.
    #[config(default = 90, env = "PROXIMITY_RETENTION_SNAPSHOT_DAYS")]
    pub(crate) snapshot_days: u32,
    /// So many of the newest snapshots of each resource are kept, the newest always. Each takes some 1 KB.
    #[config(default = 200, env = "PROXIMITY_RETENTION_SNAPSHOTS")]
    pub(crate) snapshots: u64,
    /// From one look for what is more than that to the next, seconds.
    #[config(default = 3600, env = "PROXIMITY_RETENTION_EVERY_SECONDS")]
    pub(crate) every_seconds: u32,
}

impl RetentionSettings {
    /// As the engine takes it.
    pub(crate) fn kept(&self) -> Retention {
        Retention {
            events: Keep::of(self.event_days, self.events),
            operations: Keep::of(self.operation_days, self.operations),
            snapshots: Keep::of(self.snapshot_days, self.snapshots),
        }
    }

    /// From the end of one look to the next.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(u64::from(self.every_seconds))
    }
}

/// Logs of the long-running roles.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct Log {
    /// `text` or `json`.
    #[config(default = "text", env = "PROXIMITY_LOG_FORMAT")]
    pub(crate) format: LogFormat,
    /// What is logged, e.g. `info` or `info,proximity_engine=debug`.
    #[config(default = "info", env = "PROXIMITY_LOG")]
    pub(crate) filter: String,
    /// File that the server writes instead of stderr; the gateway has `gateway.log_file`. One that is moved away is
    /// opened anew, without a signal.
    #[config(env = "PROXIMITY_LOG_FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A file is turned over when it reaches this size, MiB.
    #[config(default = 64, env = "PROXIMITY_LOG_SIZE_MIB")]
    pub(crate) size_mib: u64,
    /// A file is turned over when it is this old, hours.
    #[config(default = 168, env = "PROXIMITY_LOG_AGE_HOURS")]
    pub(crate) age_hours: u32,
    /// So many older files are kept: `FILE.1` is the newest of them.
    #[config(default = 5, env = "PROXIMITY_LOG_KEEP")]
    pub(crate) keep: u32,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Settings {
    /// The database is a file in the data directory, whose lock proves every earlier server dead. A session of PostgreSQL that has
    /// ended proves that of nobody: the server that lost it sends what it may until its claims are over.
    pub(crate) fn is_on_a_file(&self) -> bool {
        self.database.url == "sqlite"
    }

    /// Where the database is when it is a file.
    pub(crate) fn database_file(&self) -> PathBuf {
        self.data_dir.join("proximity.db")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        or_in(&self.key_file, &self.data_dir, "secret.key")
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        or_in(&self.client.token_file, &self.data_dir, "admin.token")
    }

    pub(crate) fn route_file(&self) -> PathBuf {
        or_in(
            &self.gateway.route_file,
            &self.data_dir,
            "gateway/routes.json",
        )
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        or_in(
            &self.gateway.control_socket,
            &self.data_dir,
            "gateway/control.sock",
        )
    }

    /// The file the gateway logs to; `None` = stderr.
    pub(crate) fn gateway_log_file(&self) -> Option<PathBuf> {
        let derived = || self.log.file.as_deref().map(beside_the_servers);
        self.gateway.log_file.clone().or_else(derived)
    }

    /// The URL commands use: the configured one, or this machine at the API's port.
    pub(crate) fn url(&self) -> String {
        if let Some(url) = &self.client.url {
            return url.clone();
        }
        let scheme = if self.api.tls_cert_file.is_some() {
            "https"
        } else {
            "http"
        };
        let mut address = self.api.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
                SocketAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            });
        }
        format!("{scheme}://{address}")
    }

    /// The same settings with every default that depends on others written out.
    pub(crate) fn complete(&self) -> Self {
        let mut whole = self.clone();
        whole.key_file = Some(self.key_file());
        whole.gateway.route_file = Some(self.route_file());
        whole.gateway.control_socket = Some(self.control_socket());
        whole.gateway.log_file = self.gateway_log_file();
        whole.client.url = Some(self.url());
        whole.client.token_file = Some(self.token_file());
        whole
    }
}

fn or_in(given: &Option<PathBuf>, dir: &Path, name: &str) -> PathBuf {
    given.clone().unwrap_or_else(|| dir.join(name))
}

/// The server's log file, with `-gateway` before its extension.
fn beside_the_servers(log: &Path) -> PathBuf {
    let mut name = log.file_stem().unwrap_or_default().to_owned();
    name.push("-gateway");
    if let Some(extension) = log.extension() {
        name.push(".");
        name.push(extension);
    }
    log.with_file_name(name)
}

#[cfg(test)]
mod tests;
