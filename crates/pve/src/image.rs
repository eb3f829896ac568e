//! What containers are made of: templates that PVE knows of, files from elsewhere, and OCI images.

use std::fmt;
use std::str::FromStr;

use proximity_domain::names::{BadName, NodeName, StorageName};
use serde::Deserialize;

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;
use crate::upid::Upid;

/// A template that PVE can download.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Appliance {
    /// Its file, by which it is downloaded, e.g. `debian-13-standard_13.1-2_amd64.tar.zst`.
    #[serde(deserialize_with = "lenient::text")]
    pub template: String,
    /// What it is a version of, e.g. `debian-13-standard`.
    #[serde(deserialize_with = "lenient::text")]
    pub package: String,
    /// Its version.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub version: Option<String>,
    /// Its operating system, e.g. `debian-13`.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub os: Option<String>,
    /// Its shelf: `system`, or `turnkeylinux`.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub section: Option<String>,
    /// One line about it.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub headline: Option<String>,
    /// SHA-512 of its file, hexadecimal; PVE checks it.
    #[serde(default, rename = "sha512sum", deserialize_with = "lenient::opt_text")]
    pub sha512: Option<String>,
}

/// What a server says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UrlMetadata {
    /// The name it suggests.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub filename: Option<String>,
    /// Its kind.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub mimetype: Option<String>,
    /// Its size.
    #[serde(default, rename = "size", deserialize_with = "lenient::opt_u64")]
    pub size_bytes: Option<u64>,
}

/// A checksum of a file, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// SHA-256.
    Sha256(String),
    /// SHA-512.
    Sha512(String),
}

/// A template to be downloaded from anywhere. Certificates are always checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it is, `https://…` or `http://…`.
    pub url: String,
    /// The file it becomes; PVE replaces what it does not like in it.
    pub filename: String,
    /// What its content must be. Without one it is whatever the server sends.
    pub checksum: Option<Checksum>,
}

/// A place where OCI images are, e.g. `docker.io/library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciRepository(String);

/// An OCI image: a repository and a tag. PVE takes no digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciImage {
    /// Where it is.
    pub repository: OciRepository,
    tag: String,
}

impl OciImage {
    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for OciRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OciImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// `registry.example.com:5000`.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(label.bytes().next())
            && edge(label.bytes().next_back())
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    name.split('.').all(label) && port.is_none_or(is_port)
}

/// One part of a path: words of lower-case letters and digits, between them one `.` or `_`, two `_`, or any number of `-`.
fn is_part(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(word) || !text.ends_with(word) {
        return false;
    }
    text.split(word)
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|c| c == b'-'))
}

fn is_repository(text: &str) -> bool {
    let path = |path: &str| path.split('/').all(is_part);
    path(text)
        || text
            .split_once('/')
            .is_some_and(|(host, rest)| is_host(host) && path(rest))
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

impl FromStr for OciRepository {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        if is_repository(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadName {
            what: "OCI repository",
            value: text.to_owned(),
            rule: "must be [HOST[:PORT]/]PATH, its path in lower case",
        })
    }
}

impl FromStr for OciImage {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        if let Some((repository, tag)) = text.rsplit_once(':')
            && is_tag(tag)
            && let Ok(repository) = repository.parse()
        {
            let tag = tag.to_owned();
            return Ok(Self { repository, tag });
        }
        Err(BadName {
            what: "OCI image",
            value: text.to_owned(),
            rule: "must be [HOST[:PORT]/]PATH:TAG, its path in lower case; a digest is not taken",
        })
    }
}

impl ReadClient {
    /// The templates PVE can download, as far as that node has heard.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn appliances(&self, node: &NodeName) -> Result<Vec<Appliance>> {
        let mut all: Vec<Appliance> = self
            .get(Call::get(&["nodes", node.as_str(), "aplinfo"]))
            .await?;
        all.sort_by(|a, b| a.template.cmp(&b.template));
        Ok(all)
    }

    /// The tags of an OCI repository; the node asks the registry. Needs `Sys.AccessNetwork` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn oci_tags(
        &self,
        node: &NodeName,
        repository: &OciRepository,
    ) -> Result<Vec<String>> {
        let call = Call::get(&["nodes", node.as_str(), "query-oci-repo-tags"])
            .with("reference", repository);
        self.get(call).await
    }

    /// What a server says of a file; the node asks it. Needs `Sys.AccessNetwork` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn url_metadata(&self, node: &NodeName, url: &str) -> Result<UrlMetadata> {
        let call = Call::get(&["nodes", node.as_str(), "query-url-metadata"]).with("url", url);
        self.get(call).await
    }
}

fn of_storage(node: &NodeName, storage: &StorageName, verb: &str) -> Call {
    Call::post(&["nodes", node.as_str(), "storage", storage.as_str(), verb])
}

impl Client {
    /// Downloads a template that PVE knows of. Needs `Datastore.AllocateTemplate` on the storage.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn download_appliance(
        &self,
        node: &NodeName,
        storage: &StorageName,
        template: &str,
    ) -> Result<Upid> {
        let call = Call::post(&["nodes", node.as_str(), "aplinfo"])
            .with("storage", storage)
            .with("template", template);
        self.change(call).await
    }

    /// Downloads a template from anywhere. Needs also `Sys.AccessNetwork` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn download_template(
        &self,
        node: &NodeName,
        storage: &StorageName,
        download: &Download,
    ) -> Result<Upid> {
        let call = of_storage(node, storage, "download-url")
            .with("content", "vztmpl")
            .with("url", &download.url)
            .with("filename", &download.filename);
        let call = match &download.checksum {
            None => call,
            Some(Checksum::Sha256(sum)) => call
                .with("checksum", sum)
                .with("checksum-algorithm", "sha256"),
            Some(Checksum::Sha512(sum)) => call
                .with("checksum", sum)
                .with("checksum-algorithm", "sha512"),
        };
        self.change(call).await
    }

    /// Pulls an OCI image into a storage, as a template. PVE chooses the file's name if none is given, and refuses to
    /// overwrite one. Needs also `Sys.AccessNetwork` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn pull_oci_image(
        &self,
        node: &NodeName,
        storage: &StorageName,
        image: &OciImage,
        filename: Option<&str>,
    ) -> Result<Upid> {
        let call = of_storage(node, storage, "oci-registry-pull")
            .with("reference", image)
            .with_some("filename", filename);
        self.change(call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_by_host_path_and_tag() {
        for (good, repository, tag) in [
            ("nginx:1", "nginx", "1"),
            (
                "docker.io/library/nginx:1.29-alpine",
                "docker.io/library/nginx",
                "1.29-alpine",
            ),
            (
                "Registry-1.example.com:5000/a__b/c.d/e--f:_x",
                "Registry-1.example.com:5000/a__b/c.d/e--f",
                "_x",
            ),
        ] {
            let image: OciImage = good.parse().unwrap();
            assert_eq!(
                (image.repository.to_string().as_str(), image.tag()),
                (repository, tag)
            );
            assert_eq!(image.to_string(), good);
        }
    }

    #[test]
    fn what_pve_would_not_take_is_refused() {
        for bad in [
            "",
            "nginx",
            "nginx:",
            ":1",
            "Nginx:1",
            "a/Nginx:1",
            "nginx:1 2",
            "nginx:.1",
            "nginx@sha256:00",
            "a..b:1",
            "a___b:1",
            "a/:1",
            "/a:1",
            "-a/b:1",
            "host:port/a:1",
            "https://host/a:1",
        ] {
            assert!(bad.parse::<OciImage>().is_err(), "{bad}");
        }
    }
}
