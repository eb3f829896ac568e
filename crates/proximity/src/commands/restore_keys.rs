//! `proximity restore-keys`.

use proximity_api::adoption::{RestorableKey, RestoreKeys, RestorePreview, RestoreQuery};
use serde_json::Value;

use super::{operations_show, power};
use crate::cli::RestoreKeysArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: RestoreKeysArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let named = args.keys;
    let Some(digest) = args.digest else {
        let keys = (!named.is_empty()).then(|| named.join(","));
        let query = RestoreQuery { keys };
        let preview = client.restore_preview(&args.app, &query).await?;
        return context
            .output
            .result(&preview, |preview| human(preview, &named));
    };
    let body = RestoreKeys {
        keys: named,
        digest,
    };
    let operation = client.restore_keys(&args.app, &body).await?;
    if args.waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, &client, operation, args.waiting).await?;
    context.output.result(&done, power::said)
}

/// A preview for people, with the command that does it.
fn human(preview: &RestorePreview, named: &[String]) -> String {
    let mut parts = Vec::new();
    if !preview.keys.is_empty() {
        let head = ["KEY", "NOW", "RESTORED", "IN FORCE"];
        parts.push(table(head, preview.keys.iter().map(row), "nothing"));
    }
    for left in &preview.left {
        parts.push(format!("{} is not restored: {}", left.key, left.why));
    }
    if let Some(call) = &preview.call {
        parts.push(format!("Proxmox VE would get: {call}"));
    }
    let host = &preview.hostname;
    let is_refused = !named.is_empty() && !preview.left.is_empty();
    parts.push(match (preview.keys.is_empty(), is_refused) {
        (true, false) => format!("nothing of {host} differs that can be restored"),
        (_, true) => "leave these keys out: as named, nothing would be restored".to_owned(),
        (false, false) => {
            let keys: Vec<&str> = preview.keys.iter().map(|key| key.key.as_str()).collect();
            format!(
                "to do it: proximity restore-keys {host} {} --digest {}",
                keys.join(" "),
                preview.digest
            )
        }
    });
    parts.join("\n")
}

fn row(key: &RestorableKey) -> [String; 4] {
    let text = |value: &Option<Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.trim_end().replace('\n', " "),
        Some(other) => other.to_string(),
    };
    let in_force = match key.in_force.as_str() {
        "next_start" => "after its next start",
        _ => "at once",
    };
    [
        key.key.clone(),
        text(&key.now),
        text(&key.restored),
        in_force.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use proximity_api::adoption::KeyLeft;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preview_says_what_is_done_what_is_left_and_how_to_do_it() {
        let key = |key: &str, now, restored, in_force: &str| RestorableKey {
            key: key.to_owned(),
            now,
            restored,
            in_force: in_force.to_owned(),
        };
        let mut preview = RestorePreview {
            app_id: "1".to_owned(),
            hostname: "db".to_owned(),
            digest: "ab12".to_owned(),
            running: true,
            keys: vec![
                key("memory", Some(json!(1024)), Some(json!(512)), "at_once"),
                key("tty", Some(json!(4)), None, "next_start"),
            ],
            left: vec![],
            call: Some("PUT /nodes/pve1/lxc/105/config (memory, -tty)".to_owned()),
        };
        let named = ["memory".to_owned(), "tty".to_owned()];
        let mut texts = vec![human(&preview, &[]), human(&preview, &named)];
        preview.left.push(KeyLeft {
            key: "mp0".to_owned(),
            why: "it holds a volume".to_owned(),
        });
        texts.extend([human(&preview, &[]), human(&preview, &named)]);
        preview.keys.clear();
        preview.call = None;
        texts.push(human(&preview, &[]));
        insta::assert_snapshot!(texts.join("\n\n"));
    }
}
