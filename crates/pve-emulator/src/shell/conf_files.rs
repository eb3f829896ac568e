//! The configuration files of each node's containers, as PVE shows them below `/etc/pve/lxc`, for programs on a node that
//! read them: `STATE/nodes/NODE/lxc/VMID.conf`.
//!
//! They follow the world: a change is in its file before its answer leaves, a container that has moved is never in the
//! folders of two nodes, and a new start writes all of them anew. What is only told of has none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ShellError;
use crate::core::{Guest, World};
use crate::persist::write_unsynced;

/// Which files there are.
#[derive(Debug)]
pub(super) struct ConfFiles {
    nodes: PathBuf,
    /// None before the first look.
    written: Option<BTreeMap<u32, Conf>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Conf {
    node: String,
    text: String,
}

/// What has to become of files so that they are as the world is.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct ConfWork {
    /// Folders to begin with, which hold nothing else.
    folders: Vec<PathBuf>,
    gone: Vec<PathBuf>,
    new: Vec<(PathBuf, String)>,
}

impl ConfFiles {
    /// Those of the emulator with this state directory.
    pub(super) fn new(state: &Path) -> Self {
        Self {
            nodes: state.join("nodes"),
            written: None,
        }
    }

    /// What has to be done; it counts as done from then on. To be asked before the world's changes are forgotten.
    pub(super) fn prepare(&mut self, world: &World) -> ConfWork {
        let Some(written) = &mut self.written else {
            return self.begin(world);
        };
        let mut work = ConfWork::default();
        for (vmid, guest) in world.guests.changes() {
            let conf = guest.and_then(conf);
            if conf.as_ref() == written.get(&vmid) {
                continue;
            }
            let path = |conf: &Conf| place(&self.nodes, conf, vmid);
            if let Some(old) = written.remove(&vmid)
                && conf.as_ref().is_none_or(|new| new.node != old.node)
            {
                work.gone.push(path(&old));
            }
            if let Some(conf) = conf {
                work.new.push((path(&conf), conf.text.clone()));
                written.insert(vmid, conf);
            }
        }
        work
    }

    fn begin(&mut self, world: &World) -> ConfWork {
        let all = world.guests();
        let written: BTreeMap<u32, Conf> = all
            .filter_map(|(vmid, guest)| Some((vmid, conf(guest)?)))
            .collect();
        let files = written.iter();
        let files = files.map(|(vmid, conf)| (place(&self.nodes, conf, *vmid), conf.text.clone()));
        let folder = |node: &str| self.nodes.join(node).join("lxc");
        let work = ConfWork {
            folders: world
                .nodes()
                .iter()
                .map(|node| folder(&node.name))
                .collect(),
            gone: Vec::new(),
            new: files.collect(),
        };
        self.written = Some(written);
        work
    }
}

fn conf(guest: &Guest) -> Option<Conf> {
    (!guest.scenery).then(|| Conf {
        node: guest.node.clone(),
        text: guest.conf_text(),
    })
}

fn place(nodes: &Path, conf: &Conf, vmid: u32) -> PathBuf {
    nodes
        .join(&conf.node)
        .join("lxc")
        .join(format!("{vmid}.conf"))
}

impl ConfWork {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.gone.is_empty() && self.new.is_empty()
    }

    /// Does it.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn carry_out(self) -> Result<(), ShellError> {
        for folder in self.folders {
            renew(&folder, &self.new).map_err(failed(&folder))?;
        }
        for path in self.gone {
            without(std::fs::remove_file(&path)).map_err(failed(&path))?;
        }
        for (path, text) in self.new {
            let folder = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
            write_unsynced(&path, text.as_bytes()).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// Makes the folder, and takes out what an earlier run left in it and is not written again.
fn renew(folder: &Path, kept: &[(PathBuf, String)]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !kept.iter().any(|(kept, _)| *kept == path) {
            without(std::fs::remove_file(path))?;
        }
    }
    Ok(())
}

/// That a file is gone already is as good.
fn without(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ShellError {
    let path = path.to_owned();
    move |source| ShellError::File { path, source }
}
