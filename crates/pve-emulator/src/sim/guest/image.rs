//! What guests are made from and what can be installed into them: read from `image.json`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::files::{Content, Files, Kind, Node};
use super::people::id_of;

const TEXT: &str = include_str!("image.json");
const FORMAT: u32 = 1;
/// What a program needs that the image says nothing about, MiB.
const USUAL_MIB: u64 = 1;

/// The image file does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the guests' image: {0}")]
pub struct ImageError(String);

/// An operating system with an archive of packages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    format: u32,
    /// Debian's code name.
    pub(crate) suite: String,
    /// When the template was made, Unix seconds.
    pub made_s: u64,
    /// Size of the template's archive as Proxmox lists it, bytes.
    pub archive_bytes: u64,
    base: Base,
    memory_mib: BTreeMap<String, u64>,
    packages: BTreeMap<String, Package>,
    /// The files of a fresh guest, once one was made.
    #[serde(skip)]
    fresh: OnceLock<Files>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    packages: BTreeMap<String, String>,
    memory_mib: BTreeMap<String, u64>,
    files: Vec<Shipped>,
}

/// A package of the archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) version: String,
    /// Size on disk once installed.
    pub(crate) kib: u64,
    #[serde(default)]
    pub(crate) depends: Vec<String>,
    #[serde(default)]
    pub(crate) conflicts: Vec<String>,
    /// Enabled and started when everything is in place.
    #[serde(default)]
    pub(crate) units: Vec<String>,
    pub(crate) files: Vec<Shipped>,
}

/// One file of the base system or of a package: exactly one of what it can be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shipped {
    pub(crate) path: String,
    #[serde(default)]
    lines: Option<Vec<String>>,
    #[serde(default)]
    program: Option<String>,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    dir: bool,
    #[serde(default)]
    device: bool,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    group: Option<String>,
}

impl Image {
    /// The image of this crate.
    ///
    /// # Errors
    /// It is damaged.
    pub fn shipped() -> Result<Self, ImageError> {
        let image: Self =
            serde_json::from_str(TEXT).map_err(|error| ImageError(error.to_string()))?;
        if image.format != FORMAT {
            return Err(ImageError(format!("format {} is unknown", image.format)));
        }
        let needed = image.packages.values().flat_map(|p| &p.depends);
        match needed.into_iter().find(|name| !image.has(name)) {
            Some(name) => Err(ImageError(format!("no package {name}"))),
            None => Ok(image),
        }
    }

    /// Whether the base system or the archive has the package.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.base.packages.contains_key(name) || self.packages.contains_key(name)
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// Name and version of what is installed from the start.
    pub(crate) fn base_packages(&self) -> &BTreeMap<String, String> {
        &self.base.packages
    }

    /// Programs that run from the boot on, with what they need in MiB.
    pub(crate) fn base_programs(&self) -> &BTreeMap<String, u64> {
        &self.base.memory_mib
    }

    /// Memory a program needs, MiB.
    pub(crate) fn memory_mib(&self, program: &str) -> u64 {
        self.memory_mib.get(program).copied().unwrap_or(USUAL_MIB)
    }

    /// The files of a fresh guest. They are put together once: each is placed with its folders, and its owner looked up.
    pub(crate) fn base_files(&self) -> Files {
        self.fresh.get_or_init(|| self.made_files()).clone()
    }

    fn made_files(&self) -> Files {
        let mut files = Files::default();
        for shipped in &self.base.files {
            shipped.place(&mut files, self.made_s);
        }
        files
    }
}

impl Shipped {
    /// Puts the file in place, with the directories above it; a file that is there is replaced.
    pub(crate) fn place(&self, files: &mut Files, now_s: u64) {
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        // A parent that is a file of somebody else's keeps the package's file out, as dpkg would say.
        let _ = files.make_dirs(parent, now_s);
        if self.dir {
            let _ = files.make_dirs(&self.path, now_s);
        } else {
            let _ = files.unlink(&self.path);
            let _ = files.insert(&self.path, Node::new(self.kind(), 0o644, now_s));
        }
        let (mode, uid, gid) = self.ownership(files);
        if self.link.is_none()
            && let Ok(node) = files.get_mut(&self.path)
        {
            (node.mode, node.uid, node.gid) = (mode, uid, gid);
        }
    }

    fn kind(&self) -> Kind {
        match (&self.lines, &self.program, &self.link) {
            (Some(lines), _, _) => Kind::File(Content((lines.join("\n") + "\n").into_bytes())),
            (None, Some(program), _) => Kind::Program(program.clone()),
            (None, None, Some(target)) => Kind::Link(target.clone()),
            (None, None, None) if self.device => Kind::Null,
            (None, None, None) => Kind::File(Content::default()),
        }
    }

    fn ownership(&self, files: &Files) -> (u32, u32, u32) {
        let usual = if self.dir || self.program.is_some() {
            0o755
        } else {
            0o644
        };
        let mode = self.mode.as_deref();
        let mode = mode.and_then(|digits| u32::from_str_radix(digits, 8).ok());
        let find = |name: &Option<String>, file| {
            let name = name.as_deref().unwrap_or("root");
            id_of(files, file, name).unwrap_or(0)
        };
        (
            mode.unwrap_or(usual),
            find(&self.owner, "/etc/passwd"),
            find(&self.group, "/etc/group"),
        )
    }

    /// Whether purging alone removes it: what lies in `/etc` is kept as the user's configuration.
    pub(crate) fn is_configuration(&self) -> bool {
        self.path.starts_with("/etc/")
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_whole() {
        let image = Image::shipped().unwrap();
        let files = image.base_files();
        assert_eq!(image.base_files(), files, "one guest as the other");
        assert!(files.get("/bin/sh").unwrap().is_executable());
        assert_eq!(files.get("/tmp").unwrap().mode, 0o1777);
        assert!(files.exists("/etc/systemd/system/multi-user.target.wants/ssh.service"));
        for (name, package) in &image.packages {
            for file in &package.files {
                let kinds = [
                    file.lines.is_some(),
                    file.program.is_some(),
                    file.link.is_some(),
                    file.dir,
                ];
                let count = kinds.iter().filter(|given| **given).count();
                assert_eq!(count, 1, "{name}: {}", file.path);
            }
        }
    }
}
