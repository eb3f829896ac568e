//! `proximity plan` and `proximity diff`.

use std::path::Path;

use proximity_api::error::ExitCode;
use proximity_api::plans::{
    MakePlan, Plan, PlanBrake, PlanCounts, PlanText, PlanValue, PlannedChange, PlannedField,
};
use proximity_manifest::{Given, Source};
use serde_json::Value;

use super::{apply, rollback, validate};
use crate::cli::{DiffArgs, DocumentsArgs, PlanArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::manifest_files::given;

/// Characters of one value that are shown.
const MOST_CHARS: usize = 120;

pub(crate) async fn run(context: &Context, args: PlanArgs) -> Result<(), Failed> {
    let plan = made(context, &args.documents, args.prune, false).await?;
    if let Some(path) = &args.out {
        write(path, &plan)?;
    }
    context.output.result(&plan, human)?;
    ended(&plan, args.detailed_exitcode)
}

pub(crate) async fn diff(context: &Context, args: DiffArgs) -> Result<(), Failed> {
    let plan = made(context, &args.documents, false, true).await?;
    context.output.result(&plan, differences)?;
    ended(&plan, args.detailed_exitcode)
}

/// Reads the documents, and has them planned.
pub(super) async fn made(
    context: &Context,
    args: &DocumentsArgs,
    prune: bool,
    passing: bool,
) -> Result<Plan, Failed> {
    let given = given(&args.paths, &args.values, &args.set)?;
    // What is wrong is told here with its line; the server looks at the same.
    validate::check(context, &given)?;
    let body = MakePlan {
        prune,
        passing,
        ..body(given)?
    };
    Ok(context.client()?.make_plan(&body).await?)
}

fn body(given: Given) -> Result<MakePlan, Failed> {
    let set = given.set.into_iter();
    Ok(MakePlan {
        documents: texts(given.documents)?,
        values: texts(given.values)?,
        set: set.map(|(name, value)| PlanValue { name, value }).collect(),
        prune: false,
        passing: false,
    })
}

fn texts(sources: Vec<Source>) -> Result<Vec<PlanText>, Failed> {
    let texts = sources.into_iter().map(|source| {
        let name = source.name;
        match String::from_utf8(source.bytes) {
            Ok(text) => Ok(PlanText { name, text }),
            Err(_) => Err(Failed::config(
                "cannot_read",
                format!("{name} is not text in UTF-8"),
                "save it as UTF-8",
            )),
        }
    });
    texts.collect()
}

fn write(path: &Path, plan: &Plan) -> Result<(), Failed> {
    let written = serde_json::to_vec_pretty(plan).map_err(std::io::Error::other);
    let written = written.and_then(|text| std::fs::write(path, text));
    written.map_err(|error| {
        Failed::config(
            "cannot_write",
            format!("cannot write {}: {error}", path.display()),
            "correct the path, or see that it can be written; the plan was made, and is kept by the server",
        )
    })
}

fn ended(plan: &Plan, is_detailed: bool) -> Result<(), Failed> {
    if is_detailed && !plan.changes.is_empty() {
        return Err(Failed::said(ExitCode::Changes));
    }
    Ok(())
}

/// A plan for people.
pub(super) fn human(plan: &Plan) -> String {
    let back = plan.rollback.as_ref();
    let mut lines = back.map(rollback::told).unwrap_or_default();
    lines.push(summary(&plan.counts));
    let mut layer = 0;
    for change in &plan.changes {
        if change.layer != layer {
            layer = change.layer;
            lines.push(format!("\n{layer}."));
        }
        lines.push(head(change));
        lines.extend(change.fields.iter().map(field));
        lines.extend(consequences(change));
    }
    lines.extend(left(plan));
    if let Some(brake) = plan.brake {
        lines.push(stopped(brake));
    }
    if !plan.prune && back.is_none() {
        lines.push("\nApps that no document names are left as they are.".to_owned());
    }
    lines.extend(plan.id.iter().map(|id| format!("\nplan {id}")));
    lines.extend(next(plan));
    shown(&lines.join("\n"))
}

/// How to carry it out, if there is anything to do and nothing in the way.
fn next(plan: &Plan) -> Option<String> {
    let id = plan.id.as_ref()?;
    let is_free = plan.changes.iter().all(|one| one.obstacles.is_empty());
    let goes = is_free && !plan.changes.is_empty();
    goes.then(|| format!("carry it out with: proximity apply {id}{}", consent(plan)))
}

/// The options by which a person agrees to what a plan takes away.
fn consent(plan: &Plan) -> String {
    let removes = plan
        .changes
        .iter()
        .any(|change| matches!(change.act.as_str(), "destroy" | "forget"));
    let destroyed = apply::destroyed(plan);
    let mut options = String::new();
    if plan.prune && removes {
        options.push_str(" --prune");
    }
    if destroyed > 0 {
        options.push_str(&format!(" --confirm-destroyed {destroyed}"));
    }
    if let Some(brake) = plan.brake {
        options.push_str(&format!(" --confirm-removed {}", brake.removed));
    }
    options
}

fn summary(counts: &PlanCounts) -> String {
    let of = |many: u64, what: &str| (many > 0).then(|| format!("{many} {what}"));
    let parts = [
        of(counts.create, "to create"),
        of(counts.update, "to update"),
        of(counts.replace, "to replace"),
        of(counts.adopt, "to adopt"),
        of(counts.forget, "to give back"),
        of(counts.destroy, "to destroy"),
        of(counts.not_known, "not known"),
        of(counts.unchanged, "as wanted"),
    ];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    if counts.uncompared > 0 {
        let many = counts.uncompared;
        parts.push(format!("the secrets of {many} of these not compared"));
    }
    match parts.is_empty() {
        true => "no apps".to_owned(),
        false => parts.join(", "),
    }
}

/// What is done, and to what.
fn head(change: &PlannedChange) -> String {
    let (sign, verb) = match change.act.as_str() {
        "create" => ("+", "create"),
        "update" => ("~", "update"),
        "replace" => ("!", "replace"),
        "adopt" => ("+", "adopt"),
        "forget" => ("-", "give back"),
        "destroy" => ("-", "destroy"),
        _ => ("?", "not known:"),
    };
    format!("  {sign} {verb} {}{}", change.name, place(change))
}

fn place(change: &PlannedChange) -> String {
    let host = change.host.iter().chain(&change.node);
    let host: Vec<&str> = host.map(String::as_str).collect();
    match (change.vmid, host.is_empty()) {
        (Some(vmid), false) => format!(" (container {vmid} on {})", host.join("/")),
        (Some(vmid), true) => format!(" (container {vmid})"),
        (None, false) => format!(" (on {})", host.join("/")),
        (None, true) => String::new(),
    }
}

fn field(field: &PlannedField) -> String {
    let by = match field.source.as_str() {
        "cluster" => "  (changed in Proxmox VE)",
        "both" => "  (changed in Proxmox VE and in the documents)",
        _ => "",
    };
    let (from, to) = (value(field.from.as_ref()), value(field.to.as_ref()));
    format!("      {}: {from} -> {to}{by}", field.path)
}

/// What differs and is left so, as the documents say.
fn left(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if !plan.ignored.is_empty() {
        lines.push("\nChanged in Proxmox VE, and ignored:".to_owned());
    }
    for ignored in &plan.ignored {
        for field in &ignored.fields {
            let (now, wanted) = (value(field.from.as_ref()), value(field.to.as_ref()));
            let (name, path) = (&ignored.name, &field.path);
            lines.push(format!("  {name} {path}: {now}  (wanted: {wanted})"));
        }
    }
    lines
}

/// A value as plans show it, cut where it is long.
pub(super) fn value(value: Option<&Value>) -> String {
    let text = match value {
        None => return "nothing".to_owned(),
        Some(Value::Object(secret)) => match secret.get("secret").and_then(Value::as_str) {
            Some(name) => format!("the secret {name}"),
            None => Value::Object(secret.clone()).to_string(),
        },
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn consequences(change: &PlannedChange) -> Vec<String> {
    let mut lines = Vec::new();
    match change.downtime.as_str() {
        "restart" => lines.push("downtime: while its services start again".to_owned()),
        "redeploy" => {
            lines.push("downtime: from its removal until its successor is healthy".to_owned());
        }
        "ends" => lines.push("downtime: from then on".to_owned()),
        _ => {}
    }
    let lost = change.at_risk.iter();
    lines.extend(lost.map(|volume| format!("data lost: {volume}")));
    if !change.lacks.is_empty() {
        lines.push(format!("the token lacks {}", change.lacks.join(", ")));
    }
    for one in &change.obstacles {
        lines.push(format!("held back: {} [{}]", one.message, one.code));
        lines.push(format!("  hint: {}", one.hint));
    }
    lines.extend(change.notes.iter().map(|note| format!("note: {note}")));
    lines.iter().map(|line| format!("      {line}")).collect()
}

fn stopped(brake: PlanBrake) -> String {
    let PlanBrake {
        removed,
        done,
        limit,
    } = brake;
    format!(
        "\nThe mass brake would stop this: {removed} records end with it and {done} ended in the last hour; {limit} may end in an hour \
         without a person who confirms the number."
    )
}

/// What differs, app by app.
fn differences(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for change in plan
        .changes
        .iter()
        .filter(|change| !change.fields.is_empty())
    {
        lines.push(format!("{}{}", change.name, place(change)));
        for field in &change.fields {
            let side = |sign: char, side: &Option<Value>| {
                let side = side.as_ref()?;
                Some(format!("{sign} {}: {}", field.path, value(Some(side))))
            };
            lines.extend(side('-', &field.from));
            lines.extend(side('+', &field.to));
        }
    }
    let others = plan
        .changes
        .iter()
        .filter(|change| change.fields.is_empty());
    lines.extend(others.map(|change| head(change).trim_start().to_owned()));
    if lines.is_empty() {
        lines.push(format!("{}, nothing differs", summary(&plan.counts)));
    }
    lines.extend(left(plan));
    shown(&lines.join("\n"))
}

/// Names and values are other people's: what is in them moves no cursor.
fn shown(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

#[cfg(test)]
mod tests {
    use proximity_api::plans::{PlanIgnored, PlanObstacle};
    use serde_json::json;

    use super::*;

    fn change(name: &str, act: &str, layer: u32) -> PlannedChange {
        PlannedChange {
            name: name.to_owned(),
            app_id: None,
            class: "native".to_owned(),
            act: act.to_owned(),
            layer,
            depends_on: Vec::new(),
            host: Some("home".to_owned()),
            node: Some("pve1".to_owned()),
            vmid: Some(105),
            fields: Vec::new(),
            downtime: "none".to_owned(),
            at_risk: Vec::new(),
            lacks: Vec::new(),
            obstacles: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn differing(path: &str, from: Option<Value>, to: Option<Value>, source: &str) -> PlannedField {
        PlannedField {
            path: path.to_owned(),
            from,
            to,
            source: source.to_owned(),
        }
    }

    fn plan(changes: Vec<PlannedChange>) -> Plan {
        let many = |act: &str| changes.iter().filter(|one| one.act == act).count() as u64;
        Plan {
            id: Some("018f0000-0000-7000-8000-000000000001".to_owned()),
            made_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            made_by: "admin".to_owned(),
            applied_at: None,
            digest: "d".repeat(64),
            basis: "b".repeat(64),
            prune: false,
            counts: PlanCounts {
                create: many("create"),
                update: many("update"),
                replace: many("replace"),
                adopt: many("adopt"),
                forget: many("forget"),
                destroy: many("destroy"),
                not_known: many("no_op"),
                unchanged: 4993,
                uncompared: 0,
            },
            changes,
            ignored: Vec::new(),
            brake: None,
            rollback: None,
        }
    }

    fn several() -> Plan {
        let mut data = change("data", "create", 1);
        (data.node, data.vmid) = (None, None);
        let mut web = change("web", "update", 2);
        web.fields = vec![
            differing("memory", Some(json!(1024)), Some(json!(512)), "cluster"),
            differing("cores", None, Some(json!(2)), "both"),
            differing(
                "settings.TITLE",
                Some(json!("old")),
                Some(json!("new\u{7}")),
                "documents",
            ),
            differing(
                "settings.PASSWORD",
                Some(json!("[secret]")),
                Some(json!({"secret": "db"})),
                "documents",
            ),
        ];
        web.downtime = "restart".to_owned();
        web.lacks = vec!["VM.Config.Memory on /pool/apps".to_owned()];
        web.notes = vec!["a secret was not compared".to_owned()];
        let mut shop = change("shop", "replace", 2);
        shop.fields = vec![differing(
            "catalog_id",
            Some(json!("nginx")),
            Some(json!("caddy")),
            "documents",
        )];
        shop.downtime = "redeploy".to_owned();
        shop.at_risk = vec!["local-lvm:vm-105-disk-0 (rootfs, 8G)".to_owned()];
        let mut away = change("away", "no_op", 2);
        away.obstacles = vec![PlanObstacle {
            code: "pve_unreachable".to_owned(),
            message: "host home does not answer".to_owned(),
            hint: "see why with: proximity doctor --host home".to_owned(),
        }];
        let mut old = change("old", "destroy", 3);
        old.downtime = "ends".to_owned();
        let kept = change("kept", "forget", 3);
        plan(vec![data, web, shop, away, old, kept])
    }

    #[test]
    fn a_plan_is_told_in_order_with_what_follows_from_it() {
        let mut pruned = several();
        pruned.prune = true;
        pruned.brake = Some(PlanBrake {
            removed: 3,
            done: 1,
            limit: 3,
        });
        let none = plan(Vec::new());
        let texts = [human(&several()), human(&pruned), human(&none)];
        insta::assert_snapshot!(texts.join("\n=====\n"));
    }

    #[test]
    fn a_plan_with_nothing_in_its_way_says_how_to_carry_it_out() {
        let mut held_back = several();
        assert_eq!(next(&held_back), None);
        held_back.changes.retain(|one| one.obstacles.is_empty());
        let mut free = held_back;
        let line = "carry it out with: proximity apply 018f0000-0000-7000-8000-000000000001";
        let destroys = format!("{line} --confirm-destroyed 2");
        assert_eq!(next(&free), Some(destroys));
        free.prune = true;
        free.brake = Some(PlanBrake {
            removed: 3,
            done: 1,
            limit: 3,
        });
        let all = format!("{line} --prune --confirm-destroyed 2 --confirm-removed 3");
        assert_eq!(next(&free), Some(all));
        assert!(human(&free).ends_with("--confirm-removed 3"));
        assert_eq!(next(&plan(Vec::new())), None);
    }

    #[test]
    fn secrets_that_were_not_compared_are_told_beside_what_is_as_wanted() {
        let mut quiet = plan(Vec::new());
        assert!(!human(&quiet).contains("secrets"));
        quiet.counts.uncompared = 3;
        let told = "4993 as wanted, the secrets of 3 of these not compared";
        assert!(human(&quiet).starts_with(told), "{}", human(&quiet));
        assert!(differences(&quiet).starts_with(told));
    }

    #[test]
    fn what_is_ignored_is_shown_and_changes_nothing() {
        let mut quiet = plan(Vec::new());
        quiet.ignored = vec![PlanIgnored {
            name: "web".to_owned(),
            fields: vec![differing(
                "memory",
                Some(json!(1024)),
                Some(json!(512)),
                "cluster",
            )],
        }];
        for text in [human(&quiet), differences(&quiet)] {
            let told = "Changed in Proxmox VE, and ignored:\n  web memory: 1024  (wanted: 512)";
            assert!(text.contains(told), "{text}");
        }
        assert!(ended(&quiet, true).is_ok());
    }

    #[test]
    fn differences_are_lines_of_both_sides() {
        let none = plan(Vec::new());
        let texts = [differences(&several()), differences(&none)];
        insta::assert_snapshot!(texts.join("\n=====\n"));
    }

    #[test]
    fn only_who_asks_for_it_is_told_of_changes_by_the_exit_code() {
        let exit = |plan: &Plan, is_detailed| ended(plan, is_detailed).map_err(|e| e.exit);
        assert_eq!(exit(&several(), true), Err(ExitCode::Changes));
        assert_eq!(exit(&several(), false), Ok(()));
        assert_eq!(exit(&plan(Vec::new()), true), Ok(()));
        let mut unknown = change("away", "no_op", 1);
        unknown.vmid = None;
        let unknown = plan(vec![unknown]);
        assert_eq!(
            exit(&unknown, true),
            Err(ExitCode::Changes),
            "it is not known"
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = value(Some(&json!("x".repeat(1000))));
        assert!(long.len() < 130 && long.ends_with("..."), "{long}");
    }
}
