use super::*;

/// The beacon, which is right; each case makes one thing wrong.
const RIGHT: &str = include_str!("../../../../fixtures/catalog/beacon/app.yaml");

fn error_of(cases: &[(&str, &str)]) -> CatalogError {
    let mut text = RIGHT.to_owned();
    for (from, to) in cases {
        assert!(text.contains(from), "{from:?} is not in the file");
        text = text.replacen(from, to, 1);
    }
    entry("catalog/beacon/app.yaml", &text, Origin::Shipped).expect_err("this was accepted")
}

fn texts(cases: &[(&str, &str, &str)]) -> String {
    let tell = |(title, from, to): &(&str, &str, &str)| {
        format!("## {title}\n{}\n", error_of(&[(from, to)]))
    };
    cases.iter().map(tell).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_file_the_cases_start_from_is_right() {
    entry("catalog/beacon/app.yaml", RIGHT, Origin::Shipped).unwrap();
}

#[test]
fn errors_of_form() {
    let told = texts(&[
        ("no YAML", "name: Beacon", "name: [Beacon"),
        (
            "a field too many",
            "category: test",
            "category: test\ncolour: red",
        ),
        ("a field too few", "category: test\n", ""),
        (
            "a field twice",
            "category: test",
            "category: test\ncategory: web",
        ),
        ("another kind of value", "port: 8080", "port: web"),
        ("no such step", "- service: { name", "- shell: { name"),
        ("no such protocol", "protocol: http", "protocol: https"),
        ("a bad id", "id: beacon", "id: Beacon!"),
        ("a bad path", "/srv/beacon/index.html", "srv/../index.html"),
        (
            "a bad mode",
            "escape: html",
            "escape: html\n      mode: \"4755\"",
        ),
        ("a newer format", "format: 1", "format: 2"),
        ("no format", "format: 1", "format: 0"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn errors_of_meaning() {
    let told = texts(&[
        ("a value out of range", "port: 8080", "port: 0"),
        ("a privileged port", "port: 8080", "port: 80"),
        ("default below minimum", "min: 32", "min: 128"),
        (
            "a long summary",
            "summary: A page",
            &format!("summary: {}A page", "very ".repeat(30)),
        ),
        ("a bad category", "category: test", "category: Test Apps"),
        (
            "an insecure website",
            "category: test",
            "category: test\nwebsite: http://x.org",
        ),
        ("a setting without default", "    default: hello\n", ""),
        ("a default too long", "max: 200", "max: 3"),
        ("a field of another type", "max: 200", "options: [a, b]"),
        (
            "an unknown setting",
            "{{ settings.greeting }}",
            "{{ settings.greetings }}",
        ),
        (
            "an unknown name",
            "{{ settings.greeting }}",
            "{{ settings.greeting }} {{ hostname }}",
        ),
        (
            "a broken template",
            "{{ settings.greeting }}",
            "{{ settings.greeting }",
        ),
        (
            "a filter",
            "{{ settings.greeting }}",
            "{{ settings.greeting|safe }}",
        ),
        ("an unused setting", "{{ settings.greeting }}", "hello"),
        (
            "an empty marker",
            "body_contains: proximity-app-beacon",
            "body_contains: ''",
        ),
        ("a health path", "path: /\n", "path: up\n"),
        (
            "a shell",
            "- service:",
            "- run: { argv: [/bin/sh, -c, ls], creates: /x }\n  - service:",
        ),
        (
            "a relative program",
            "- service:",
            "- run: { argv: [ls], creates: /x }\n  - service:",
        ),
        (
            "a step of two",
            "  - service:",
            "  - apt: [hello]\n    service:",
        ),
        ("a step of none", "  - service:", "  - {}\n  - service:"),
        ("no packages", "- service:", "- apt: []\n  - service:"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn a_secret_in_a_file_for_everybody_is_refused() {
    let secret = [(
        "type: string\n    default: hello",
        "type: secret\n    required: true",
    )];
    let told = error_of(&secret);
    insta::assert_snapshot!(told);
}

#[test]
fn names_of_settings_must_differ() {
    let second =
        "settings:\n  - { name: other, env: GREETING, type: boolean, default: true, help: h }";
    let told = error_of(&[("settings:", second)]);
    insta::assert_snapshot!(told);
}

#[test]
fn several_problems_are_told_at_once() {
    let cases = [
        ("port: 8080", "port: 80"),
        ("min: 32", "min: 128"),
        ("category: test", "category: T"),
    ];
    let told = error_of(&cases);
    insta::assert_snapshot!(told);
}

#[test]
fn every_error_of_a_place_has_line_and_column() {
    for (from, to) in [
        ("port: 8080", "port: 80"),
        ("port: 8080", "port: web"),
        ("min: 32", "min: 128"),
    ] {
        let CatalogError::Invalid {
            line, column, text, ..
        } = error_of(&[(from, to)])
        else {
            panic!("{from} {to}");
        };
        let (line, column) = (line.unwrap(), column.unwrap());
        assert!(
            text.contains(&format!("catalog/beacon/app.yaml:{line}:{column}")),
            "{text}"
        );
    }
}

#[test]
fn hostile_yaml_is_bounded() {
    let mut bomb = String::from("format: 1\na0: &a0 [x, x]\n");
    for n in 1..30 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{p}, *a{p}, *a{p}]\n", p = n - 1));
    }
    assert!(entry("bomb", &bomb, Origin::Extra).is_err());
    let deep = format!("format: 1\nname: {}", "[".repeat(10_000));
    assert!(entry("deep", &deep, Origin::Extra).is_err());
}
