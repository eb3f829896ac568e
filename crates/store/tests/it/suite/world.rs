//! A store with a clock, ids and names to work with.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::task::Poll;

use proximity_domain::app::Status;
use proximity_domain::create::Resources;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{AppId, GuestId, HolderId, HostId, OperationId, TokenId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, GuestChange, NewLogLine};
use proximity_store::records::{
    Actor, AppRecord, Endpoint, Fence, HostPlacement, HostRecord, HostToken, LogLevel, LogLine,
    NewApp, NewOperation, OperationRecord, PurposeTokens, RequestKey, SshAccess, SshKind, SshNode,
    TlsTrust,
};
use proximity_store::views::{AuditRow, EventRow};
use proximity_store::{Store, StoreError};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

pub const LEASE_MS: i64 = 10_000;
pub const REST_MS: i64 = 86_400_000;

/// A key, always of the same request.
pub fn request_key(key: &str) -> RequestKey {
    RequestKey {
        key: key.to_owned(),
        fingerprint: "f".to_owned(),
    }
}

/// What the store is opened with, apart from where it is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub public: PortRange,
    pub internal: PortRange,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
        }
    }
}

/// Random sequences, each with a look at everything after each act.
pub const SEQUENCES: u32 = 40;

/// A way to make an empty store, and what must stay alive with it.
pub trait Make: Sync {
    fn make(
        &self,
        shape: Shape,
    ) -> impl Future<Output = (Store, Box<dyn Any + Send + Sync>)> + Send;

    /// Whether a write may be dropped before it is done.
    fn waits(&self) -> bool {
        true
    }

    /// How many random sequences; fewer where each statement is a way to a server.
    fn sequences(&self) -> u32 {
        SEQUENCES
    }
}

pub struct World {
    pub store: Store,
    pub actor: Actor,
    pub host: HostId,
    pub holder: HolderId,
    ids: u128,
    now: i64,
    _keep: Box<dyn Any + Send + Sync>,
}

impl World {
    /// An empty store with one host.
    pub async fn new(make: &impl Make) -> Self {
        Self::shaped(make, Shape::default()).await
    }

    pub async fn shaped(make: &impl Make, shape: Shape) -> Self {
        let (store, keep) = make.make(shape).await;
        let mut world = Self {
            store,
            actor: Actor {
                account: "admin".to_owned(),
                token: Some(TokenId(Uuid::from_u128(7))),
                request: None,
            },
            host: HostId(Uuid::from_u128(1)),
            holder: HolderId(Uuid::from_u128(2)),
            ids: 1000,
            now: 1_700_000_000_000,
            _keep: keep,
        };
        let host = world.host_record("lab");
        world.host = host.id;
        world
            .store
            .add_host(host, &world.actor, world.at())
            .await
            .unwrap();
        world
    }

    /// Closes the store; `make` opens the same one again, with other ranges.
    #[allow(dead_code)] // of those that keep what they have
    pub async fn reopen(&mut self, make: &impl Make, shape: Shape) {
        self.store.close().await;
        (self.store, self._keep) = make.make(shape).await;
    }

    pub fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// The moment, the same until time passes.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }

    pub fn pass(&mut self, ms: i64) {
        self.now += ms;
    }

    pub fn host_record(&mut self, label: &str) -> HostRecord {
        HostRecord {
            id: HostId(self.id()),
            label: label.parse().unwrap(),
            cluster_key: format!("cluster:{label}:pve1"),
            endpoints: vec![Endpoint {
                url: "https://192.0.2.10:8006".to_owned(),
                node: Some("pve1".parse().unwrap()),
                trust: TlsTrust::System,
            }],
            token_id: "root@pam!proximity".to_owned(),
            token_secret: SecretString::from(format!("token-secret-of-{label}")),
            purpose_tokens: PurposeTokens {
                observe: Some(HostToken {
                    id: "observe@pve!proximity".to_owned(),
                    secret: SecretString::from(format!("observe-secret-of-{label}")),
                }),
                images: None,
                adopted: Some(HostToken {
                    id: "adopted@pve!proximity".to_owned(),
                    secret: SecretString::from(format!("adopted-secret-of-{label}")),
                }),
            },
            ssh: Some(SshAccess {
                kind: SshKind::Plain,
                user: "root".to_owned(),
                private_key: SecretString::from(format!("private-key-of-{label}")),
                public_key: "ssh-ed25519 AAAA".to_owned(),
                nodes: vec![SshNode {
                    node: "pve1".parse().unwrap(),
                    address: "192.0.2.10:22".to_owned(),
                    host_key: "ssh-ed25519 BBBB".to_owned(),
                }],
            }),
            pool: Some("proximity".parse().unwrap()),
            storage: "local".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement::default(),
            known_nodes: Vec::new(),
            pve_version: "9.2.11".to_owned(),
            created_at: self.at(),
        }
    }

    pub fn new_app(&mut self, hostname: &str) -> (NewApp, NewOperation) {
        let app = NewApp {
            id: AppId(self.id()),
            owner: "admin".to_owned(),
            hostname: hostname.parse().unwrap(),
            catalog_id: "nginx".parse().unwrap(),
            catalog_version: "1".to_owned(),
            entry: None,
            host: self.host,
            node: "pve1".parse().unwrap(),
            resources: Resources {
                memory_mib: 512,
                cores: 1,
                disk_gib: 4,
            },
            environment: json!({"TITLE": "hello", "PASSWORD": null}),
            environment_sealed: SecretString::from(format!(
                "{{\"PASSWORD\":\"secret-of-{hostname}\"}}"
            )),
            guest_port: 8080,
            site: None,
            made_with: Default::default(),
            root_password: None,
        };
        let operation = self.new_operation(OperationKind::Deploy, app.id);
        (app, operation)
    }

    pub fn new_operation(&mut self, kind: OperationKind, app: AppId) -> NewOperation {
        NewOperation {
            id: OperationId(self.id()),
            kind,
            app,
            input: json!({}),
            retry_of: None,
            key: None,
        }
    }

    pub async fn create(&mut self, hostname: &str) -> AppRecord {
        let (app, operation) = self.new_app(hostname);
        let made = self
            .store
            .create_app(app, operation, &self.actor, None, self.at());
        made.await.unwrap()
    }

    pub async fn enqueue(
        &mut self,
        kind: OperationKind,
        app: AppId,
        status: Option<Status>,
    ) -> OperationRecord {
        let operation = self.new_operation(kind, app);
        let queued = self
            .store
            .enqueue(operation, status, &self.actor, self.at());
        queued.await.unwrap()
    }

    pub async fn claim(&self) -> (OperationRecord, Fence) {
        let claimed = self
            .store
            .claim(self.holder, LEASE_MS, false, self.at())
            .await;
        claimed.unwrap().unwrap()
    }

    /// Claims what it has claimed before, as one does who has lost sight of it.
    pub async fn claim_again(&self) -> (OperationRecord, Fence) {
        let seen = self.store.claimable().await.unwrap().pop().unwrap();
        let claimed = self
            .store
            .claim_as_seen(&seen, self.holder, LEASE_MS, self.at())
            .await;
        claimed.unwrap().unwrap()
    }

    pub fn guest(&mut self, app: AppId, operation: OperationId, vmid: u32) -> NativeGuest {
        let vmid = Vmid::try_from(vmid).unwrap();
        let [.., a, b] = vmid.get().to_be_bytes();
        NativeGuest {
            id: GuestId(self.id()),
            app,
            created_by: operation,
            place: ContainerRef {
                host: self.host,
                node: "pve1".parse().unwrap(),
                vmid,
            },
            identity: ContainerIdentity {
                vmid,
                mark: Mark {
                    installation: self.store.installation(),
                    app,
                    nonce: self.id().as_u128(),
                },
                net0_mac: Mac::with_pve_prefix([0, a, b]),
                rootfs_volid: None,
            },
            learned: None,
        }
    }

    pub async fn begin(&self, fence: &Fence, index: u32, name: &str) {
        let (none, at) = (Effects::default(), self.at());
        let begun = self
            .store
            .begin_step(fence, index, name, json!({}), none, at);
        begun.await.unwrap();
    }

    pub async fn finish(&self, fence: &Fence, index: u32) {
        let (none, at) = (Effects::default(), self.at());
        let finished = self.store.finish_step(fence, index, json!({}), none, at);
        finished.await.unwrap();
    }

    /// One step, begun and finished.
    pub async fn step(&self, fence: &Fence, index: u32) {
        self.begin(fence, index, "step").await;
        self.finish(fence, index).await;
    }

    pub async fn fail(&self, fence: &Fence, index: Option<u32>, code: &str) {
        let (none, at) = (Effects::default(), self.at());
        let failed = self.store.fail_step(fence, index, failure(code), none, at);
        failed.await.unwrap();
    }

    pub async fn stick(&self, fence: &Fence, index: Option<u32>, code: &str) {
        let (none, at) = (Effects::default(), self.at());
        let stuck = self.store.stick(fence, index, failure(code), none, at);
        stuck.await.unwrap();
    }

    /// One undo, begun and finished.
    pub async fn undo(&self, fence: &Fence, index: u32) {
        let (none, at) = (Effects::default(), self.at());
        self.store.begin_undo(fence, index, at).await.unwrap();
        self.store
            .finish_undo(fence, index, none, at)
            .await
            .unwrap();
    }

    /// The operation succeeds, its app runs.
    pub async fn complete(&self, fence: &Fence) {
        let running = with_status(Status::Running);
        self.store
            .complete(fence, running, self.at())
            .await
            .unwrap();
    }

    /// The operation ends unwound, its app is in error.
    pub async fn end(&self, fence: &Fence) -> Result<OperationState, StoreError> {
        let broken = with_status(error_status(self.at()));
        self.store.end_unwound(fence, broken, self.at()).await
    }

    /// An app that runs in the guest `vmid`, deployed in two steps.
    pub async fn deployed(&mut self, hostname: &str, vmid: u32) -> (AppRecord, NativeGuest) {
        let app = self.create(hostname).await;
        self.deploy(app, vmid).await
    }

    /// Carries out the deploy of an app that was just recorded.
    pub async fn deploy(&mut self, app: AppRecord, vmid: u32) -> (AppRecord, NativeGuest) {
        let (operation, fence) = self.claim().await;
        assert_eq!(operation.app, app.id);
        let guest = self.guest(app.id, operation.id, vmid);
        let effects = Effects {
            guests: vec![GuestChange::Insert(guest.clone())],
            ..Effects::default()
        };
        let begun = self.store.begin_step(
            &fence,
            0,
            "create",
            json!({"vmid": vmid}),
            effects,
            self.at(),
        );
        begun.await.unwrap();
        let effects = Effects {
            guests: vec![GuestChange::Confirm {
                guest: guest.id,
                rootfs_volid: format!("local:{vmid}/vm-{vmid}-disk-0.raw")
                    .parse()
                    .unwrap(),
            }],
            ..Effects::default()
        };
        let done = self
            .store
            .finish_step(&fence, 0, json!({}), effects, self.at());
        done.await.unwrap();
        self.step(&fence, 1).await;
        let effects = Effects {
            log: vec![line("Complete!")],
            ..with_status(Status::Running)
        };
        let completed = self.store.complete(&fence, effects, self.at());
        completed.await.unwrap();
        let app = self.store.app(app.id).await.unwrap().unwrap();
        let guests = self.store.native_guests(app.id).await.unwrap();
        (app, guests.into_iter().next().unwrap())
    }

    /// Removes a deployed app with its guest.
    pub async fn removed(&mut self, app: &AppRecord, guest: GuestId, rest_ports: bool) {
        self.enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
            .await;
        let (_, fence) = self.claim().await;
        self.step(&fence, 0).await;
        let effects = Effects {
            guests: vec![GuestChange::Gone { guest }],
            archive: true,
            rest_ports,
            log: vec![line("Removed")],
            ..Effects::default()
        };
        self.store
            .complete(&fence, effects, self.at())
            .await
            .unwrap();
    }

    pub async fn app(&self, id: AppId) -> AppRecord {
        self.store.app(id).await.unwrap().unwrap()
    }

    pub async fn operation(&self, id: OperationId) -> OperationRecord {
        self.store.operation(id).await.unwrap().unwrap()
    }

    /// What was committed can be read, also where numbers come later.
    pub async fn journal_numbered(&self) {
        self.store.journal_numbered().await.unwrap();
    }

    pub async fn log(&self, app: AppId, after: i64, limit: u32) -> Vec<LogLine> {
        self.journal_numbered().await;
        self.store.log(app, after, limit).await.unwrap()
    }

    pub async fn events(&self, after: i64, limit: u32) -> Vec<EventRow> {
        self.journal_numbered().await;
        self.store.events(after, limit).await.unwrap()
    }

    pub async fn audit(&self, limit: u32, after: i64) -> Vec<AuditRow> {
        self.journal_numbered().await;
        self.store.audit(limit, after).await.unwrap()
    }

    pub async fn assert_sound(&self) {
        let wrong = self.store.invariants().await.unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

fn line(message: &str) -> NewLogLine {
    NewLogLine {
        level: LogLevel::Info,
        step: None,
        message: message.to_owned(),
        percent: Some(100),
    }
}

pub fn failure(code: &str) -> Failure {
    Failure::new(code, format!("{code} happened"), "Try again.")
}

pub fn with_status(status: Status) -> Effects {
    Effects {
        status: Some(status),
        ..Effects::default()
    }
}

pub fn error_status(at: Timestamp) -> Status {
    Status::Error {
        was: proximity_domain::app::StatusLabel::Deploying,
        why: failure("broken"),
        since: at,
    }
}

pub fn assert_illegal<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::IllegalTransition { .. })),
        "{result:?}"
    );
}

/// Polls so many times at most, then drops it.
pub async fn at_most<T>(polls: u32, work: impl Future<Output = T> + Send) -> Option<T> {
    let mut work = Box::pin(work);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
