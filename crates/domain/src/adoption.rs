//! Adoption: the clinical record of a container that was found, what it probably is, and the host name its app gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Vmid;
use crate::interface::GuestInterface;
use crate::names::{CatalogId, Hostname};
use crate::time::Timestamp;

/// First line of an adoption's log about the configuration.
pub const CAPTURING: &str = "Capturing complete container configuration snapshot...";
/// Last line of an adoption's log.
pub const COMPLETED: &str = "INFORMED ADOPTION COMPLETED SUCCESSFULLY";
/// First line of a removal that leaves the container alone.
pub const SOFT_DELETE: &str = "SOFT DELETE: Removing Proximity management (container preserved)";

/// The line that says how much of the configuration was captured.
#[must_use]
pub fn keys_captured(keys: usize) -> String {
    format!("Config snapshot: {keys} keys captured")
}

/// What was read of a container on the day of its adoption. It is written once, and outlives the app in the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptionRecord {
    /// PVE's number of it.
    pub original_vmid: Vmid,
    /// Its name in PVE; empty if it had none.
    pub original_name: String,
    /// When.
    pub adoption_date: Timestamp,
    /// What it was taken for, by a person or from its name.
    pub suggested_type: CatalogId,
    /// The port that its app is taken to listen on.
    pub container_port: u16,
    /// Ports something inside was seen to listen on; empty when nobody looked inside.
    pub detected_ports: Vec<u16>,
    /// Its whole configuration as PVE gave it. Never empty.
    pub proxmox_config_snapshot: BTreeMap<String, Value>,
    /// What it had and used.
    pub resources_at_adoption: ResourcesAtAdoption,
    /// Whether it ran.
    pub status_at_adoption: StatusAtAdoption,
    /// Its network devices with their addresses.
    pub network_interfaces: Vec<GuestInterface>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Operating system as PVE knows it.
    pub os_type: Option<String>,
    /// Architecture, as PVE knows it.
    pub architecture: Option<String>,
    /// What could not be read, and is therefore not in here.
    pub missing_parts: Vec<AdoptionPart>,
}

/// What stands in the place of a value that is not shown.
const HIDDEN: &str = "[secret]";

/// The value of a key of a container's configuration as it may be shown. What is put into the environment of its processes is
/// where images expect their passwords: `env`, and among the raw lines of `lxc` those of `lxc.environment…`.
#[must_use]
pub fn without_secrets(key: &str, value: Value) -> Value {
    match value {
        _ if key == "env" || key.starts_with("lxc.environment") => Value::from(HIDDEN),
        Value::Array(lines) if key == "lxc" => lines.into_iter().map(raw_line).collect(),
        other => other,
    }
}

/// One raw line: its key and its value.
fn raw_line(line: Value) -> Value {
    let key = line.get(0).and_then(Value::as_str).map(str::to_owned);
    match key {
        Some(key) if key.starts_with("lxc.environment") => {
            Value::from(vec![key, HIDDEN.to_owned()])
        }
        Some(_) | None => line,
    }
}

/// Figures of the day of adoption.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ResourcesAtAdoption {
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory it may use, bytes.
    pub memory_bytes: Option<u64>,
    /// Size of its root file system, bytes.
    pub disk_bytes: Option<u64>,
    /// Seconds since its start; 0 when stopped.
    pub uptime_seconds: Option<u64>,
}

/// Whether a container ran when it was adopted: read, never assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusAtAdoption {
    /// It ran.
    Running,
    /// It was stopped.
    Stopped,
}

impl StatusAtAdoption {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// A part of the record that may be missing. The configuration and the power state may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptionPart {
    /// Network devices: only a running container shows them.
    NetworkInterfaces,
    /// Memory, disk or CPUs.
    Usage,
    /// Sockets inside: nobody was allowed to look, or nobody asked.
    ListeningSockets,
}

impl AdoptionPart {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NetworkInterfaces => "network_interfaces",
            Self::Usage => "usage",
            Self::ListeningSockets => "listening_sockets",
        }
    }
}

/// What a container probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suggestion {
    /// e.g. `postgres`; `custom` when nothing is known.
    pub kind: &'static str,
    /// Where such a thing usually listens.
    pub port: u16,
}

/// What nothing is known of.
pub const CUSTOM: Suggestion = Suggestion {
    kind: "custom",
    port: 80,
};

/// Words in names and tags → what it is, the more telling ones first: `grafana-postgres` is a database.
const WORDS: &[(&[&str], &str, u16)] = &[
    (&["postgres", "postgresql", "pgsql"], "postgres", 5432),
    (&["mariadb"], "mariadb", 3306),
    (&["mysql"], "mysql", 3306),
    (&["redis", "valkey"], "redis", 6379),
    (&["mongo", "mongodb"], "mongodb", 27_017),
    (
        &["elastic", "elasticsearch", "opensearch"],
        "elasticsearch",
        9200,
    ),
    (&["rabbitmq"], "rabbitmq", 5672),
    (&["mosquitto", "mqtt"], "mosquitto", 1883),
    (&["influx", "influxdb"], "influxdb", 8086),
    (&["ghost"], "ghost", 2368),
    (&["grafana"], "grafana", 3000),
    (&["gitea"], "gitea", 3000),
    (&["forgejo"], "forgejo", 3000),
    (&["prometheus"], "prometheus", 9090),
    (&["jellyfin"], "jellyfin", 8096),
    (&["plex"], "plex", 32_400),
    (&["homeassistant", "hass"], "home-assistant", 8123),
    (&["vaultwarden"], "vaultwarden", 80),
    (&["jenkins"], "jenkins", 8080),
    (&["minio"], "minio", 9000),
    (&["portainer"], "portainer", 9443),
    (&["pihole"], "pihole", 80),
    (&["adguard"], "adguard", 3000),
    (&["adminer"], "adminer", 8080),
    (&["nextcloud"], "nextcloud", 80),
    (&["wordpress"], "wordpress", 80),
    (&["nodejs", "node"], "node", 3000),
    (&["traefik"], "traefik", 80),
    (&["caddy"], "caddy", 80),
    (&["apache", "apache2", "httpd"], "apache", 80),
    (&["nginx", "web", "www"], "nginx", 80),
];

/// The type and port of a container by its name, else by its tags (PVE separates them by `;`), else `custom`: the operating
/// system says nothing of what runs on it.
#[must_use]
pub fn suggest(name: &str, tags: Option<&str>) -> Suggestion {
    let tags = tags.unwrap_or_default();
    by_words(name).or_else(|| by_words(tags)).unwrap_or(CUSTOM)
}

/// The port a thing of this type usually listens on.
#[must_use]
pub fn usual_port(kind: &str) -> u16 {
    let row = WORDS.iter().find(|(_, known, _)| *known == kind);
    row.map_or(CUSTOM.port, |(_, _, port)| *port)
}

/// What listens on this port, if the port belongs to one kind of thing alone: not the web's, which many have.
#[must_use]
pub(crate) fn of_port(port: u16) -> Option<Suggestion> {
    let mut rows = WORDS.iter().filter(|(_, _, usual)| *usual == port);
    match (rows.next(), rows.next()) {
        (Some((_, kind, port)), None) => Some(Suggestion { kind, port: *port }),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

fn by_words(text: &str) -> Option<Suggestion> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .collect();
    let row = WORDS.iter().find(|(known, _, _)| {
        known
            .iter()
            .any(|k| words.contains(k) || is_inside(&text, k))
    });
    row.map(|(_, kind, port)| Suggestion { kind, port: *port })
}

/// Long words are also found inside of others (`mypostgresdb`); short ones would be found everywhere.
fn is_inside(text: &str, word: &str) -> bool {
    word.len() >= 5 && text.contains(word)
}

/// The host name of the app of a container with this name: the name itself where it fits and is free, else one that is made
/// of it and of the VMID.
#[must_use]
pub fn hostname_for(name: &str, vmid: Vmid, is_taken: impl Fn(&Hostname) -> bool) -> Hostname {
    let base = plain(name);
    let numbered = |n: Option<u32>| {
        let tail = match n {
            None => format!("-{vmid}"),
            Some(n) => format!("-{vmid}-{n}"),
        };
        let room = 63_usize.saturating_sub(tail.len());
        let head: String = base.chars().take(room).collect();
        let head = head.trim_end_matches('-');
        if head.is_empty() {
            format!("ct{tail}")
        } else {
            format!("{head}{tail}")
        }
    };
    let candidates = std::iter::once(base.clone())
        .chain(std::iter::once(numbered(None)))
        .chain((2..).map(|n| numbered(Some(n))));
    let mut fitting = candidates.filter_map(|name| name.parse::<Hostname>().ok());
    loop {
        // The candidates never end, and what is taken does.
        if let Some(name) = fitting.next()
            && !is_taken(&name)
        {
            return name;
        }
    }
}

/// What is left of a name under the rule for host names: the first label, lower case, other characters as dashes.
fn plain(name: &str) -> String {
    let first = name.split('.').next().unwrap_or_default();
    let mut text = String::new();
    for c in first.to_ascii_lowercase().chars() {
        let fits = c.is_ascii_lowercase() || c.is_ascii_digit();
        if fits {
            text.push(c);
        } else if !text.ends_with('-') {
            text.push('-');
        }
    }
    let text: String = text.trim_matches('-').chars().take(63).collect();
    text.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vmid(n: u32) -> Vmid {
        Vmid::try_from(n).unwrap()
    }

    #[test]
    fn the_environment_of_the_processes_is_not_shown() {
        use serde_json::json;
        assert_eq!(without_secrets("env", json!("A=b")), json!("[secret]"));
        assert_eq!(without_secrets("memory", json!(512)), json!(512));
        let raw = json!([
            ["lxc.environment", "DB_PASSWORD=x"],
            ["lxc.environment.runtime", "A=b"],
            ["lxc.cap.drop", ""]
        ]);
        let shown = json!([
            ["lxc.environment", "[secret]"],
            ["lxc.environment.runtime", "[secret]"],
            ["lxc.cap.drop", ""]
        ]);
        assert_eq!(without_secrets("lxc", raw), shown);
    }

    #[test]
    fn types_and_ports_come_from_names_and_tags() {
        let mut table = String::new();
        for (name, tags) in [
            ("nginx", None),
            ("web1", None),
            ("my-postgres-db", None),
            ("PGSQL.example.org", None),
            ("mypostgresdb", None),
            ("mariadb-2", None),
            ("mysql", None),
            ("redis-cache", None),
            ("mongo", None),
            ("elastic", None),
            ("ghost-blog", None),
            ("node", None),
            ("inode", None),
            ("grafana", None),
            ("grafana-postgres", None),
            ("webster", None),
            ("ct-17", Some("prod;redis")),
            ("ct-18", Some("prod")),
            ("", None),
        ] {
            let found = suggest(name, tags);
            table.push_str(&format!(
                "{name:<20} {:<12} {:<14} {}\n",
                tags.unwrap_or("-"),
                found.kind,
                found.port
            ));
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn every_type_is_one_and_has_its_port() {
        for (_, kind, port) in WORDS {
            assert!(kind.parse::<CatalogId>().is_ok(), "{kind}");
            assert_eq!(usual_port(kind), *port, "{kind}");
        }
        assert!(CUSTOM.kind.parse::<CatalogId>().is_ok());
        assert_eq!(usual_port("no-such-thing"), 80);
    }

    #[test]
    fn a_name_that_fits_is_kept_and_a_clash_is_told_apart_by_the_number() {
        let free = |_: &Hostname| false;
        for (name, expected) in [
            ("web", "web"),
            ("Web_Server.example.org", "web-server"),
            ("--a--b--", "a-b"),
            ("db", "db-105"),
            ("", "ct-105"),
            ("…", "ct-105"),
        ] {
            assert_eq!(
                hostname_for(name, vmid(105), free).as_str(),
                expected,
                "{name}"
            );
        }
        let taken = |name: &Hostname| ["web", "web-105"].contains(&name.as_str());
        assert_eq!(hostname_for("web", vmid(105), taken).as_str(), "web-105-2");
    }

    proptest! {
        #[test]
        fn any_name_gives_a_host_name_that_is_free(name in "(?s).{0,120}", n in 100_u32..1_000_000, taken in 0_usize..4) {
            let asked = std::cell::Cell::new(0);
            let found = hostname_for(&name, vmid(n), |_| {
                asked.set(asked.get() + 1);
                asked.get() <= taken
            });
            prop_assert!((3..=63).contains(&found.as_str().len()));
            prop_assert_eq!(asked.get(), taken + 1);
        }
    }
}
