//! A private namespace for a whole lab: own network, mounts and processes, and nothing of the host changes.
//!
//! The way out is slirp4netns. Because the namespace has its own process tree, the kernel ends everything in it —
//! labs, guests, their monitors — when its first process ends, whatever happened to the processes outside.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::cgroup;
use super::error::LabError;
use super::lock::try_lock_exclusive;
use super::program::{SEARCH_PATH, check_programs};
use super::registry::{REGISTRY, random_hex};
use super::route;
use crate::lxc::{Place, locks};

const SCRIPT: &str = include_str!("private.sh");
/// Present only inside a private namespace; holds its scope.
const MARKER: &str = "private";

/// The scope of the private namespace this process is in, if it is in one.
pub fn scope() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(REGISTRY).join(MARKER)).ok()?;
    Some(text.trim().to_owned())
}

/// Runs `argv` inside a new private namespace and gives back how it ended.
///
/// Flow: new mount, network and process namespaces; slirp4netns connects them; `argv` runs with this process's
/// standard streams and `env` added; SIGTERM, SIGINT and SIGHUP of this process reach it as SIGTERM, a second one
/// ends everything at once. Guarantees: when this returns, no process of the namespace and no cgroup made in it is
/// left; when this process is killed, the kernel kills the namespace, and the next call removes its cgroups.
/// Assumptions: root, called on a thread that lives as long as the call (not on a blocking pool).
///
/// # Errors
/// Not root, programs missing, or the namespace could not be set up.
pub async fn enter(
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
) -> Result<ExitStatus, LabError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    check_programs()?;
    let scopes = Path::new(REGISTRY).join("scopes");
    // One at a time: a scope that is being made has no lock yet, and would look dead to another's sweep.
    let turn = await_turn().await?;
    std::fs::create_dir_all(&scopes)
        .map_err(LabError::io(format!("create {}", scopes.display())))?;
    remove_dead_scopes(&scopes).await?;
    let space = Space::make(&scopes)?;
    drop(turn);
    let ended = space.run(argv, env).await;
    space.remove().await?;
    ended
}

/// Waits until nobody else on this machine makes or sweeps scopes. The lock is on the directory above the registry, so that
/// no file is left for it; it ends with the returned value.
async fn await_turn() -> Result<File, LabError> {
    let above = Path::new(REGISTRY).parent().unwrap_or(Path::new("/"));
    let locked = tokio::task::spawn_blocking(move || {
        let directory = File::open(above)?;
        rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(directory)
    });
    let locked: std::io::Result<File> = match locked.await {
        Ok(locked) => locked,
        Err(ended) => Err(std::io::Error::other(ended)),
    };
    locked.map_err(LabError::io(format!("lock {}", above.display())))
}

/// Removes what namespaces left whose outer process was killed.
async fn remove_dead_scopes(scopes: &Path) -> Result<(), LabError> {
    let entries = match std::fs::read_dir(scopes) {
        Ok(entries) => entries,
        // Whoever left last took the empty directory away.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LabError::io(scopes.display().to_string())(error)),
    };
    for entry in entries {
        let work = entry
            .map_err(LabError::io(scopes.display().to_string()))?
            .path();
        let name = work
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if let Ok(Some(lock)) = try_lock_exclusive(&work.join("lock")) {
            (Space {
                name,
                work,
                _lock: lock,
            })
            .remove()
            .await?;
        }
    }
    Ok(())
}

/// As `create_dir_all`, also while somebody who leaves takes an empty directory above away.
fn make_directories(path: &Path) -> std::io::Result<()> {
    for _ in 0..100 {
        match std::fs::create_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            made => return made,
        }
    }
    std::fs::create_dir_all(path)
}

/// One private namespace's place on the host.
struct Space {
    name: String,
    work: PathBuf,
    _lock: File,
}

impl Space {
    fn make(scopes: &Path) -> Result<Self, LabError> {
        let name = random_hex(3)?;
        let work = scopes.join(&name);
        let what = || format!("create {}", work.display());
        make_directories(&work.join("run")).map_err(LabError::io(what()))?;
        std::fs::write(work.join("run").join(MARKER), &name).map_err(LabError::io(what()))?;
        let lock =
            try_lock_exclusive(&work.join("lock"))?.ok_or_else(|| LabError::Busy(work.clone()))?;
        Ok(Self {
            name,
            work,
            _lock: lock,
        })
    }

    async fn run(
        &self,
        argv: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    ) -> Result<ExitStatus, LabError> {
        let mtu = route::default_mtu().await?;
        let mut inner = self.spawn_inner(argv, env)?;
        let pid = inner.id().ok_or_else(|| gone("unshare"))?;
        let mut way_out = match self.connect(&mut inner, pid, mtu).await {
            Ok(child) => child,
            Err(error) => {
                drop(inner.kill().await);
                return Err(error);
            }
        };
        let ended = supervise(&mut inner, pid).await;
        drop(way_out.kill().await);
        ended
    }

    fn spawn_inner(
        &self,
        argv: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    ) -> Result<Child, LabError> {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--net",
                "--pid",
                "--fork",
            ])
            .args(["--kill-child", "--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", SCRIPT, "lab-init"])
            .arg(&self.work)
            .args(argv)
            .env("PATH", SEARCH_PATH)
            .envs(env)
            .kill_on_drop(true);
        command.spawn().map_err(LabError::io("run unshare"))
    }

    async fn connect(&self, inner: &mut Child, pid: u32, mtu: u32) -> Result<Child, LabError> {
        let log = self.work.join("slirp.log");
        let log = File::create(&log).map_err(LabError::io(format!("create {}", log.display())))?;
        let errors = log.try_clone().map_err(LabError::io("clone a log file"))?;
        wait_for_network_namespace(inner, pid).await?;
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "slirp4netns", "--configure"])
            .args([
                &format!("--mtu={mtu}"),
                "--disable-host-loopback",
                "--netns-type=path",
            ])
            .args([&format!("/proc/{pid}/ns/net"), "tap0"])
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(LabError::io("run slirp4netns"))
    }

    async fn remove(self) -> Result<(), LabError> {
        let prefix = Place::scope_prefix(&self.name);
        let groups = cgroup::trees(&prefix);
        let names = groups
            .iter()
            .filter_map(|group| group.file_name()?.to_str());
        names
            .filter_map(|name| name.strip_prefix(&prefix))
            .for_each(locks::remove);
        cgroup::remove_trees(&prefix).await?;
        std::fs::remove_dir_all(&self.work)
            .map_err(LabError::io(format!("remove {}", self.work.display())))?;
        super::registry::remove_if_empty();
        Ok(())
    }
}

fn gone(what: &str) -> LabError {
    LabError::Refused(format!(
        "{what} ended before the private namespace was ready"
    ))
}

async fn wait_for_network_namespace(inner: &mut Child, pid: u32) -> Result<(), LabError> {
    let own = std::fs::read_link("/proc/self/ns/net").map_err(LabError::io("read /proc/self"))?;
    loop {
        match std::fs::read_link(format!("/proc/{pid}/ns/net")) {
            Ok(theirs) if theirs != own => return Ok(()),
            Ok(_) | Err(_) => {}
        }
        let ended = inner.try_wait().map_err(LabError::io("wait for unshare"))?;
        if ended.is_some() {
            return Err(gone("unshare"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for the inner command; the first signal is passed on, the second ends the namespace.
async fn supervise(inner: &mut Child, pid: u32) -> Result<ExitStatus, LabError> {
    let listen = |kind| signal(kind).map_err(LabError::io("listen for signals"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut asked = false;
    loop {
        tokio::select! {
            ended = inner.wait() => return ended.map_err(LabError::io("wait for unshare")),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        if asked || !ask_to_end(pid) {
            inner.start_kill().map_err(LabError::io("kill unshare"))?;
        }
        asked = true;
    }
}

/// Sends SIGTERM to the namespace's first process, which passes it on.
fn ask_to_end(unshare: u32) -> bool {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let Ok(text) = std::fs::read_to_string(children) else {
        return false;
    };
    let first = text
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok());
    let Some(pid) = first.and_then(Pid::from_raw) else {
        return false;
    };
    kill_process(pid, Signal::TERM).is_ok()
}
