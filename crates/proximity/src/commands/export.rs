//! `proximity export`.

use std::path::Path;

use proximity_api::error::ExitCode;
use proximity_api::export::{Export, ExportQuery, ExportedDocument, ExportedSecret, NotExported};
use proximity_domain::names::Hostname;
use serde::Serialize;

use super::validate::counted;
use crate::cli::{DocumentFormat, ExportArgs};
use crate::context::Context;
use crate::document_folder::{self, Outcome};
use crate::failed::Failed;

/// What stands for stdout.
const STDOUT: &str = "-";

pub(crate) async fn run(context: &Context, args: ExportArgs) -> Result<(), Failed> {
    let query = ExportQuery {
        app: (!args.apps.is_empty()).then(|| args.apps.join(",")),
        host: args.host,
        format: Some(args.format.label().to_owned()),
        power: args.power.then_some(true),
    };
    let export = context.client()?.export(&query).await?;
    if !context.output.json {
        for line in told(&export) {
            context.output.note(&line);
        }
    }
    let is_missing = !args.apps.is_empty() && !export.left_out.is_empty();
    if args.output.as_os_str() == STDOUT {
        context.output.result(&export, joined)?;
    } else {
        let written = write(export, &args.output, args.format, args.force)?;
        context.output.result(&written, human)?;
    }
    match is_missing {
        true => Err(Failed::said(ExitCode::Error)),
        false => Ok(()),
    }
}

/// All documents as one text.
fn joined(export: &Export) -> String {
    let texts = export.documents.iter().map(|one| one.text.as_str());
    let texts: Vec<&str> = texts.collect();
    texts.join("---\n")
}

/// What the documents do not say themselves.
fn told(export: &Export) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &export.documents {
        lines.extend(
            one.notes
                .iter()
                .map(|note| format!("note: {}: {note}", one.name)),
        );
    }
    let left_out = export.left_out.iter();
    lines.extend(left_out.map(|one| format!("left out: {}: {}", one.name, one.why)));
    let secrets = export.secrets.iter();
    lines.extend(secrets.map(|one| {
        format!(
            "secret: {} is {} of {}; set it before an app is made of its document",
            one.name, one.setting, one.app
        )
    }));
    // Names and reasons are other people's: what is in them moves no cursor.
    let shown = lines.iter().map(|line| line.replace(char::is_control, " "));
    shown.collect()
}

/// What was written.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Written {
    folder: String,
    files: Vec<WrittenFile>,
    secrets: Vec<ExportedSecret>,
    left_out: Vec<NotExported>,
}

/// One app's file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct WrittenFile {
    app: String,
    /// Inside of the folder.
    file: String,
    /// `new`, `replaced` or `same`.
    outcome: &'static str,
}

fn write(
    export: Export,
    folder: &Path,
    format: DocumentFormat,
    force: bool,
) -> Result<Written, Failed> {
    let documents = export.documents.iter();
    let files = documents.map(|one| Ok((file_name(one, format)?, one.text.as_str())));
    let files = files.collect::<Result<Vec<(String, &str)>, Failed>>()?;
    let outcomes = document_folder::write(folder, &files, force)?;
    let names = files.into_iter().map(|(name, _)| name);
    let written = export.documents.iter().zip(names).zip(outcomes);
    let written = written.map(|((document, file), outcome)| WrittenFile {
        app: document.name.clone(),
        file,
        outcome: outcome.label(),
    });
    Ok(Written {
        folder: folder.display().to_string(),
        files: written.collect(),
        secrets: export.secrets,
        left_out: export.left_out,
    })
}

/// What a server calls an app becomes the name of a file only if it can be no path.
fn file_name(document: &ExportedDocument, format: DocumentFormat) -> Result<String, Failed> {
    match document.name.parse::<Hostname>() {
        Ok(name) => Ok(format!("{name}.{}", format.label())),
        Err(bad) => Err(Failed::error(
            "internal",
            format!("the server answered with an app that no file can be called like: {bad}"),
            "see that the URL is the one of your server",
        )),
    }
}

fn human(written: &Written) -> String {
    let all = counted(written.files.len(), "document");
    let of = |outcome: Outcome, what: &str| {
        let files = written.files.iter();
        let many = files.filter(|one| one.outcome == outcome.label()).count();
        (many > 0).then(|| format!("{many} {what}"))
    };
    let parts = [
        of(Outcome::New, "new"),
        of(Outcome::Replaced, "replaced"),
        of(Outcome::Same, "as before"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => format!("{all} in {}", written.folder),
        false => format!("{all} in {}: {}", written.folder, parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, text: &str) -> ExportedDocument {
        ExportedDocument {
            app_id: "018f0000-0000-7000-8000-000000000001".to_owned(),
            name: name.to_owned(),
            kind: "App".to_owned(),
            text: text.to_owned(),
            notes: Vec::new(),
        }
    }

    fn export(documents: Vec<ExportedDocument>) -> Export {
        Export {
            documents,
            secrets: vec![ExportedSecret {
                name: "web--password".to_owned(),
                app: "web".to_owned(),
                setting: "PASSWORD".to_owned(),
            }],
            left_out: vec![NotExported {
                app_id: "018f0000-0000-7000-8000-000000000002".to_owned(),
                name: "late".to_owned(),
                why: "it is deploying".to_owned(),
            }],
        }
    }

    #[test]
    fn each_app_gets_a_file_and_it_is_told_what_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("apps");
        let both = || export(vec![document("web", "a: 1\n"), document("dbs", "b: 1\n")]);
        let first = write(both(), &folder, DocumentFormat::Yaml, false).unwrap();
        let kept = std::fs::read_to_string(folder.join("web.yaml")).unwrap();
        assert_eq!(kept, "a: 1\n");
        assert!(human(&first).ends_with(": 2 new"), "{}", human(&first));
        let again = write(both(), &folder, DocumentFormat::Yaml, false).unwrap();
        assert!(
            human(&again).ends_with("apps: 2 as before"),
            "{}",
            human(&again)
        );
        let other = export(vec![document("web", "a: 2\n")]);
        let refused = write(other.clone(), &folder, DocumentFormat::Yaml, false);
        assert_eq!(refused.unwrap_err().body.code, "exists");
        let forced = write(other, &folder, DocumentFormat::Yaml, true).unwrap();
        assert_eq!(forced.files[0].outcome, "replaced");
        assert_eq!(forced.files[0].file, "web.yaml");
    }

    #[test]
    fn no_name_of_a_server_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("apps");
        for name in ["../web", "/web", "..", "web/x"] {
            let export = export(vec![document(name, "a: 1\n")]);
            let refused = write(export, &folder, DocumentFormat::Json, true);
            assert_eq!(refused.unwrap_err().body.code, "internal", "{name}");
        }
        assert!(!folder.exists());
    }

    #[test]
    fn what_the_documents_do_not_say_is_told_beside_them() {
        let mut export = export(vec![document("web", "a: 1\n"), document("dbs", "b: 1\n")]);
        assert_eq!(joined(&export), "a: 1\n---\nb: 1\n");
        export.documents[0].notes = vec!["it is error\u{7}".to_owned()];
        let expected = [
            "note: web: it is error ",
            "left out: late: it is deploying",
            "secret: web--password is PASSWORD of web; set it before an app is made of its document",
        ];
        assert_eq!(told(&export), expected);
    }
}
