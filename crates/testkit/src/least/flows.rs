//! What is done with the tokens of [`super::Least`], up to the first thing that is denied.

use std::sync::Arc;

use proximity_domain::create::ResourceRequest;
use proximity_domain::ids::{HostId, OperationId, Vmid};
use proximity_domain::names::{NodeName, Volid};
use proximity_domain::operation::OperationState;
use proximity_domain::time::Clock;
use proximity_engine::commands::{Action, CreateApp, UpdateApp};
use proximity_engine::error::EngineError;
use proximity_pve::backup::{BackupMode, NewBackup};
use proximity_pve::error::Error as PveError;
use proximity_pve::image::OciImage;
use proximity_pve::lxc::{CloneLxc, CloneOf, CreateLxc, NewNet};
use proximity_pve::privileges::{Places, lacks};
use proximity_pve::task::{TaskOutcome, TaskWatcher};
use proximity_pve::transport::{Method, Transport};
use proximity_pve::{Client, ReadClient, Upid, Warrant};
use uuid::Uuid;

use super::{ADOPTED, BACKUPS, Least, POOL, ROOTS, TEMPLATES};
use crate::pve::{Pve, TEMPLATE, request};
use crate::sources::RealClock;
use crate::world::{Place, TestWorld, WorldParts};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The life of an app by the engine: deploy, update, stop, start, restart, remove.
    Lifecycle,
    /// Guest snapshot, copy and backup of a guest of ours, by the client.
    Copies,
    /// A template and the tags of an image, by the client.
    Images,
    /// Start, tags, guest snapshot and backup of the adopted guest, by the client.
    Adopted,
    /// The look at what each token holds.
    Rights,
}

/// Does it all. Gives what was said when something was not allowed, or went wrong: code, message and next step.
///
/// # Errors
/// That text.
pub async fn run(flow: Flow, pve: &Pve, least: &Least) -> Result<(), String> {
    let hands = Hands::new(pve, least);
    match flow {
        Flow::Lifecycle => lifecycle(pve, least).await,
        Flow::Copies => hands.copies().await,
        Flow::Images => hands.images().await,
        Flow::Adopted => hands.adopted().await,
        Flow::Rights => hands.rights(least).await,
    }
}

fn told(code: &str, message: &str, hint: &str) -> String {
    format!("{code}: {message}; {hint}")
}

fn refused(error: &EngineError) -> String {
    told(error.code(), &error.to_string(), &error.hint())
}

/// The life of an app with these tokens.
async fn lifecycle(pve: &Pve, least: &Least) -> Result<(), String> {
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![pve.clone()],
        least: Some(least.clone()),
        place: Place::Memory,
        ..WorldParts::default()
    })
    .await?;
    let wish = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = world.engine.create_app(&world.actor, wish).await;
    let app = app.map_err(|e| refused(&e))?;
    let deploy = app.operation.ok_or("a deploy is an operation")?;
    succeeded(&world, deploy).await?;
    let larger = UpdateApp {
        resources: ResourceRequest {
            memory_mib: Some(128),
            cores: Some(2),
            disk_gib: Some(2),
        },
        confirm: Some("web".to_owned()),
        ..UpdateApp::default()
    };
    let asked = world.engine.update_app(&world.actor, "web", larger).await;
    let update = asked.map_err(|e| refused(&e))?;
    succeeded(&world, update.id).await?;
    let remove = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    for action in [
        Action::Stop { force: false },
        Action::Start,
        Action::Restart { force: false },
        remove,
    ] {
        let asked = world.engine.act(&world.actor, "web", action).await;
        let operation = asked.map_err(|e| refused(&e))?;
        succeeded(&world, operation.id).await?;
    }
    if pve.guests.vmids().is_empty() {
        Ok(())
    } else {
        Err("a guest is left".to_owned())
    }
}

async fn succeeded(world: &TestWorld, operation: OperationId) -> Result<(), String> {
    match world.settled(operation).await?.state {
        OperationState::Succeeded => Ok(()),
        OperationState::Failed { failure } | OperationState::Stuck { failure, .. } => {
            Err(told(&failure.code, &failure.message, &failure.hint))
        }
        other => Err(format!("it ended {other:?}")),
    }
}

/// The client with these tokens.
#[derive(Debug)]
pub struct Hands {
    /// It.
    pub client: Client,
    reached: Arc<Pve>,
    pve: Pve,
    node: NodeName,
    watcher: TaskWatcher,
}

/// What was denied, with the privilege it lacked; anything else as it is.
fn denied(error: PveError) -> String {
    let lacking: Vec<String> = lacks(&error).iter().map(ToString::to_string).collect();
    format!("{error}; the token lacks {}", lacking.join(", "))
}

#[allow(clippy::unwrap_used)] // constants
fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

#[allow(clippy::unwrap_used)] // constants
fn vmid(number: u32) -> Vmid {
    Vmid::try_from(number).unwrap()
}

impl Hands {
    /// The client of a cluster with these tokens.
    #[must_use]
    pub fn new(pve: &Pve, least: &Least) -> Self {
        let reached = Arc::new(pve.reached_with(&least.tokens()));
        let clock = Arc::new(RealClock);
        let warrant = Warrant {
            send_by: clock.monotonic().plus_ms(300_000),
            reference: "least".to_owned(),
        };
        let read = ReadClient::new(reached.clone());
        Self {
            client: Client::new(
                reached.clone(),
                clock.clone(),
                HostId(Uuid::from_u128(5)),
                warrant,
            ),
            reached,
            pve: pve.clone(),
            node: name("pve1"),
            watcher: TaskWatcher::new(read, clock),
        }
    }

    /// Waits for a task; of one that failed the whole log is told.
    async fn done(&self, upid: &Upid) -> Result<(), String> {
        match self.watcher.wait(upid, 30_000).await.map_err(denied)? {
            TaskOutcome::Ok | TaskOutcome::Warnings(_) => Ok(()),
            TaskOutcome::Failed(why) | TaskOutcome::Unknown(why) => {
                let log = self.client.read().task_log(upid, 0, 100).await;
                let lines = log.map_err(denied)?.into_iter().map(|line| line.text);
                Err(format!("{why}: {}", lines.collect::<Vec<_>>().join("; ")))
            }
        }
    }

    /// Makes a guest of ours.
    ///
    /// # Errors
    /// What was denied, or went wrong.
    pub async fn create(&self, number: u32) -> Result<(), String> {
        let new = CreateLxc {
            vmid: vmid(number),
            ostemplate: self.template(),
            hostname: name("web"),
            storage: name(ROOTS),
            disk_gib: 1,
            mounts: Vec::new(),
            memory_mib: 128,
            swap_mib: 0,
            cores: 1,
            net0: NewNet {
                name: "eth0".to_owned(),
                bridge: name("vmbr0"),
                hwaddr: name("BC:24:11:00:00:01"),
            },
            network: proximity_domain::network::Network::default(),
            root_keys: Vec::new(),
            root_password: None,
            description: "made with the least".to_owned(),
            pool: Some(name(POOL)),
            unprivileged: true,
            onboot: false,
            protection: false,
            nesting: true,
        };
        let made = self.client.create_lxc(&self.node, new).await;
        self.done(&made.map_err(denied)?).await
    }

    fn template(&self) -> Volid {
        name(&format!("{TEMPLATES}:vztmpl/{}", TEMPLATE))
    }

    /// Only what is denied counts here and below: guests of the test kit have no files to copy.
    async fn allowed(&self, sent: Result<Upid, PveError>) -> Result<(), String> {
        let outcome = match sent {
            Ok(upid) => self.done(&upid).await,
            Err(error) => Err(denied(error)),
        };
        outcome.or_else(|said| {
            let denied = said.contains("Permission check failed");
            if denied { Err(said) } else { Ok(()) }
        })
    }

    async fn copies(&self) -> Result<(), String> {
        self.create(500).await?;
        self.keep(&self.client, 500).await?;
        let copy = CloneLxc {
            vmid: vmid(501),
            hostname: name("copy"),
            description: "a copy".to_owned(),
            pool: Some(name(POOL)),
            of: CloneOf::Container {
                storage: Some(name(ROOTS)),
            },
        };
        let made = self.client.clone_lxc(&self.node, vmid(500), copy).await;
        self.allowed(made).await
    }

    /// A guest snapshot and a backup.
    async fn keep(&self, client: &Client, number: u32) -> Result<(), String> {
        let snapshot = name("before");
        let taken = client.take_guest_snapshot(&self.node, vmid(number), &snapshot, "why");
        self.allowed(taken.await).await?;
        self.pve.quiet().await;
        let backup = NewBackup {
            vmid: vmid(number),
            storage: name(BACKUPS),
            mode: BackupMode::Stop,
            notes: "why".to_owned(),
            protected: false,
        };
        match client.back_up(&self.node, backup).await {
            Ok(None) => Err("nothing was backed up".to_owned()),
            Ok(Some(upid)) => self.allowed(Ok(upid)).await,
            Err(error) => self.allowed(Err(error)).await,
        }?;
        self.pve.quiet().await;
        Ok(())
    }

    /// There is no network to bring anything from.
    async fn images(&self) -> Result<(), String> {
        let image: OciImage = name("docker.io/library/nginx:1.29-alpine");
        let tags = self.client.read().oci_tags(&self.node, &image.repository);
        let template = "debian-13-standard_13.1-2_amd64.tar.zst";
        let storage = name(TEMPLATES);
        let download = self
            .client
            .download_appliance(&self.node, &storage, template);
        for error in [tags.await.err(), download.await.err()]
            .into_iter()
            .flatten()
        {
            if error.is_permission_denied() {
                return Err(denied(error));
            }
        }
        Ok(())
    }

    async fn adopted(&self) -> Result<(), String> {
        self.pve.stranger_creates("pve1", ADOPTED).await;
        let client = self.client.clone().of_adopted();
        let (node, number) = (&self.node, vmid(ADOPTED));
        let started = client.start(node, number).await.map_err(denied)?;
        self.done(&started).await?;
        let config = client.read().lxc_config(node, number).await;
        let digest = config.map_err(denied)?.digest.ok_or("no digest")?;
        let tags = ["adopted".to_owned()];
        let tagged = client.set_tags(node, number, &tags, &digest).await;
        tagged.map_err(denied)?;
        self.keep(&client, ADOPTED).await
    }

    async fn rights(&self, least: &Least) -> Result<(), String> {
        let places = Places {
            pool: name(POOL),
            storage: name(ROOTS),
            template_storage: name(TEMPLATES),
            bridge: name("vmbr0"),
        };
        for (purpose, id) in least.ids() {
            let looked = self.client.read().lacks_of(purpose, id, &places).await;
            let lacks: Vec<String> = looked
                .map_err(denied)?
                .iter()
                .map(ToString::to_string)
                .collect();
            if !lacks.is_empty() {
                return Err(format!(
                    "token_too_narrow: {purpose} lacks {}",
                    lacks.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Destroys a guest, which the client does under a permit alone.
    ///
    /// # Errors
    /// What PVE said.
    pub async fn destroy(&self, number: u32) -> Result<(), String> {
        let said = self.delete(number).await;
        said.starts_with("200").then_some(()).ok_or(said)
    }

    async fn delete(&self, number: u32) -> String {
        let path = format!("/nodes/{}/lxc/{number}", self.node);
        match self.reached.send(request(Method::Delete, &path, &[])).await {
            Ok(answer) => format!("{} {}", answer.status, answer.reason),
            Err(error) => error.to_string(),
        }
    }

    /// What PVE says to a create with tags, and then to tags by themselves.
    pub async fn tag_at_create(&self, number: u32) -> (u16, String) {
        let number = number.to_string();
        let params = [
            ("vmid", number.as_str()),
            ("ostemplate", &self.template().to_string()),
            ("rootfs", &format!("{ROOTS}:1")),
            ("pool", POOL),
            ("tags", "web"),
        ];
        let path = format!("/nodes/{}/lxc", self.node);
        match self
            .reached
            .send(request(Method::Post, &path, &params))
            .await
        {
            Ok(answer) => (answer.status, answer.reason),
            Err(error) => (0, error.to_string()),
        }
    }

    /// Tags a guest by a call of its own.
    ///
    /// # Errors
    /// What was denied, or went wrong.
    pub async fn tag(&self, number: u32) -> Result<(), String> {
        let config = self.client.read().lxc_config(&self.node, vmid(number));
        let digest = config.await.map_err(denied)?.digest.ok_or("no digest")?;
        let tags = ["web".to_owned()];
        let tagged = self
            .client
            .set_tags(&self.node, vmid(number), &tags, &digest);
        tagged.await.map_err(denied)
    }

    /// What PVE says to each call that would change a guest: stop, tags, destroy, each denied with what it lacks, or what else
    /// came of it.
    pub async fn touch(&self, number: u32) -> Vec<String> {
        let digest = name("0123456789abcdef0123456789abcdef01234567");
        let stopped = self.client.stop(&self.node, vmid(number)).await;
        let tagged = self.client.set_tags(&self.node, vmid(number), &[], &digest);
        let tagged = tagged.await;
        vec![
            stopped.map_or_else(denied, |upid| format!("stopped by {upid}")),
            tagged.map_or_else(denied, |()| "tagged".to_owned()),
            self.delete(number).await,
        ]
    }
}
