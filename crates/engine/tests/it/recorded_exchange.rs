//! The recorded exchange of a tool that sets itself up with the least it needs, and works with that: walked step by step with the
//! calls of ours, on an emulated cluster that begins as the recorded one did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proximity_domain::accounts::AccountMark;
use proximity_domain::destroy::{DestroyIntent, Quorate};
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest, ObservedContainer};
use proximity_domain::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{AccountName, ApiTokenName, NodeName, PoolName, RoleName};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Clock;
use proximity_pve::accounts::{AccountClient, GrantTo};
use proximity_pve::cluster::ResourceRow;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::task::{TaskFilter, TaskOutcome, TaskWatcher};
use proximity_pve::transport::https::ApiToken;
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::tokens::Tokens;
use proximity_pve::transport::{Method, Transport};
use proximity_pve::{Client, Error, Upid, Warrant};
use proximity_pve_emulator::core::{Access, Storage};
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::RealClock;
use serde_json::Value;
use uuid::Uuid;

/// Roles as recorded, and the names of ours that stand for them. Ours never grants one of PVE's own, which a release may widen:
/// it makes one with the same privileges.
const ROLES: [(&str, &str, &[&str]); 3] = [
    ("GoldRole", "ProximityGold-00000001", &[]),
    (
        "PVESDNUser",
        "ProximitySdnUser-00000001",
        &["SDN.Audit", "SDN.Use"],
    ),
    (
        "PVEDatastoreUser",
        "ProximityDatastoreUser-00000001",
        &["Datastore.AllocateSpace", "Datastore.Audit"],
    ),
];
/// Where the recording has node `solo`.
const NODE: &str = "pve1";

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn mark() -> AccountMark {
    AccountMark(InstallationId(Uuid::from_u128(1)))
}

fn warrant() -> Warrant {
    Warrant {
        send_by: RealClock.monotonic().plus_ms(300_000),
        reference: "exchange".to_owned(),
    }
}

const HOST: HostId = HostId(Uuid::from_u128(5));

/// What came of a step: what was said no to, by the status.
type Came = Result<(), Error>;

struct Walk {
    pve: Pve,
    person: AccountClient,
    tool: Option<(Client, TaskWatcher)>,
    /// Steps that no call of ours can say.
    by_others: Vec<u64>,
}

fn cluster() -> Pve {
    Pve::start_with(Access::Full, |seed| {
        let local = seed.storages.first_mut().unwrap();
        local.content = ["backup", "images", "vztmpl", "snippets", "rootdir", "iso"]
            .map(str::to_owned)
            .to_vec();
        let shared = Storage {
            id: "shared".to_owned(),
            content: ["images", "rootdir", "backup"].map(str::to_owned).to_vec(),
            shared: true,
            path: "/mnt/shared".to_owned(),
            ..local.clone()
        };
        seed.storages.push(shared);
        let template = seed.templates.first_mut().unwrap();
        template.file = "alpine-lab_1.0_amd64.tar.zst".to_owned();
        template.ostype = "alpine".to_owned();
    })
}

impl Walk {
    fn begin() -> Self {
        let pve = cluster();
        let root = pve.clone();
        let transport = InProcess::new(move |request| {
            let root = root.clone();
            async move { root.send(request).await }
        });
        let person = AccountClient::in_process(transport, Arc::new(RealClock), HOST, warrant());
        Self {
            pve,
            person,
            tool: None,
            by_others: Vec::new(),
        }
    }

    fn tool(&self) -> &Client {
        &self.tool.as_ref().unwrap().0
    }

    async fn ended(&self, upid: Result<Upid, Error>) -> Came {
        let (_, watcher) = self.tool.as_ref().unwrap();
        let outcome = watcher.wait(&upid?, 30_000).await?;
        assert_eq!(outcome, TaskOutcome::Ok);
        Ok(())
    }

    async fn create(&self) -> Came {
        let new = CreateLxc {
            vmid: vmid(),
            ostemplate: name("local:vztmpl/alpine-lab_1.0_amd64.tar.zst"),
            hostname: name("web"),
            storage: name("shared"),
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
            description: guest_mark().to_string(),
            pool: Some(name("gold")),
            unprivileged: true,
            onboot: false,
            protection: false,
            nesting: false,
        };
        let made = self.tool().create_lxc(&name(NODE), new).await;
        self.ended(made).await
    }

    /// Ours does not destroy what runs, and what it has not just read as its own.
    async fn destroy(&self) -> Came {
        let node: NodeName = name(NODE);
        let stopped = self.tool().stop(&node, vmid()).await;
        self.ended(stopped).await?;
        let read_started = RealClock.monotonic();
        let config = self.tool().read().lxc_config(&node, vmid()).await?;
        let place = ContainerRef {
            host: HOST,
            node,
            vmid: vmid(),
        };
        let seen = ObservedContainer {
            place: place.clone(),
            mark: config.description.as_deref().and_then(Mark::find),
            net0_mac: config.net0.as_ref().and_then(|net| net.hwaddr),
            rootfs_volid: config.rootfs.as_ref().map(|root| root.volid.clone()),
            lock: config.lock.clone(),
            protection: config.protection,
            digest: config
                .digest
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            ha_managed: false,
            replicated: false,
        };
        let guest = NativeGuest {
            id: GuestId(Uuid::from_u128(7)),
            app: guest_mark().app,
            created_by: operation(),
            place,
            identity: ContainerIdentity {
                vmid: vmid(),
                mark: guest_mark(),
                net0_mac: name("BC:24:11:00:00:01"),
                rootfs_volid: seen.rootfs_volid.clone(),
            },
            learned: None,
        };
        let verified = guest.verify(&seen, read_started, Epoch(1)).unwrap();
        let intent = DestroyIntent::RemovalRequested(operation());
        let permit = verified
            .permit(OperationKind::Remove, intent, Quorate(true))
            .unwrap();
        let gone = self.tool().destroy_lxc(permit).await;
        self.ended(gone).await
    }

    async fn tag(&self, tag: &str) -> Came {
        let node: NodeName = name(NODE);
        let config = self.tool().read().lxc_config(&node, vmid()).await?;
        let digest = config.digest.unwrap();
        let tags = [tag.to_owned()];
        self.tool().set_tags(&node, vmid(), &tags, &digest).await
    }

    async fn start(&self) -> Came {
        let started = self.tool().start(&name(NODE), vmid()).await;
        self.ended(started).await
    }

    /// The tool's token; from then on it is the tool that works.
    async fn create_token(&mut self, token: &ApiTokenName) -> Came {
        let secret = self.person.create_token(token, mark()).await?;
        let (clock, reached) = (
            Arc::new(RealClock),
            Arc::new(self.pve.reached_with(&Tokens::one(ApiToken {
                id: token.to_string(),
                secret,
            }))),
        );
        let client = Client::new(reached, clock.clone(), HOST, warrant());
        let watcher = TaskWatcher::new(client.read().clone(), clock);
        self.tool = Some((client, watcher));
        Ok(())
    }

    /// Held as recorded: path and names of what is held there (`false`: not below it).
    async fn permissions(&self, recorded: &Value) -> Came {
        let seen = self.tool().read().permissions(None).await?;
        let seen = seen.into_iter().map(|(path, held)| {
            let each = held
                .iter()
                .map(|name| (name.to_owned(), held.propagates(name)));
            (path, each.collect())
        });
        assert_eq!(seen.collect::<Held>(), flags(recorded), "permissions");
        Ok(())
    }

    /// The grants of the tool as recorded.
    async fn grants(&self, recorded: &Value) -> Came {
        let seen = self.person.grants().await?.into_iter().map(|grant| {
            (
                grant.path,
                grant.holder.to_string(),
                grant.role,
                grant.propagates,
            )
        });
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = recorded.as_array().unwrap().iter();
        let told = rows.map(|row| {
            let role = with_our_names(&text(row, "roleid"));
            (
                text(row, "path"),
                format!("{} {}", text(row, "type"), text(row, "ugid")),
                role,
                row["propagate"] == 1,
            )
        });
        let of_tool = |rows: &mut dyn Iterator<Item = (String, String, String, bool)>| {
            rows.filter(|(_, holder, ..)| holder.contains("gold@pve"))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            of_tool(&mut seen.into_iter()),
            of_tool(&mut told.into_iter()),
            "grants"
        );
        Ok(())
    }

    async fn grant(&self, step: &Step) -> Came {
        let is_one_of_pves = |(name, ..): &&(&str, &str, &[&str])| {
            name.starts_with("PVE") && *name == step.given("roles")
        };
        if let Some((_, own, privileges)) = ROLES.iter().find(is_one_of_pves) {
            let privileges = privileges.iter().map(|name| (*name).to_owned()).collect();
            self.person.create_role(&name(own), &privileges).await?;
        }
        let grant = GrantTo {
            path: step.given("path").to_owned(),
            role: role(step.given("roles")),
            user: step.maybe("users").map(name),
            token: step.maybe("tokens").map(name),
            propagates: true,
        };
        self.person.grant(&grant).await
    }

    /// A call that none of ours can say, as root sends it.
    async fn other(&mut self, step: &Step) -> u16 {
        let method = match step.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => Method::Delete,
        };
        self.by_others.push(step.number);
        let given = step.given.iter();
        let params: Vec<(&str, &str)> = given.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.pve.as_root(method, &step.path, &params).await.status
    }

    /// What root does for roles, users and tokens.
    async fn account(&mut self, step: &Step) -> Option<Came> {
        let (data, text) = (&step.answered["data"], mark().to_string());
        Some(match (step.method.as_str(), step.path.as_str()) {
            ("POST", "/access/roles") => {
                let privileges = step.given("privs").split(' ').map(str::to_owned).collect();
                let role = role(step.given("roleid"));
                self.person.create_role(&role, &privileges).await
            }
            ("GET", "/access/roles/GoldRole") => {
                self.person.role(&role("GoldRole")).await.map(|held| {
                    let told = data.as_object().unwrap().keys().cloned().collect();
                    assert_eq!(held, told);
                })
            }
            ("DELETE", "/access/roles/GoldRole") => {
                let own = mark().own_role(&role("GoldRole")).unwrap();
                self.person.delete_role(own).await
            }
            ("POST", "/access/users") => {
                let user = step.given("userid").parse::<AccountName>().ok()?;
                self.person.create_user(&user, mark()).await
            }
            ("DELETE", "/access/users/gold@pve") => {
                let own = mark().own_user(&name("gold@pve"), Some(&text)).unwrap();
                self.person.delete_user(own).await
            }
            ("POST", path) if path.contains("/token/") => {
                let path = path.strip_prefix("/access/users/")?;
                let token = path.replace("/token/", "!").parse().ok()?;
                self.create_token(&token).await
            }
            ("GET", "/access/users/gold@pve/token") => {
                let tokens = self.person.tokens(&name("gold@pve")).await;
                tokens.map(|tokens| {
                    assert_eq!(tokens.len(), data.as_array().unwrap().len());
                    assert!(tokens[0].separated && tokens[0].name == "ci");
                })
            }
            ("DELETE", "/access/users/gold@pve/token/ci") => {
                let own = mark().own_token(&name("gold@pve!ci"), Some(&text));
                self.person.delete_token(own.unwrap()).await
            }
            _ => return None,
        })
    }

    /// What root does for pools and grants.
    async fn ground(&self, step: &Step) -> Option<Came> {
        let gold: PoolName = name("gold");
        Some(match (step.method.as_str(), step.path.as_str()) {
            ("POST", "/pools") => self.person.create_pool(&gold, mark()).await,
            ("DELETE", "/pools") => {
                let own = mark().own_pool(&gold, Some(&mark().to_string()));
                self.person.delete_pool(own.unwrap()).await
            }
            ("PUT", "/access/acl") => self.grant(step).await,
            ("GET", "/access/acl") => self.grants(&step.answered["data"]).await,
            _ => return None,
        })
    }

    /// What the tool does.
    async fn work(&self, step: &Step) -> Option<Came> {
        let (data, read) = (&step.answered["data"], self.tool().read());
        Some(match (step.method.as_str(), step.path.as_str()) {
            ("GET", "/access/permissions") => self.permissions(data).await,
            ("POST", "/nodes/solo/lxc") => self.create().await,
            ("PUT", "/nodes/solo/lxc/210/config") => self.tag(step.given("tags")).await,
            ("POST", "/nodes/solo/lxc/210/status/start") => self.start().await,
            ("DELETE", "/nodes/solo/lxc/210") => self.destroy().await,
            ("GET", "/cluster/resources") => read.resources_vm().await.map(|rows| {
                let pool = |row: &ResourceRow| row.pool.as_ref().map(ToString::to_string);
                let seen = rows.iter().map(|row| (row.vmid.get(), pool(row)));
                assert_eq!(seen.collect::<Vec<_>>(), [(210, Some("gold".to_owned()))]);
            }),
            ("GET", "/nodes/solo/tasks") => {
                let rows = read.node_tasks(&name(NODE), &TaskFilter::default()).await;
                rows.map(|rows| {
                    let told = data.as_array().unwrap().iter();
                    let told = told.map(|row| row["type"].as_str().unwrap());
                    let seen = rows.iter().map(|row| row.upid.kind());
                    assert_eq!(seen.collect::<Vec<_>>(), told.collect::<Vec<_>>());
                })
            }
            ("GET", "/version") => read.version().await.map(drop),
            _ => return None,
        })
    }

    /// Takes a step with the call of ours that says the same. Gives the status, and what was said if it was no.
    async fn take(&mut self, step: &Step) -> (u16, String) {
        let came = match step.by.as_str() {
            "gold-token" => self.work(step).await,
            _ => match self.ground(step).await {
                Some(came) => Some(came),
                None => self.account(step).await,
            },
        };
        match came {
            // Ours does not even send it, or has no such call.
            None => (self.other(step).await, String::new()),
            Some(Ok(())) => (200, String::new()),
            Some(Err(Error::Refused {
                status,
                message,
                errors,
                ..
            })) => (status, format!("{message} {errors:?}")),
            Some(Err(Error::Unauthorized { reason, .. })) => (401, reason),
            Some(Err(other)) => panic!("step {}: {other}", step.number),
        }
    }
}

/// Privileges by path, each with whether it holds below that.
type Held = BTreeMap<String, BTreeMap<String, bool>>;

/// As recorded.
fn flags(recorded: &Value) -> Held {
    let paths = recorded.as_object().unwrap().iter().map(|(path, held)| {
        let held = held.as_object().unwrap().iter();
        (
            path.clone(),
            held.map(|(name, below)| (name.clone(), *below == 1))
                .collect(),
        )
    });
    paths.collect()
}

fn role(recorded: &str) -> RoleName {
    name(&with_our_names(recorded))
}

fn with_our_names(text: &str) -> String {
    ROLES
        .iter()
        .fold(text.to_owned(), |text, (recorded, own, _)| {
            text.replace(recorded, own)
        })
}

fn vmid() -> Vmid {
    Vmid::try_from(210).unwrap()
}

fn operation() -> OperationId {
    OperationId(Uuid::from_u128(6))
}

fn guest_mark() -> Mark {
    Mark {
        installation: mark().0,
        app: AppId(Uuid::from_u128(7)),
        nonce: 7,
    }
}

struct Step {
    number: u64,
    by: String,
    method: String,
    path: String,
    given: Vec<(String, String)>,
    status: u16,
    answered: Value,
}

impl Step {
    fn read(step: &Value) -> Self {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let given = step["form"]
            .as_object()
            .or_else(|| step["query"].as_object());
        let given = given.into_iter().flatten();
        Self {
            number: step["n"].as_u64().unwrap(),
            by: text(&step["as"]),
            method: text(&step["method"]),
            path: text(&step["path"])
                .strip_prefix("/api2/json")
                .unwrap()
                .to_owned(),
            given: given
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            status: u16::try_from(step["response"]["status"].as_u64().unwrap()).unwrap(),
            answered: step["response"]["body"].clone(),
        }
    }

    fn maybe(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    fn given(&self, name: &str) -> &str {
        self.maybe(name).unwrap()
    }

    /// What PVE said no with, as it is said with our names: its message, and each parameter's trouble.
    fn refusal(&self) -> Vec<String> {
        let message = self.answered["message"].as_str().map(str::trim_end);
        let errors = self.answered["errors"].as_object().into_iter().flatten();
        let errors = errors.filter_map(|(_, why)| why.as_str().map(str::trim_end));
        message
            .into_iter()
            .chain(errors)
            .map(with_our_names)
            .collect()
    }
}

fn steps() -> Vec<Step> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/pve-traces/access-least-privilege.json");
    let recording: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    recording["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(Step::read)
        .collect()
}

#[tokio::test]
async fn the_recorded_least_privilege_exchange_is_followed_step_by_step() {
    let mut walk = Walk::begin();
    let steps = steps();
    for step in &steps {
        let (status, said) = walk.take(step).await;
        let number = step.number;
        assert_eq!(
            status, step.status,
            "step {number} {} {}: {said}",
            step.method, step.path
        );
        if !walk.by_others.contains(&number) {
            for text in step.refusal() {
                assert!(
                    said.contains(&text),
                    "step {number}: {said}\nrecorded: {text}"
                );
            }
        }
    }
    assert_eq!(steps.len(), 41);
    // A user without realm and a token id that is too short, which ours refuses to send; one token alone; and a storage's
    // membership in the pool, which ours does not need, put there and taken out.
    assert_eq!(walk.by_others, [7, 10, 11, 14, 33]);
}
