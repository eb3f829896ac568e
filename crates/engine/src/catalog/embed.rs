//! The entries that are part of the program. A test compares the list with the folder.

/// The path inside the project and the text of each entry with one of these ids.
macro_rules! shipped {
    ($($id:literal),* $(,)?) => {
        &[$((
            concat!("catalog/", $id, "/app.yaml"),
            include_str!(concat!("../../../../catalog/", $id, "/app.yaml")),
        )),*]
    };
}

/// The file's path inside the project and its text, ordered by path.
pub(super) const SHIPPED: &[(&str, &str)] = shipped![
    "actual",
    "apt-cacher-ng",
    "caddy",
    "changedetection",
    "datasette",
    "docker-registry",
    "gitea",
    "grafana",
    "isso",
    "jellyfin",
    "jupyterlab",
    "mariadb",
    "memcached",
    "minidlna",
    "mosquitto",
    "mumble-server",
    "nats",
    "navidrome",
    "netdata",
    "nextcloud",
    "nginx",
    "node-red",
    "ntfy",
    "postgresql",
    "prometheus",
    "radicale",
    "redis",
    "swagger-ui",
    "syncthing",
    "transmission",
    "vikunja",
];

/// Ids of those of which a deploy in a real container was seen to answer.
pub(super) const VERIFIED: &[&str] = &["nginx"];

#[cfg(test)]
#[path = "embed_tests.rs"]
mod tests;
