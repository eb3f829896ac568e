//! `proximity catalog`.

use proximity_api::catalog::{CatalogEntry, CatalogList, CatalogQuery, CatalogSetting};

use crate::cli::{CatalogArgs, CatalogCommand};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{details, memory, table};

pub(crate) async fn run(context: &Context, args: CatalogArgs) -> Result<(), Failed> {
    let client = context.client()?;
    match args.command {
        None => {
            let all = client.catalog(&CatalogQuery::default()).await?;
            context.output.result(&all, list)
        }
        Some(CatalogCommand::List { search, category }) => {
            let query = CatalogQuery {
                q: search,
                category,
            };
            context.output.result(&client.catalog(&query).await?, list)
        }
        Some(CatalogCommand::Show { entry: id }) => context
            .output
            .result(&client.catalog_entry(&id).await?, entry),
    }
}

fn list(list: &CatalogList) -> String {
    table(
        ["APP", "VERSION", "CATEGORY", "SUMMARY"],
        list.entries.iter().map(|entry| {
            [
                entry.id.clone(),
                entry.version.clone(),
                entry.category.clone(),
                entry.summary.clone(),
            ]
        }),
        "no entry matches",
    )
}

fn entry(entry: &CatalogEntry) -> String {
    let head = details([
        ("app", format!("{} {}", entry.id, entry.version)),
        ("summary", entry.summary.clone()),
        ("category", entry.category.clone()),
        ("port", entry.container_port.to_string()),
        ("needs", memory(entry.min_memory)),
    ]);
    let settings = table(
        ["SETTING", "KIND", "DEFAULT", "WHAT IT DOES"],
        entry.settings.iter().map(setting),
        "no settings",
    );
    format!("{head}\n\n{settings}")
}

fn setting(setting: &CatalogSetting) -> [String; 4] {
    let kind = if setting.options.is_empty() {
        setting.kind.clone()
    } else {
        setting.options.join("|")
    };
    let default = match (&setting.default, setting.required) {
        (Some(value), _) => value.clone(),
        (None, true) => "(required)".to_owned(),
        (None, false) => "-".to_owned(),
    };
    [setting.name.clone(), kind, default, setting.summary.clone()]
}
