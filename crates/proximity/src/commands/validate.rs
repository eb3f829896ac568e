//! `proximity validate`.

use std::collections::BTreeMap;

use proximity_api::error::ExitCode;
use proximity_manifest::{Manifests, Problem, Problems, read};
use serde::Serialize;

use crate::cli::ValidateArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::manifest_files::given;

pub(crate) fn run(context: &Context, args: &ValidateArgs) -> Result<(), Failed> {
    let given = given(&args.paths, &args.values, &args.set)?;
    let files = given.documents.len() + given.values.len();
    let validation = match read(&given) {
        Ok(manifests) => Validation::right(files, manifests),
        Err(problems) => Validation::wrong(files, problems),
    };
    context.output.result(&validation, human)?;
    if validation.valid {
        Ok(())
    } else {
        Err(Failed::said(ExitCode::ConfigOrNotFound))
    }
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
            ..Self::default()
        }
    }

    fn wrong(files: usize, problems: Problems) -> Self {
        Self {
            files,
            problems: problems.problems,
            left_out: problems.left_out,
            ..Self::default()
        }
    }
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

fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

#[cfg(test)]
mod tests {
    use proximity_manifest::{Given, Source};

    use super::*;

    fn told(text: &str) -> String {
        let given = Given {
            documents: vec![Source {
                name: "a.yaml".to_owned(),
                bytes: text.as_bytes().to_vec(),
            }],
            ..Given::default()
        };
        human(&match read(&given) {
            Ok(manifests) => Validation::right(1, manifests),
            Err(problems) => Validation::wrong(1, problems),
        })
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
            "1 document in 1 file is right: 1 App\n  1. web"
        );
        let three = app("web", "data, cache") + &app("data", "") + &app("cache", "");
        assert_eq!(
            told(&three),
            "3 documents in 1 file are right: 3 App\n  1. data, cache\n  2. web"
        );
        assert_eq!(told("# nothing\n"), "0 documents in 1 file are right");
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
