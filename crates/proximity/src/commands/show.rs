//! `proximity show`.

use proximity_api::apps::App;

use crate::cli::ShowArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{details, memory, moment};

pub(crate) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let app = context.client()?.app(&args.app).await?;
    context.output.result(&app, human)
}

/// An app for people.
pub(crate) fn human(app: &App) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut rows = vec![
        ("host name", app.hostname.clone()),
        (
            "status",
            format!("{} since {}", app.status, moment(app.state_changed_at)),
        ),
        ("url", optional(&app.url)),
        ("app", format!("{} {}", app.catalog_id, app.catalog_version)),
        ("newer entry", newer_entry(app)),
        ("class", app.class.clone()),
        ("container", container(app)),
        ("memory", memory(app.config.memory)),
        ("cores", app.config.cores.to_string()),
        ("disk", format!("{} GiB", app.config.disk)),
        (
            "public port",
            app.ports.map(|p| p.public.to_string()).unwrap_or_default(),
        ),
        (
            "internal port",
            app.ports
                .map(|p| p.internal.to_string())
                .unwrap_or_default(),
        ),
        ("settings", settings(app)),
        ("owner", app.owner.clone()),
        ("created", moment(app.created_at)),
        ("operation", optional(&app.operation_id)),
        ("id", app.id.clone()),
    ];
    if let Some(error) = &app.error {
        rows.push(("", " ".to_owned()));
        rows.push((
            "problem",
            format!("was {}: {}", error.was, error.problem.message),
        ));
        rows.push(("next step", error.problem.hint.clone()));
    }
    details(rows)
}

/// What the catalog has in place of what it is made from, with the way to get there.
fn newer_entry(app: &App) -> String {
    let told = |version: &String| {
        format!(
            "{version} is in the catalog; look with: proximity configure {} --newest-entry --dry-run",
            app.hostname
        )
    };
    app.newer_entry.as_ref().map(told).unwrap_or_default()
}

fn container(app: &App) -> String {
    let place = format!("on {}/{}", app.host.label, app.node);
    app.vmid.map_or_else(
        || format!("none yet, {place}"),
        |vmid| format!("{vmid} {place}"),
    )
}

fn settings(app: &App) -> String {
    let Some(settings) = app.environment.as_object() else {
        return String::new();
    };
    let shown = settings.iter().map(|(key, value)| match value {
        serde_json::Value::Null => format!("{key}=(secret)"),
        serde_json::Value::String(text) => format!("{key}={text}"),
        serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => format!("{key}={value}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
