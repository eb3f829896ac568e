//! The ten wishes of `fixtures/manifests`, one after the other on one installation.

use std::path::{Path, PathBuf};

use super::{applied, comes_to_rest};
use crate::lab::{json, stranger};
use crate::standing::Standing;

/// What people read, without what is drawn.
struct Told<'a> {
    lab: &'a Standing,
    documents: PathBuf,
    text: String,
}

impl<'a> Told<'a> {
    fn new(lab: &'a Standing) -> Self {
        let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/manifests");
        Self {
            lab,
            documents: documents.canonicalize().unwrap(),
            text: String::new(),
        }
    }

    fn path(&self, of: &str) -> String {
        self.documents.join(of).display().to_string()
    }

    /// Keeps a command with what it said on stdout, or where that is nothing on stderr; gives its exit code and all of it.
    fn keep(&mut self, line: &str, told: (i32, String, String)) -> (i32, String) {
        let (code, said, complaint) = told;
        let shown = match said.trim().is_empty() {
            true => &complaint,
            false => &said,
        };
        let text = format!(
            "$ proximity {line}\n{}\n[exit code {code}]\n\n",
            shown.trim_end()
        );
        let own = [
            (self.documents.display().to_string(), "DOCUMENTS"),
            (self.lab.dir().display().to_string(), "DIR"),
        ];
        let text = own
            .iter()
            .fold(text, |text, (path, name)| text.replace(path, name));
        self.text.push_str(&without_moments(&without_ids(&text)));
        (code, said + &complaint)
    }

    /// Validates and plans; gives the exit code of the plan, and all that it said.
    fn planned(&mut self, documents: &str) -> (i32, String) {
        let (validate, plan) = (format!("validate {documents}"), format!("plan {documents}"));
        let told = self.lab.asked(&validate);
        let (code, said) = self.keep(&validate, told);
        assert_eq!(code, 0, "{said}");
        let told = self.lab.asked(&plan);
        self.keep(&plan, told)
    }

    /// Applies; gives the exit code, and all that it said.
    fn applied(&mut self, documents: &str) -> (i32, String) {
        let told = applied(self.lab, documents);
        self.keep(&format!("apply {documents} --yes --parallel 1"), told)
    }

    /// Validates, plans and applies.
    fn comes_true(&mut self, documents: &str) {
        let (code, said) = self.planned(documents);
        assert_eq!(code, 0, "{said}");
        let (code, said) = self.applied(documents);
        assert_eq!(code, 0, "{said}");
    }

    /// Ends a wish: what people read is as it was.
    fn is_as_before(&mut self, wish: &str) {
        let text = std::mem::take(&mut self.text);
        insta::assert_snapshot!(wish, text);
    }
}

/// Ids are drawn.
fn without_ids(text: &str) -> String {
    let is_of_one = |c: char| c.is_ascii_hexdigit() || c == '-';
    let is_one = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let (mut told, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(is_of_one) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !is_of_one(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        told.push_str(before);
        told.push_str(if is_one(word) { "ID" } else { word });
        rest = after;
    }
    told + rest
}

/// Moments are those of the run.
fn without_moments(text: &str) -> String {
    let lines = text.lines().map(|line| match line.ends_with(" UTC") {
        true => format!("{} MOMENT\n", line.split(' ').next().unwrap_or_default()),
        false => format!("{line}\n"),
    });
    lines.collect()
}

pub(crate) fn come_true(lab: &Standing) {
    let mut told = Told::new(lab);
    let first = ["01-one-web-server", "02-one-after-the-other", "03-stack"];
    for wish in first {
        let documents = told.path(wish);
        told.comes_true(&documents);
        told.is_as_before(wish);
    }
    two_environments(&mut told);
    a_secret(&mut told);
    comes_to_rest(lab, &first.map(|wish| told.path(wish)).join(" "));
    stranger(lab, 150, "my-redis", true);
    for wish in ["06-adopt", "07-more-memory", "09-json"] {
        let documents = told.path(wish);
        told.comes_true(&documents);
        told.is_as_before(wish);
    }
    let shown = json(lab, "show website");
    assert!(shown.to_string().contains("512"), "{shown}");
    one_goes(&mut told);
    mistakes(&mut told);
}

/// The same document with other values is a change of the same app.
fn two_environments(told: &mut Told<'_>) {
    let apps = told.path("04-two-environments/apps");
    let with = |file: &str| {
        let values = told.path(&format!("04-two-environments/{file}.yaml"));
        format!("{apps} --values {values}")
    };
    let (staging, production) = (with("staging"), with("production"));
    told.comes_true(&staging);
    comes_to_rest(told.lab, &staging);
    told.comes_true(&production);
    comes_to_rest(told.lab, &production);
    told.is_as_before("04-two-environments");
    // Without values nothing is guessed.
    let (code, said, _) = told.lab.asked(&format!("validate {apps}"));
    assert_eq!(code, 3, "{said}");
}

/// No setting of this entry is a secret: that is told, with what to write instead.
fn a_secret(told: &mut Told<'_>) {
    let documents = told.path("05-secret");
    let (code, said) = told.planned(&documents);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("is no secret"), "{said}");
    told.is_as_before("05-secret");
    let apps = json(told.lab, "apps").to_string();
    assert!(!apps.contains("notice"), "{apps}");
}

/// Everything is exported, the document of one deleted, and the rest applied.
fn one_goes(told: &mut Told<'_>) {
    let folder = told.lab.dir().join("exported");
    let folder_name = folder.display().to_string();
    let export = format!("export --output {folder_name}");
    let exported = told.lab.asked(&export);
    assert_eq!(exported.0, 0, "{exported:?}");
    // What was exported is as it is there.
    comes_to_rest(told.lab, &format!("{folder_name} --prune"));
    std::fs::remove_file(folder.join("website.yaml")).unwrap();
    let plan = format!("plan {folder_name} --prune");
    let planned = told.lab.asked(&plan);
    let (code, said) = told.keep(&plan, planned);
    assert_eq!(code, 0, "{said}");
    // Without --prune nothing goes, and without the number nothing that holds anything.
    let (code, said) = told.applied(&folder_name);
    assert_eq!(code, 0, "{said}");
    let (code, said) = told.applied(&format!("{folder_name} --prune"));
    assert_ne!(code, 0, "{said}");
    let apps = json(told.lab, "apps").to_string();
    assert!(apps.contains("\"website\""), "{apps}");
    let (code, said) = told.applied(&format!("{folder_name} --prune --confirm-destroyed 1"));
    assert_eq!(code, 0, "{said}");
    comes_to_rest(told.lab, &format!("{folder_name} --prune"));
    let apps = json(told.lab, "apps").to_string();
    assert!(!apps.contains("\"website\""), "{apps}");
    assert!(apps.contains("\"my-redis\""), "{apps}");
    told.is_as_before("08-one-goes");
}

/// Each of the five is told in one go, with its line.
fn mistakes(told: &mut Told<'_>) {
    let line = format!("validate {}", told.path("10-mistakes"));
    let wrong = told.lab.asked(&line);
    let (code, said) = told.keep(&line, wrong);
    assert_eq!(code, 3, "{said}");
    for mistake in [
        "typical.yaml:8:5: `memroy_mib` is no field of `spec.resources`",
        "host name \"Files\" must be",
        "write a whole number, without a unit",
        "`catalog_id` is missing in `spec`",
        "there is no value `title`",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
    told.is_as_before("10-mistakes");
}
