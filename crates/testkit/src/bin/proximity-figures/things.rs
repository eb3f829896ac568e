//! A store with something in it: hosts, apps, guests, with ids and moments that are counted up.

use std::path::Path;

use anyhow::Result;
use proximity_domain::create::Resources;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{AppId, GuestId, HolderId, HostId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::records::{
    Actor, Endpoint, HostPlacement, HostRecord, NewApp, NewOperation, PurposeTokens, SshAccess,
    SshKind, SshNode, TlsTrust,
};
use proximity_store::{Store, StoreOptions};
use serde_json::json;
use uuid::Uuid;

/// How long a claim holds, milliseconds.
pub(crate) const LEASE_MS: i64 = 60_000;

/// Gives out ids and moments; two that begin at different numbers never give the same id.
#[derive(Debug)]
pub(crate) struct Things {
    next: u128,
    now: i64,
    pub(crate) actor: Actor,
    pub(crate) holder: HolderId,
}

/// Options of a store in `dir` with these ports.
pub(crate) fn options(dir: &Path, public: PortRange, internal: PortRange) -> StoreOptions {
    StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public,
        internal,
        rest_ms: 0,
    }
}

impl Things {
    pub(crate) fn from(number: u64) -> Self {
        let first = (u128::from(number) + 1) << 64;
        Self {
            next: first,
            now: 1_700_000_000_000,
            actor: Actor {
                account: "admin".to_owned(),
                token: None,
                request: None,
            },
            holder: HolderId(Uuid::from_u128(first)),
        }
    }

    pub(crate) fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    /// A moment later than the last one.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.now += 1;
        Timestamp(self.now)
    }

    pub(crate) fn host(&mut self, label: &str) -> Result<HostRecord> {
        Ok(HostRecord {
            id: HostId(self.id()),
            label: label.parse()?,
            cluster_key: format!("cluster:{label}:pve1"),
            endpoints: vec![Endpoint {
                url: "https://192.0.2.10:8006".to_owned(),
                node: Some("pve1".parse()?),
                trust: TlsTrust::System,
            }],
            token_id: "root@pam!proximity".to_owned(),
            token_secret: format!("token-secret-of-{label}").into(),
            purpose_tokens: PurposeTokens::default(),
            ssh: Some(SshAccess {
                kind: SshKind::Plain,
                user: "root".to_owned(),
                private_key: format!("private-key-of-{label}").into(),
                public_key: "ssh-ed25519 AAAA".to_owned(),
                nodes: vec![SshNode {
                    node: "pve1".parse()?,
                    address: "192.0.2.10:22".to_owned(),
                    host_key: "ssh-ed25519 BBBB".to_owned(),
                }],
            }),
            pool: None,
            storage: "local".parse()?,
            template_storage: "local".parse()?,
            bridge: "vmbr0".parse()?,
            placement: HostPlacement::default(),
            known_nodes: Vec::new(),
            pve_version: "9.2.11".to_owned(),
            created_at: self.now(),
        })
    }

    pub(crate) fn app(&mut self, hostname: &str, host: HostId) -> Result<(NewApp, NewOperation)> {
        let app = NewApp {
            id: AppId(self.id()),
            owner: "admin".to_owned(),
            hostname: hostname.parse()?,
            catalog_id: "nginx".parse()?,
            catalog_version: "1".to_owned(),
            entry: None,
            host,
            node: "pve1".parse()?,
            resources: Resources {
                memory_mib: 512,
                cores: 1,
                disk_gib: 4,
            },
            environment: json!({"TITLE": hostname, "PASSWORD": null}),
            environment_sealed: format!("{{\"PASSWORD\":\"secret-of-{hostname}\"}}").into(),
            guest_port: 8080,
            site: None,
            made_with: Default::default(),
            root_password: None,
        };
        let operation = self.operation(OperationKind::Deploy, app.id);
        Ok((app, operation))
    }

    pub(crate) fn operation(&mut self, kind: OperationKind, app: AppId) -> NewOperation {
        NewOperation {
            id: OperationId(self.id()),
            kind,
            app,
            input: json!({}),
            retry_of: None,
            key: None,
        }
    }

    pub(crate) fn guest(
        &mut self,
        store: &Store,
        host: HostId,
        (app, operation): (AppId, OperationId),
        vmid: u32,
    ) -> Result<NativeGuest> {
        let vmid = Vmid::try_from(vmid)?;
        let [.., a, b] = vmid.get().to_be_bytes();
        Ok(NativeGuest {
            id: GuestId(self.id()),
            app,
            created_by: operation,
            place: ContainerRef {
                host,
                node: "pve1".parse()?,
                vmid,
            },
            identity: ContainerIdentity {
                vmid,
                mark: Mark {
                    installation: store.installation(),
                    app,
                    nonce: self.id().as_u128(),
                },
                net0_mac: Mac::with_pve_prefix([0, a, b]),
                rootfs_volid: None,
            },
            learned: None,
        })
    }
}
