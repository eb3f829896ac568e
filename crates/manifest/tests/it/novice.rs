//! Documents as somebody writes them who has read the page about them once: each mistake is told with what mends it.

use proximity_manifest::{Given, Problem, Source, read};

use crate::{read_one, source};

/// The only thing that is wrong with a text.
fn only(text: &str) -> Problem {
    let mut told = read_one(text).unwrap_err().problems;
    assert_eq!(told.len(), 1, "{text}\n{told:?}");
    told.remove(0)
}

/// An app with these lines in its spec.
fn app(lines: &str) -> String {
    format!(
        "apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: web\nspec:\n  catalog_id: nginx\n{lines}"
    )
}

/// What is written in the spec of an app, the line it is told at, and what mends it.
const IN_SPEC: &[(&str, u32, &str)] = &[
    // What is a field of something else.
    (
        "  memory: 512\n",
        7,
        "its place is `spec.resources.memory_mib`",
    ),
    ("  name: other\n", 7, "its place is `metadata.name`"),
    ("  port: 80\n", 7, "documents of kind AdoptedApp have it"),
    (
        "  resources: {memory: 512}\n",
        7,
        "did you mean `memory_mib`?",
    ),
    (
        "  site_title: Hello\n",
        7,
        "what its catalog entry takes stands in `settings`",
    ),
    // Settings.
    (
        "  settings:\n    - title=Hello\n",
        8,
        "write each setting as NAME: value",
    ),
    (
        "  settings:\n    db: {user: me}\n",
        8,
        "a setting is a text, a whole number",
    ),
    (
        "  settings:\n    motd: |\n      Hello\n",
        9,
        "write |- for |",
    ),
    (
        "  settings:\n    motd: |\n      Hello\n      there\n",
        9,
        "belongs into a file",
    ),
    (
        "  settings:\n    password: ${secret:db}\n",
        8,
        "a setting names one as {secret: NAME}",
    ),
    // What YAML makes of it.
    (
        "  settings: {title: ${domain}}\n",
        7,
        "in quotes, which it needs inside of {} and []",
    ),
    (
        "  settings:\n    title: Hello: World\n",
        8,
        "put a text that has a colon and a blank in it in quotes",
    ),
    (
        "  settings:\n    title: *Hello*\n",
        8,
        "a text that begins with * is put in quotes",
    ),
    (
        "  settings:\n    path: \"C:\\Data\"\n",
        8,
        "write \\\\ for one \\ in double quotes",
    ),
    (
        "  depends_on:\n    - name: db\n",
        8,
        "write one text, without a dash or a field in front of it",
    ),
];

#[test]
fn what_is_written_in_a_spec_is_told_with_what_mends_it() {
    for (lines, line, mends) in IN_SPEC {
        let told = read_one(&app(lines)).unwrap_err().problems;
        let first = &told[0];
        assert_eq!(first.line, *line, "{lines}{first}");
        assert!(first.hint.contains(mends), "{lines}{first}");
        // What is no YAML may spoil what comes after it.
        let is_yaml = !first.message.starts_with("this is no YAML");
        assert!(!is_yaml || told.len() == 1, "{told:?}");
    }
}

/// Documents, the line each is told at, and what mends it.
const DOCUMENTS: &[(&str, u32, &str)] = &[
    (
        "api_version: proximity/v1\nkind: App\n",
        1,
        "did you mean `apiVersion`?",
    ),
    (
        "apiVersion: proximity/v1\nKind: App\n",
        2,
        "did you mean `kind`?",
    ),
    (
        "apiVersion: proximity/v1\nkind: Secret\n",
        2,
        "a setting names it, {secret: NAME}",
    ),
    (
        "[{apiVersion: proximity/v1}]\n",
        1,
        "one after the other, with a line --- between",
    ),
    (
        "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  apps:\n    shop-db: {catalog_id: nginx}\n",
        6,
        "begin each of its entries with a dash; what it is called is its field `name`",
    ),
    (
        "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n  db.memory: 512\n",
        5,
        "write its parts inside of each other",
    ),
];

#[test]
fn what_a_document_lacks_is_told_with_what_mends_it() {
    for (text, line, mends) in DOCUMENTS {
        let told = only(text);
        assert_eq!(told.line, *line, "{text}{told}");
        assert!(told.hint.contains(mends), "{text}{told}");
    }
}

#[test]
fn documents_without_a_line_between_them_are_told_once_for_each() {
    let one = app("");
    let told = only(&format!("{one}{one}"));
    assert_eq!((told.line, told.column), (7, 1));
    let hint = "put a line --- in front of each document";
    assert!(told.hint.starts_with(hint), "{told}");
    let told = read_one(&one.repeat(3)).unwrap_err().problems;
    assert_eq!(told.len(), 2, "{told:?}");
    // In a map inside of a document it is a field like any other.
    let told = only(&app("  settings: {apiVersion: 1, apiVersion: 2}\n"));
    assert!(told.hint.starts_with("take one out"), "{told}");
}

#[test]
fn a_file_of_bare_values_is_told_what_it_lacks() {
    let given = Given {
        documents: vec![source("app.yaml", &app(""))],
        values: vec![source("production.yaml", "domain: example.org\n")],
        ..Given::default()
    };
    let told = read(&given).unwrap_err().problems;
    assert_eq!((told.len(), told[0].file.as_str()), (1, "production.yaml"));
    let hint = "values stand in the spec of a document of kind Values";
    assert!(told[0].hint.starts_with(hint), "{}", told[0]);
}

#[test]
fn what_the_command_line_cannot_give_is_told_to_stand_in_a_document() {
    let given = Given {
        documents: vec![source("app.yaml", &app("  depends_on: ${x}\n"))],
        set: vec![("x".to_owned(), "[a, b]".to_owned())],
        ..Given::default()
    };
    let told = read(&given).unwrap_err().problems;
    assert_eq!(told.len(), 1, "{told:?}");
    let mends = "[one, another], in a document of values";
    assert!(told[0].hint.contains(mends), "{}", told[0]);
}

/// A file of values with these lines in its spec.
fn values_file(lines: &str) -> Source {
    let head = "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n";
    source("v.yaml", &format!("{head}{lines}"))
}

/// What is told of values that are given beside this document; it names `domain` and `db.memory`.
fn warned(values: &[&str], set: &[(&str, &str)]) -> Vec<(String, u32, String, String)> {
    let lines = "  resources: {memory_mib: \"${db.memory}\"}\n  \
                 settings: {title: \"Hello ${domain}\"}\n";
    let values = values.iter().map(|spec| values_file(spec));
    let set = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let base = "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: base}\n\
                spec: {domain: a, db: {memory: 512}, unused: 1}\n---\n";
    let given = Given {
        documents: vec![source("app.yaml", &(base.to_owned() + &app(lines)))],
        values: values.collect(),
        set: set.collect(),
    };
    let told = read(&given).unwrap().warnings;
    assert_eq!(told.left_out, 0);
    let told = told.problems.into_iter();
    told.map(|told| (told.file, told.line, told.message, told.hint))
        .collect()
}

#[test]
fn values_that_are_given_and_named_by_no_document_are_warned_of() {
    // Also where another one goes before it: it is named all the same.
    let spec = "  domain: b\n  db: {memory: 1024}\n";
    assert_eq!(warned(&[spec], &[("domain", "c"), ("db.memory", "64")]), []);
    // What a document of values among the documents has beyond is for others.
    assert_eq!(warned(&[], &[]), []);
    let told = warned(&["  db:\n    memroy: 1\n"], &[("colour", "blue")]);
    let told: Vec<_> = told
        .iter()
        .map(|(file, line, message, hint)| (&**file, *line, &**message, &**hint))
        .collect();
    let nothing = "take it out, if no document is to name it";
    assert_eq!(
        told,
        [
            (
                "v.yaml",
                6,
                "no document names the value `db.memroy`",
                "did you mean db.memory?"
            ),
            ("--set", 1, "no document names the value `colour`", nothing),
        ]
    );
    let many: String = (0..60).map(|n| format!("  v{n}: 1\n")).collect();
    let given = Given {
        documents: vec![source("app.yaml", &app(""))],
        values: vec![values_file(&many)],
        ..Given::default()
    };
    let told = read(&given).unwrap().warnings;
    assert_eq!((told.problems.len(), told.left_out), (50, 10));
}

#[test]
fn what_the_page_shows_is_right() {
    let page = include_str!("../../../../docs/reference/manifests.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        let read = read_one(block);
        assert!(read.is_ok(), "{block}\n{read:?}");
    }
}
