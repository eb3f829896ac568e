//! What people ask for, and what is read with arguments.

use proximity_domain::adopted::{AdoptedGuest, AdoptedIdentity};
use proximity_domain::app::Status;
use proximity_domain::create::Resources;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId, HostId, OperationId, TokenId, Vmid};
use proximity_domain::made_with::MadeWith;
use proximity_domain::merge::{Accepted, Merged, Verdict};
use proximity_domain::names::{Hostname, LanName, Mac};
use proximity_domain::network::NetworkWish;
use proximity_domain::operation::OperationKind;
use proximity_domain::site::{CertificateFiles, Site};
use proximity_domain::vmids::VmidRange;
use proximity_store::effects::NewEvent;
use proximity_store::exposure::Exposure;
use proximity_store::records::{
    Endpoint, HostPlacement, HostRecord, HostToken, NewApp, NewOperation, PurposeTokens,
    RequestKey, SshAccess, SshKind, TlsTrust, TokenRecord,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::calls::Call;
use super::pair::both;
use super::play::{Play, Told, pick};

/// One of four keys; sometimes of another request.
pub fn key_of(n: u8) -> RequestKey {
    let fingerprint = if n >= 180 { "other" } else { "same" };
    RequestKey {
        key: format!("key-{}", n % 4),
        fingerprint: fingerprint.to_owned(),
    }
}

/// What an app is made with; each third one is given one of four addresses, in one of two VLANs.
fn made_with(n: u8) -> MadeWith {
    if !n.is_multiple_of(3) {
        return MadeWith::default();
    }
    let wish = NetworkWish {
        ipv4: Some(format!("192.0.2.{}/24", n % 4 + 1)),
        vlan: Some(u32::from(n % 2) + 1),
        ..NetworkWish::default()
    };
    MadeWith {
        network: wish.check().unwrap(),
        root_password: n.is_multiple_of(2),
        ..MadeWith::default()
    }
}

pub fn secret_of(n: u8) -> [u8; 32] {
    [n % 4; 32]
}

/// An event with the fields of its kind.
pub fn event(kind: EventKind, n: u8) -> NewEvent {
    let fields = kind.spec().fields.iter();
    let body = fields.map(|field| ((*field).to_owned(), json!(n)));
    NewEvent {
        kind,
        body: body.collect(),
    }
}

/// One of four host names, with a certificate or without.
fn site(n: u8) -> Site {
    Site {
        name: format!("app-{}.example.org", n % 4).parse().unwrap(),
        certificate: n.is_multiple_of(5).then(|| CertificateFiles {
            cert_file: "/tls/cert.pem".to_owned(),
            key_file: "/tls/key.pem".to_owned(),
        }),
    }
}

fn name_of_lan(n: u8) -> LanName {
    ["home", "away"][usize::from(n % 2)].parse().unwrap()
}

pub fn owner(n: u8) -> String {
    let owner = if n.is_multiple_of(3) {
        "someone"
    } else {
        "admin"
    };
    owner.to_owned()
}

impl Play {
    /// `None` if this is nothing that people do.
    pub async fn people(&mut self, call: &Call) -> Option<Told> {
        let (actor, at) = (self.actor(), self.at());
        let refused = match *call {
            Call::AddHost { .. } | Call::ChangeHost { .. } | Call::RemoveHost(_) => {
                return Some(self.hosts(call).await);
            }
            Call::Create { name, host, key } => return Some(self.create(name, host, key).await),
            Call::Adopt { name, host, key } => return Some(self.adopt(name, host, key).await),
            Call::Expose { app, port } => return Some(self.expose(app, port).await),
            Call::Site { app, n } => return Some(self.site(app, n).await),
            Call::Guard { app, n } => return Some(self.guard(app, n).await),
            Call::Enqueue { .. } => return Some(self.enqueue(call).await),
            Call::Cancel(_) | Call::Retry(_) | Call::Abandon(_) => {
                return Some(self.of_operation(call).await);
            }
            Call::Clear { what, n } => return Some(self.clear(what, n).await),
            Call::Resources { host, n, what } => {
                return Some(self.resources(host, n, what).await);
            }
            Call::Prepared([host, n, what]) => return Some(self.prepared(host, n, what).await),
            Call::GuestMoved { app, node } => return Some(self.guest_moved(app, node).await),
            Call::AddToken(n) => {
                let id = if n.is_multiple_of(8) {
                    Uuid::nil()
                } else {
                    self.id()
                };
                let token = TokenRecord {
                    id: TokenId(id),
                    account: owner(n),
                    scopes: vec!["*".to_owned()],
                    secret_sha256: secret_of(n),
                    created_at: at,
                };
                both!(self.pair, store => store.add_token(token.clone(), &actor, at)).is_err()
            }
            Call::ForgetRequests => {
                both!(self.pair, store => store.forget_old_requests(at)).is_err()
            }
            Call::EndPortRest(n) => {
                let port = n.map(|n| 10 + u16::from(n % 8));
                both!(self.pair, store => store.end_port_rest(port, &actor, at)).is_err()
            }
            Call::Suspect { .. }
            | Call::Alarm { .. }
            | Call::Identity { .. }
            | Call::Orphan(_)
            | Call::LoseNode { .. }
            | Call::Brake(_)
            | Call::MarkStuck(_)
            | Call::FollowPower { .. }
            | Call::Resolve { .. } => return Some(self.loops(call).await),
            Call::ListApps { .. } | Call::ListOperations { .. } | Call::Journals { .. } => {
                self.list(call).await
            }
            Call::KeepChannels(_) | Call::Notices { .. } => self.notices(call).await,
            Call::KeepPlan(n) => self.keep_plan(n).await,
            Call::StartApply { .. }
            | Call::ClaimApply { .. }
            | Call::OfApply { .. }
            | Call::StopApply(_)
            | Call::SetSecret(_)
            | Call::RemoveSecret(_)
            | Call::Reject { .. } => return Some(self.applies(call).await),
            Call::Sources { n, what } => return Some(self.sources(n, what).await),
            Call::Accounts { n, what } => return Some(self.accounts(n, what).await),
            _ => return None,
        };
        Some(Some(refused))
    }

    fn host_record(&self, id: HostId, n: u8) -> HostRecord {
        let name = |n: &str| n.parse().unwrap();
        let vmid = |n: u32| Vmid::try_from(n).unwrap();
        let ssh = SshAccess {
            kind: if n.is_multiple_of(4) {
                SshKind::Helper
            } else {
                SshKind::Plain
            },
            user: "root".to_owned(),
            private_key: format!("private-{n}").into(),
            public_key: "ssh-ed25519 AAAA".to_owned(),
            nodes: Vec::new(),
        };
        HostRecord {
            id,
            label: format!("lab{}", n % 3).parse().unwrap(),
            cluster_key: format!("cluster-{}", n / 3 % 3),
            endpoints: vec![Endpoint {
                url: format!("https://192.0.2.{n}:8006"),
                node: n.is_multiple_of(2).then(|| name("pve1")),
                trust: TlsTrust::System,
            }],
            token_id: "root@pam!proximity".to_owned(),
            token_secret: format!("secret-{n}").into(),
            purpose_tokens: PurposeTokens {
                observe: n.is_multiple_of(2).then(|| HostToken {
                    id: format!("observe{n}@pve!proximity"),
                    secret: format!("observe-{n}").into(),
                }),
                ..PurposeTokens::default()
            },
            ssh: n.is_multiple_of(2).then_some(ssh),
            pool: n.is_multiple_of(3).then(|| "pool".parse().unwrap()),
            storage: "local".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement {
                vmids: VmidRange::new(vmid(u32::from(n) + 100), vmid(1000)).ok(),
                excluded_nodes: vec![name("pve2")],
                templates_by_hand: n.is_multiple_of(2),
                lan: (!n.is_multiple_of(3)).then(|| name_of_lan(n)),
            },
            known_nodes: vec![name("pve1"), name("pve2")],
            pve_version: format!("9.{n}"),
            created_at: self.at(),
        }
    }

    async fn hosts(&mut self, call: &Call) -> Told {
        let (actor, at) = (self.actor(), self.at());
        let refused = match *call {
            Call::AddHost { host, key } => {
                let known = if host >= 240 { self.host(host) } else { None };
                let id = known.unwrap_or(HostId(self.id()));
                let (record, key) = (self.host_record(id, host), key.map(key_of));
                let added = both!(self.pair, store =>
                    store.add_host_once(record.clone(), key.clone(), &actor, at));
                if added.is_ok() && known.is_none() {
                    self.known.hosts.push(id);
                }
                added.is_err()
            }
            Call::ChangeHost { host, to } => {
                let record = self.host_record(self.host(host)?, to);
                let kinds = [
                    EventKind::HostUpdated,
                    EventKind::HostLearned,
                    EventKind::HostNodeForgotten,
                ];
                let kind = kinds[usize::from(host) % kinds.len()];
                both!(self.pair, store =>
                    store.change_host(record.clone(), kind, "host.change", &actor, at))
                .is_err()
            }
            Call::RemoveHost(n) => {
                let id = self.host(n)?;
                both!(self.pair, store => store.remove_host(id, &actor, at)).is_err()
            }
            _ => unreachable!("only host entries come here"),
        };
        Some(refused)
    }

    async fn adopt(&mut self, name: u8, host: u8, key: Option<u8>) -> Told {
        let host = self.host(host)?;
        let (id, operation) = (AppId(self.id()), OperationId(self.id()));
        let app = NewApp {
            id,
            owner: owner(name),
            hostname: format!("app-{}", name % 5).parse().unwrap(),
            catalog_id: "custom".parse().unwrap(),
            catalog_version: "adopted".to_owned(),
            entry: None,
            host,
            node: "pve1".parse().unwrap(),
            resources: Resources {
                memory_mib: 512,
                cores: 1,
                disk_gib: 4,
            },
            environment: json!({}),
            environment_sealed: "{}".into(),
            guest_port: 5432,
            site: None,
            made_with: Default::default(),
            root_password: None,
        };
        let operation = NewOperation {
            id: operation,
            kind: OperationKind::Adopt,
            app: if name >= 250 { AppId(self.id()) } else { id },
            input: json!({}),
            retry_of: None,
            key: None,
        };
        // Few numbers, so that some are held.
        let vmid = Vmid::try_from(900 + u32::from(name % 6)).unwrap();
        let guest = AdoptedGuest {
            id: GuestId(self.id()),
            app: id,
            created_by: operation.id,
            place: ContainerRef {
                host,
                node: "pve1".parse().unwrap(),
                vmid,
            },
            identity: AdoptedIdentity {
                vmid,
                net0_mac: Mac::with_pve_prefix([9, 0, name]),
                rootfs_volid: "local:found".parse().unwrap(),
            },
            learned: None,
        };
        let (actor, at, key) = (self.actor(), self.at(), key.map(key_of));
        let made = both!(self.pair, store => store.adopt_app(
            app.clone(), guest.clone(), operation.clone(), &actor, key.clone(), at));
        if made.as_ref().is_ok_and(|made| made.id == id) {
            self.known.apps.push(id);
            self.known.operations.push(operation.id);
        }
        Some(made.is_err())
    }

    async fn expose(&mut self, n: u8, port: Option<u8>) -> Told {
        let app = self.app(n)?;
        let exposure = match n % 3 {
            0 => Exposure::Closed,
            _ => Exposure::Open(port.map(|port| u16::from(port) + 1)),
        };
        let (actor, at) = (self.actor(), self.at());
        let told = both!(self.pair, store => store.expose(app, exposure, &actor, at));
        Some(told.is_err())
    }

    /// Sets an app's site or takes it away, or writes down what came of fetching by one.
    async fn site(&mut self, app: u8, n: u8) -> Told {
        let app = self.app(app)?;
        if n >= 235 {
            return self.made(app, n).await;
        }
        let site = site(n);
        if n < 120 {
            let fetched = match n % 3 {
                0 => Err("nobody answers\0".to_owned()),
                _ => Ok(format!("https://{}/", site.name)),
            };
            let done =
                both!(self.pair, store => store.site_fetched(app, &site, fetched.clone())).unwrap();
            return Some(!done);
        }
        let site = (n < 215).then_some(site);
        let (actor, at) = (self.actor(), self.at());
        let set = both!(self.pair, store => store.set_site(app, site.clone(), &actor, at));
        Some(set.is_err())
    }

    /// Notes a command inside an app's container, keeps it apart from another one, or shows root's password.
    async fn made(&mut self, app: AppId, n: u8) -> Told {
        let (actor, at) = (self.actor(), self.at());
        if n.is_multiple_of(4) {
            let details = json!({ "argv": ["echo", n] });
            let noted = both!(self.pair, store =>
                store.note_command(app, "app.exec", details.clone(), &actor, at));
            return Some(noted.is_err());
        }
        if n < 245 {
            let from: Vec<Hostname> = vec![format!("app-{}", n % 5).parse().unwrap()];
            let kept = both!(self.pair, store => store.keep_apart(app, from.clone(), &actor, at));
            return Some(kept.is_err());
        }
        let there = both!(self.pair, store => store.root_password(app)).unwrap();
        let shown = both!(self.pair, store => store.show_root_password(app, &actor, at));
        let Ok(shown) = shown else { return Some(true) };
        assert_eq!(
            Some(shown.expose_secret()),
            there.as_ref().map(SecretString::expose_secret)
        );
        Some(false)
    }

    /// Begins or ends a guard, or tells of a drift.
    async fn guard(&mut self, app: u8, n: u8) -> Told {
        let app = self.app(app)?;
        let (actor, at) = (self.actor(), self.at());
        if n < 120 {
            let on = !n.is_multiple_of(3);
            let done = both!(self.pair, store => store.guard(app, on, &actor, at));
            return Some(done.is_err());
        }
        if n >= 230 {
            let all = both!(self.pair, store => store.all_desired()).unwrap();
            let before = all.into_iter().find(|one| one.app == Some(app))?;
            let accepted = Accepted {
                spec: before.spec.clone()?,
                resources: Some(Resources {
                    memory_mib: u64::from(n),
                    cores: 1,
                    disk_gib: 8,
                }),
                paths: vec!["memory".to_owned()],
            };
            let told = event(EventKind::DesiredAccepted, n);
            let done = both!(self.pair, store => store.accept_drift(&before, &accepted, &told, &actor, at));
            return Some(done.is_err());
        }
        if n >= 190 {
            let fields: Vec<Merged> = ["cores", "memory"]
                .into_iter()
                .take(usize::from(n % 3))
                .map(|path| Merged {
                    path: path.to_owned(),
                    verdict: Verdict::Theirs,
                    last: Some(json!(512)),
                    wanted: json!(512),
                    actual: Some(json!(n % 2)),
                })
                .collect();
            let told = event(EventKind::DesiredDrifted, n);
            let done = both!(self.pair, store => store.tell_desired_drift(app, &fields, &told, at));
            done.unwrap();
            return Some(false);
        }
        let keys: Vec<String> = ["cores", "memory"]
            .into_iter()
            .take(usize::from(n % 3))
            .map(str::to_owned)
            .collect();
        let told = event(EventKind::DriftDetected, n);
        let done = both!(self.pair, store => store.tell_drift(app, &keys, &told, at));
        done.unwrap();
        Some(false)
    }

    async fn create(&mut self, name: u8, host: u8, key: Option<u8>) -> Told {
        let known = if name >= 250 { self.app(name) } else { None };
        let id = known.unwrap_or(AppId(self.id()));
        let app = NewApp {
            id,
            owner: owner(name),
            hostname: format!("app-{}", name % 5).parse().unwrap(),
            catalog_id: ["nginx", "redis"][usize::from(name % 2)].parse().unwrap(),
            catalog_version: "1".to_owned(),
            entry: None,
            host: self.host(host)?,
            node: format!("pve{}", 1 + host % 2).parse().unwrap(),
            resources: Resources {
                memory_mib: 512,
                cores: 1,
                disk_gib: u32::from(name) + 1,
            },
            environment: json!({"TITLE": "größer", "N": 1.5, "PASSWORD": null}),
            environment_sealed: format!("{{\"PASSWORD\":\"{name}\"}}").into(),
            guest_port: 8080,
            site: name.is_multiple_of(7).then(|| site(name)),
            made_with: made_with(name),
            root_password: name
                .is_multiple_of(2)
                .then(|| format!("root-{name}").into()),
        };
        let kind = match name {
            245.. => OperationKind::Start,
            _ => OperationKind::Deploy,
        };
        let repeated = if (240..245).contains(&name) {
            pick(&self.known.operations, name)
        } else {
            None
        };
        let operation = NewOperation {
            id: repeated.unwrap_or(OperationId(self.id())),
            kind,
            app: id,
            input: json!({"n": name}),
            retry_of: None,
            key: None,
        };
        let (actor, at, key) = (self.actor(), self.at(), key.map(key_of));
        let made = both!(self.pair, store =>
            store.create_app(app.clone(), operation.clone(), &actor, key.clone(), at));
        if made.as_ref().is_ok_and(|made| made.id == id) {
            self.known.apps.push(id);
            self.known.operations.push(operation.id);
        }
        Some(made.is_err())
    }

    async fn enqueue(&mut self, call: &Call) -> Told {
        let Call::Enqueue {
            app,
            kind,
            status,
            retry,
            key,
        } = *call
        else {
            unreachable!("only requests for operations come here");
        };
        let retry_of = retry.and_then(|n| pick(&self.known.operations, n));
        let mut app = self.app(app)?;
        if let (Some(first), 0..=200) = (retry_of, status) {
            let first = both!(self.pair, store => store.operation(first)).unwrap();
            app = first.map_or(app, |first| first.app);
        }
        // Removals are what makes room.
        let kind = *OperationKind::ALL
            .get(usize::from(kind % 16))
            .unwrap_or(&OperationKind::Remove);
        let status = match (status % 8, kind) {
            (0, _) => None,
            (1, _) => Some(Status::Stopped),
            (2, _) => Some(Status::Updating),
            (3.., OperationKind::Deploy) => Some(Status::Deploying),
            (3.., OperationKind::Remove | OperationKind::Forget) => Some(Status::Removing),
            (3.., OperationKind::Update) => Some(Status::Updating),
            (3.., _) => None,
        };
        let operation = NewOperation {
            id: OperationId(self.id()),
            kind,
            app,
            input: json!({}),
            retry_of,
            key: key.map(key_of),
        };
        let (actor, at) = (self.actor(), self.at());
        let sealed = (kind == OperationKind::Update)
            .then(|| SecretString::from(format!("{{\"PASSWORD\":\"of {}\"}}", operation.id)));
        let queued = both!(self.pair, store =>
            store.enqueue_sealed(operation.clone(), sealed.clone(), status.clone(), &actor, at));
        if queued.as_ref().is_ok_and(|o| o.id == operation.id) {
            self.known.operations.push(operation.id);
        }
        Some(queued.is_err())
    }

    async fn of_operation(&mut self, call: &Call) -> Told {
        let (actor, at) = (self.actor(), self.at());
        let (Call::Cancel(n) | Call::Retry(n) | Call::Abandon(n)) = *call else {
            unreachable!("only what is asked of an operation comes here");
        };
        let id = self.operation(n).await?;
        let answer = match *call {
            Call::Cancel(_) => both!(self.pair, store => store.request_cancel(id, &actor, at)),
            Call::Retry(_) => {
                let key = n.is_multiple_of(3).then(|| key_of(n));
                both!(self.pair, store => store.retry_stuck_once(id, key.clone(), &actor, at))
            }
            _ => {
                let why = Failure::new("given_up", "given up", "Look.");
                both!(self.pair, store => store.abandon(id, why.clone(), &actor, at))
            }
        };
        Some(answer.is_err())
    }

    async fn guest_moved(&mut self, app: u8, node: u8) -> Told {
        let (app, at) = (self.app(app)?, self.at());
        let guests = both!(self.pair, store => store.native_guests(app)).unwrap();
        let guest = match guests.first() {
            Some(guest) => guest.id,
            None => GuestId(self.id()),
        };
        let event = event(EventKind::GuestMoved, node);
        let node = format!("pve{}", 1 + node % 3).parse().unwrap();
        let moved = both!(self.pair, store =>
            store.guest_moved(app, guest, &node, event.clone(), at));
        Some(moved.is_err())
    }
}
