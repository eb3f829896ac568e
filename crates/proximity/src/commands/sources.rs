//! `proximity sources …`.

use proximity_api::sources::{AddSource, AddedSource, Source, SourceList};
use serde::Serialize;

use super::plan;
use crate::cli::{SourceName, SourcePolicy, SourcesAdd, SourcesLook};
use crate::context::Context;
use crate::failed::Failed;
use crate::secret_input;
use crate::text::{details, moment, or_dash, table};

/// Digits of a commit that people read.
const DIGITS: usize = 12;

/// Keys and tokens come from files and stdin: arguments are everybody's.
pub(crate) async fn add(context: &Context, args: SourcesAdd) -> Result<(), Failed> {
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
    let policy = match args.policy {
        SourcePolicy::Plan => "plan",
        SourcePolicy::Apply => "apply",
    };
    let body = AddSource {
        name: args.name,
        url: args.repository,
        branch: args.branch,
        path: args.path,
        every_s: args.every,
        policy: Some(policy.to_owned()),
        prune: args.prune,
        signers: signers.transpose()?,
        token,
        ssh_key,
        known_hosts: known_hosts.transpose()?,
    };
    let added = client.add_source(&body).await?;
    context.output.result(&added, added_human)
}

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.sources().await?;
    context.output.result(&list, list_human)
}

pub(crate) async fn show(context: &Context, args: SourceName) -> Result<(), Failed> {
    let source = context.client()?.source(&args.name).await?;
    context.output.result(&source, human)
}

/// With `--dry-run` the plan is shown; else the look is asked for, and follows.
pub(crate) async fn ask(context: &Context, args: SourcesLook) -> Result<(), Failed> {
    let client = context.client()?;
    if args.dry_run {
        let planned = client.plan_source(&args.name).await?;
        return context.output.result(&planned, plan::human);
    }
    let source = client.look_at_source(&args.name).await?;
    context.output.result(&source, |source| {
        format!(
            "{} is looked at soon; follow it with: proximity sources show {}",
            source.name, source.name
        )
    })
}

pub(crate) async fn remove(context: &Context, args: SourceName) -> Result<(), Failed> {
    context.client()?.remove_source(&args.name).await?;
    let removed = Removed { removed: args.name };
    context.output.result(&removed, |one| {
        format!("{} is removed; what was applied of it stays", one.removed)
    })
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

fn added_human(added: &AddedSource) -> String {
    let name = &added.source.name;
    format!(
        "{name} is there, and is looked at now: proximity sources show {name}\n\
         A webhook to /api/sources/{name}/hook signs with this secret, which is shown this once:\n{}",
        added.hook_secret
    )
}

fn list_human(list: &SourceList) -> String {
    let row = |source: &Source| {
        [
            source.name.clone(),
            source.state.clone(),
            source.policy.clone(),
            source.branch.clone(),
            short(source.commit.as_deref()),
            source.looked_at.map_or_else(|| "-".to_owned(), moment),
            source.url.clone(),
        ]
    };
    table(
        [
            "NAME",
            "STATE",
            "POLICY",
            "BRANCH",
            "COMMIT",
            "LOOKED AT",
            "URL",
        ],
        list.sources.iter().map(row),
        "no sources",
    )
}

fn short(commit: Option<&str>) -> String {
    let digits = commit.map(|commit| commit.get(..DIGITS).unwrap_or(commit));
    or_dash(digits)
}

fn human(source: &Source) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows = [
        ("name", source.name.clone()),
        ("url", source.url.clone()),
        ("branch", source.branch.clone()),
        ("path", source.path.clone().unwrap_or_default()),
        ("policy", source.policy.clone()),
        ("prunes", yes(source.prune)),
        ("signed commits", yes(source.signed)),
        ("every", format!("{} s", source.every_s)),
        (
            "added",
            format!("{} by {}", moment(source.made_at), source.made_by),
        ),
        ("state", source.state.clone()),
        ("commit", source.commit.clone().unwrap_or_default()),
        (
            "as wanted by",
            source.applied_commit.clone().unwrap_or_default(),
        ),
        ("plan", source.plan_id.clone().unwrap_or_default()),
        ("apply", source.apply_id.clone().unwrap_or_default()),
        (
            "looked at",
            source.looked_at.map(moment).unwrap_or_default(),
        ),
        ("next look", moment(source.due_at)),
    ];
    let mut text = details(rows);
    if let Some(problem) = &source.problem {
        text.push_str(&format!("\n\n{}: {}", problem.code, problem.message));
        text.push_str(&format!("\nhint: {}", problem.hint));
    }
    for problem in &source.problems {
        text.push_str(&format!("\n  {}: {}", problem.place, problem.message));
    }
    // What is in it comes from a repository.
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::Problem;
    use proximity_api::sources::SourceProblem;

    use super::*;

    fn source() -> Source {
        Source {
            name: "home".to_owned(),
            url: "https://example.org/apps.git".to_owned(),
            branch: "main".to_owned(),
            path: Some("apps".to_owned()),
            every_s: 300,
            policy: "apply".to_owned(),
            prune: false,
            signed: true,
            has_credential: false,
            made_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            made_by: "admin".to_owned(),
            state: "wrong".to_owned(),
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            applied_commit: None,
            plan_id: None,
            apply_id: None,
            problem: Some(Problem {
                code: "manifest_invalid".to_owned(),
                message: "the documents are not right; problems: 1".to_owned(),
                hint: "correct them and push again; nothing was changed".to_owned(),
                step: None,
            }),
            problems: vec![SourceProblem {
                place: "apps/web.yaml:3:7".to_owned(),
                message: "no \u{1b}[31msuch field".to_owned(),
            }],
            failures: 1,
            looked_at: None,
            due_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_moves_no_cursor() {
        let text = human(&source());
        for part in [
            "manifest_invalid",
            "apps/web.yaml:3:7",
            "such field",
            "hint: ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        let listed = list_human(&SourceList {
            sources: vec![source()],
        });
        assert!(listed.contains("0123456789ab ") && !listed.contains("0123456789abc"));
    }

    #[test]
    fn the_secret_of_nudges_is_shown_when_a_source_is_added() {
        let text = added_human(&AddedSource {
            source: source(),
            hook_secret: "swordfish".to_owned(),
        });
        assert!(text.ends_with("swordfish") && text.contains("/api/sources/home/hook"));
    }
}
