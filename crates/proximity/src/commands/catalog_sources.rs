//! `proximity catalog sources …`.

use proximity_api::catalog_sources::{
    AddCatalogSource, CatalogDiff, CatalogSource, CatalogSourceList, EntryDiff, TakeCatalogSource,
};
use serde::Serialize;
use serde_json::Value;

use super::catalog::problems;
use super::validate::counted;
use crate::ask;
use crate::cli::{CatalogSourcesAdd, CatalogSourcesCommand, CatalogSourcesUpdate};
use crate::context::Context;
use crate::failed::Failed;
use crate::secret_input;
use crate::text::{moment, or_dash, table};

/// Digits of a commit that people read.
const DIGITS: usize = 12;
/// Letters of a value that people read.
const MOST_LETTERS: usize = 100;
/// Of these so many before the first one that differs.
const LETTERS_BEFORE: usize = 20;

pub(crate) async fn run(context: &Context, command: CatalogSourcesCommand) -> Result<(), Failed> {
    match command {
        CatalogSourcesCommand::Add(args) => add(context, *args).await,
        CatalogSourcesCommand::List => {
            let list = context.client()?.catalog_sources().await?;
            context.output.result(&list, list_human)
        }
        CatalogSourcesCommand::Diff(args) => {
            let diff = context.client()?.diff_catalog_source(&args.name).await?;
            context.output.result(&diff, diff_human)
        }
        CatalogSourcesCommand::Update(args) => update(context, args).await,
        CatalogSourcesCommand::Remove(args) => {
            context.client()?.remove_catalog_source(&args.name).await?;
            let removed = Removed { removed: args.name };
            context.output.result(&removed, |one| {
                format!(
                    "{} is removed; apps that were made from its entries go on with what these said",
                    one.removed
                )
            })
        }
    }
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

/// Keys and tokens come from files and stdin: arguments are everybody's.
async fn add(context: &Context, args: CatalogSourcesAdd) -> Result<(), Failed> {
    let client = context.client()?;
    let token = match args.token_stdin {
        true => Some(secret_input::first_line_of_stdin("the token")?.into()),
        false => None,
    };
    let ssh_key = match &args.key_file {
        Some(path) => Some(secret_input::whole_file(path, "the private key")?.into()),
        None => None,
    };
    let known_hosts = args.known_hosts.as_deref();
    let known_hosts = known_hosts.map(|path| secret_input::whole_text(path, "the host keys"));
    let signers = args.require_signature.as_deref();
    let signers = signers.map(|path| secret_input::whole_text(path, "the allowed signers"));
    let body = AddCatalogSource {
        name: args.name,
        url: args.repository,
        branch: args.branch,
        path: args.path,
        signers: signers.transpose()?,
        token,
        ssh_key,
        known_hosts: known_hosts.transpose()?,
    };
    let added = client.add_catalog_source(&body).await?;
    context.output.result(&added, |source| {
        format!(
            "{name} is there; look at what it has, and take it: proximity catalog sources update {name}",
            name = source.name
        )
    })
}

/// What is taken is what was shown: the commit goes with it.
async fn update(context: &Context, args: CatalogSourcesUpdate) -> Result<(), Failed> {
    let client = context.client()?;
    let commit = match args.commit {
        Some(commit) => commit,
        None => {
            let diff = client.diff_catalog_source(&args.name).await?;
            if diff.source.commit.as_ref() == Some(&diff.commit) {
                return context.output.result(&diff, diff_human);
            }
            ask::need_a_person(
                "what the commit changes has to be looked at before it is taken",
                "look with: proximity catalog sources diff NAME; then give --commit COMMIT",
            )?;
            context.output.note(&diff_human(&diff));
            if !ask::yes("Take this commit?")? {
                return Err(Failed::cancelled("nothing was taken", ""));
            }
            diff.commit
        }
    };
    let body = TakeCatalogSource { commit };
    let taken = client.take_catalog_source(&args.name, &body).await?;
    context.output.result(&taken, |taken| {
        let name = &taken.source.name;
        format!(
            "{}\n\ncommit {} of {name} is taken; its entries can be deployed",
            diff_human(taken),
            short(Some(&taken.commit))
        )
    })
}

fn list_human(list: &CatalogSourceList) -> String {
    let row = |source: &CatalogSource| {
        [
            source.name.clone(),
            source.branch.clone(),
            short(source.commit.as_deref()),
            source.taken_at.map_or_else(|| "-".to_owned(), moment),
            or_dash(source.taken_by.as_deref()),
            source.url.clone(),
        ]
    };
    table(
        ["NAME", "BRANCH", "COMMIT", "TAKEN AT", "BY", "URL"],
        list.sources.iter().map(row),
        "no repositories with entries",
    )
}

fn short(commit: Option<&str>) -> String {
    let digits = commit.map(|commit| commit.get(..DIGITS).unwrap_or(commit));
    or_dash(digits)
}

fn diff_human(diff: &CatalogDiff) -> String {
    let (before, now) = (diff.source.commit.as_deref(), diff.commit.as_str());
    let mut text = match before {
        Some(before) if before == now => {
            format!("{}: commit {}", diff.source.name, short(Some(now)))
        }
        _ => format!(
            "{}: commit {} -> {}",
            diff.source.name,
            short(before),
            short(Some(now))
        ),
    };
    if diff.entries.is_empty() {
        text.push_str("\nno entry differs");
    }
    for entry in &diff.entries {
        text.push_str(&entry_human(entry));
    }
    if diff.same > 0 {
        text.push_str(&format!("\n{} as before", counted_entries(diff.same)));
    }
    text.push_str(&problems(&diff.problems));
    // What is in it comes from a repository.
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

fn counted_entries(many: usize) -> String {
    match many {
        1 => "1 entry".to_owned(),
        many => format!("{many} entries"),
    }
}

fn entry_human(entry: &EntryDiff) -> String {
    let version = match (&entry.version_before, &entry.version) {
        (Some(before), Some(now)) if before != now => format!(" {before} -> {now}"),
        (_, Some(version)) | (Some(version), None) => format!(" {version}"),
        (None, None) => String::new(),
    };
    let mut text = format!("\n{:<8}{}{version}", entry.fate, entry.path);
    for field in &entry.changes {
        let (from, to) = both(&field.from, &field.to);
        text.push_str(&format!("\n          {}: {from} -> {to}", field.path));
    }
    if entry.left_out > 0 {
        let more = counted(entry.left_out, "more field");
        text.push_str(&format!("\n          and {more}"));
    }
    text
}

/// Two values, each on one line. Of long ones that begin alike what is shown begins shortly before the first letter that differs.
fn both(from: &Value, to: &Value) -> (String, String) {
    let (from, to) = (on_one_line(from), on_one_line(to));
    let alike = from.chars().zip(to.chars());
    let alike = alike.take_while(|(one, other)| one == other).count();
    let skipped = match alike > MOST_LETTERS - LETTERS_BEFORE {
        true => alike - LETTERS_BEFORE,
        false => 0,
    };
    (cut(&from, skipped), cut(&to, skipped))
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    }
}

/// So many letters as people read, from there on.
fn cut(text: &str, skipped: usize) -> String {
    let mut letters = text.chars().skip(skipped);
    let short: String = letters.by_ref().take(MOST_LETTERS).collect();
    let before = if skipped > 0 { "…" } else { "" };
    let after = if letters.next().is_some() { "…" } else { "" };
    format!("{before}{short}{after}")
}

#[cfg(test)]
mod tests {
    use proximity_api::catalog::CatalogProblem;
    use proximity_api::catalog_sources::EntryField;
    use serde_json::json;

    use super::*;

    fn diff() -> CatalogDiff {
        let entry = |path: &str, fate: &str| EntryDiff {
            path: path.to_owned(),
            fate: fate.to_owned(),
            version_before: None,
            version: Some("1".to_owned()),
            changes: Vec::new(),
            left_out: 0,
        };
        CatalogDiff {
            source: CatalogSource {
                name: "team".to_owned(),
                url: "https://example.org/entries.git".to_owned(),
                branch: "main".to_owned(),
                path: None,
                signed: false,
                has_credential: false,
                made_at: "2026-01-02T03:04:05Z".parse().unwrap(),
                made_by: "admin".to_owned(),
                commit: Some("a".repeat(40)),
                taken_at: None,
                taken_by: None,
            },
            commit: "b".repeat(40),
            entries: vec![
                EntryDiff {
                    version_before: Some("0".to_owned()),
                    changes: vec![EntryField {
                        path: "install[0].apt".to_owned(),
                        from: json!("a\u{1b}[31m"),
                        to: json!("x".repeat(200)),
                    }],
                    left_out: 1,
                    ..entry("web/app.yaml", "changed")
                },
                entry("new/app.yaml", "new"),
            ],
            same: 1,
            problems: vec![CatalogProblem {
                place: "team@bbbbbbbbbbbb:bad/app.yaml".to_owned(),
                message: "it is wrong".to_owned(),
            }],
        }
    }

    #[test]
    fn what_a_commit_changes_is_read_before_it_is_taken() {
        let text = diff_human(&diff());
        for part in [
            "commit aaaaaaaaaaaa -> bbbbbbbbbbbb\n",
            "changed web/app.yaml 0 -> 1",
            "install[0].apt: \"a",
            "and 1 more field",
            "new     new/app.yaml 1",
            "1 entry as before",
            "team@bbbbbbbbbbbb:bad/app.yaml: it is wrong",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(!text.contains(&"x".repeat(101)), "{text}");
    }

    #[test]
    fn of_long_values_is_shown_where_they_differ() {
        let long = |end: &str| json!(format!("{}{end}{}", "a".repeat(5_000), "z".repeat(500)));
        let (from, to) = both(&long("one"), &long("two"));
        assert!(from.contains("aone") && to.contains("atwo"), "{from}, {to}");
        for text in [&from, &to] {
            assert!(text.starts_with("…a") && text.ends_with("z…"), "{text}");
            assert_eq!(text.chars().count(), MOST_LETTERS + 2);
        }
        // What is put behind a long text is seen, and so is that something is gone there.
        let (from, to) = both(
            &json!("b".repeat(300)),
            &json!(format!("{}c", "b".repeat(300))),
        );
        assert!(
            from.ends_with("b\"") && to.ends_with("bc\""),
            "{from}, {to}"
        );
        assert_eq!(
            both(&json!(1), &Value::Null),
            ("1".to_owned(), "-".to_owned())
        );
        let (from, to) = both(&json!("short"), &json!("shore"));
        assert_eq!((from.as_str(), to.as_str()), ("\"short\"", "\"shore\""));
    }

    #[test]
    fn a_repository_of_which_nothing_was_taken_says_so() {
        let source = CatalogSource {
            commit: None,
            ..diff().source
        };
        let text = list_human(&CatalogSourceList {
            sources: vec![source],
        });
        let row = text.lines().last().unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..5], ["team", "main", "-", "-", "-"]);
    }
}
