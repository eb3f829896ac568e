//! Where things are on the node: PVE's places, unless root says otherwise beside the program or in the forced command.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use proximity_domain::ids::{InstallationId, Vmid};

use crate::allowed::Allowed;
use crate::conf::Conf;
use crate::limits;
use crate::refusal::{Code, Trouble};

/// The places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// Configurations of the node's own containers.
    pub conf_dir: PathBuf,
    /// LXC's path, part of the name of a running container's command socket.
    pub lxc_path: PathBuf,
    /// The program that enters a container.
    pub lxc_attach: PathBuf,
    /// The helper's own files: root's list, the audit, places at work, input that is being received.
    pub state_dir: PathBuf,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            conf_dir: "/etc/pve/lxc".into(),
            lxc_path: "/var/lib/lxc".into(),
            lxc_attach: "/usr/bin/lxc-attach".into(),
            state_dir: "/var/lib/proximity-node-helper".into(),
        }
    }
}

/// What root asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve requests about this installation's containers: the forced command.
    Serve(InstallationId),
    /// Allow an adopted container.
    Allow(Vmid),
    /// Take that back.
    Forbid(Vmid),
    /// List what is allowed.
    Allowed,
    /// Say which program this is.
    Version,
}

/// How to call it.
pub const USAGE: &str = "\
usage: proximity-node-helper [PLACES] COMMAND
  serve INSTALLATION   answer requests on standard input (the forced command of a key)
  allow VMID           let the adopted container with this number be entered
  forbid VMID          take that back
  allowed              list what is allowed
  version              say which program this is
places: --conf-dir DIR --lxc-path DIR --lxc-attach FILE --state-dir DIR
        those of the file PROGRAM.places, if there is one, else Proxmox VE's
";

impl Ground {
    /// As a file beside the program says, `PROGRAM.places`: options of places as on the command line, one word a line. Whoever can
    /// write it can replace the program as well. Without the file they are PVE's.
    ///
    /// # Errors
    /// The text of the complaint; nothing may be done then.
    pub fn beside(program: &Path) -> Result<Self, String> {
        let mut file = program.as_os_str().to_owned();
        file.push(".places");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(format!("{} cannot be read: {e}", file.display())),
        };
        let mut ground = Self::default();
        let mut words = text.lines().map(OsString::from);
        while let Some(word) = words.next() {
            let damaged = || format!("{}: {} is no place", file.display(), word.display());
            let place = ground.place(&word).ok_or_else(damaged)?;
            *place = words.next().ok_or_else(damaged)?.into();
        }
        Ok(ground)
    }

    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// The text of the complaint.
    pub fn parse(
        mut self,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<(Self, Command), String> {
        let mut words = words.into_iter();
        loop {
            let word = words.next().ok_or("no command was given")?;
            let mut value = || {
                words
                    .next()
                    .ok_or(format!("{} needs a value", word.display()))
            };
            if let Some(place) = self.place(&word) {
                *place = value()?.into();
                continue;
            }
            let command = match word.to_str() {
                Some("serve") => Command::Serve(parsed(&value()?, "an installation's id")?),
                Some("allow") => Command::Allow(parsed(&value()?, "the number of a container")?),
                Some("forbid") => Command::Forbid(parsed(&value()?, "the number of a container")?),
                Some("allowed") => Command::Allowed,
                Some("version") => Command::Version,
                _ => return Err(format!("there is no {}", word.display())),
            };
            return match words.next() {
                None => Ok((self, command)),
                Some(more) => Err(format!("{} is too much", more.display())),
            };
        }
    }

    /// The place that an option is about.
    fn place(&mut self, option: &OsStr) -> Option<&mut PathBuf> {
        match option.to_str()? {
            "--conf-dir" => Some(&mut self.conf_dir),
            "--lxc-path" => Some(&mut self.lxc_path),
            "--lxc-attach" => Some(&mut self.lxc_attach),
            "--state-dir" => Some(&mut self.state_dir),
            _ => None,
        }
    }

    /// Reads a container's configuration.
    ///
    /// # Errors
    /// [`Code::NotThere`], or [`Code::Node`] if it cannot be read.
    pub fn conf(&self, vmid: Vmid) -> Result<Conf, Trouble> {
        let path = self.conf_dir.join(format!("{vmid}.conf"));
        let node = |e: std::io::Error| {
            Trouble::new(
                Code::Node,
                format!("{} cannot be read: {e}", path.display()),
            )
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("this node has no container {vmid}");
                return Err(Trouble::new(Code::NotThere, text));
            }
            Err(e) => return Err(node(e)),
        };
        let mut bytes = Vec::new();
        let mut capped = file.take(limits::CONF_BYTES + 1);
        capped.read_to_end(&mut bytes).map_err(node)?;
        if bytes.len() as u64 > limits::CONF_BYTES {
            let text = format!("{} is too long for a configuration", path.display());
            return Err(Trouble::new(Code::Node, text));
        }
        Ok(Conf::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Whether the container runs: LXC's monitor listens on a socket that is named after it. PVE itself looks there.
    ///
    /// # Errors
    /// [`Code::Node`] if the list of sockets cannot be read.
    pub fn is_running(&self, vmid: Vmid) -> Result<bool, Trouble> {
        let sockets = std::fs::read("/proc/net/unix").map_err(|e| {
            Trouble::new(
                Code::Node,
                format!("the list of sockets cannot be read: {e}"),
            )
        })?;
        let name = format!("@{}/{vmid}/command", self.lxc_path.display());
        let mut lines = sockets.split(|byte| *byte == b'\n');
        Ok(lines.any(|line| {
            line.ends_with(name.as_bytes())
                && line.rsplit(|b| *b == b' ').next() == Some(name.as_bytes())
        }))
    }

    /// Root's list. Without the file nothing is allowed.
    ///
    /// # Errors
    /// [`Code::Node`] if it is damaged or cannot be read.
    pub fn allowed(&self) -> Result<Allowed, Trouble> {
        let path = self.allowed_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => {
                let text = format!("{} cannot be read: {e}", path.display());
                return Err(Trouble::new(Code::Node, text));
            }
        };
        text.parse().map_err(|e: crate::allowed::BadLine| {
            Trouble::new(Code::Node, format!("{}: {e}", path.display()))
        })
    }

    /// Replaces root's list, whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_allowed(&self, allowed: &Allowed) -> std::io::Result<()> {
        self.make_state_dir()?;
        let path = self.allowed_file();
        let new = path.with_extension("new");
        let mut file = private()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        std::io::Write::write_all(&mut file, allowed.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    }

    fn allowed_file(&self) -> PathBuf {
        self.state_dir.join("allowed")
    }

    /// Makes the helper's own folder, for root alone.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_state_dir(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.state_dir)
    }
}

/// Options of a file for root alone.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn parsed<T: std::str::FromStr>(word: &OsString, what: &str) -> Result<T, String> {
    let text = word.to_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| format!("{} is not {what}", word.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn places_stand_beside_the_program_and_the_command_line_has_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("helper");
        let file = dir.path().join("helper.places");
        assert_eq!(Ground::beside(&program), Ok(Ground::default()));
        std::fs::write(&file, "--conf-dir\n/a b\n--state-dir\n/s\n").unwrap();
        let found = Ground::beside(&program).unwrap();
        let expected = Ground {
            conf_dir: "/a b".into(),
            state_dir: "/s".into(),
            ..Ground::default()
        };
        assert_eq!(found, expected);
        let (ground, command) = found
            .parse(words(&["--state-dir", "/t", "version"]))
            .unwrap();
        assert_eq!(command, Command::Version);
        assert_eq!(ground.state_dir, Path::new("/t"));
        for damaged in ["--conf-dir\n", "serve\n1\n", "\n"] {
            std::fs::write(&file, damaged).unwrap();
            assert!(Ground::beside(&program).is_err(), "{damaged:?}");
        }
    }
}
