//! `proximity history` and `proximity snapshots …`.

use proximity_api::client::{Client, ClientError};
use proximity_api::resources::{
    AtQuery, ChangedField, DiffQuery, HistoryQuery, Resource, ResourceAt, ResourceDiff,
    ResourceHistory, ResourceList, ResourceQuery, SnapshotEntry,
};
use proximity_api::rollback::{DesiredHistory, DesiredQuery, DesiredRevision};
use proximity_domain::names::Hostname;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{HistoryArgs, ResourceName, SnapshotsAt, SnapshotsDiff, SnapshotsList};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{details, moment, or_dash, table};

/// Resources of one name that are told apart.
const NAMESAKES: u32 = 20;
/// Revisions of an app that are told at most.
const MOST_REVISIONS: u32 = 200;
/// Over what something was at a second moment that was given.
const LATER: &str = "LATER";
/// And over what it is.
const NOW: &str = "NOW";
/// Longest value that is shown in a table, characters.
const LONGEST_VALUE: usize = 60;

pub(crate) async fn history(context: &Context, args: HistoryArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let desired = match args.after {
        // A later page is of the resource alone.
        Some(_) => None,
        None => desired(&client, &args.name, args.limit).await?,
    };
    let snapshots = match find(&client, args.name).await {
        Ok(resource) => {
            let query = HistoryQuery {
                limit: Some(args.limit),
                after: args.after,
            };
            Some(client.resource_history(&resource, &query).await?)
        }
        // What was wanted of an app is told also where its container is not recorded, or not shown to who asks.
        Err(failed) if desired.is_some() && is_no_matter(&failed.body.code) => None,
        Err(failed) => return Err(failed),
    };
    let history = History { snapshots, desired };
    context.output.result(&history, both)
}

/// What became of a resource, and what was wanted of the app of its name.
#[derive(Serialize)]
struct History {
    #[serde(flatten)]
    snapshots: Option<ResourceHistory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<DesiredHistory>,
}

fn is_no_matter(code: &str) -> bool {
    matches!(code, "resource_not_found" | "forbidden")
}

/// What was wanted of the app of this name; `None` if there is none, or it is not shown to who asks.
async fn desired(
    client: &Client,
    name: &ResourceName,
    limit: u32,
) -> Result<Option<DesiredHistory>, Failed> {
    let is_of_container = name.kind.as_deref().is_none_or(|kind| kind == "container");
    if !is_of_container || name.resource.parse::<Hostname>().is_err() {
        return Ok(None);
    }
    let query = DesiredQuery {
        limit: Some(limit.min(MOST_REVISIONS)),
        after: None,
    };
    match client.desired(&name.resource, &query).await {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Refused {
            status: 403 | 404, ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn both(history: &History) -> String {
    let snapshots = history.snapshots.iter().map(timeline);
    let desired = history.desired.iter().map(wanted);
    let parts: Vec<String> = snapshots.chain(desired).collect();
    parts.join("\n\n")
}

/// The revisions of what was wanted of an app.
fn wanted(desired: &DesiredHistory) -> String {
    let name = &desired.name;
    let rows = table(
        ["REVISION", "SINCE", "BY", "WANTED", "PLAN"],
        desired.revisions.iter().map(revision),
        "no document named it yet",
    );
    let mut text = format!("wanted of {name}\n\n{rows}");
    if !desired.revisions.is_empty() {
        text.push_str(&format!(
            "\ngo back with: proximity rollback {name} --to REVISION"
        ));
    }
    text
}

fn revision(one: &DesiredRevision) -> [String; 5] {
    let kind = one.kind.as_deref().unwrap_or("nothing");
    let wanted = match one.of_this_app {
        true => kind.to_owned(),
        false => format!("{kind} (of an earlier app)"),
    };
    [
        one.revision.to_string(),
        moment(one.applied_at),
        one.applied_by.clone(),
        wanted,
        one.plan_id.clone(),
    ]
}

pub(crate) async fn list(context: &Context, args: SnapshotsList) -> Result<(), Failed> {
    let query = ResourceQuery {
        host: args.host,
        kind: args.kind,
        status: args.status,
        name: None,
        gone: args.gone.then_some(true),
        limit: Some(args.limit),
        after: args.after,
    };
    let list = context.client()?.resources(&query).await?;
    context.output.result(&list, listed)
}

pub(crate) async fn at(context: &Context, args: SnapshotsAt) -> Result<(), Failed> {
    let client = context.client()?;
    let resource = find(&client, args.name).await?;
    let query = AtQuery { time: args.time };
    let found = client.resource_at(&resource, &query).await?;
    context.output.result(&found, state)
}

pub(crate) async fn diff(context: &Context, args: SnapshotsDiff) -> Result<(), Failed> {
    let client = context.client()?;
    let resource = find(&client, args.name).await?;
    let later = if args.to.is_some() { LATER } else { NOW };
    let query = DiffQuery {
        from: args.from,
        to: args.to,
    };
    let found = client.resource_diff(&resource, &query).await?;
    context
        .output
        .result(&found, |found| differences(found, later))
}

/// The id of what is meant: of several with the name the only one that is there.
async fn find(client: &Client, name: ResourceName) -> Result<String, Failed> {
    if is_id(&name.resource) {
        return Ok(name.resource);
    }
    let query = ResourceQuery {
        host: name.host,
        kind: name.kind,
        name: Some(name.resource.clone()),
        gone: Some(true),
        limit: Some(NAMESAKES),
        ..ResourceQuery::default()
    };
    let found = client.resources(&query).await?;
    choose(&name.resource, found.resources)
}

/// As the API writes ids.
fn is_id(text: &str) -> bool {
    text.parse::<uuid::Uuid>().is_ok() && text.contains('-')
}

fn choose(name: &str, found: Vec<Resource>) -> Result<String, Failed> {
    let mut there = found.iter().filter(|one| one.gone_at.is_none());
    match (there.next(), there.next(), found.as_slice()) {
        (Some(only), None, _) | (None, _, [only]) => Ok(only.id.clone()),
        (None, _, []) => Err(Failed::config(
            "resource_not_found",
            format!("no resource has the name or number {name}"),
            "list them with: proximity snapshots list --gone",
        )),
        (Some(_), Some(_), _) | (None, _, _) => {
            let mut failed = Failed::usage(
                format!("{} resources have the name or number {name}", found.len()),
                "say which one with --host and --kind, or by its id",
            );
            for one in &found {
                let (host, kind, key) = (&one.host, &one.kind, &one.key);
                let which = format!("{kind} {key} on {host}");
                failed.body.fields.insert(one.id.clone(), which);
            }
            Err(failed)
        }
    }
}

fn listed(list: &ResourceList) -> String {
    let mut text = table(
        ["HOST", "KIND", "KEY", "NAME", "STATUS", "SINCE"],
        list.resources.iter().map(row),
        "nothing is recorded yet: a cluster is read some seconds after the server's start",
    );
    let shown = list.resources.len() as u64;
    if let Some(next) = &list.next {
        text.push_str(&format!(
            "\n{shown} of {}, more with --after {next}",
            list.total
        ));
    }
    text
}

fn row(resource: &Resource) -> [String; 6] {
    let status = match resource.gone_at {
        Some(_) => "gone".to_owned(),
        None => resource.status.clone(),
    };
    [
        resource.host.clone(),
        resource.kind.clone(),
        resource.key.clone(),
        or_dash(resource.name.as_deref()),
        status,
        moment(resource.changed_at),
    ]
}

/// Which resource, and how it stands.
fn head(resource: &Resource) -> String {
    let (kind, key, host) = (&resource.kind, &resource.key, &resource.host);
    let name = resource.name.as_deref().filter(|name| name != key);
    let name = name.map_or_else(String::new, |name| format!(" ({name})"));
    let stands = match resource.gone_at {
        Some(at) => format!("gone since {}", moment(at)),
        None => resource.status.clone(),
    };
    format!("{kind} {key}{name} on {host}: {stands}")
}

fn timeline(history: &ResourceHistory) -> String {
    let rows = table(
        ["NO", "SEEN", "CHANGE", "WHAT"],
        history.snapshots.iter().map(entry),
        "nothing of it is kept before that",
    );
    let mut text = format!("{}\n\n{rows}", head(&history.resource));
    if let Some(next) = &history.next {
        text.push_str(&format!("\nmore with --after {next}"));
    }
    text
}

fn entry(entry: &SnapshotEntry) -> [String; 4] {
    let what = match &entry.changes {
        Some(changes) => {
            let each = changes.iter().map(|change| {
                let (from, to) = (shown(change.from.as_ref()), shown(change.to.as_ref()));
                format!("{} {from} -> {to}", change.field)
            });
            each.collect::<Vec<_>>().join("; ")
        }
        None => entry.status.clone(),
    };
    [
        entry.seq.to_string(),
        moment(entry.at),
        entry.change.clone(),
        what,
    ]
}

fn state(found: &ResourceAt) -> String {
    let since = moment(found.snapshot.at);
    let (seq, change) = (found.snapshot.seq, &found.snapshot.change);
    let fields = found.state.iter();
    let fields = fields.map(|(name, value)| (name.as_str(), shown(Some(value))));
    format!(
        "{}\nas of {since}, no {seq}, {change}\n\n{}",
        head(&found.resource),
        details(fields)
    )
}

/// `later` heads what it was at the second moment.
fn differences(found: &ResourceDiff, later: &str) -> String {
    let (from, to) = (&found.from, &found.to);
    let changes = table(
        ["FIELD", "THEN", later],
        found.changes.iter().map(changed),
        "nothing differs",
    );
    format!(
        "{}\nfrom no {} of {} to no {} of {}\n\n{changes}",
        head(&found.resource),
        from.seq,
        moment(from.at),
        to.seq,
        moment(to.at)
    )
}

fn changed(change: &ChangedField) -> [String; 3] {
    [
        change.field.clone(),
        shown(change.from.as_ref()),
        shown(change.to.as_ref()),
    ]
}

/// A value on one line.
fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "-".to_owned(),
        Some(Value::String(text)) => text.trim_end().replace('\n', " "),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let cut: String = text.chars().take(LONGEST_VALUE).collect();
    format!("{cut}...")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proximity_api::resources::SnapshotPlace;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn resource(id: &str, gone: bool) -> Resource {
        Resource {
            id: id.to_owned(),
            host: "lab".to_owned(),
            kind: "container".to_owned(),
            key: "101".to_owned(),
            name: Some("web".to_owned()),
            status: "running".to_owned(),
            first_seen_at: at(0),
            changed_at: at(60),
            gone_at: gone.then(|| at(90)),
            state: None,
        }
    }

    fn field(field: &str, from: Option<Value>, to: Option<Value>) -> ChangedField {
        ChangedField {
            field: field.to_owned(),
            from,
            to,
        }
    }

    fn place(seq: i64, change: &str) -> SnapshotPlace {
        SnapshotPlace {
            seq,
            at: at(60 * (seq - 1)),
            change: change.to_owned(),
        }
    }

    #[test]
    fn resources_are_a_table() {
        let node = Resource {
            kind: "node".to_owned(),
            key: "pve1".to_owned(),
            name: None,
            status: "online".to_owned(),
            ..resource("2", false)
        };
        let mut list = ResourceList {
            resources: vec![resource("1", true), node],
            total: 7,
            next: Some("2".to_owned()),
        };
        let some = listed(&list);
        list.resources.clear();
        list.next = None;
        insta::assert_snapshot!(format!("{some}\n\n{}", listed(&list)));
    }

    #[test]
    fn a_history_tells_what_each_change_was() {
        let entry = |seq, change: &str, changes| SnapshotEntry {
            seq,
            at: at(60 * (seq - 1)),
            change: change.to_owned(),
            status: "running".to_owned(),
            changes,
        };
        let changes = vec![
            field("config.memory", Some(json!("512")), Some(json!("1024"))),
            field("pool", Some(json!("team")), None),
        ];
        let history = ResourceHistory {
            resource: resource("1", true),
            snapshots: vec![
                entry(3, "deleted", Some(Vec::new())),
                entry(2, "updated", Some(changes)),
                entry(1, "discovered", None),
            ],
            next: None,
        };
        insta::assert_snapshot!(timeline(&history));
    }

    #[test]
    fn of_an_app_it_is_told_as_well_what_was_wanted_of_it() {
        let one = |revision: u64, kind: Option<&str>| DesiredRevision {
            revision,
            applied_at: at(60),
            applied_by: "admin".to_owned(),
            apply_id: "a".to_owned(),
            plan_id: "plan".to_owned(),
            of_this_app: revision > 1,
            kind: kind.map(str::to_owned),
            spec: kind.map(|_| json!({"catalog_id": "nginx"})),
        };
        let desired = DesiredHistory {
            app_id: "1".to_owned(),
            name: "web".to_owned(),
            revisions: vec![one(2, None), one(1, Some("App"))],
            next: None,
        };
        let snapshots = ResourceHistory {
            resource: resource("1", false),
            snapshots: Vec::new(),
            next: None,
        };
        let history = History {
            snapshots: Some(snapshots),
            desired: Some(desired),
        };
        let told = both(&history);
        let revisions: Vec<&str> = told.lines().rev().take(4).collect();
        assert_eq!(
            revisions[0],
            "go back with: proximity rollback web --to REVISION"
        );
        assert!(revisions[1].contains("App (of an earlier app)"), "{told}");
        assert!(revisions[2].contains("nothing"), "{told}");
        let written = serde_json::to_value(&history).unwrap();
        assert_eq!(written["resource"]["key"], "101", "{written}");
        assert_eq!(written["desired"]["revisions"][0]["revision"], 2);
        let alone = History {
            snapshots: None,
            ..history
        };
        assert!(both(&alone).starts_with("wanted of web"));
    }

    #[test]
    fn a_state_and_a_difference_name_their_moments() {
        let fields = BTreeMap::from([
            ("config.description".to_owned(), json!("a\nb\n")),
            ("cpus".to_owned(), json!(2)),
            ("status".to_owned(), json!("running")),
        ]);
        let then = ResourceAt {
            resource: resource("1", false),
            snapshot: place(2, "updated"),
            state: fields,
        };
        let mut between = ResourceDiff {
            resource: resource("1", false),
            from: place(1, "discovered"),
            to: place(2, "updated"),
            changes: vec![
                field("status", Some(json!("stopped")), Some(json!("running"))),
                field("tags", None, Some(json!("x".repeat(70)))),
            ],
        };
        let (was, differs) = (state(&then), differences(&between, NOW));
        let later = differences(&between, LATER);
        assert!(later.contains("FIELD   THEN     LATER"), "{later}");
        between.changes.clear();
        let same = differences(&between, NOW);
        insta::assert_snapshot!(format!("{was}\n\n{differs}\n\n{same}"));
    }

    #[test]
    fn of_several_with_a_name_the_one_that_is_there_is_meant() {
        let chosen = |found: &[(&str, bool)]| {
            let found = found.iter().map(|(id, gone)| resource(id, *gone));
            choose("web", found.collect()).map_err(|failed| failed.body.code)
        };
        assert_eq!(chosen(&[("1", true), ("2", false)]), Ok("2".to_owned()));
        assert_eq!(chosen(&[("1", true)]), Ok("1".to_owned()));
        assert_eq!(chosen(&[]), Err("resource_not_found".to_owned()));
        for several in [[("1", true), ("2", true)], [("1", false), ("2", false)]] {
            assert_eq!(chosen(&several), Err("usage".to_owned()));
        }
        assert!(is_id("4f1c2d3e-0000-8000-8000-000000000001"));
        assert!(!is_id("101") && !is_id("pve1/local"));
    }
}
