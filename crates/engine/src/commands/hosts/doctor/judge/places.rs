//! Storages and the bridge, on the nodes that get new apps.

use proximity_domain::names::{NodeName, StorageName};
use proximity_pve::storage::{Content, Storage};
use proximity_store::records::HostRecord;

use super::super::facts::{Facts, NodeFacts};
use super::super::finding::Code;
use super::super::pveum::word;
use super::{Judge, blind, names};

/// More in use is warned of, in hundredths.
const NEARLY_FULL: u64 = 90;

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let meant: Vec<&NodeFacts> = facts
        .nodes
        .iter()
        .filter(|node| is_meant(facts, node))
        .collect();
    let blind = blind(facts);
    for node in &meant {
        unread(node, blind.as_deref(), judge);
    }
    for (storage, content) in used(&facts.record) {
        one_storage(facts, storage, content, &meant, blind.is_some(), judge);
    }
    bridge(facts, &meant, blind.is_some(), judge);
}

/// The storages, each with what it is used for here.
fn used(record: &HostRecord) -> [(&StorageName, Content); 2] {
    [
        (&record.storage, Content::RootDir),
        (&record.template_storage, Content::Template),
    ]
}

/// Nodes that are kept out by the entry get no new apps.
fn is_meant(facts: &Facts, node: &NodeFacts) -> bool {
    !facts.record.placement.excluded_nodes.contains(&node.name)
}

fn unread(node: &NodeFacts, blind: Option<&str>, judge: &mut Judge) {
    let subject = || format!("node {}", node.name);
    if let Some(why) = node.storages.as_ref().err().map(String::as_str).or(blind) {
        let what = format!("its storages were not read whole: {why}");
        judge.say(Code::StorageUnread, subject(), what, []);
    }
    if let Some(why) = node.bridges.as_ref().err().map(String::as_str).or(blind) {
        let what = format!("its bridges were not read whole: {why}");
        judge.say(Code::BridgeUnread, subject(), what, []);
    }
}

/// What is wrong with a storage on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Missing,
    /// It holds these kinds instead.
    Content(String),
    Off,
    Inactive,
}

fn wrong(storages: &[Storage], name: &StorageName, content: Content) -> Option<Wrong> {
    let Some(storage) = storages.iter().find(|storage| storage.name == *name) else {
        return Some(Wrong::Missing);
    };
    if !storage.holds(content) {
        Some(Wrong::Content(storage.content.clone()))
    } else if !storage.enabled {
        Some(Wrong::Off)
    } else if !storage.active {
        Some(Wrong::Inactive)
    } else {
        None
    }
}

fn one_storage(
    facts: &Facts,
    name: &StorageName,
    content: Content,
    meant: &[&NodeFacts],
    is_blind: bool,
    judge: &mut Judge,
) {
    let subject = format!("storage {name} for {}", kind(content));
    let read = meant
        .iter()
        .filter_map(|node| Some((&node.name, node.storages.as_ref().ok()?)));
    let looks: Vec<(&NodeName, Option<Wrong>)> = read
        .map(|(node, storages)| (node, wrong(storages, name, content)))
        // What is not shown to a token without the right to see it is not missing.
        .filter(|(_, wrong)| !(is_blind && *wrong == Some(Wrong::Missing)))
        .collect();
    if looks.is_empty() {
        return;
    }
    let bad: Vec<(&NodeName, &Wrong)> = looks
        .iter()
        .filter_map(|(node, wrong)| Some((*node, wrong.as_ref()?)))
        .collect();
    if bad.is_empty() {
        let what = format!(
            "it takes {content} on {}",
            names(looks.iter().map(|(node, _)| node))
        );
        judge.say(Code::StorageUsable, subject, what, []);
    } else {
        let code = match bad.len() == looks.len() {
            true => Code::StorageUnusable,
            false => Code::StorageUnusableOnNode,
        };
        let told: Vec<String> = bad
            .iter()
            .map(|(node, wrong)| format!("on {node} {}", say(wrong, content)))
            .collect();
        let mut next: Vec<String> = bad
            .iter()
            .map(|(node, wrong)| mend(facts, name, node, wrong))
            .collect();
        next.dedup();
        judge.say(code, subject, told.join("; "), next);
    }
    full(name, meant, judge, content);
}

fn kind(content: Content) -> &'static str {
    match content {
        Content::RootDir => "containers",
        Content::Template => "templates",
        Content::Backup => "backups",
        Content::Images => "disks",
    }
}

fn say(wrong: &Wrong, content: Content) -> String {
    match wrong {
        Wrong::Missing => "it is not there".to_owned(),
        Wrong::Content(has) => format!("it does not take {content}, but {has}"),
        Wrong::Off => "it is switched off".to_owned(),
        Wrong::Inactive => "it is not active".to_owned(),
    }
}

fn mend(facts: &Facts, name: &StorageName, node: &NodeName, wrong: &Wrong) -> String {
    match wrong {
        Wrong::Missing => format!(
            "make it there, or keep apps off that node: proximity hosts set {} --exclude {node}",
            facts.record.label
        ),
        Wrong::Content(has) => contents(facts, name, has),
        Wrong::Off => format!("pvesm set {name} --disable 0"),
        Wrong::Inactive => format!("see on {node} why: pvesm status --storage {name}"),
    }
}

/// The command that adds what a storage is used for here to what it has. `none` stands alone only
/// ("unable to combine 'none' with other content types", Storage/Plugin.pm of pve-storage).
fn contents(facts: &Facts, name: &StorageName, has: &str) -> String {
    let mut kinds: Vec<String> = has
        .split(',')
        .map(|kind| kind.trim().to_owned())
        .filter(|kind| !kind.is_empty() && kind != "none")
        .collect();
    for (storage, content) in used(&facts.record) {
        let kind = content.to_string();
        if storage == name && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    format!("pvesm set {name} --content {}", word(&kinds.join(",")))
}

/// Says where it is nearly full; a storage that all nodes share is told once.
fn full(name: &StorageName, meant: &[&NodeFacts], judge: &mut Judge, content: Content) {
    let mut is_told = false;
    for node in meant {
        let storages = node.storages.as_deref().unwrap_or_default();
        let Some(storage) = storages.iter().find(|storage| storage.name == *name) else {
            continue;
        };
        let (Some(total), Some(free)) = (storage.total_bytes, storage.available_bytes) else {
            continue;
        };
        if total == 0 || (storage.shared && is_told) {
            continue;
        }
        let in_use = u128::from(total.saturating_sub(free)) * 100 / u128::from(total);
        if in_use <= u128::from(NEARLY_FULL) {
            continue;
        }
        is_told = true;
        let at = if storage.shared {
            String::new()
        } else {
            format!(" on {}", node.name)
        };
        let what = format!("{in_use} % of it are in use{at}");
        let next = "make room, or take a larger storage".to_owned();
        let subject = format!("storage {name} for {}", kind(content));
        judge.say(Code::StorageNearlyFull, subject, what, [next]);
    }
}

fn bridge(facts: &Facts, meant: &[&NodeFacts], is_blind: bool, judge: &mut Judge) {
    let name = &facts.record.bridge;
    let subject = format!("bridge {name}");
    let read = meant
        .iter()
        .filter_map(|node| Some((&node.name, node.bridges.as_ref().ok()?)));
    let looks: Vec<(&NodeName, bool)> = read
        .map(|(node, bridges)| (node, bridges.iter().any(|bridge| bridge.name == *name)))
        .filter(|(_, is_there)| *is_there || !is_blind)
        .collect();
    let missing: Vec<&NodeName> = looks
        .iter()
        .filter(|(_, there)| !there)
        .map(|(node, _)| *node)
        .collect();
    if looks.is_empty() {
        return;
    }
    if missing.is_empty() {
        let what = format!("it is on {}", names(looks.iter().map(|(node, _)| node)));
        return judge.say(Code::BridgeThere, subject, what, []);
    }
    let code = match missing.len() == looks.len() {
        true => Code::BridgeMissing,
        false => Code::BridgeMissingOnNode,
    };
    let next = missing.iter().map(|node| {
        format!(
            "make it in PVE ({node}, System, Network), or keep apps off that node: proximity hosts set {} --exclude {node}",
            facts.record.label
        )
    });
    judge.say(
        code,
        subject,
        format!("it is not on {}", names(&missing)),
        next.collect::<Vec<_>>(),
    );
}
