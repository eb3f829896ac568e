//! What can only be read of a firewall.

use serde_json::{Value, json};

use super::super::super::answer::Reply;
use super::super::super::call::{Call, Outcome};
use super::super::super::firewall::{Config, Place};
use super::{load, place};

pub(super) fn index(call: &mut Call<'_>) -> Outcome {
    let names: &[&str] = match place(call) {
        Place::Cluster | Place::Group(_) => &[
            "aliases", "rules", "options", "groups", "ipset", "macros", "refs",
        ],
        Place::Node(_) => &["rules", "options", "log"],
        Place::Guest(_) => &["rules", "aliases", "ipset", "refs", "options"],
    };
    let rows = names.iter().map(|name| json!({"name": name}));
    Ok(rows.collect::<Value>().into())
}

/// What rules can speak of: sets and aliases, the cluster's first.
pub(super) fn references(call: &mut Call<'_>) -> Outcome {
    let place = place(call);
    let loaded = load(call, &place);
    let kind = call.text("type");
    let mut rows = Vec::new();
    match &loaded.cluster {
        Some(cluster) => {
            collect(&mut rows, cluster, kind.as_deref(), "dc");
            collect(&mut rows, &loaded.own, kind.as_deref(), "guest");
        }
        None => collect(&mut rows, &loaded.own, kind.as_deref(), "dc"),
    }
    Ok(Value::Array(rows).into())
}

fn collect(rows: &mut Vec<Value>, config: &Config, kind: Option<&str>, scope: &str) {
    let sets = config.sets.keys().map(|name| {
        let comment = config.set_comments.get(name).map(String::as_str);
        ("ipset", name, format!("+{name}"), comment)
    });
    let aliases = config.aliases.iter();
    let aliases = aliases.map(|(name, row)| ("alias", name, name.clone(), row.set("comment")));
    for (its, name, reference, comment) in sets.chain(aliases) {
        if kind.is_some_and(|kind| kind != its) {
            continue;
        }
        let mut row = json!({"type": its, "name": name, "ref": reference, "scope": scope});
        if let Some(comment) = comment {
            row["comment"] = comment.into();
        }
        rows.push(row);
    }
}

/// Nothing is filtered here, so nothing of a guest is logged.
pub(super) fn log(_: &mut Call<'_>) -> Outcome {
    Ok(Reply::page(json!([{"n": 1, "t": "no content"}]), 1))
}
