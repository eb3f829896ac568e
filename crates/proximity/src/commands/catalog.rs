//! `proximity catalog`.

use std::path::PathBuf;

use proximity_api::catalog::{
    CatalogEntry, CatalogList, CatalogProblem, CatalogQuery, CatalogReload, CatalogSetting,
    CatalogStats,
};
use proximity_api::error::ExitCode;
use proximity_engine::catalog::{EntryProblem, lint_entries, schema};
use serde::Serialize;

use super::validate::counted;
use super::{catalog_import, catalog_sources};
use crate::cli::{CatalogArgs, CatalogCommand};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{acts_on_terminals, details, memory, table};

pub(crate) async fn run(context: &Context, args: CatalogArgs) -> Result<(), Failed> {
    match args.command {
        None => list_entries(context, CatalogQuery::default()).await,
        Some(CatalogCommand::List(args)) => {
            let query = CatalogQuery {
                q: args.search,
                category: args.category,
                source: args.source,
            };
            list_entries(context, query).await
        }
        Some(CatalogCommand::Stats) => {
            let all = context.client()?.catalog(&CatalogQuery::default()).await?;
            context.output.result(&all.stats, stats)
        }
        Some(CatalogCommand::Reload) => {
            let read = context.client()?.reload_catalog().await?;
            context.output.result(&read, reloaded)
        }
        Some(CatalogCommand::Sources(command)) => catalog_sources::run(context, command).await,
        Some(CatalogCommand::Show { entry: id }) => {
            let shown = context.client()?.catalog_entry(&id).await?;
            context.output.result(&shown, entry)
        }
        Some(CatalogCommand::Lint { paths }) => lint(context, &paths),
        // Its `Display` with `#` is the one for people.
        Some(CatalogCommand::Import { path, to }) => {
            catalog_import::run(context, &path, to.as_deref())
        }
        Some(CatalogCommand::Schema) => context.output.line(&format!("{:#}", schema())),
    }
}

async fn list_entries(context: &Context, query: CatalogQuery) -> Result<(), Failed> {
    let all = context.client()?.catalog(&query).await?;
    context.output.result(&all, list)
}

/// What became of a look at files of entries.
#[derive(Debug, Serialize)]
struct Lint {
    /// All of it is right.
    valid: bool,
    /// Files that were looked at.
    files: usize,
    /// What is wrong.
    problems: Vec<EntryProblem>,
}

fn lint(context: &Context, paths: &[PathBuf]) -> Result<(), Failed> {
    let linted = lint_entries(paths);
    let lint = Lint {
        valid: linted.problems.is_empty(),
        files: linted.files,
        problems: linted.problems,
    };
    context.output.result(&lint, told)?;
    if lint.valid {
        Ok(())
    } else {
        Err(Failed::said(ExitCode::ConfigOrNotFound))
    }
}

fn told(lint: &Lint) -> String {
    let files = counted(lint.files, "file");
    if lint.valid {
        let verb = if lint.files == 1 { "is" } else { "are" };
        return format!("{files} {verb} right");
    }
    let problems = lint.problems.iter();
    let mut text: String = problems.map(|problem| format!("{problem}\n\n")).collect();
    text.push_str(&format!(
        "{} in {files}",
        counted(lint.problems.len(), "problem")
    ));
    text
}

fn list(list: &CatalogList) -> String {
    let mut text = table(
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
    );
    text.push_str(&problems(&list.problems));
    text
}

/// What is not in the catalog, with the reasons; nothing where all is right.
pub(super) fn problems(problems: &[CatalogProblem]) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let told = problems.iter().map(|one| {
        let message = one.message.trim_end().replace('\n', "\n    ");
        format!("\n  {}: {message}", one.place)
    });
    let told: String = told.collect();
    // What is in it may come from a repository.
    let told = told.replace(|c: char| c.is_control() && c != '\n', " ");
    format!("\n\nleft out of the catalog:{told}")
}

fn stats(stats: &CatalogStats) -> String {
    let mut rows = vec![
        ("entries".to_owned(), stats.entries),
        ("verified".to_owned(), stats.verified),
        ("left out".to_owned(), stats.problems),
    ];
    let category = |(name, many): (&String, &usize)| (format!("category {name}"), *many);
    rows.extend(stats.by_category.iter().map(category));
    let place = |(name, many): (&String, &usize)| (format!("from {name}"), *many);
    rows.extend(stats.by_source.iter().map(place));
    let rows = rows
        .iter()
        .map(|(name, many)| (name.as_str(), many.to_string()));
    details(rows)
}

fn reloaded(read: &CatalogReload) -> String {
    let mut text = match read.stats.entries {
        1 => "the catalog has 1 entry".to_owned(),
        many => format!("the catalog has {many} entries"),
    };
    text.push_str(&problems(&read.problems));
    text
}

fn entry(entry: &CatalogEntry) -> String {
    let head = details([
        ("app", format!("{} {}", entry.id, entry.version)),
        ("from", place(entry)),
        ("summary", entry.summary.clone()),
        ("category", entry.category.clone()),
        ("tags", entry.tags.join(", ")),
        ("website", entry.website.clone().unwrap_or_default()),
        ("license", entry.license.clone().unwrap_or_default()),
        ("releases", entry.releases.clone().unwrap_or_default()),
        ("installed on", entry.os_template.clone()),
        ("port", entry.container_port.to_string()),
        ("also listens on", others(entry)),
        ("works when", entry.health.clone()),
        ("needs", memory(entry.min_memory)),
        ("unpinned", unpinned(entry)),
    ]);
    // Who may reach the app, and who has to be quick to set a password, is said there.
    let about = match entry.description.trim() {
        "" => String::new(),
        text => format!("\n\n{}", text.replace(acts_on_terminals, " ")),
    };
    let settings = table(
        ["SETTING", "KIND", "DEFAULT", "WHAT IT DOES"],
        entry.settings.iter().map(setting),
        "no settings",
    );
    format!("{head}{about}\n\n{settings}")
}

/// Nothing where all that it fetches is held against something.
fn unpinned(entry: &CatalogEntry) -> String {
    match entry.unpinned {
        true => "what it fetches is held against no SHA-256; deployed only with --allow-unpinned"
            .to_owned(),
        false => String::new(),
    }
}

/// Where it comes from.
fn place(entry: &CatalogEntry) -> String {
    let verified = if entry.verified { ", verified" } else { "" };
    match &entry.commit {
        Some(commit) => format!("{}, commit {commit}", entry.source),
        None => format!("{}{verified}", entry.source),
    }
}

/// The ports that nothing leads to.
fn others(entry: &CatalogEntry) -> String {
    let others = entry.ports.iter().filter(|port| !port.main);
    let others = others.map(|port| format!("{} {} ({})", port.name, port.number, port.protocol));
    others.collect::<Vec<String>>().join(", ")
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
        (None, false) if setting.generated => "(made)".to_owned(),
        (None, false) => "-".to_owned(),
    };
    let summary = match &setting.shown_when {
        Some(when) => format!(
            "{} (where {} is {})",
            setting.summary, when.setting, when.equals
        ),
        None => setting.summary.clone(),
    };
    [setting.name.clone(), kind, default, summary]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_each_problem_and_how_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("one.yaml");
        std::fs::write(&file, "format: 1\nid: one\nname: One\nprot: 1\n").unwrap();
        let linted = lint_entries(std::slice::from_ref(&file));
        let lint = Lint {
            valid: false,
            files: linted.files,
            problems: linted.problems,
        };
        let text = told(&lint);
        let slip = format!(
            "{}:4:1: `prot` is no field of the entry [unknown_field]\n  hint: did you mean `port`?\n",
            file.display()
        );
        assert!(text.contains(&slip), "{text}");
        let count = lint.problems.len();
        assert!(count > 5, "{text}");
        assert!(
            text.ends_with(&format!("\n\n{count} problems in 1 file")),
            "{text}"
        );
    }

    #[test]
    fn an_entry_is_shown_with_all_that_is_known_of_it() {
        let shown: CatalogEntry = serde_json::from_value(serde_json::json!({
            "id": "vault",
            "name": "Vault",
            "version": "1.2.0",
            "summary": "Keeps secrets",
            "category": "security",
            "container_port": 8200,
            "min_memory": 1024,
            "tags": ["secrets", "keys"],
            "website": "https://vault.test/",
            "license": "MIT OR Apache-2.0",
            "releases": "github:vault/vault",
            "os_template": "debian-12-standard",
            "health": "port 8200 takes connections",
            "ports": [
                {"name": "web", "number": 8200, "protocol": "http", "main": true},
                {"name": "peers", "number": 8201, "protocol": "tcp", "main": false},
            ],
            "settings": [
                {"name": "token", "env": "TOKEN", "summary": "What it keeps.", "kind": "secret", "default": null,
                 "required": false, "generated": true},
                {"name": "mode", "env": "MODE", "summary": "How.", "kind": "choice", "default": "bare",
                 "options": ["bare", "named"], "required": false},
                {"name": "owner", "env": "OWNER", "summary": "Whose.", "kind": "text", "default": null,
                 "required": true, "shown_when": {"setting": "mode", "equals": "named"}},
            ],
        }))
        .unwrap();
        insta::assert_snapshot!(entry(&shown));
    }

    #[test]
    fn what_an_entry_says_of_itself_is_shown_and_moves_no_cursor() {
        let shown: CatalogEntry = serde_json::from_value(serde_json::json!({
            "id": "vault",
            "name": "Vault",
            "version": "1.2.0",
            "summary": "Keeps secrets",
            "description": "Asks nobody for a password:\nkeep it\u{1b}[2J to yourself.\n",
            "category": "security",
            "container_port": 8200,
            "min_memory": 1024,
            "settings": [],
        }))
        .unwrap();
        let text = entry(&shown);
        let about = "\n\nAsks nobody for a password:\nkeep it [2J to yourself.\n\n";
        assert!(text.contains(about), "{text}");
    }

    #[test]
    fn what_is_right_is_a_sentence() {
        let of = |files| Lint {
            valid: true,
            files,
            problems: Vec::new(),
        };
        assert_eq!(told(&of(1)), "1 file is right");
        assert_eq!(told(&of(2)), "2 files are right");
    }
}
