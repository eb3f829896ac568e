//! Texts that are meant to hurt: nothing panics, everything is told with a place, and the limits hold.

use proptest::prelude::*;
use proximity_manifest::{Given, MOST_SOURCE_BYTES, Problems, read};

use crate::{read_one, source};

const GOOD: &str = "\
apiVersion: proximity/v1
kind: Stack
metadata: {name: shop}
spec:
  values: {size: &size 512, list: [a, \"b\", 'c']}
  apps:
  - name: shop-db
    catalog_id: nginx
    resources: {memory_mib: *size}
    settings:
      title: |
        a text
      other: >-
        of two
        lines
      secret: {secret: db}
  - {name: shop-web, catalog_id: nginx, depends_on: [shop-db], settings: {t: \"${size} ä\"}}
---
# Another one.
apiVersion: proximity/v1
kind: Values
metadata: {name: v}
spec: {a: {b: [1, true, x]}}
";

/// Each problem has a place in the text, a line that is there, and words.
fn check(text: &str, told: &Problems) {
    assert!(!told.problems.is_empty());
    assert!(told.problems.len() <= 50);
    // A carriage return alone ends a line too.
    let lines = text.matches(['\n', '\r']).count() + 1;
    for problem in &told.problems {
        assert!(
            (1..=lines).contains(&(problem.line as usize)),
            "{problem:?}"
        );
        assert!(problem.column >= 1, "{problem:?}");
        assert!(
            !problem.message.is_empty() && !problem.hint.is_empty(),
            "{problem:?}"
        );
        let shown = problem.to_string();
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.len() < 4000, "{}", shown.len());
    }
}

/// What is changed in a text: where, how many characters are taken out, and what is put there.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let put = prop_oneof![
        "[-?:,{}#&*!|>'\"%@`$~ \\[\\]\n\t]{0,3}",
        ".{0,4}",
        Just("---\n".to_owned()),
        Just("...\n".to_owned()),
        Just("${".to_owned()),
        Just("*size".to_owned()),
        Just("&a ".to_owned()),
        Just("<<: *size".to_owned()),
        Just("!!binary ".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("9999999999999999999999".to_owned()),
    ];
    (any::<prop::sample::Index>(), 0_usize..6, put)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_text_that_was_spoilt_is_read_or_told(changes in prop::collection::vec(change(), 1..5)) {
        let mut letters: Vec<char> = GOOD.chars().collect();
        for (at, out, put) in changes {
            let at = at.index(letters.len() + 1);
            let end = (at + out).min(letters.len());
            drop(letters.splice(at..end, put.chars()));
        }
        let text: String = letters.into_iter().collect();
        if let Err(told) = read_one(&text) {
            check(&text, &told);
        }
    }

    #[test]
    fn any_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut given = Given::default();
        given.documents.push(source("x", ""));
        given.documents[0].bytes.clone_from(&bytes);
        if let Err(told) = read(&given) {
            check(&String::from_utf8_lossy(&bytes), &told);
        }
    }
}

#[test]
fn the_text_that_is_spoilt_is_right_but_for_its_block() {
    let told = read_one(GOOD).unwrap_err().problems;
    // A setting is one line: the block that keeps its last line break is told, the other one is not.
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message.contains("one line"), "{told:?}");
}

#[test]
fn bombs_and_depths_and_sizes_end_in_a_place() {
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..200 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1));
    }
    let deep = format!("a: {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let indented: String = (0..1000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    let long = format!("a: \"{}\"\nb: [", "x".repeat(1 << 20));
    let many = "a: [\n---\n".repeat(20_000);
    let wide: String = (0..60_000).map(|n| format!("k{n}: {n}\n")).collect();
    let same = "a: 1\n".repeat(30_000);
    for text in [
        bomb,
        deep,
        indented,
        long,
        many,
        wide,
        same,
        "- ".repeat(100_000),
    ] {
        check(&text, &read_one(&text).unwrap_err());
    }
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let large = "#".repeat(50 << 20);
    let told = read_one(&large).unwrap_err();
    assert_eq!(told.problems.len(), 1);
    let problem = &told.problems[0];
    assert_eq!((problem.line, problem.column), (1, 1));
    assert!(problem.message.contains("larger than 2 MiB"), "{problem:?}");
    assert!(read_one(&"#".repeat(MOST_SOURCE_BYTES)).is_ok());
}

/// In memory an alias is one text with what it names; written out it is as many as there are aliases.
#[test]
fn a_long_text_that_many_aliases_name_has_an_end() {
    let aliases = |count: usize| {
        format!(
            "apiVersion: proximity/v1\nkind: Values\nmetadata: {{name: v}}\n\
             spec:\n  a: &a {}\n  all: [{}]\n",
            "x".repeat(10_000),
            vec!["*a"; count].join(", ")
        )
    };
    assert!(read_one(&aliases(10)).is_ok());
    let text = aliases(2_000);
    let told = read_one(&text).unwrap_err();
    check(&text, &told);
    let problem = &told.problems[0];
    let ends = problem.message.contains("more than 4 MiB of texts");
    assert!(ends, "{problem}");
    assert_eq!(problem.line, 6);
}

#[test]
fn values_that_stand_in_many_places_have_an_end() {
    let list = vec!["a"; 5000].join(", ");
    let needs: String = (0..100)
        .map(|n| {
            format!(
                "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: app-{n}}}\n\
                 spec: {{catalog_id: nginx, depends_on: \"${{list}}\"}}\n"
            )
        })
        .collect();
    let text = format!(
        "apiVersion: proximity/v1\nkind: Values\nmetadata: {{name: v}}\nspec: {{list: [{list}]}}\n{needs}"
    );
    let told = read_one(&text).unwrap_err();
    check(&text, &told);
    let ends = told
        .problems
        .iter()
        .any(|p| p.message.contains("more than is read"));
    assert!(ends || told.left_out > 0);
}

/// An app with this in its spec.
fn app(spec: &str) -> String {
    format!(
        "apiVersion: proximity/v1\nkind: App\nmetadata: {{name: web}}\n\
         spec:\n  catalog_id: nginx\n{spec}"
    )
}

/// A document of values with this spec.
fn values(spec: &str) -> String {
    format!("apiVersion: proximity/v1\nkind: Values\nmetadata: {{name: v}}\nspec: {spec}\n")
}

#[test]
fn a_long_text_or_name_stands_in_few_places() {
    let long = "x".repeat(1 << 20);
    let names = "$${".repeat(300_000);
    let keys: Vec<String> = (0..1000).map(|n| format!("k{n:0999}: 1")).collect();
    let keys = keys.join(", ");
    let aliases = vec!["*x"; 30].join(", ");
    let fields: Vec<String> = (0..30).map(|n| format!("s{n}: *x")).collect();
    let fields = fields.join(", ");
    for text in [
        values(&format!("{{x: &x \"{long}\", l: [{aliases}]}}")),
        values(&format!("{{x: &x {{{keys}}}, {fields}}}")),
        app(&format!("  settings: {{x: &x \"{long}\", {fields}}}\n")),
        app(&format!("  settings: {{x: &x \"{names}\", {fields}}}\n")),
    ] {
        let told = read_one(&text).unwrap_err();
        check(&text, &told);
        assert_eq!(told.problems.len(), 1);
        let message = &told.problems[0].message;
        assert!(message.contains("stand for more than 4 MiB"), "{message}");
    }
}

/// Thirteen nodes are around the list.
#[test]
fn a_file_behind_all_that_may_be_read_is_told_and_not_left_out() {
    let full = |items: usize| values(&format!("{{l: [{}]}}", vec!["1"; items].join(",")));
    assert!(read_one(&full(199_987)).is_ok());
    assert!(read_one(&full(199_988)).is_err());
    for is_beside in [false, true] {
        let mut given = Given::default();
        given.documents.push(source("full", &full(199_987)));
        let more = source("more", &values("{a: 1}"));
        if is_beside {
            given.values.push(more);
        } else {
            given.documents.push(more);
        }
        let told = read(&given).unwrap_err().problems;
        assert_eq!((told.len(), told[0].file.as_str()), (1, "more"));
        assert!(told[0].message.contains("more than 200000"), "{told:?}");
    }
}

#[test]
fn no_name_reaches_the_terminal_as_it_was_written() {
    let values = values("{\"domai\\e\": x, \"d\\nb\": {name: x}, \"z\\u202e\": {a: 1}}");
    let spec = "  host: ${domain}\n  node: \"${d\\nb}\"\n  settings: {a: \"${z\\u202e}\"}\n";
    let text = format!("{values}---\n{}", app(spec));
    let told = read_one(&text).unwrap_err();
    check(&text, &told);
    let hints: Vec<&str> = told.problems.iter().map(|one| one.hint.as_str()).collect();
    let all = hints.join("");
    for hint in ["did you mean ${domai }?", "`${d b.…}`", "`${z .…}`"] {
        assert!(all.contains(hint), "{hint}: {hints:?}");
    }
    assert!(!all.contains(['\u{1b}', '\n', '\u{202e}']), "{hints:?}");
}
