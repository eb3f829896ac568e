//! Documents that are not right: each with the place, the words and the hint it is told with.

use proximity_manifest::{Given, Problem, read};

use crate::{read_one, source};

/// An app that is right; what is wrong is added to it from line 7 on, into its spec.
const APP: &str =
    "apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: web\nspec:\n  catalog_id: nginx\n";

/// A text, and the line, column, words and hint it is told with.
type Case = (&'static str, u32, u32, &'static str, &'static str);

/// The only thing that is wrong with a text.
fn only(text: &str) -> Problem {
    let told = read_one(text).unwrap_err();
    assert_eq!(told.left_out, 0);
    let mut told = told.problems;
    assert_eq!(told.len(), 1, "{text}\n{told:?}");
    told.remove(0)
}

/// What is added to the app, and how it is told.
const IN_SPEC: &[Case] = &[
    (
        "  resources:\n    memroy_mib: 512\n",
        8,
        5,
        "`memroy_mib` is no field of `spec.resources`",
        "did you mean `memory_mib`?",
    ),
    (
        "  colour: blue\n",
        7,
        3,
        "`colour` is no field of `spec`",
        "its fields are: catalog_id, host, node, resources, settings, network, root_access, root_keys, host_name, certificate, apart_from, allow_unpinned, ignore, power, policy, depends_on, stack; what its catalog entry takes stands in `settings`",
    ),
    (
        "  node: ~\n",
        7,
        9,
        "`spec.node` has no value",
        "give it one, or leave the field out",
    ),
    (
        "  policy: wran\n",
        7,
        11,
        "`spec.policy` is the text `wran`, which is none of its words",
        "did you mean warn?",
    ),
    (
        "  ignore: [memory, swpa]\n",
        7,
        20,
        "\"swpa\" means no key of a container's configuration",
        "did you mean `swap`?",
    ),
    (
        "  ignore:\n  - net*\n  - net\n",
        9,
        5,
        "\"net\" means no key of a container's configuration",
        "write `net0` for one of them, and `net*` for all",
    ),
    (
        "  ignore: [power]\n",
        7,
        12,
        "\"power\" means no key of a container's configuration",
        "leave `power` out of the document instead: then it may run or not",
    ),
    (
        "  ignore: [zz*]\n",
        7,
        12,
        "\"zz*\" means no key of a container's configuration",
        "a key is written as Proxmox VE does: memory, tags, net0; net* is all that begin so",
    ),
    (
        "  ignore: [memory_mib]\n",
        7,
        12,
        "\"memory_mib\" means no key of a container's configuration",
        "did you mean `memory`?",
    ),
    (
        "  ignore: [protection]\n",
        7,
        12,
        "protection is never ignored: it keeps the container from being destroyed by mistake",
        "take it out of the list",
    ),
    (
        "  ignore: [\"*\"]\n",
        7,
        12,
        "\"*\" means lock as well, and lock is never ignored: it says who is at work on the container right now, and is never taken for drift",
        "name the keys that are meant, or more of how they begin",
    ),
    (
        "  ignore: [description]\n",
        7,
        12,
        "description is never ignored: the mark in it says that the container is Proximity's own",
        "take it out of the list",
    ),
    (
        "  ignore: [tags, tags]\n",
        7,
        18,
        "`tags` is there twice",
        "take it out; it is also at x.yaml:7:12",
    ),
    (
        "  ignore: memory\n",
        7,
        11,
        "`spec.ignore` has to be a list, and is the text `memory`",
        "write it as a list: [one, another]",
    ),
    (
        "  power: on\n",
        7,
        10,
        "`spec.power` is the text `on`, which is none of its words",
        "it can be: running, stopped",
    ),
    (
        "  resources: {cores: 0}\n",
        7,
        22,
        "`spec.resources.cores` is the number 0, and has to be 1 to 8192",
        "write a number of that range",
    ),
    (
        "  resources: {memory_mib: \"512\"}\n",
        7,
        27,
        "`spec.resources.memory_mib` is the text `512`, and has to be 16 to 16777216",
        "take the quotes away",
    ),
    (
        "  resources: {memory_mib: 1G}\n",
        7,
        27,
        "`spec.resources.memory_mib` is the text `1G`, and has to be 16 to 16777216",
        "write a whole number, without a unit; the field's name says which",
    ),
    (
        "  settings: {VERSION: 1.10}\n",
        7,
        23,
        "`spec.settings.VERSION` is `1.10`, which is no whole number",
        "put it in quotes, if it is meant as a text",
    ),
    (
        "  settings: {PASSWORD: {secrt: db}}\n",
        7,
        25,
        "`secrt` is no field of `spec.settings.PASSWORD`",
        "did you mean `secret`?",
    ),
    (
        "  depends_on: db\n",
        7,
        15,
        "`spec.depends_on` has to be a list, and is the text `db`",
        "write it as a list: [one, another]",
    ),
    (
        "  depends_on: [dbb]\n",
        7,
        16,
        "there is no app or stack `dbb` here",
        "give the document of what it depends on together with this one",
    ),
    (
        "  depends_on: [web]\n",
        7,
        16,
        "depends_on goes in a circle: `web` needs `web`",
        "take one of these out: x.yaml:7:16",
    ),
    (
        "  host: ${cluster}\n",
        7,
        9,
        "there is no value `cluster`",
        "no values are given: add a document of kind Values, or --set",
    ),
];

#[test]
fn what_is_wrong_in_a_spec_is_told_where_it_stands() {
    for (added, line, column, message, hint) in IN_SPEC {
        let text = format!("{APP}{added}");
        let told = read_one(&text).unwrap_err().problems;
        let told: Vec<_> = told
            .iter()
            // A misspelt name is missing as well.
            .filter(|problem| !problem.message.contains("is missing"))
            .map(|p| (p.line, p.column, p.message.as_str(), p.hint.as_str()))
            .collect();
        assert_eq!(told, [(*line, *column, *message, *hint)], "{added}");
    }
}

/// Documents, and how each is told.
const DOCUMENTS: &[Case] = &[
    (
        "- a\n",
        1,
        1,
        "the document has to be a map, and is a list",
        "write its documents one after the other, with a line --- between",
    ),
    (
        "kind: App\n",
        1,
        1,
        "`apiVersion` is missing in the document",
        "a document is a map with apiVersion: proximity/v1, kind, metadata and spec",
    ),
    (
        "apiVersion: proximity/v2\nkind: App\n",
        1,
        13,
        "`apiVersion` is the text `proximity/v2`, which is not known here",
        "write apiVersion: proximity/v1",
    ),
    (
        "apiVersion: proximity/v1\nkind: Ap\n",
        2,
        7,
        "`kind` is the text `Ap`, which is none",
        "did you mean App?",
    ),
    (
        "apiVersion: proximity/v1\nkind: VirtualMachine\n",
        2,
        7,
        "`kind` is the text `VirtualMachine`, which is none",
        "nodes, storages and virtual machines are shown, and never changed; the kinds are App, AdoptedApp, Stack, Values",
    ),
    (
        "apiVersion: proximity/v1\nkind: App\nmetadata: {name: web}\nspec:\n  host: home\n",
        5,
        3,
        "`catalog_id` is missing in `spec`",
        "add it: Entry of the catalog, e.g. nginx.",
    ),
    (
        "apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: Web_1\nspec: {catalog_id: nginx}\n",
        4,
        9,
        "host name \"Web_1\" must be 3 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
        "`web-1` would do",
    ),
    (
        "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n  a: x\n  b: ${a}\n",
        6,
        6,
        "`spec.b` names another value, and is one itself",
        "write out what it is to be",
    ),
    (
        "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec: {apps: []}\n",
        4,
        14,
        "`spec.apps` has 0 entries",
        "it can have 1 to 1000",
    ),
];

#[test]
fn what_is_wrong_with_a_document_is_told_where_it_stands() {
    for (text, line, column, message, hint) in DOCUMENTS {
        let told = only(text);
        assert_eq!(
            (told.line, told.column, &*told.message, &*told.hint),
            (*line, *column, *message, *hint),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_yaml_is_told_with_a_place_and_a_hint() {
    for (text, line) in [
        ("a: \"b\n", 1),
        ("a: [b\n", 1),
        ("a:\n  - b\n c: d\n", 3),
        ("a: @b\n", 1),
        ("a: *b\n", 1),
        ("a: {b: c]\n", 1),
    ] {
        let told = read_one(text).unwrap_err().problems;
        let first = &told[0];
        assert_eq!(first.file, "x.yaml");
        assert!(
            first.line >= line && first.line <= line + 2,
            "{text} {first:?}"
        );
        assert!(first.message.starts_with("this is no YAML: "), "{first:?}");
        assert!(first.message.len() > "this is no YAML: ".len(), "{first:?}");
        assert!(!first.hint.is_empty());
    }
}

#[test]
fn a_problem_is_shown_with_its_line() {
    let told = only(&format!("{APP}  policy: wran\n")).to_string();
    assert_eq!(
        told,
        "x.yaml:7:11: `spec.policy` is the text `wran`, which is none of its words\n\
         \x20 7 |   policy: wran\n\
         \x20   |           ^^^^\n\
         \x20 hint: did you mean warn?"
    );
}

#[test]
fn names_are_there_once_and_circles_are_told_with_all_who_are_in_them() {
    let app = |name: &str, needs: &str| {
        format!(
            "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\n\
             spec: {{catalog_id: nginx, depends_on: [{needs}]}}\n"
        )
    };
    let twice = only(&(app("web", "") + &app("web", "")));
    assert_eq!(twice.message, "the name `web` is there twice");
    assert_eq!((twice.line, twice.column), (9, 18));
    assert!(
        twice.hint.ends_with("it is also at x.yaml:4:18"),
        "{twice:?}"
    );
    let circle = only(&(app("one", "two") + &app("two", "three") + &app("three", "one")));
    assert_eq!(
        circle.message,
        "depends_on goes in a circle: `one` needs `two` needs `three` needs `one`"
    );
    assert_eq!((circle.line, circle.column), (5, 40));
    let stack = "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  \
                 depends_on: [web]\n  apps:\n  - {name: shop-db, catalog_id: nginx}\n";
    let through = only(&(stack.to_owned() + &app("web", "shop")));
    assert_eq!(
        through.message,
        "depends_on goes in a circle: `shop` needs `web` needs `shop`"
    );
}

#[test]
fn a_value_is_told_where_it_is_named_and_where_it_is_given() {
    let values =
        "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n  size: big\n";
    let app = format!("{APP}  resources: {{memory_mib: \"${{size}}\"}}\n");
    let given = Given {
        documents: vec![source("app.yaml", &app), source("values.yaml", values)],
        ..Given::default()
    };
    let told = read(&given).unwrap_err().problems;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].file.as_str(), told[0].line), ("app.yaml", 7));
    assert!(
        told[0]
            .hint
            .ends_with("(the value is given at values.yaml:5:9)"),
        "{told:?}"
    );
}

#[test]
fn values_have_one_place_and_files_of_values_nothing_else() {
    let values = |name: &str| {
        format!(
            "apiVersion: proximity/v1\nkind: Values\nmetadata: {{name: {name}}}\nspec: {{a: 1}}\n"
        )
    };
    let given = Given {
        documents: vec![source("a", &values("one")), source("b", &values("two"))],
        ..Given::default()
    };
    let told = read(&given).unwrap_err().problems;
    assert_eq!(told[0].message, "the value `a` is there already");
    assert!(told[0].hint.ends_with("it is also at a:4:8"), "{told:?}");
    let given = Given {
        values: vec![source("v", APP)],
        ..Given::default()
    };
    let told = read(&given).unwrap_err().problems;
    assert_eq!(told[0].message, "this is no document of values, but of App");
    for (name, value) in [("1a", "x"), ("a..b", "x"), ("a", "${b}"), ("a", "x\u{0}")] {
        let given = Given {
            documents: vec![source("a", APP)],
            set: vec![(name.to_owned(), value.to_owned())],
            ..Given::default()
        };
        let told = read(&given).unwrap_err().problems;
        assert_eq!((told.len(), told[0].file.as_str()), (1, "--set"), "{name}");
    }
}

#[test]
fn a_value_that_is_there_twice_in_one_map_is_told_once() {
    let text =
        "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n  a: 1\n  a: 2\n";
    assert_eq!(only(text).message, "`a` is there twice in one map");
    let stack = "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  \
                 values: {a: {b: 1}, a: {b: 2}}\n  apps: [{name: shop-db, catalog_id: nginx}]\n";
    assert_eq!(only(stack).message, "`a` is there twice in one map");
}

/// An app with this in its spec.
fn named(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\n\
         spec: {{catalog_id: nginx, {spec}}}\n"
    )
}

/// All that is told of a text, in the order of the places.
fn words(text: &str) -> Vec<String> {
    let told = read_one(text).unwrap_err().problems;
    told.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn names_and_circles_are_told_whatever_else_is_wrong() {
    let text = named("one", "colour: blue, depends_on: [two, nobody]")
        + &named("two", "depends_on: [one]")
        + &named("two", "");
    assert_eq!(
        words(&text),
        [
            "`colour` is no field of `spec`",
            "depends_on goes in a circle: `one` needs `two` needs `one`",
            "there is no app or stack `nobody` here",
            "the name `two` is there twice",
        ]
    );
}

#[test]
fn nobody_is_told_to_be_missing_while_a_name_cannot_be_read() {
    let needs = named("web", "depends_on: [other]");
    let missing = "there is no app or stack `other` here";
    assert_eq!(words(&needs), [missing]);
    for unread in [
        "---\na: [\n".to_owned(),
        "---\nkind: App\n".to_owned(),
        named("other_1", ""),
        named("\"${other}\"", ""),
        named("[other]", ""),
        "---\napiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\n\
         spec: {apps: {other: {}}}\n"
            .to_owned(),
    ] {
        let told = words(&format!("{needs}{unread}"));
        assert!(!told.is_empty(), "{unread}");
        assert!(!told.contains(&missing.to_owned()), "{unread}{told:?}");
    }
    // A stack without a spec is there all the same, and values are nobody's need.
    let stack = "---\napiVersion: proximity/v1\nkind: Stack\nmetadata: {name: other}\n";
    assert_eq!(
        words(&format!("{needs}{stack}")),
        ["`spec` is missing in the document"]
    );
    let values = "---\napiVersion: proximity/v1\nkind: Values\nmetadata: {}\nspec: {}\n";
    let told = words(&format!("{needs}{values}"));
    assert!(told.contains(&missing.to_owned()), "{told:?}");
}
