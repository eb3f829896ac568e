//! Guests in this process: the emulator's simulated guests without listeners. They answer the emulator's commands, guest
//! access, and requests to their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::time::Clock;
use proximity_pve::guest::{
    Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Listener, Pull, Push, Stream,
};
use proximity_pve_emulator::core::guest::{
    GuestChange, GuestCommand, GuestDone, GuestError as CommandError, GuestInterface, GuestLook,
    GuestOutcome, GuestSource, GuestSpec,
};
use proximity_pve_emulator::sim::guest::{
    self, Answer, Ended, Exec as Command, Guest, HttpRequest, Image, Net, Outcome, Shape, Wish,
    World,
};

use tokio::sync::watch;

use crate::snags::{Snagged, Snags};
use crate::sources::RealClock;

#[allow(clippy::expect_used)] // a constant of the emulator's crate, tested there
static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::shipped().expect("the guests' image"));

/// All guests of a cluster, by VMID.
#[derive(Debug, Clone)]
pub struct Guests {
    all: Arc<Mutex<BTreeMap<u32, Resident>>>,
    /// What the next create task fails with, once.
    create_fails: Arc<Mutex<Option<String>>>,
    /// Of which name a command of the next guest hangs, once.
    hangs_next: Arc<Mutex<Option<String>>>,
    /// What becomes of entries into guests, and of requests for their pages.
    pub(crate) snags: Snags,
    /// Which cluster of the world it is: guests of several must not share addresses.
    cluster: u8,
    /// Their clock.
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Resident {
    guest: Guest,
    has_no_address: bool,
    /// A command of this name runs until it is ended.
    hangs: Option<String>,
    /// A command that hangs runs now.
    hung: Arc<watch::Sender<bool>>,
}

type Done = Result<(), CommandError>;

impl Default for Guests {
    fn default() -> Self {
        Self::of_cluster(0)
    }
}

impl Guests {
    /// No guests yet, of the cluster with this number in its world.
    #[must_use]
    pub fn of_cluster(cluster: u8) -> Self {
        Self::by_clock(cluster, Arc::new(RealClock))
    }

    /// As [`Guests::of_cluster`], by this clock.
    #[must_use]
    pub fn by_clock(cluster: u8, clock: Arc<dyn Clock>) -> Self {
        Self {
            all: Arc::default(),
            create_fails: Arc::default(),
            hangs_next: Arc::default(),
            snags: Snags::default(),
            cluster,
            clock,
        }
    }

    fn in_world<T>(&self, act: impl FnOnce(&World<'_>) -> T) -> T {
        act(&World {
            image: &IMAGE,
            now_s: u64::try_from(self.clock.now().0 / 1_000).unwrap_or(0),
            taken: &BTreeSet::new(),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<u32, Resident>) -> T) -> T {
        act(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next create task ends with this text, and makes nothing.
    pub fn fail_next_create(&self, text: &str) {
        let fails = &self.create_fails;
        *fails.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    fn create(&self, vmid: u32, spec: &GuestSpec) -> Done {
        if let Some(text) = taken(&self.create_fails) {
            return Err(CommandError::Failed(text));
        }
        let resident = Resident {
            guest: Guest::new(&IMAGE, self.shape(vmid, spec)),
            has_no_address: false,
            hangs: taken(&self.hangs_next),
            hung: Arc::new(watch::Sender::new(false)),
        };
        self.with(|all| all.insert(vmid, resident));
        Ok(())
    }

    fn shape(&self, vmid: u32, spec: &GuestSpec) -> Shape {
        let nets = spec.nets.values().map(|net| Net {
            name: net.name.clone(),
            hwaddr: net.hwaddr.to_lowercase(),
            address: Some((v4(self.cluster, vmid), 24)),
        });
        Shape {
            hostname: spec.hostname.clone(),
            memory_mib: spec.memory_mib,
            cores: spec.cores.unwrap_or(1),
            nets: nets.collect(),
            init: spec.init.clone(),
        }
    }

    fn at<T>(&self, vmid: u32, act: impl FnOnce(&mut Resident) -> T) -> Option<T> {
        self.with(|all| all.get_mut(&vmid).map(act))
    }

    /// Carries out a command of the emulator's core.
    #[must_use]
    pub fn carry_out(&self, command: &GuestCommand) -> GuestDone {
        let vmid = command.guest().vmid;
        let result = match command {
            GuestCommand::Inspect { .. } => {
                return GuestDone {
                    job: command.job(),
                    result: Ok(GuestOutcome::Inspected(self.look(vmid))),
                };
            }
            GuestCommand::Create { spec, .. } => self.create(vmid, spec),
            GuestCommand::Start { spec, .. } => self.start(vmid, spec),
            GuestCommand::Shutdown { .. } => self.shutdown(vmid),
            GuestCommand::Kill { .. } => {
                self.at(vmid, |resident| resident.guest.halt());
                Ok(())
            }
            GuestCommand::Destroy { .. } => self.destroy(vmid),
            GuestCommand::Change {
                change: GuestChange::Apply { spec },
                ..
            } => self.limit(vmid, spec),
            GuestCommand::Change {
                change:
                    GuestChange::Copy {
                        from: GuestSource::Guest(from),
                        spec,
                    },
                ..
            } => self.copy(vmid, from.vmid, spec),
            GuestCommand::Change { .. } => Err(unchangeable()),
        };
        GuestDone {
            job: command.job(),
            result: result.map(|()| GuestOutcome::Done { log: Vec::new() }),
        }
    }

    fn start(&self, vmid: u32, spec: &GuestSpec) -> Done {
        let shape = self.shape(vmid, spec);
        let booted = self.at(vmid, |resident| {
            self.in_world(|world| resident.guest.boot(world, shape));
        });
        booted.ok_or_else(|| CommandError::Failed(format!("no guest {vmid}")))
    }

    /// A copy of another one's disk, with a shape of its own.
    fn copy(&self, vmid: u32, from: u32, spec: &GuestSpec) -> Done {
        if let Some(text) = taken(&self.create_fails) {
            return Err(CommandError::Failed(text));
        }
        let source = self.at(from, |resident| resident.guest.on_disk());
        let mut guest = source.ok_or_else(|| CommandError::Failed(format!("no guest {from}")))?;
        guest.shape = self.shape(vmid, spec);
        let resident = Resident {
            guest,
            has_no_address: false,
            hangs: taken(&self.hangs_next),
            hung: Arc::new(watch::Sender::new(false)),
        };
        self.with(|all| all.insert(vmid, resident));
        Ok(())
    }

    /// What a file of a guest holds, if it has one; `None` without the guest.
    #[must_use]
    pub fn file(&self, vmid: u32, path: &str) -> Option<Option<Vec<u8>>> {
        self.at(vmid, |resident| guest::pull(&resident.guest, path).ok())
    }

    /// New limits of one that runs; other devices it cannot be given.
    fn limit(&self, vmid: u32, spec: &GuestSpec) -> Done {
        let shape = self.shape(vmid, spec);
        let limited = self.at(vmid, |resident| {
            let is_same = resident.guest.shape.nets == shape.nets;
            if !is_same || !resident.guest.running {
                return Err(unchangeable());
            }
            resident.guest.shape.memory_mib = shape.memory_mib;
            resident.guest.shape.cores = shape.cores;
            Ok(())
        });
        limited.unwrap_or_else(|| Err(CommandError::Failed(format!("no guest {vmid}"))))
    }

    fn shutdown(&self, vmid: u32) -> Done {
        let halted = self.at(vmid, |resident| {
            if resident.guest.faults.ignores_shutdown {
                return Err(CommandError::TimedOut);
            }
            resident.guest.halt();
            Ok(())
        });
        halted.unwrap_or_else(|| Err(CommandError::Failed(format!("no guest {vmid}"))))
    }

    fn destroy(&self, vmid: u32) -> Done {
        let stuck = self.at(vmid, |resident| resident.guest.faults.keeps_disk);
        if stuck == Some(true) {
            let text = "unable to free the root volume".to_owned();
            return Err(CommandError::Failed(text));
        }
        self.with(|all| all.remove(&vmid));
        Ok(())
    }

    fn look(&self, vmid: u32) -> GuestLook {
        let looked = self.at(vmid, |resident| {
            if !resident.guest.running {
                return GuestLook::default();
            }
            let nets = resident.guest.shape.nets.iter();
            let shown = |net: &Net| GuestInterface {
                name: net.name.clone(),
                hwaddr: net.hwaddr.clone(),
                addresses: net
                    .address
                    .filter(|_| !resident.has_no_address)
                    .map(|(address, prefix)| (address.into(), prefix))
                    .into_iter()
                    .collect(),
            };
            GuestLook {
                running: true,
                pid: Some(1_000 + vmid),
                interfaces: nets.map(shown).collect(),
                ..GuestLook::default()
            }
        });
        looked.unwrap_or_default()
    }

    /// Makes a guest ignore its halt signal.
    pub fn ignore_shutdown(&self, vmid: u32) {
        self.at(vmid, |resident| {
            resident.guest.faults.ignores_shutdown = true
        });
    }

    /// Makes the destroy task of a guest fail, or no longer.
    pub fn refuse_destroy(&self, vmid: u32, refuse: bool) {
        self.at(vmid, |resident| resident.guest.faults.keeps_disk = refuse);
    }

    /// From now on the guest has this address instead, as from a DHCP server: until it starts again.
    pub fn change_address(&self, vmid: u32, to: Ipv4Addr) {
        self.at(vmid, |resident| {
            for net in &mut resident.guest.shape.nets {
                net.address = Some((to, 24));
            }
        });
    }

    /// From now on the guest gets no address.
    pub fn lose_address(&self, vmid: u32) {
        self.at(vmid, |resident| resident.has_no_address = true);
    }

    /// Commands of this name that change something in the guest run until they are ended: programs, or scripts that are
    /// called so.
    pub fn hang(&self, vmid: u32, name: &str) {
        self.with(|all| {
            if let Some(guest) = all.get_mut(&vmid) {
                guest.hangs = Some(name.to_owned());
            }
        });
    }

    /// As [`Self::hang`], in the next guest that is made.
    pub fn hang_next(&self, name: &str) {
        let next = &self.hangs_next;
        *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    }

    /// Whether a command that hangs runs in the guest; `None` if there is no guest.
    #[must_use]
    pub fn is_hung(&self, vmid: u32) -> Option<bool> {
        self.with(|all| all.get(&vmid).map(|g| *g.hung.borrow()))
    }

    /// VMIDs of the guests that exist.
    #[must_use]
    pub fn vmids(&self) -> Vec<u32> {
        self.with(|all| all.keys().copied().collect())
    }

    /// Status and page of whoever listens at this address; `None` when the connection is refused.
    #[must_use]
    pub fn fetch(&self, at: SocketAddr, path: &str) -> Option<(u16, String)> {
        match self.answer(at, path)? {
            Answer::Http(response) => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                Some((response.status, body))
            }
            Answer::Nothing | Answer::Closed => None,
        }
    }

    /// Whether somebody takes connections at this address.
    #[must_use]
    pub fn listens(&self, at: SocketAddr) -> bool {
        self.answer(at, "/").is_some()
    }

    fn answer(&self, at: SocketAddr, path: &str) -> Option<Answer> {
        let request = HttpRequest {
            method: "GET".to_owned(),
            target: path.to_owned(),
            host: Some(at.to_string()),
        };
        self.with(|all| {
            let (_, resident) = all
                .iter()
                .find(|(vmid, _)| IpAddr::V4(v4(self.cluster, **vmid)) == at.ip())?;
            guest::respond(&resident.guest, at, &request)
        })
    }
}

fn unchangeable() -> CommandError {
    CommandError::Failed("these guests cannot be kept, put back or given other devices".into())
}

fn taken(once: &Mutex<Option<String>>) -> Option<String> {
    once.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn v4(cluster: u8, vmid: u32) -> Ipv4Addr {
    let [_, _, c, d] = vmid.to_be_bytes();
    Ipv4Addr::new(10, 1 + cluster, c, d)
}

/// The address of a guest of a world's first cluster.
#[must_use]
pub fn address(vmid: u32) -> IpAddr {
    IpAddr::V4(v4(0, vmid))
}

#[async_trait]
impl GuestAccess for Guests {
    async fn exec_heard(
        &self,
        target: &GuestTarget,
        exec: Exec,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        if let ["/bin/sh", "-c", _, "end", _] = words(&exec.argv).as_slice() {
            return self.end_hung(target);
        }
        self.hang_if_told(target, &exec.argv).await?;
        let snagged = self.snags.enter(target, exec.timeout_ms).await?;
        let command = Command {
            argv: exec.argv,
            stdin: Some(exec.stdin.unwrap_or_default().to_vec()),
            ..Command::default()
        };
        let ended = self.running(target, |guest| {
            match self.in_world(|world| guest::exec(guest, world, &command)) {
                Outcome::Ended(ended) => Some(ended),
                // Time that passes only in the guest is none here.
                Outcome::Later { pid, ended, .. } => {
                    guest.end_process(pid);
                    Some(ended)
                }
                Outcome::Blocked { .. } => Some(Ended {
                    exit: 1,
                    ..Ended::default()
                }),
                Outcome::Hangs { .. } | Outcome::NeedsInput => None,
            }
        })?;
        let ended = ended.ok_or_else(|| GuestError::MaybeApplied {
            node: target.node.to_string(),
            why: "it does not end".to_owned(),
        })?;
        if let Snagged::Halved(why) = snagged {
            let (half, _) = ended.stdout.split_at(ended.stdout.len() / 2);
            listener.heard(Stream::Stdout, half);
            return Err(why);
        }
        listener.heard(Stream::Stdout, &ended.stdout);
        listener.heard(Stream::Stderr, &ended.stderr);
        Ok(ExecOutput {
            exit_code: i32::from(ended.exit),
            stdout: ended.stdout.into(),
            stderr: ended.stderr.into(),
            truncated: false,
        })
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        let snagged = self.snags.enter(target, push.timeout_ms).await?;
        let wish = Wish {
            user: push.user,
            group: push.group,
            mode: Some(push.mode),
        };
        let pushed = self.running(target, |guest| {
            let content = push.content.to_vec();
            self.in_world(|world| guest::push(guest, &push.path, content, &wish, world.now_s))
        })?;
        pushed.map_err(|message| failed(target, message))?;
        snagged.whole()
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        self.snags.enter(target, pull.timeout_ms).await?.whole()?;
        let pulled = self.running(target, |guest| guest::pull(guest, &pull.path))?;
        pulled
            .map(Bytes::from)
            .map_err(|message| failed(target, message))
    }
}

fn failed(target: &GuestTarget, message: String) -> GuestError {
    GuestError::Failed {
        node: target.node.to_string(),
        message,
    }
}

/// An argument list as a pattern matches it.
fn words(argv: &[String]) -> Vec<&str> {
    argv.iter().map(String::as_str).collect()
}

impl Guests {
    /// Waits, if the guest was told to hang in a command of this name, until it is ended.
    async fn hang_if_told(&self, target: &GuestTarget, argv: &[String]) -> Result<(), GuestError> {
        let words = words(argv);
        let told = self.with(|all| all.get(&target.vmid.get())?.hangs.clone());
        let name = match words.as_slice() {
            ["flock", "--wait", _, _, "/bin/sh", "-c", _, name, ..] => name,
            ["flock", "--wait", _, _, program, ..] => program,
            // As a person has programs run.
            ["env", mark, program, ..] if mark.starts_with("PROXIMITY_EXEC=") => program,
            // As commands that only look are run; any other one is none of this.
            [program, ..] if told.as_deref() == Some(*program) => program,
            _ => return Ok(()),
        };
        self.running(target, |_| ())?;
        let hung = self.with(|all| {
            let resident = all.get(&target.vmid.get())?;
            (resident.hangs.as_deref() == Some(name)).then(|| resident.hung.clone())
        });
        if let Some(hung) = hung {
            hung.send_replace(true);
            // Ended by the engine, or left running by whoever goes away.
            let _ = hung.subscribe().wait_for(|runs| !runs).await;
        }
        Ok(())
    }

    /// Ends a command that hangs, as the engine's script does.
    fn end_hung(&self, target: &GuestTarget) -> Result<ExecOutput, GuestError> {
        self.running(target, |_| ())?;
        self.with(|all| {
            if let Some(resident) = all.get(&target.vmid.get()) {
                resident.hung.send_replace(false);
            }
        });
        Ok(ExecOutput {
            exit_code: 0,
            stdout: Bytes::new(),
            stderr: Bytes::new(),
            truncated: false,
        })
    }

    fn running<T>(
        &self,
        target: &GuestTarget,
        act: impl FnOnce(&mut Guest) -> T,
    ) -> Result<T, GuestError> {
        let node = target.node.to_string();
        self.with(|all| match all.get_mut(&target.vmid.get()) {
            Some(resident) if resident.guest.running => Ok(act(&mut resident.guest)),
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
