use std::collections::BTreeSet;

use super::*;

/// The beacon, which is right; each case makes one thing wrong.
const RIGHT: &str = include_str!("../../../../../fixtures/catalog/beacon/app.yaml");

fn changed(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from:?} is not in the file");
    RIGHT.replacen(from, to, 1)
}

/// Code and place of each problem.
fn told(text: &str) -> Vec<(Code, u64, u64)> {
    let problems = lint("app.yaml", text, Origin::Shipped);
    let place = |one: EntryProblem| (one.code, one.line.unwrap(), one.column.unwrap());
    problems.into_iter().map(place).collect()
}

fn is_loaded(text: &str) -> bool {
    parse::entry("app.yaml", text, Origin::Shipped).is_ok()
}

/// What is changed into what, and the code and place of what is told.
type Case = (&'static str, &'static str, Code, u64, u64);

const FORM: &[Case] = &[
    ("name: Beacon", "name: [Beacon", Code::NotYaml, 5, 8),
    ("format: 1", "format: 2", Code::Format, 2, 9),
    ("format: 1", "format: 0", Code::Format, 2, 9),
    ("format: 1\n", "", Code::MissingField, 2, 1),
    (
        "category: test",
        "category: test\ncolour: red",
        Code::UnknownField,
        9,
        1,
    ),
    ("category: test\n", "", Code::MissingField, 2, 1),
    (
        "category: test",
        "category: test\ncategory: web",
        Code::RepeatedField,
        9,
        1,
    ),
    ("port: 8080", "port: web", Code::WrongType, 14, 7),
    ("port: 8080", "port: 0", Code::BadValue, 14, 7),
    ("port: 8080", "port: 65536", Code::BadValue, 14, 7),
    ("port: 8080", "port: [8080]", Code::WrongType, 14, 7),
    ("protocol: http", "protocol: https", Code::BadValue, 15, 11),
    ("id: beacon", "id: Beacon!", Code::BadValue, 3, 5),
    ("name: Beacon", "name: ''", Code::BadValue, 4, 7),
    ("version: 1.0.0", "version: 1 0", Code::BadValue, 5, 10),
    (
        "category: test",
        "category: Test Apps",
        Code::BadValue,
        8,
        11,
    ),
    (
        "category: test",
        "category: test\nwebsite: http://x.org",
        Code::BadValue,
        9,
        10,
    ),
    (
        "category: test",
        "category: test\ntags: web",
        Code::WrongType,
        9,
        7,
    ),
    (
        "category: test",
        "category: test\ntags: [Web]",
        Code::BadValue,
        9,
        8,
    ),
    ("debian-12-standard", "debian", Code::BadValue, 9, 14),
    ("min: 32", "min: 8", Code::BadValue, 11, 22),
    ("min: 32, ", "", Code::MissingField, 11, 15),
    ("cores: { default: 1 }", "cores: 1", Code::WrongType, 12, 10),
    ("type: string", "type: text", Code::BadValue, 19, 11),
    ("name: greeting", "name: Greeting", Code::BadValue, 18, 11),
    (
        "help: What the page says.",
        "hlep: What the page says.",
        Code::MissingField,
        18,
        5,
    ),
    ("max: 200", "max: many", Code::WrongType, 21, 10),
    ("max: 200", "required: perhaps", Code::WrongType, 21, 15),
    (
        "/srv/beacon/index.html",
        "srv/../index.html",
        Code::BadValue,
        26,
        13,
    ),
    ("escape: html", "escape: xml", Code::BadValue, 27, 15),
    (
        "escape: html",
        "escape: html\n      mode: \"4755\"",
        Code::BadValue,
        28,
        13,
    ),
    (
        "escape: html",
        "escape: html\n      owner: 0wner",
        Code::BadValue,
        28,
        14,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: secret, generate: { length: 8 }, help: h }",
        Code::BadValue,
        18,
        54,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: secret, generate: { length: 20, alphabet: runes }, help: h }",
        Code::BadValue,
        18,
        68,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: boolean, default: true, shown_when: greeting, help: h }",
        Code::WrongType,
        18,
        62,
    ),
    (
        "- service: { name",
        "- shell: { name",
        Code::UnknownField,
        46,
        5,
    ),
    ("  - service:", "  - {}\n  - service:", Code::OneKind, 46, 5),
    (
        "  - service:",
        "  - apt: [hello]\n    service:",
        Code::OneKind,
        46,
        5,
    ),
    (
        "- service:",
        "- apt: []\n  - service:",
        Code::BadValue,
        46,
        10,
    ),
    (
        "- service:",
        "- apt: [Hello]\n  - service:",
        Code::BadValue,
        46,
        11,
    ),
    ("state: restarted", "state: stopped", Code::BadValue, 46, 37),
    (
        "name: beacon, state",
        "name: --now, state",
        Code::BadValue,
        46,
        22,
    ),
    ("path: /\n", "path: up\n", Code::BadValue, 50, 11),
    (
        "body_contains: proximity-app-beacon",
        "body_contains: ''",
        Code::BadValue,
        51,
        20,
    ),
    ("timeout_s: 2", "timeout_s: 61", Code::BadValue, 52, 14),
    (
        "timeout_s: 2",
        "start_period_s: 901",
        Code::BadValue,
        52,
        19,
    ),
    ("timeout_s: 2", "tcp: { port: 8080 }", Code::OneKind, 49, 3),
    ("timeout_s: 2", "tcp: { port: 0 }", Code::BadValue, 52, 16),
    ("timeout_s: 2", "exec: { argv: [] }", Code::BadValue, 52, 17),
    ("timeout_s: 2", "exec: /bin/true", Code::WrongType, 52, 9),
    ("attempts: 20", "attempts: 0", Code::BadValue, 54, 13),
    (
        "- service:",
        "- user: { name: Lamp, home: /srv/lamp }\n  - service:",
        Code::BadValue,
        46,
        19,
    ),
    (
        "- service:",
        "- user: { name: lamp }\n  - service:",
        Code::MissingField,
        46,
        11,
    ),
    (
        "- service:",
        "- directory: { path: srv }\n  - service:",
        Code::BadValue,
        46,
        24,
    ),
    (
        "- service:",
        "- venv: { path: /opt/x, packages: [flask] }\n  - service:",
        Code::BadValue,
        46,
        38,
    ),
    (
        "- service:",
        "- npm: { path: /opt/x, packages: [express@latest] }\n  - service:",
        Code::BadValue,
        46,
        37,
    ),
    (
        "category: test",
        "category: test\nvolumes: []",
        Code::NotYet,
        9,
        1,
    ),
    (
        "category: test",
        "category: test\nlicense: GPL 2",
        Code::BadValue,
        9,
        10,
    ),
    (
        "category: test",
        "category: test\nreleases: {}",
        Code::OneKind,
        9,
        11,
    ),
    (
        "category: test",
        "category: test\nreleases: { github: nginx }",
        Code::BadValue,
        9,
        21,
    ),
    ("port: 8080\n", "ports: []\n", Code::BadValue, 14, 8),
    (
        "- service:",
        "- download: { url: 'http://x.org/y', path: /opt/x }\n  - service:",
        Code::BadValue,
        46,
        22,
    ),
    (
        "- service:",
        "- download: { url: 'https://x.org/y', sha256: 12ab, path: /opt/x }\n  - service:",
        Code::BadValue,
        46,
        49,
    ),
];

const MEANING: &[Case] = &[
    (
        "- service:",
        "- download: { url: 'https://x.org/y', path: /opt/x }\n  - service:",
        Code::Unpinned,
        46,
        15,
    ),
    (
        "category: test",
        "category: test\nunpinned: true",
        Code::Contradiction,
        9,
        11,
    ),
    ("port: 8080\n", "", Code::MissingField, 2, 1),
    (
        "port: 8080\n",
        "port: 8080\nports: [{ name: web, number: 8080, protocol: http, main: true }]\n",
        Code::Contradiction,
        15,
        8,
    ),
    (
        "port: 8080\nprotocol: http\n",
        "ports: [{ name: web, number: 8080, protocol: http }]\n",
        Code::OneKind,
        14,
        8,
    ),
    (
        "port: 8080\nprotocol: http\n",
        "ports: [{ name: dns, number: 5353, protocol: udp, main: true }]\n",
        Code::BadValue,
        14,
        46,
    ),
    (
        "- service:",
        "- user: { name: root, home: /srv/lamp }\n  - service:",
        Code::BadValue,
        46,
        19,
    ),
    (
        "- service:",
        "- user: { name: lamp, home: /etc }\n  - service:",
        Code::BadValue,
        46,
        31,
    ),
    (
        "- service:",
        "- directory: { path: /usr }\n  - service:",
        Code::BadValue,
        46,
        24,
    ),
    (
        "- service:",
        "- unit: { name: a.service, exec: [/bin/true], user: lamp }\n  - service:",
        Code::BadValue,
        46,
        19,
    ),
    (
        "- service:",
        "- unit: { name: lamp, exec: [/bin/true], user: root }\n  - service:",
        Code::BadValue,
        46,
        50,
    ),
    (
        "- service:",
        "- unit: { name: lamp, exec: [/bin/sh, -c, x], user: lamp }\n  - service:",
        Code::BadValue,
        46,
        31,
    ),
    (
        "- service:",
        "- unit: { name: lamp, exec: [/bin/true, '{{ host }}'], user: lamp }\n  - service:",
        Code::BadTemplate,
        46,
        43,
    ),
    (
        "- service:",
        "- unit: { name: lamp, exec: [/bin/true, '{{ \"\\n\" }}'], user: lamp }\n  - service:",
        Code::BadTemplate,
        46,
        43,
    ),
    (
        "    type: string\n    default: hello\n    max: 200\n",
        "    type: secret\n    required: true\n",
        Code::ExposedSecret,
        28,
        9,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: secret, required: true, generate: { length: 20 }, help: h }",
        Code::BadSetting,
        18,
        5,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: port, default: 70000, help: h }",
        Code::BadSetting,
        18,
        41,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: path, default: x, help: h }",
        Code::BadSetting,
        18,
        41,
    ),
    (
        "settings:",
        "settings:\n  - { name: other, type: string, default: x, help: h, shown_when: { setting: greeting, equals: x } }",
        Code::UnknownSetting,
        18,
        78,
    ),
    (
        "    help: What the page says.\n",
        "    help: What the page says.\n  - { name: o, type: port, default: 1, help: h, shown_when: { setting: greeting, equals: 5 } }\n",
        Code::BadSetting,
        23,
        90,
    ),
    (
        "    help: What the page says.\n",
        "    help: What the page says.\n    shown_when: { setting: nobody, equals: 5 }\n",
        Code::UnknownSetting,
        23,
        28,
    ),
    (
        "http:\n    path: /\n    body_contains: proximity-app-beacon",
        "exec: { argv: [\"true\"] }",
        Code::BadValue,
        49,
        17,
    ),
    ("port: 8080", "port: 80", Code::LowPort, 14, 7),
    ("min: 32", "min: 128", Code::Contradiction, 11, 36),
    ("    default: hello\n", "", Code::BadSetting, 18, 5),
    ("max: 200", "max: 3", Code::BadSetting, 20, 14),
    ("max: 200", "options: [a, b]", Code::BadSetting, 21, 14),
    ("max: 200", "pattern: '('", Code::BadSetting, 21, 14),
    (
        "settings:",
        "settings:\n  - { name: other, env: GREETING, type: boolean, default: true, help: h }",
        Code::UnusedSetting,
        18,
        13,
    ),
    (
        "{{ settings.greeting }}",
        "hello",
        Code::UnusedSetting,
        18,
        11,
    ),
    (
        "{{ settings.greeting }}",
        "{{ settings.greeting }",
        Code::BadTemplate,
        29,
        9,
    ),
    (
        "{{ settings.greeting }}",
        "{{ settings.greeting|safe }}",
        Code::BadTemplate,
        29,
        9,
    ),
    (
        "{{ settings.greeting }}",
        "{{ settings.greeting }}{{ host }}",
        Code::BadTemplate,
        29,
        9,
    ),
    (
        "- service:",
        "- run: { argv: [/bin/sh, -c, ls], creates: /x }\n  - service:",
        Code::BadValue,
        46,
        18,
    ),
    (
        "- service:",
        "- run: { argv: [ls], creates: /x }\n  - service:",
        Code::BadValue,
        46,
        18,
    ),
];

#[test]
fn what_is_right_has_no_problems() {
    assert_eq!(told(RIGHT), []);
    assert!(is_loaded(RIGHT));
}

#[test]
fn each_mistake_is_told_with_its_code_and_place() {
    let mut wrong = Vec::new();
    for case in FORM.iter().chain(MEANING) {
        let (from, to, code, line, column) = *case;
        let text = changed(from, to);
        let all = told(&text);
        if !all.contains(&(code, line, column)) {
            wrong.push(format!("{to:?}: {code} {line}:{column}, but {all:?}"));
        }
        // The loader refuses it too.
        assert!(!is_loaded(&text), "{to:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(FORM.len() + MEANING.len() >= 40);
}

#[test]
fn a_file_is_told_of_everything_at_once() {
    let text = changed("port: 8080", "port: web")
        .replacen("category: test", "category: T\ncolour: red", 1)
        .replacen("timeout_s: 2", "timeout: 2", 1);
    let codes: Vec<Code> = told(&text).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(
        codes,
        [
            Code::BadValue,
            Code::UnknownField,
            Code::WrongType,
            Code::UnknownField
        ]
    );
    let text = changed("port: 8080", "port: 80").replacen("min: 32", "min: 128", 1);
    let codes: Vec<Code> = told(&text).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, [Code::Contradiction, Code::LowPort]);
}

#[test]
fn a_slip_is_met_with_what_was_probably_meant() {
    let text = changed("timeout_s: 2", "timeout_a: 2");
    let problems = lint("app.yaml", &text, Origin::Extra);
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert_eq!(
        problem.to_string(),
        "app.yaml:52:3: `timeout_a` is no field of `health` [unknown_field]\n  hint: did you mean `timeout_s`?"
    );
    let json = serde_json::to_value(problem).unwrap();
    assert_eq!(json["code"], "unknown_field");
    assert_eq!(json["line"], 52);
}

#[test]
fn nothing_that_is_told_moves_the_cursor() {
    let text = changed("category: test", "category: \"\\e[2Jx\"");
    let problems = lint("a\u{1b}[2J.yaml", &text, Origin::Extra);
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(!problem.to_string().contains('\u{1b}'), "{problem}");
    }
}

#[test]
fn codes_have_words_and_hints_of_their_own() {
    let labels: BTreeSet<&str> = Code::ALL.iter().map(|code| code.label()).collect();
    assert_eq!(labels.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!(!code.hint().is_empty());
        assert!(
            code.label()
                .bytes()
                .all(|sign| sign.is_ascii_lowercase() || sign == b'_')
        );
    }
}

#[test]
fn hostile_texts_are_bounded_and_told() {
    for text in ["", "# nothing\n", "- a\n", "a: *b\n", "{", "? [a]\n: 1\n"] {
        assert!(!lint("x", text, Origin::Extra).is_empty(), "{text:?}");
    }
    let deep = format!("format: 1\nname: {}", "[".repeat(10_000));
    assert_eq!(lint("x", &deep, Origin::Extra).len(), 1);
}
