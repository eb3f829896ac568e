//! `proximity configure`.

use proximity_api::apps::{ResourceConfig, UpdateApp, UpdatePreview, UpdatedField};
use proximity_engine::seams::IdSource;
use serde_json::Value;

use super::deploy::settings;
use super::{operations_show, power};
use crate::ask;
use crate::cli::ConfigureArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::roles::ids::SystemIds;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: ConfigureArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let (app, waiting) = (args.app, args.waiting);
    let mut body = UpdateApp {
        resources: ResourceConfig {
            memory: args.memory,
            cores: args.cores,
            disk: args.disk,
        },
        settings: settings(args.settings, args.setting_files)?,
        newest_entry: args.newest_entry,
        allow_unpinned: args.allow_unpinned,
        digest: args.digest,
        confirm: None,
    };
    let changes_settings = !body.settings.is_empty() || body.newest_entry;
    if body.resources == ResourceConfig::default() && !changes_settings {
        let next = "give --memory, --cores, --disk, --set, --set-file or --newest-entry";
        return Err(Failed::usage("nothing is to be changed", next));
    }
    if args.dry_run {
        let preview = client.preview_update(&app, &body).await?;
        return context.output.result(&preview, human);
    }
    if body.resources.disk.is_some() {
        let preview = client.preview_update(&app, &body).await?;
        if preview.needs_confirm {
            body.confirm = Some(consent(context, &preview, args.yes)?);
        }
        // What was agreed to is what was shown.
        body.digest = Some(preview.digest);
    }
    let key = SystemIds.uuid().to_string();
    let operation = client.update_app(&app, &body, &key).await?;
    if waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, &client, operation, waiting).await?;
    context.output.result(&done, power::said)
}

/// The host name, typed again: a disk that has grown stays as large.
fn consent(context: &Context, preview: &UpdatePreview, yes: bool) -> Result<String, Failed> {
    let hostname = &preview.hostname;
    if yes {
        return Ok(hostname.clone());
    }
    ask::need_a_person(
        "the host name has to be typed as confirmation, for a disk that has grown stays as large",
        "give --yes to let it grow without being asked",
    )?;
    context.output.note(&human(preview));
    let answer = ask::text(&format!(
        "Type the host name {hostname} to let its disk grow:"
    ))?;
    if answer.trim() == hostname {
        return Ok(hostname.clone());
    }
    Err(Failed::cancelled(
        "what was typed is not the host name; nothing was changed",
        "",
    ))
}

/// A preview for people.
fn human(preview: &UpdatePreview) -> String {
    let hostname = &preview.hostname;
    if preview.changes.is_empty() {
        return format!("{hostname} is as wanted already; nothing would be sent");
    }
    let mut parts = vec![table(
        ["WHAT", "NOW", "WANTED"],
        preview.changes.iter().map(row),
        "nothing",
    )];
    parts.push("what would be done, in this order:".to_owned());
    parts.extend(preview.calls.iter().map(|call| format!("  - {call}")));
    if preview.needs_confirm {
        parts.push("the disk stays as large as it grows, whatever comes of the rest".to_owned());
    }
    parts.push(format!(
        "to have just that done, repeat it with: --digest {}",
        preview.digest
    ));
    parts.join("\n")
}

fn row(change: &UpdatedField) -> [String; 3] {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace('\n', " "),
        other => other.to_string(),
    };
    [change.path.clone(), text(&change.from), text(&change.to)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preview_says_what_changes_by_which_call_and_what_stays_so() {
        let change = |path: &str, from: Value, to: Value| UpdatedField {
            path: path.to_owned(),
            from,
            to,
        };
        let mut preview = UpdatePreview {
            app_id: "1".to_owned(),
            hostname: "web".to_owned(),
            digest: "ab12".to_owned(),
            running: true,
            changes: vec![
                change("memory", json!(512), json!(1024)),
                change("rootfs", json!("4G"), json!("8G")),
                change("settings.TITLE", Value::Null, json!("Hello")),
            ],
            calls: vec!["PUT /nodes/pve1/lxc/105/config (memory)".to_owned()],
            needs_confirm: true,
        };
        let told = human(&preview);
        for part in [
            "1024",
            "8G",
            "Hello",
            "config (memory)",
            "--digest ab12",
            "stays as large",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        preview.changes.clear();
        assert!(human(&preview).contains("nothing would be sent"));
    }
}
