//! Files of storages that are neither images nor templates nor backups, what brings new files in, and the registries images
//! come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::world::{OciImage, Storage, Template, World};

/// How long a file takes to arrive, milliseconds.
pub(crate) const ARRIVAL_MS: u64 = 300;

/// A file of a storage: an ISO image, or something to import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    pub(crate) storage: String,
    /// Node that has it; absent on shared storage.
    pub(crate) node: Option<String>,
    /// `iso` or `import`.
    pub(crate) content: String,
    pub(crate) file: String,
    pub(crate) size_bytes: u64,
    pub(crate) ctime_s: u64,
}

impl StoredFile {
    pub(crate) fn volid(&self) -> String {
        format!("{}:{}/{}", self.storage, self.content, self.file)
    }

    pub(crate) fn on(&self, node: &str) -> bool {
        self.node.as_ref().is_none_or(|name| name == node)
    }

    /// `iso`, or the ending of what is to be imported.
    pub(crate) fn format(&self) -> &str {
        match self.content.as_str() {
            "iso" => "iso",
            _ => self.file.rsplit('.').next().unwrap_or("raw"),
        }
    }
}

/// What a task that brings a file says, and what is there when it ends well.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Arrival {
    pub(crate) log: Vec<String>,
    /// It does not arrive.
    pub(crate) error: Option<String>,
    pub(crate) file: Option<NewFile>,
    /// Last lines, once the file is there.
    pub(crate) finished: Vec<String>,
}

/// A file that arrives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewFile {
    pub(crate) storage: String,
    /// The node it arrives on.
    pub(crate) node: String,
    /// `vztmpl`, `iso` or `import`.
    pub(crate) content: String,
    pub(crate) file: String,
    pub(crate) size_bytes: u64,
    pub(crate) ostype: String,
    /// What it says about itself, if it is an OCI archive.
    pub(crate) image: Option<OciImage>,
}

/// An image of a registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegistryImage {
    /// Bytes of its archive.
    pub size_bytes: u64,
    /// Digest of its configuration, e.g. `sha256:…`, as a pull says it.
    #[serde(default)]
    pub config_digest: String,
    /// What it says about itself.
    pub image: OciImage,
}

/// Images by repository (`docker.io/library/nginx`), then by tag.
pub type Registry = BTreeMap<String, BTreeMap<String, RegistryImage>>;

/// Repository and tag of a reference, as skopeo completes them: without a host it is Docker's, without a folder there the
/// library.
pub(crate) fn complete(reference: &str) -> (String, String) {
    let slash = reference.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match reference[slash..].rfind(':') {
        Some(at) => (&reference[..slash + at], &reference[slash + at + 1..]),
        None => (reference, "latest"),
    };
    let first = name.split('/').next().unwrap_or_default();
    let hosted =
        name.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    let repository = match (hosted, name.contains('/')) {
        (true, _) => name.to_owned(),
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    };
    (repository, tag.to_owned())
}

/// The part of a name that a file gets: nothing before a slash, and `_` for what is odd.
pub(crate) fn plain_name(name: &str) -> String {
    let name = name.trim_end_matches('\n');
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    last.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

/// A word as a shell would need it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Storage {
    /// Its files lie in a folder.
    pub(crate) fn has_files(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "dir" | "btrfs" | "nfs" | "cifs" | "cephfs"
        )
    }
}

impl World {
    /// The registries images can be pulled from; without any, pulling fails as without a network.
    pub fn set_registry(&mut self, registry: Option<Registry>) {
        self.registry = registry;
    }

    /// A file that arrived is there, in place of one of its name.
    pub(crate) fn put_file(&mut self, new: NewFile, now_ms: u64) {
        let NewFile {
            storage,
            node,
            content,
            file,
            size_bytes,
            ostype,
            image,
        } = new;
        let shared = self.storage(&storage).is_some_and(|found| found.shared);
        let node = (!shared).then_some(node);
        let ctime_s = now_ms / 1000;
        if content != "vztmpl" {
            let file = StoredFile {
                storage,
                node,
                content,
                file,
                size_bytes,
                ctime_s,
            };
            let same = |old: &StoredFile| old.volid() == file.volid() && old.node == file.node;
            self.stored_files.retain(|old| !same(old));
            return self.stored_files.push(file);
        }
        let template = Template {
            storage,
            node,
            file,
            size_bytes,
            ctime_s,
            ostype,
        };
        let volid = template.volid();
        self.templates
            .retain(|old| old.volid() != volid || old.node != template.node);
        self.templates.push(template);
        self.arrived.insert(volid.clone());
        match image {
            Some(image) => self.images.insert(volid, image),
            None => self.images.remove(&volid),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed_as_skopeo_does() {
        for (given, repository, tag) in [
            ("alpine:3.20", "docker.io/library/alpine", "3.20"),
            ("grafana/grafana:12", "docker.io/grafana/grafana", "12"),
            ("ghcr.io/a/b:c", "ghcr.io/a/b", "c"),
            ("localhost:5000/web:1", "localhost:5000/web", "1"),
            ("localhost:5000/web", "localhost:5000/web", "latest"),
        ] {
            assert_eq!(complete(given), (repository.into(), tag.into()), "{given}");
        }
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(plain_name("docker.io/library/alpine:3.20"), "alpine_3.20");
        assert_eq!(plain_name("..\\a b?.iso\n"), "a_b_.iso");
        assert_eq!(quoted("http://h/a?b=1&c"), "'http://h/a?b=1&c'");
        assert_eq!(quoted("/var/lib/vz"), "/var/lib/vz");
    }
}
