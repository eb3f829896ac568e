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
    "docker-registry",
    "mariadb",
    "memcached",
    "mosquitto",
    "nats",
    "nginx",
    "node-red",
    "postgresql",
    "prometheus",
    "radicale",
    "redis",
    "syncthing",
];

/// Ids of those of which a deploy in a real container was seen to answer.
pub(super) const VERIFIED: &[&str] = &["nginx"];

#[cfg(test)]
#[path = "embed_tests.rs"]
mod tests;
