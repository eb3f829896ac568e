//! What the tokens lack that would do what a plan says, by the one table of calls.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::app::AppClass;
use proximity_domain::ids::Vmid;
use proximity_domain::names::{Hostname, NodeName};
use proximity_domain::network::Network;
use proximity_domain::plan::{Act, Change, Plan, Recorded, Wanted, WantedKind};
use proximity_domain::preflight::RightsFacts;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::access::Privileges;
use proximity_pve::privileges::{Entry, Need, Scope, TABLE};
use proximity_pve::transport::Method;
use proximity_store::records::HostRecord;
use serde_json::json;

use crate::cluster::Cluster;
use crate::commands::create_app::{bridge_of, upstream};
use crate::commands::deadline::{Deadline, no_time};
use crate::engine::Engine;
use crate::error::EngineError;

/// Paths of rights that are asked for on one host, at most.
const MOST_PATHS: usize = 64;

const LXC: &str = "/nodes/{node}/lxc";
const ONE: &str = "/nodes/{node}/lxc/{vmid}";
const CONFIG: &str = "/nodes/{node}/lxc/{vmid}/config";
const RESIZE: &str = "/nodes/{node}/lxc/{vmid}/resize";
const START: &str = "/nodes/{node}/lxc/{vmid}/status/start";
const SHUTDOWN: &str = "/nodes/{node}/lxc/{vmid}/status/shutdown";

/// A call that a change leads to, with the parameters in it that need a right of their own.
type Call = (Method, &'static str, &'static [&'static str]);

/// What a new container is made with.
const MADE_WITH: &[&str] = &[
    "ostemplate",
    "rootfs",
    "cores",
    "memory",
    "hostname",
    "net0",
    "description",
];
const MAKES: &[Call] = &[(Method::Post, LXC, MADE_WITH), (Method::Post, START, &[])];
const DESTROYS: &[Call] = &[
    (Method::Post, SHUTDOWN, &[]),
    (Method::Put, CONFIG, &["protection"]),
    (Method::Delete, ONE, &[]),
];

/// Writes into each change what is lacking for it. What cannot be read is a note.
pub(super) async fn look(
    engine: &Engine,
    hosts: &[HostRecord],
    (wanted, recorded): (&[Wanted], &[Recorded]),
    plan: &mut Plan,
    deadline: Deadline,
) {
    let networks = networks(wanted, recorded);
    for host in hosts {
        let mut of_host: Vec<(&mut Change, Vec<Wish>)> = Vec::new();
        for change in &mut plan.changes {
            let wishes = match change.place.host_id == Some(host.id) {
                true => wishes(change, host, networks.get(&change.name).copied()),
                false => Vec::new(),
            };
            if !wishes.is_empty() {
                of_host.push((change, wishes));
            }
        }
        if of_host.is_empty() {
            continue;
        }
        let asked = of_host.iter().flat_map(|(_, wishes)| wishes);
        let asked: BTreeSet<Asked> = asked.map(|wish| wish.asked.clone()).collect();
        let held = held(engine, host, asked, deadline).await;
        for (change, wishes) in of_host {
            match &held {
                Ok(held) => judge(change, wishes, held),
                Err(why) => {
                    let what = format!("what the token may do was not read: {why}");
                    change.notes.push(what);
                }
            }
        }
    }
}

/// How each container that is made is attached: as its document says, or, where that says nothing, as the one that it replaces.
fn networks<'a>(
    wanted: &'a [Wanted],
    recorded: &'a [Recorded],
) -> BTreeMap<&'a Hostname, &'a Network> {
    let before = recorded.iter();
    let before = before.map(|one| (&one.name, &one.made_with.network));
    let mut networks: BTreeMap<&Hostname, &Network> = before.collect();
    networks.extend(wanted.iter().filter_map(|one| match &one.kind {
        WantedKind::App(app) => Some((&one.name, app.network.as_deref()?)),
        WantedKind::Adopted(_) => None,
    }));
    networks
}

/// What the tokens of this host hold of what it needs to make and start a container of ours on this node, in this VLAN of the
/// host entry's bridge.
///
/// # Errors
/// It could not be read, or not in time.
pub(in crate::commands) async fn to_make(
    engine: &Engine,
    host: &HostRecord,
    node: &NodeName,
    vlan: Option<u16>,
    deadline: Deadline,
) -> Result<RightsFacts, EngineError> {
    let spot = Spot {
        class: AppClass::Native,
        vmid: None,
        node: Some(node),
        vlan,
    };
    let wishes = needed_for(MAKES.to_vec(), &spot, host);
    let asked: BTreeSet<Asked> = wishes.iter().map(|wish| wish.asked.clone()).collect();
    let held = held(engine, host, asked, deadline).await?;
    let (mut needed, mut lacks) = (BTreeSet::new(), BTreeSet::new());
    for wish in &wishes {
        needed.insert(wish.text());
        if !held.get(&wish.asked).is_some_and(|held| wish.is_met(held)) {
            lacks.insert(wish.text());
        }
    }
    Ok(RightsFacts {
        needed: needed.len(),
        lacks: lacks.into_iter().collect(),
    })
}

/// Whose rights are asked for, and on which path.
type Asked = (TokenPurpose, String);

/// One right that is needed: any of these privileges.
struct Wish {
    asked: Asked,
    any_of: Vec<&'static str>,
}

impl Wish {
    fn is_met(&self, held: &Privileges) -> bool {
        self.any_of.iter().any(|privilege| held.contains(privilege))
    }

    /// `privilege on path`.
    fn text(&self) -> String {
        format!("{} on {}", self.any_of.join("|"), self.asked.1)
    }
}

/// The container that calls are about, or are to make.
struct Spot<'c> {
    class: AppClass,
    vmid: Option<Vmid>,
    node: Option<&'c NodeName>,
    /// A VLAN of the bridge: who may use it is asked in place of the whole bridge.
    vlan: Option<u16>,
}

impl<'c> Spot<'c> {
    fn of(change: &'c Change) -> Self {
        Self {
            class: change.class,
            vmid: change.place.vmid,
            node: change.place.node.as_ref(),
            vlan: None,
        }
    }
}

fn judge(change: &mut Change, wishes: Vec<Wish>, held: &BTreeMap<Asked, Privileges>) {
    let (mut lacks, mut is_unread) = (BTreeSet::new(), false);
    for wish in wishes {
        let Some(held) = held.get(&wish.asked) else {
            is_unread = true;
            continue;
        };
        if !wish.is_met(held) {
            lacks.insert(wish.text());
        }
    }
    change.lacks = lacks.into_iter().collect();
    if is_unread {
        let what = "not all of what the token may do was read: there are too many changes";
        change.notes.push(what.to_owned());
    }
}

/// The calls that a change leads to.
fn calls(change: &Change) -> Vec<Call> {
    let is_adopted = change.class == AppClass::Adopted;
    match change.act {
        Act::Create => MAKES.to_vec(),
        Act::Destroy => DESTROYS.to_vec(),
        Act::Replace if !is_adopted => [DESTROYS, MAKES].concat(),
        Act::Update => of_update(change),
        // The record changes, and no container.
        Act::Replace | Act::Adopt | Act::Forget | Act::NoOp => Vec::new(),
    }
}

fn of_update(change: &Change) -> Vec<Call> {
    let call = |path: &str, to: Option<&serde_json::Value>| -> Option<Call> {
        match path {
            "memory" => Some((Method::Put, CONFIG, &["memory"])),
            "cores" => Some((Method::Put, CONFIG, &["cores"])),
            "rootfs" => Some((Method::Put, RESIZE, &[])),
            "power" if to == Some(&json!("running")) => Some((Method::Post, START, &[])),
            "power" => Some((Method::Post, SHUTDOWN, &[])),
            _ => None,
        }
    };
    let fields = change.fields.iter();
    fields
        .filter_map(|field| call(&field.path, field.to.as_ref()))
        .collect()
}

/// What the calls of a change need on this host; `network` is how a container that is made is to be attached, if the documents say.
fn wishes(change: &Change, host: &HostRecord, network: Option<&Network>) -> Vec<Wish> {
    let mut spot = Spot::of(change);
    let Some(network) = network else {
        return needed_for(calls(change), &spot, host);
    };
    spot.vlan = network.vlan;
    let mut attached = host.clone();
    attached.bridge = bridge_of(host, network).clone();
    needed_for(calls(change), &spot, &attached)
}

/// What these calls need on this host.
fn needed_for(calls: Vec<Call>, spot: &Spot<'_>, host: &HostRecord) -> Vec<Wish> {
    let is_adopted = spot.class == AppClass::Adopted;
    let mut all = Vec::new();
    for (method, path, given) in calls {
        let is_it =
            |entry: &&Entry| entry.method == method && entry.path == path && entry.with.is_none();
        let Some(entry) = TABLE.iter().find(is_it) else {
            continue;
        };
        let Some(purpose) = entry.purpose(is_adopted) else {
            continue;
        };
        let needs = entry.needs.iter().filter(|need| {
            need.given.is_empty() || need.given.iter().any(|name| given.contains(name))
        });
        all.extend(needs.filter_map(|need| wish(need, purpose, spot, host)));
    }
    all
}

fn wish(need: &Need, purpose: TokenPurpose, spot: &Spot<'_>, host: &HostRecord) -> Option<Wish> {
    let path = path(*need.on.first()?, spot, host)?;
    let others = need.or.iter().map(|privilege| privilege.as_str());
    Some(Wish {
        asked: (purpose, path),
        any_of: std::iter::once(need.privilege.as_str())
            .chain(others)
            .collect(),
    })
}

/// The path of a scope. Guests of ours are reached through their pool, if there is one.
fn path(scope: Scope, spot: &Spot<'_>, host: &HostRecord) -> Option<String> {
    match scope {
        Scope::Everything | Scope::Access => Some(scope.pattern().to_owned()),
        Scope::Guest | Scope::Pool => {
            let pool = host.pool.as_ref();
            let pool = pool.filter(|_| spot.class == AppClass::Native);
            Some(match (pool, spot.vmid) {
                (Some(pool), _) => format!("/pool/{pool}"),
                (None, Some(vmid)) => format!("/vms/{vmid}"),
                (None, None) => "/vms".to_owned(),
            })
        }
        Scope::Storage => Some(format!("/storage/{}", host.storage)),
        Scope::TemplateStorage => Some(format!("/storage/{}", host.template_storage)),
        Scope::Bridge => {
            let bridge = format!("/sdn/zones/localnetwork/{}", host.bridge);
            Some(match spot.vlan {
                Some(vlan) => format!("{bridge}/{vlan}"),
                None => bridge,
            })
        }
        Scope::Node => spot.node.map(|node| format!("/nodes/{node}")),
        Scope::BackupStorage => None,
    }
}

/// What is held there, as far as it was asked for: [`MOST_PATHS`] paths.
async fn held(
    engine: &Engine,
    host: &HostRecord,
    asked: BTreeSet<Asked>,
    deadline: Deadline,
) -> Result<BTreeMap<Asked, Privileges>, EngineError> {
    let cluster = engine.inner.clusters.get(host.id).await?;
    let mut held = BTreeMap::new();
    for (purpose, path) in asked.into_iter().take(MOST_PATHS) {
        let answer = deadline.hold(told(&cluster, host, purpose, &path)).await;
        let answer = answer.ok_or_else(|| no_time(cluster.label(), "its rights are not known"))?;
        held.insert((purpose, path), answer?);
    }
    Ok(held)
}

/// What the token of this purpose holds on a path, by its own word where it is the one that looks.
async fn told(
    cluster: &Cluster,
    host: &HostRecord,
    purpose: TokenPurpose,
    path: &str,
) -> Result<Privileges, EngineError> {
    let others = &host.purpose_tokens;
    let of_purpose = match purpose {
        TokenPurpose::Operate => None,
        TokenPurpose::Observe => others.observe.as_ref(),
        TokenPurpose::Images => others.images.as_ref(),
        TokenPurpose::Adopted => others.adopted.as_ref(),
    };
    let token = of_purpose.map_or(host.token_id.as_str(), |token| token.id.as_str());
    let looks = others
        .observe
        .as_ref()
        .map_or(host.token_id.as_str(), |token| token.id.as_str());
    let read = cluster.read();
    let answer = match token == looks {
        true => read.permissions(Some(path)).await,
        false => read.permissions_of(token, Some(path)).await,
    };
    let mut answer = answer.map_err(|e| upstream(cluster.label(), &e))?;
    Ok(answer.remove(path).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proximity_domain::app::StatusLabel;
    use proximity_domain::create::Resources;
    use proximity_domain::ids::{AppId, HostId, Vmid};
    use proximity_domain::ignore::Ignored;
    use proximity_domain::made_with::MadeWith;
    use proximity_domain::network::NetworkWish;
    use proximity_domain::plan::{Downtime, FieldDiff, Place, Source, WantedApp};
    use proximity_domain::time::Timestamp;
    use proximity_store::records::{HostPlacement, PurposeTokens};
    use uuid::Uuid;

    use super::*;

    const RESOURCES: Resources = Resources {
        memory_mib: 512,
        cores: 1,
        disk_gib: 8,
    };

    fn host(pool: Option<&str>) -> HostRecord {
        HostRecord {
            id: HostId(Uuid::from_u128(2)),
            label: "home".parse().unwrap(),
            cluster_key: "node:pve1".to_owned(),
            endpoints: Vec::new(),
            token_id: "a@pve!b".to_owned(),
            token_secret: "secret".to_owned().into(),
            purpose_tokens: PurposeTokens::default(),
            ssh: None,
            pool: pool.map(|pool| pool.parse().unwrap()),
            storage: "fast".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement::default(),
            known_nodes: Vec::new(),
            pve_version: "9.2.11".to_owned(),
            created_at: Timestamp(0),
        }
    }

    fn change(act: Act, class: AppClass, paths: &[&str]) -> Change {
        let fields = paths.iter().map(|path| FieldDiff {
            path: (*path).to_owned(),
            from: None,
            to: Some(json!("running")),
            source: Source::Documents,
        });
        Change {
            name: "web".parse().unwrap(),
            app: None,
            class,
            place: Place {
                vmid: Some(Vmid::try_from(105).unwrap()),
                ..Place::default()
            },
            layer: 0,
            depends_on: Vec::new(),
            act,
            fields: fields.collect(),
            downtime: Downtime::None,
            at_risk: Vec::new(),
            lacks: Vec::new(),
            obstacles: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What such a change needs, as `purpose: privileges on path`.
    fn needed(change: &Change, pool: Option<&str>) -> BTreeSet<String> {
        let wishes = wishes(change, &host(pool), None).into_iter();
        let told = wishes.map(|wish| {
            let (purpose, path) = wish.asked;
            format!("{purpose}: {} on {path}", wish.any_of.join("|"))
        });
        told.collect()
    }

    #[test]
    fn a_change_needs_what_its_calls_need_and_no_more() {
        let update = change(Act::Update, AppClass::Native, &["memory", "settings.A"]);
        let expected = [
            "operate: VM.Config.Memory on /pool/apps",
            "operate: VM.Config.Options on /pool/apps",
        ];
        assert!(needed(&update, Some("apps")).iter().eq(expected));
        let alone = needed(&update, None);
        assert!(
            alone.iter().all(|one| one.ends_with(" on /vms/105")),
            "{alone:?}"
        );
        let power = change(Act::Update, AppClass::Adopted, &["power"]);
        let power = needed(&power, Some("apps"));
        assert!(
            power.iter().eq(["adopted: VM.PowerMgmt on /vms/105"]),
            "{power:?}"
        );
        let made = needed(&change(Act::Create, AppClass::Native, &[]), Some("apps"));
        for one in [
            "operate: VM.Allocate on /pool/apps",
            "operate: Datastore.AllocateSpace on /storage/fast",
            "operate: SDN.Use on /sdn/zones/localnetwork/vmbr0",
        ] {
            assert!(made.contains(one), "{made:?}");
        }
        for act in [Act::Adopt, Act::Forget, Act::NoOp] {
            let none = needed(&change(act, AppClass::Adopted, &[]), None);
            assert!(none.is_empty(), "{none:?}");
        }
    }

    fn attached(vlan: u32) -> Network {
        let wish = NetworkWish {
            vlan: Some(vlan),
            bridge: Some("vmbr1".to_owned()),
            ..NetworkWish::default()
        };
        wish.check().unwrap()
    }

    fn recorded(network: Network) -> Recorded {
        Recorded {
            id: AppId(Uuid::from_u128(1)),
            name: "web".parse().unwrap(),
            class: AppClass::Native,
            is_own: true,
            status: StatusLabel::Running,
            busy: None,
            catalog_id: "nginx".parse().unwrap(),
            host: HostId(Uuid::from_u128(2)),
            node: "pve1".parse().unwrap(),
            vmid: None,
            resources: RESOURCES,
            settings: BTreeMap::new(),
            port: 80,
            exposed: true,
            guarded: false,
            made_with: MadeWith {
                network,
                ..MadeWith::default()
            },
            bridge: None,
            site: None,
            depends_on: Vec::new(),
            secrets: BTreeMap::new(),
        }
    }

    fn wanted(network: Option<Network>) -> Wanted {
        Wanted {
            name: "web".parse().unwrap(),
            layer: 0,
            depends_on: Vec::new(),
            kind: WantedKind::App(WantedApp {
                catalog_id: "nginx".parse().unwrap(),
                host: None,
                node: None,
                resources: RESOURCES,
                settings: BTreeMap::new(),
                power: None,
                ignore: Ignored::default(),
                network: network.map(Box::new),
                root: None,
                site: None,
                apart_from: None,
            }),
        }
    }

    /// What a document says nothing of is kept over a replacement, and so is the right that it takes.
    #[test]
    fn a_replacement_needs_the_bridge_that_it_is_attached_to() {
        let replaced = change(Act::Replace, AppClass::Native, &["root_access"]);
        let record = [recorded(attached(30))];
        for (said, vlan) in [(None, 30), (Some(attached(31)), 31)] {
            let wanted = [wanted(said)];
            let networks = networks(&wanted, &record);
            let network = networks.get(&replaced.name).copied();
            let wishes = wishes(&replaced, &host(Some("apps")), network);
            let bridge = format!("/sdn/zones/localnetwork/vmbr1/{vlan}");
            let mut asked = wishes.iter().map(|wish| &wish.asked.1);
            assert!(asked.any(|path| *path == bridge), "{bridge}");
        }
    }

    #[test]
    fn every_call_of_a_change_is_in_the_table() {
        let change = change(
            Act::Update,
            AppClass::Native,
            &["memory", "rootfs", "power"],
        );
        let changes = three(&change);
        let calls = [MAKES, DESTROYS, &changes[..]].concat();
        for (method, path, _) in calls {
            let mut entries = TABLE.iter();
            assert!(
                entries.any(|entry| entry.method == method && entry.path == path),
                "{path}"
            );
        }
    }

    fn three(change: &Change) -> Vec<Call> {
        let calls = of_update(change);
        assert_eq!(calls.len(), 3);
        calls
    }

    #[test]
    fn what_is_not_held_is_lacking_and_one_of_several_is_enough() {
        let mut update = change(Act::Update, AppClass::Native, &["memory"]);
        let path = "/pool/apps".to_owned();
        let held = serde_json::from_value(json!({ "VM.Config.Options": 1 })).unwrap();
        let held = BTreeMap::from([((TokenPurpose::Operate, path), held)]);
        let wanted = wishes(&update, &host(Some("apps")), None);
        judge(&mut update, wanted, &held);
        assert_eq!(update.lacks, ["VM.Config.Memory on /pool/apps"]);
        let any = Wish {
            asked: (TokenPurpose::Operate, "/pool/apps".to_owned()),
            any_of: vec!["VM.Clone", "VM.Config.Options"],
        };
        judge(&mut update, vec![any], &held);
        assert!(update.lacks.is_empty() && update.notes.is_empty());
        let wanted = wishes(&update, &host(None), None);
        judge(&mut update, wanted, &held);
        assert_eq!(update.notes.len(), 1, "{:?}", update.notes);
    }
}
