//! `proximity deploy --dry-run`: what a deploy would find.

use proximity_api::apps::{Preflight, PreflightLine};
use proximity_api::error::{ExitCode, lookup};
use serde_json::Value;

use crate::context::Context;
use crate::failed::Failed;
use crate::text::table;

/// Prints what was found, and ends as the deploy would that is refused for it.
///
/// # Errors
/// Something speaks against the deploy; or stdout cannot be written.
pub(crate) fn told(context: &Context, found: &Preflight) -> Result<(), Failed> {
    context.output.result(found, human)?;
    match exit(found) {
        ExitCode::Ok => Ok(()),
        code => Err(Failed::said(code)),
    }
}

/// That of the first line that stops it.
fn exit(found: &Preflight) -> ExitCode {
    if found.deployable {
        return ExitCode::Ok;
    }
    let code = stops(found).find_map(|line| line.code.as_deref());
    let row = code.and_then(lookup);
    row.map_or(ExitCode::Resources, |row| row.exit)
}

fn stops(found: &Preflight) -> impl Iterator<Item = &PreflightLine> {
    found.lines.iter().filter(|line| line.verdict == "stop")
}

/// The lines as a table, what can be done, and what it comes to.
fn human(found: &Preflight) -> String {
    let mut parts = vec![table(
        ["WHAT", "WHERE", "HAS", "WANTS", "VERDICT", "NOTE"],
        found.lines.iter().map(row),
        "nothing was looked at",
    )];
    let mut hints: Vec<&str> = Vec::new();
    for line in found.lines.iter().filter(|line| line.verdict != "ok") {
        if let Some(hint) = line.hint.as_deref()
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    parts.extend(hints.into_iter().map(|hint| format!("  -> {hint}")));
    let hostname = &found.hostname;
    parts.push(match (&found.place, found.deployable) {
        (Some(place), true) => format!(
            "{hostname} can be deployed; it would go to {}/{}",
            place.host, place.node
        ),
        (None, true) => format!("{hostname} can be deployed"),
        (_, false) => format!("{hostname} cannot be deployed as things are; nothing was made"),
    });
    parts.join("\n")
}

fn row(line: &PreflightLine) -> [String; 6] {
    let dash = || "-".to_owned();
    [
        line.what.clone(),
        line.place.clone().unwrap_or_else(dash),
        amount(line.has.as_ref(), line.unit.as_deref()),
        amount(line.wants.as_ref(), line.unit.as_deref()),
        line.verdict.clone(),
        line.note.clone().unwrap_or_default(),
    ]
}

/// A number with its unit, or a name. What was not read is no zero.
fn amount(value: Option<&Value>, unit: Option<&str>) -> String {
    match (value, unit) {
        (None | Some(Value::Null), _) => "-".to_owned(),
        (Some(Value::Number(number)), Some(unit)) => format!("{number} {unit}"),
        (Some(Value::String(text)), _) => text.clone(),
        (Some(other), _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::PreflightPlace;
    use serde_json::json;

    use super::*;

    fn line(what: &str, has: Option<Value>, verdict: &str, code: Option<&str>) -> PreflightLine {
        PreflightLine {
            what: what.to_owned(),
            place: Some("home/pve1".to_owned()),
            has,
            wants: Some(json!(512)),
            unit: Some("MiB".to_owned()),
            verdict: verdict.to_owned(),
            code: code.map(str::to_owned),
            note: None,
            hint: code.map(|code| format!("about {code}")),
        }
    }

    fn found(lines: Vec<PreflightLine>) -> Preflight {
        let deployable = lines.iter().all(|line| line.verdict != "stop");
        Preflight {
            hostname: "web".to_owned(),
            deployable,
            place: deployable.then(|| PreflightPlace {
                host: "home".to_owned(),
                node: "pve1".to_owned(),
            }),
            lines,
        }
    }

    #[test]
    fn what_fits_is_told_with_its_figures_and_ends_well() {
        let fits = found(vec![line("memory", Some(json!(2048)), "ok", None)]);
        let text = human(&fits);
        for part in ["2048 MiB", "512 MiB", "it would go to home/pve1"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(exit(&fits), ExitCode::Ok);
    }

    #[test]
    fn what_stops_it_is_told_with_its_next_step_once_and_decides_the_exit_code() {
        let short = line("memory", Some(json!(100)), "stop", Some("memory_short"));
        let short = found(vec![short.clone(), short]);
        let text = human(&short);
        assert_eq!(text.matches("-> about memory_short").count(), 1, "{text}");
        assert!(text.contains("cannot be deployed"), "{text}");
        assert_eq!(exit(&short), ExitCode::Resources);
        let taken = found(vec![line("name", None, "stop", Some("hostname_taken"))]);
        let conflict = lookup("hostname_taken").unwrap().exit;
        assert_eq!(exit(&taken), conflict);
        assert_ne!(conflict, ExitCode::Ok);
    }

    #[test]
    fn what_was_not_read_is_no_number() {
        let unread = found(vec![line("rights", None, "warn", None)]);
        let text = human(&unread);
        let row = text.lines().find(|line| line.starts_with("rights"));
        assert!(row.is_some_and(|row| row.contains(" - ")), "{text}");
        assert_eq!(exit(&unread), ExitCode::Ok);
    }
}
