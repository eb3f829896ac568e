//! `proximity drift`.

use proximity_api::adoption::{DriftReport, DriftedKey};
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
    let guard = match report.guarded_since {
        Some(since) => format!("guarded since {since}"),
        None => "not guarded".to_owned(),
    };
    if !report.drifted {
        let app = &report.hostname;
        return format!("{app} is configured as on the day of its adoption; {guard}");
    }
    let changes = table(
        ["KEY", "AT ADOPTION", "NOW"],
        report.changes.iter().map(row),
        "nothing differs",
    );
    format!("{changes}\n{guard}")
}

fn row(changed: &DriftedKey) -> [String; 3] {
    let text = |value: &Option<Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.trim_end().replace('\n', " "),
        Some(other) => other.to_string(),
    };
    [
        changed.key.clone(),
        text(&changed.at_adoption),
        text(&changed.now),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_a_table_and_their_absence_a_sentence() {
        let key = |key: &str, at_adoption, now| DriftedKey {
            key: key.to_owned(),
            at_adoption,
            now,
        };
        let mut report = DriftReport {
            app_id: "1".to_owned(),
            hostname: "db".to_owned(),
            drifted: true,
            guarded_since: Some(jiff::Timestamp::UNIX_EPOCH),
            changes: vec![
                key("description", Some(json!("a\nb\n")), None),
                key("memory", Some(json!(512)), Some(json!(1024))),
                key("mp0", None, Some(json!("local:1,mp=/x"))),
            ],
        };
        let drifted = human(&report);
        report.drifted = false;
        report.guarded_since = None;
        report.changes.clear();
        insta::assert_snapshot!(format!("{drifted}\n\n{}", human(&report)));
    }
}
