//! `proximity try` with the helper and one real container, in a namespace of its own: for figures that act on its node.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Bench, Binary};
use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::packages::{self, Packages};
use crate::place::Place;
use crate::processes::{Signal, Tree};

/// How long it may take to be up.
const UP: Duration = Duration::from_secs(300);
/// How long the first one may take, which makes the template.
const FIRST: Duration = Duration::from_secs(900);
/// How long it may take to end.
const DOWN: Duration = Duration::from_secs(60);

/// `proximity try --helper`, up.
pub(super) struct Trial {
    child: Child,
    folder: PathBuf,
}

/// Sees to it that a trial is quick: packages are there, and the container template is. One whose recipe has changed is made by the
/// trial itself, once.
pub(super) fn prepare(place: &Place) -> Result<()> {
    if let Packages::Missing(advice) = packages::ensure(place)? {
        bail!("{advice}");
    }
    if has_template(&templates(place)) {
        return Ok(());
    }
    let folder = place.target().join("figures").join("first-trial");
    Invocation::new(Binary::Plain.path(place))
        .args(["try", "--once", "--private", "--dir"])
        .arg(folder)
        .arg("--template-cache")
        .arg(templates(place))
        .until(Deadline::after(FIRST))
        .capture(place.root())?
        .expect_success("the first trial, which makes the container template")?;
    Ok(())
}

/// Where the template is kept; the tests of the lab use the same.
fn templates(place: &Place) -> PathBuf {
    place.target().join("lab")
}

fn has_template(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("template-"))
}

/// The node that the trial's container is on.
pub(super) struct TrialNode {
    /// A process of the namespace that its address is in.
    pub(super) namespace: u32,
    /// `HOST:PORT` of its SSH server, inside the namespace.
    pub(super) address: String,
    /// As the second and third word of a line of `known_hosts`.
    pub(super) host_key: String,
    /// The node's name.
    pub(super) name: String,
    /// The file of keys that root takes there.
    pub(super) authorized_keys: PathBuf,
    /// What the helper is called with there.
    pub(super) serve: String,
    /// The container.
    pub(super) guest: TrialGuest,
}

/// The trial's container, as its configuration on the node shows it.
pub(super) struct TrialGuest {
    pub(super) vmid: u32,
    pub(super) mark: String,
    pub(super) mac: String,
    pub(super) rootfs: String,
}

impl Trial {
    /// Starts it, and waits until it is up. What it writes is in `folder`.
    pub(super) fn start(bench: &Bench<'_>, folder: &Path) -> Result<Self> {
        let log = folder.join("log");
        let program = with_helper(bench, folder)?;
        let child = Command::new(program)
            .args(["try", "--helper", "--private", "--dir"])
            .arg(folder.join("try"))
            .arg("--template-cache")
            .arg(templates(bench.place))
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(folder.join("complaints"))?)
            .spawn()
            .context("starting proximity try")?;
        let folder = folder.to_owned();
        let mut trial = Self { child, folder };
        let up = trial.wait_until_up(&log, bench.deadline.at_most(UP));
        match up {
            Ok(()) => Ok(trial),
            Err(error) => {
                trial.end()?;
                Err(error)
            }
        }
    }

    fn wait_until_up(&mut self, log: &Path, deadline: Deadline) -> Result<()> {
        loop {
            if std::fs::read_to_string(log)?.contains("It is up") {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let complaints = std::fs::read_to_string(self.folder.join("complaints"))?;
                bail!("proximity try ended with {status}: {complaints}");
            }
            if deadline.remaining().is_zero() {
                bail!("proximity try was not up in time");
            }
            pause();
        }
    }

    /// Its node and container.
    pub(super) fn node(&self) -> Result<TrialNode> {
        let state = self.folder.join("try").join("lab");
        let lab: Value = serde_json::from_slice(&std::fs::read(state.join("lab.json"))?)?;
        let ssh = &lab["ssh"][0];
        let text = |name: &str| {
            let found = ssh[name].as_str().map(str::to_owned);
            found.with_context(|| format!("the lab tells no {name} of its node"))
        };
        let name = text("node")?;
        let authorized_keys = state.join("authorized_keys");
        let installation = installation(&std::fs::read_to_string(&authorized_keys)?)
            .context("the list of keys has no line of the helper")?;
        let lab_pid = lab["pid"].as_u64().context("the lab has no process")?;
        let tree = Tree::of(self.child.id());
        let namespace = tree.called_inside(lab_pid);
        let namespace = namespace.context("the lab is not among the processes of the trial")?;
        Ok(TrialNode {
            namespace,
            address: text("address")?,
            host_key: text("host_key")?,
            guest: only_guest(&state.join("nodes").join(&name).join("lxc"))?,
            name,
            authorized_keys,
            serve: format!("proximity-node-helper serve {installation}"),
        })
    }

    /// Asks it to end, and waits until all of it has.
    pub(super) fn end(mut self) -> Result<()> {
        let mut tree = Tree::of(self.child.id());
        let interrupt = Command::new("kill")
            .args(["-INT", "--", &self.child.id().to_string()])
            .status()?;
        let deadline = Deadline::after(DOWN);
        while interrupt.success() && self.child.try_wait()?.is_none() {
            if deadline.remaining().is_zero() {
                tree.signal(Signal::Kill);
                self.child.wait()?;
                bail!("proximity try did not end when it was asked to");
            }
            pause();
        }
        Ok(())
    }
}

impl TrialNode {
    /// Makes a key at this path that root takes on the node, with these options.
    pub(super) fn add_key(&self, key: &Path, options: &str) -> Result<()> {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(key)
            .status()
            .context("starting ssh-keygen")?;
        if !made.success() {
            bail!("ssh-keygen ended with {made}");
        }
        let public = std::fs::read_to_string(key.with_extension("pub"))?;
        let options = match options {
            "" => String::new(),
            some => format!("{some} "),
        };
        let mut keys = File::options().append(true).open(&self.authorized_keys)?;
        keys.write_all(format!("{options}{public}").as_bytes())?;
        Ok(())
    }

    /// A program of the namespace that the node's address is in.
    pub(super) fn within(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let namespace = self.namespace.to_string();
        command.args(["--net", "--target", &namespace, program]);
        command
    }
}

impl TrialGuest {
    /// As a request to the helper names it.
    pub(super) fn wire(&self) -> Value {
        let made = json!({ "mark": self.mark, "mac": self.mac, "rootfs": self.rootfs });
        json!({ "vmid": self.vmid, "owner": { "made": made } })
    }

    /// Reads the text of a configuration.
    fn parse(vmid: u32, conf: &str) -> Result<Self> {
        let mark = conf.lines().rfind(|line| line.starts_with('#'));
        let mark = mark.context("no mark")?.trim_start_matches('#');
        let value = |key: &str| conf.lines().find_map(|line| line.strip_prefix(key));
        let net0 = value("net0: ").context("no net0")?;
        let mac = net0
            .split(',')
            .find_map(|part| part.strip_prefix("hwaddr="));
        let rootfs = value("rootfs: ").context("no rootfs")?;
        Ok(Self {
            vmid,
            mark: mark.replace("%3A", ":"),
            mac: mac.context("net0 has no address")?.to_owned(),
            rootfs: rootfs.split(',').next().unwrap_or_default().to_owned(),
        })
    }
}

/// The product with the helper beside it, as a build without it inside finds it.
fn with_helper(bench: &Bench<'_>, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("proximity");
    std::fs::copy(Binary::Plain.path(bench.place), &program)?;
    let helper = Binary::NodeHelper.path(bench.place);
    std::fs::copy(helper, folder.join("proximity-node-helper"))?;
    Ok(program)
}

fn installation(list: &str) -> Option<String> {
    let (_, after) = list.split_once("proximity-node-helper serve ")?;
    after.split('"').next().map(str::to_owned)
}

fn only_guest(folder: &Path) -> Result<TrialGuest> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        if let Some(vmid) = name.and_then(|name| name.parse().ok()) {
            return TrialGuest::parse(vmid, &std::fs::read_to_string(&path)?);
        }
    }
    bail!("the node has no container")
}

/// Between two looks at a program that says nothing when it is ready.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(100));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_as_proxmox_ve_writes_it() {
        let conf = "#web\n#proximity-mark%3Av1%3Aa\narch: amd64\n\
                    net0: name=eth0,hwaddr=BC:24:11:00:00:01,type=veth\nrootfs: local:100/x.raw,size=4G\n";
        let guest = TrialGuest::parse(100, conf).unwrap();
        let made = json!({
            "mark": "proximity-mark:v1:a", "mac": "BC:24:11:00:00:01", "rootfs": "local:100/x.raw",
        });
        assert_eq!(
            guest.wire(),
            json!({ "vmid": 100, "owner": { "made": made } })
        );
        assert!(TrialGuest::parse(100, "arch: amd64\n").is_err());
    }
}
