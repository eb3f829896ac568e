//! Guests without a kernel: power, an address, files and units. They answer the emulator's commands and guest access.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use proximity_pve::guest::{Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Pull, Push};
use proximity_pve_emulator::core::guest::{
    GuestCommand, GuestDone, GuestError as CommandError, GuestInterface, GuestLook, GuestOutcome,
};
use sha2::{Digest, Sha256};

/// All guests of a world, by VMID.
#[derive(Debug, Clone, Default)]
pub struct Guests(Arc<Mutex<BTreeMap<u32, Guest>>>);

#[derive(Debug, Default)]
struct Guest {
    running: bool,
    mac: String,
    files: BTreeMap<String, (Vec<u8>, u32)>,
    enabled: Vec<String>,
    active: Vec<String>,
    ignores_shutdown: bool,
    cannot_be_destroyed: bool,
    has_no_address: bool,
}

impl Guests {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<u32, Guest>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Carries out a command of the emulator's core.
    #[must_use]
    pub fn carry_out(&self, command: &GuestCommand) -> GuestDone {
        let done = |job, result| GuestDone { job, result };
        let fine = Ok(GuestOutcome::Done { log: Vec::new() });
        match command {
            GuestCommand::Create { job, guest, spec } => {
                let mac = spec
                    .nets
                    .values()
                    .next()
                    .map(|n| n.hwaddr.clone())
                    .unwrap_or_default();
                self.with(|all| {
                    all.insert(
                        guest.vmid,
                        Guest {
                            mac,
                            ..Guest::default()
                        },
                    )
                });
                done(*job, fine)
            }
            GuestCommand::Start { job, guest, .. } => done(
                *job,
                self.power(guest.vmid, true)
                    .map(|()| GuestOutcome::Done { log: Vec::new() }),
            ),
            GuestCommand::Shutdown { job, guest, .. } => {
                let stubborn =
                    self.with(|all| all.get(&guest.vmid).is_some_and(|g| g.ignores_shutdown));
                if stubborn {
                    return done(*job, Err(CommandError::TimedOut));
                }
                done(
                    *job,
                    self.power(guest.vmid, false)
                        .map(|()| GuestOutcome::Done { log: Vec::new() }),
                )
            }
            GuestCommand::Kill { job, guest } => {
                let _ = self.power(guest.vmid, false);
                done(*job, fine)
            }
            GuestCommand::Destroy { job, guest } => {
                let stuck =
                    self.with(|all| all.get(&guest.vmid).is_some_and(|g| g.cannot_be_destroyed));
                if stuck {
                    let text = "unable to free the root volume".to_owned();
                    return done(*job, Err(CommandError::Failed(text)));
                }
                self.with(|all| all.remove(&guest.vmid));
                done(*job, fine)
            }
            GuestCommand::Inspect { job, guest } => {
                done(*job, Ok(GuestOutcome::Inspected(self.look(guest.vmid))))
            }
        }
    }

    fn power(&self, vmid: u32, on: bool) -> Result<(), CommandError> {
        self.with(|all| match all.get_mut(&vmid) {
            None => Err(CommandError::Failed(format!("no guest {vmid}"))),
            Some(guest) => {
                guest.running = on;
                guest.active = if on {
                    guest.enabled.clone()
                } else {
                    Vec::new()
                };
                Ok(())
            }
        })
    }

    fn look(&self, vmid: u32) -> GuestLook {
        self.with(|all| match all.get(&vmid) {
            Some(guest) if guest.running => GuestLook {
                running: true,
                pid: Some(1_000 + vmid),
                interfaces: vec![GuestInterface {
                    name: "eth0".to_owned(),
                    hwaddr: guest.mac.to_lowercase(),
                    addresses: if guest.has_no_address {
                        Vec::new()
                    } else {
                        vec![(address(vmid), 24)]
                    },
                }],
                ..GuestLook::default()
            },
            Some(_) | None => GuestLook::default(),
        })
    }

    /// Makes a guest ignore its halt signal.
    pub fn ignore_shutdown(&self, vmid: u32) {
        self.with(|all| {
            if let Some(guest) = all.get_mut(&vmid) {
                guest.ignores_shutdown = true;
            }
        });
    }

    /// Makes the destroy task of a guest fail, or no longer.
    pub fn refuse_destroy(&self, vmid: u32, refuse: bool) {
        self.with(|all| {
            if let Some(guest) = all.get_mut(&vmid) {
                guest.cannot_be_destroyed = refuse;
            }
        });
    }

    /// From now on the guest gets no address.
    pub fn lose_address(&self, vmid: u32) {
        self.with(|all| {
            if let Some(guest) = all.get_mut(&vmid) {
                guest.has_no_address = true;
            }
        });
    }

    /// VMIDs of the guests that exist.
    #[must_use]
    pub fn vmids(&self) -> Vec<u32> {
        self.with(|all| all.keys().copied().collect())
    }

    /// What the guest at this address serves: its page, if it runs and a unit was started.
    #[must_use]
    pub fn page_at(&self, ip: IpAddr) -> Option<String> {
        self.with(|all| {
            let (_, guest) = all.iter().find(|(vmid, _)| address(**vmid) == ip)?;
            if !guest.running || guest.active.is_empty() {
                return None;
            }
            let (page, _) = guest
                .files
                .iter()
                .find(|(path, _)| path.ends_with("index.html"))?
                .1;
            Some(String::from_utf8_lossy(page).into_owned())
        })
    }
}

/// The address of a guest.
#[must_use]
pub fn address(vmid: u32) -> IpAddr {
    let [_, _, c, d] = vmid.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 1, c, d))
}

#[async_trait]
impl GuestAccess for Guests {
    async fn exec(&self, target: &GuestTarget, exec: Exec) -> Result<ExecOutput, GuestError> {
        let argv: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
        let argv = match argv.as_slice() {
            ["flock", "--wait", _, _, rest @ ..] => rest,
            all => all,
        };
        self.running(target, |guest| {
            let (exit_code, stdout) = run(guest, argv);
            ExecOutput {
                exit_code,
                stdout: stdout.into(),
                stderr: Bytes::new(),
                truncated: false,
            }
        })
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        self.running(target, |guest| {
            guest
                .files
                .insert(push.path.clone(), (push.content.to_vec(), push.mode));
        })
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        let found = self.running(target, |guest| {
            guest
                .files
                .get(&pull.path)
                .map(|(content, _)| Bytes::from(content.clone()))
        })?;
        found.ok_or_else(|| GuestError::Failed {
            node: target.node.to_string(),
            message: format!("no file {}", pull.path),
        })
    }
}

impl Guests {
    fn running<T>(
        &self,
        target: &GuestTarget,
        act: impl FnOnce(&mut Guest) -> T,
    ) -> Result<T, GuestError> {
        let node = target.node.to_string();
        self.with(|all| match all.get_mut(&target.vmid.get()) {
            Some(guest) if guest.running => Ok(act(guest)),
            Some(_) => Err(GuestError::NotRunning {
                node,
                message: "container not running".to_owned(),
            }),
            None => Err(GuestError::NotThere {
                node,
                message: "no such container".to_owned(),
            }),
        })
    }
}

/// The commands these guests know; all others are exit 127, as a shell says it.
fn run(guest: &mut Guest, argv: &[&str]) -> (i32, String) {
    match argv {
        ["systemctl", "is-system-running", "--wait"] => (0, "running\n".to_owned()),
        ["systemctl", "daemon-reload"] | ["mkdir", "-p", "--", _] => (0, String::new()),
        ["systemctl", "enable", "--", unit] => {
            guest.enabled.push((*unit).to_owned());
            (0, String::new())
        }
        ["systemctl", "start" | "restart", "--", unit] => {
            guest.active.push((*unit).to_owned());
            (0, String::new())
        }
        ["systemctl", "is-active", "--", unit] => {
            let active = guest.active.iter().any(|u| u == unit);
            (
                if active { 0 } else { 3 },
                if active { "active\n" } else { "inactive\n" }.to_owned(),
            )
        }
        ["/bin/sh", "-c", script, "look", path] if script.starts_with("stat ") => {
            match guest.files.get(*path) {
                Some((content, mode)) => {
                    let hash = hex::encode(Sha256::digest(content));
                    (0, format!("{mode:o} root root\n{hash}  {path}\n"))
                }
                None => (1, String::new()),
            }
        }
        _ => (127, String::new()),
    }
}
