//! `proximity validate`.

use std::collections::BTreeMap;

use proximity_api::error::ExitCode;
use proximity_manifest::{Given, Manifests, Problem, Problems, read};
use serde::Serialize;

use crate::cli::ValidateArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::manifest_files::given;

pub(crate) fn run(context: &Context, args: &ValidateArgs) -> Result<(), Failed> {
    let documents = &args.documents;
    let given = given(&documents.paths, &documents.values, &documents.set)?;
    let files = files(&given);
    let validation = match read(&given) {
        Ok(manifests) => Validation::right(files, manifests),
        Err(problems) => Validation::wrong(files, problems),
    };
    note_warnings(context, &validation);
    context.output.result(&validation, human)?;
    if validation.valid {
        Ok(())
    } else {
        Err(Failed::said(ExitCode::ConfigOrNotFound))
    }
}

/// What no text shows: whether it is there, only a server could say.
const NOT_LOOKED_AT: [&str; 6] = [
    "hosts",
    "nodes",
    "containers",
    "catalog entries",
    "the settings that they take",
    "secrets",
];
/// Tells what is wrong with documents, and what is probably not meant so, as `validate` does.
///
/// # Errors
/// Something is wrong; it is told already.
pub(super) fn check(context: &Context, given: &Given) -> Result<(), Failed> {
    let problems = match read(given) {
        Ok(manifests) => {
            note_warnings(context, &Validation::right(files(given), manifests));
            return Ok(());
        }
        Err(problems) => problems,
    };
    let wrong = Validation::wrong(files(given), problems);
    context.output.result(&wrong, human)?;
    Err(Failed::said(ExitCode::ConfigOrNotFound))
}

/// On stderr; with `--json` they are part of the result.
fn note_warnings(context: &Context, validation: &Validation) {
    if !context.output.json {
        for warning in warnings(validation) {
            context.output.note(&warning);
        }
    }
}

fn files(given: &Given) -> usize {
    given.documents.len() + given.values.len()
}

/// What became of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Validation {
    /// All of it is right.
    valid: bool,
    /// Files that were read.
    files: usize,
    /// Documents by kind; only if all are right.
    documents: BTreeMap<&'static str, usize>,
    /// Names of the apps in layers, each of which depends only on earlier ones; only if all are right.
    order: Vec<Vec<String>>,
    /// What is wrong.
    problems: Vec<Problem>,
    /// How many more problems there are.
    left_out: usize,
    /// What is right, and probably not meant so; only if all are right.
    warnings: Vec<Problem>,
    /// How many more warnings there are.
    warnings_left_out: usize,
    /// Of what it was not looked at whether it is there.
    not_looked_at: [&'static str; 6],
}

impl Validation {
    fn right(files: usize, manifests: Manifests) -> Self {
        let mut documents = BTreeMap::new();
        for manifest in &manifests.documents {
            *documents.entry(manifest.kind().label()).or_default() += 1;
        }
        Self {
            valid: true,
            files,
            documents,
            order: manifests.order,
            warnings: manifests.warnings.problems,
            warnings_left_out: manifests.warnings.left_out,
            not_looked_at: NOT_LOOKED_AT,
            ..Self::default()
        }
    }

    fn wrong(files: usize, problems: Problems) -> Self {
        Self {
            files,
            problems: problems.problems,
            left_out: problems.left_out,
            not_looked_at: NOT_LOOKED_AT,
            ..Self::default()
        }
    }
}

/// The warnings, each as people read it.
fn warnings(validation: &Validation) -> Vec<String> {
    let warnings = validation.warnings.iter();
    let mut told: Vec<String> = warnings.map(|one| format!("warning: {one}")).collect();
    if validation.warnings_left_out > 0 {
        let more = counted(validation.warnings_left_out, "more warning");
        told.push(format!("{more}, not shown"));
    }
    told
}

fn human(validation: &Validation) -> String {
    let files = counted(validation.files, "file");
    if validation.valid {
        let all: usize = validation.documents.values().sum();
        let verb = if all == 1 { "is" } else { "are" };
        let kinds = validation.documents.iter();
        let kinds: Vec<String> = kinds.map(|(kind, n)| format!("{n} {kind}")).collect();
        let mut text = format!("{} in {files} {verb} right", counted(all, "document"));
        if !kinds.is_empty() {
            text.push_str(&format!(": {}", kinds.join(", ")));
        }
        for (n, layer) in validation.order.iter().enumerate() {
            text.push_str(&format!("\n  {}. {}", n + 1, layer.join(", ")));
        }
        if all > 0 {
            let list = validation.not_looked_at.join(", ");
            text.push_str(&format!("\nnot looked at, whether they are there: {list}"));
        }
        return text;
    }
    let problems = validation.problems.iter();
    let mut text: String = problems.map(|problem| format!("{problem}\n\n")).collect();
    let all = validation.problems.len() + validation.left_out;
    text.push_str(&format!("{} in {files}", counted(all, "problem")));
    if validation.left_out > 0 {
        text.push_str(&format!(", {} of them not shown", validation.left_out));
    }
    text
}

pub(super) fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

#[cfg(test)]
mod tests {
    use proximity_manifest::Source;

    use super::*;

    const NOT_LOOKED_AT_LINE: &str = "\nnot looked at, whether they are there: hosts, nodes, \
        containers, catalog entries, the settings that they take, secrets";

    /// What becomes of a text, and of values that are given beside it.
    fn validation(text: &str, set: &[&str]) -> Validation {
        let set = set.iter().map(|name| ((*name).to_owned(), "1".to_owned()));
        let given = Given {
            documents: vec![Source {
                name: "a.yaml".to_owned(),
                bytes: text.as_bytes().to_vec(),
            }],
            set: set.collect(),
            ..Given::default()
        };
        match read(&given) {
            Ok(manifests) => Validation::right(1, manifests),
            Err(problems) => Validation::wrong(1, problems),
        }
    }

    fn told(text: &str) -> String {
        human(&validation(text, &[]))
    }

    #[test]
    fn people_read_what_is_there_and_in_which_order() {
        let app = |name: &str, needs: &str| {
            format!(
                "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\n\
                 spec: {{catalog_id: nginx, depends_on: [{needs}]}}\n"
            )
        };
        assert_eq!(
            told(&app("web", "")),
            format!("1 document in 1 file is right: 1 App\n  1. web{NOT_LOOKED_AT_LINE}")
        );
        let three = app("web", "data, cache") + &app("data", "") + &app("cache", "");
        assert_eq!(
            told(&three),
            format!(
                "3 documents in 1 file are right: 3 App\n  1. data, cache\n  2. web{NOT_LOOKED_AT_LINE}"
            )
        );
        assert_eq!(told("# nothing\n"), "0 documents in 1 file are right");
    }

    #[test]
    fn values_that_nothing_names_are_warnings_and_all_is_right() {
        let names: Vec<String> = (0..52).map(|n| format!("v{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let right = validation("# nothing\n", &names[..1]);
        assert!(right.valid);
        let told = warnings(&right);
        assert_eq!(told.len(), 1);
        let start = "warning: --set:1:1: no document names the value `v0`\n";
        assert!(told[0].starts_with(start), "{}", told[0]);
        let right = validation("# nothing\n", &names);
        let told = warnings(&right);
        assert_eq!(
            (told.len(), told[50].as_str()),
            (51, "2 more warnings, not shown")
        );
        let json = serde_json::to_value(&right).unwrap();
        assert_eq!(json["warnings"].as_array().map(Vec::len), Some(50));
        assert_eq!(json["warnings_left_out"], 2);
        assert_eq!(json["not_looked_at"][0], "hosts");
    }

    #[test]
    fn people_read_each_problem_and_how_many_there_are() {
        let text = told("kind: App\n");
        assert!(
            text.starts_with("a.yaml:1:1: `apiVersion` is missing"),
            "{text}"
        );
        assert!(text.ends_with("\n\n1 problem in 1 file"), "{text}");
        // All but the first are there already; what else is wrong is not looked for any more.
        let many = told(&"a: 1\n".repeat(60));
        assert!(
            many.ends_with("59 problems in 1 file, 9 of them not shown"),
            "{many}"
        );
    }
}
