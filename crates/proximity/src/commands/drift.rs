//! `proximity drift`.

use proximity_api::adoption::{DriftReport, DriftedField, DriftedKey};
use serde_json::Value;

use crate::cli::ShowArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let report = context.client()?.drift(&args.app).await?;
    context.output.result(&report, human)
}

fn human(report: &DriftReport) -> String {
    let mut parts = Vec::new();
    if !report.fields.is_empty() {
        parts.push(table(
            ["FIELD", "APPLIED", "WANTED", "NOW", "CHANGED BY"],
            report.fields.iter().map(sides),
            "nothing differs",
        ));
    }
    if !report.changes.is_empty() {
        parts.push(table(
            ["KEY", "AT ADOPTION", "NOW"],
            report.changes.iter().map(row),
            "nothing differs",
        ));
    }
    if !report.ignored.is_empty() {
        parts.push(table(
            ["IGNORED KEY", "AT ADOPTION", "NOW"],
            report.ignored.iter().map(row),
            "nothing differs",
        ));
    }
    if parts.is_empty() {
        parts.push(format!("nothing about {} differs", report.hostname));
    }
    parts.push(told(report));
    parts.join("\n")
}

/// Where it stands: what is wanted of it, since when a difference is told, and whether it is guarded.
fn told(report: &DriftReport) -> String {
    let wanted = match (report.revision, &report.policy) {
        (Some(revision), Some(policy)) => format!("revision {revision}, policy {policy}"),
        _ => "no documents want anything of it".to_owned(),
    };
    let told = report
        .told_since
        .map(|since| format!("; told since {since}"));
    let guard = report
        .guarded_since
        .map(|since| format!("; guarded since {since}"));
    format!(
        "{wanted}{}{}",
        told.unwrap_or_default(),
        guard.unwrap_or_default()
    )
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.trim_end().replace('\n', " "),
        Some(other) => other.to_string(),
    }
}

fn sides(field: &DriftedField) -> [String; 5] {
    [
        field.path.clone(),
        text(field.applied.as_ref()),
        text(Some(&field.wanted)),
        text(field.now.as_ref()),
        by(field),
    ]
}

fn by(field: &DriftedField) -> String {
    let by = field.source.as_deref().unwrap_or("-");
    match field.ignored {
        true => format!("{by} (ignored)"),
        false => by.to_owned(),
    }
}

fn row(changed: &DriftedKey) -> [String; 3] {
    [
        changed.key.clone(),
        text(changed.at_adoption.as_ref()),
        text(changed.now.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quiet() -> DriftReport {
        DriftReport {
            app_id: "1".to_owned(),
            hostname: "db".to_owned(),
            drifted: false,
            revision: None,
            policy: None,
            told_since: None,
            fields: Vec::new(),
            guarded_since: None,
            changes: Vec::new(),
            ignored: Vec::new(),
        }
    }

    #[test]
    fn changes_are_a_table_and_their_absence_a_sentence() {
        let key = |key: &str, at_adoption, now| DriftedKey {
            key: key.to_owned(),
            at_adoption,
            now,
        };
        let report = DriftReport {
            drifted: true,
            guarded_since: Some(jiff::Timestamp::UNIX_EPOCH),
            changes: vec![
                key("description", Some(json!("a\nb\n")), None),
                key("memory", Some(json!(512)), Some(json!(1024))),
                key("mp0", None, Some(json!("local:1,mp=/x"))),
            ],
            ..quiet()
        };
        insta::assert_snapshot!(format!("{}\n\n{}", human(&report), human(&quiet())));
    }

    #[test]
    fn all_three_sides_are_shown() {
        let field = |path: &str, wanted, now, source: &str| DriftedField {
            path: path.to_owned(),
            applied: Some(json!(512)),
            wanted,
            now,
            source: Some(source.to_owned()),
            ignored: path == "swap",
        };
        let report = DriftReport {
            drifted: true,
            revision: Some(3),
            policy: Some("warn".to_owned()),
            told_since: Some(jiff::Timestamp::UNIX_EPOCH),
            fields: vec![
                field("cores", json!(512), None, "cluster"),
                field("memory", json!(1024), Some(json!(640)), "both"),
                field("swap", json!(512), Some(json!(0)), "cluster"),
            ],
            ignored: vec![DriftedKey {
                key: "tags".to_owned(),
                at_adoption: None,
                now: Some(json!("theirs")),
            }],
            ..quiet()
        };
        let shown = human(&report);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(lines.contains(&vec!["cores", "512", "512", "-", "cluster"]));
        assert!(lines.contains(&vec!["memory", "512", "1024", "640", "both"]));
        let ignored = vec!["swap", "512", "512", "0", "cluster", "(ignored)"];
        assert!(lines.contains(&ignored), "{shown}");
        assert!(lines.contains(&vec!["tags", "-", "theirs"]), "{shown}");
        let last = shown.lines().last();
        assert_eq!(
            last,
            Some("revision 3, policy warn; told since 1970-01-01T00:00:00Z")
        );
    }
}
