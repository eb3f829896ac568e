use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn written(escape: Escape, value: &str) -> String {
    let mut out = String::new();
    escape.write_text(&mut out, value).unwrap();
    out
}

#[test]
fn every_sink_has_its_own_way() {
    let value = r#"a<b> & "c" 'd' \e $F `g`"#;
    assert_eq!(written(Escape::Plain, value), value);
    assert_eq!(
        written(Escape::Html, value),
        r"a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; \e $F `g`"
    );
    assert_eq!(
        written(Escape::ShellEnv, value),
        r#""a<b> & \"c\" 'd' \\e \$F \`g\`""#
    );
    let without_dollar = r#"a; } "b" \c"#;
    assert_eq!(
        written(Escape::Nginx, without_dollar),
        r#""a; } \"b\" \\c""#
    );
}

#[test]
fn only_nginx_objects_and_only_to_a_dollar() {
    assert!(Escape::Nginx.objection("$host").is_some());
    assert!(Escape::Nginx.objection("a b;\"").is_none());
    for escape in [Escape::Plain, Escape::Html, Escape::ShellEnv] {
        assert!(escape.objection("$host").is_none());
    }
}

/// What a real shell makes of the assignments: each value in its own process would be slow, so one
/// script assigns and prints many, apart by a character values cannot have.
fn read_by_sh(values: &[String]) -> Vec<String> {
    let mut script = String::new();
    for value in values {
        script.push_str(&format!(
            "X={}\nprintf '%s\\n' \"$X\"\n",
            written(Escape::ShellEnv, value)
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new("/bin/sh");
    let output = command.arg(&file).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// How systemd reads the right side of an assignment, as far as what we write can use it: the whole
/// is in double quotes; there a backslash before `"`, `\`, `` ` `` or `$` is dropped, and is kept
/// before anything else.
fn read_by_systemd(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => match characters.next()? {
                next @ ('"' | '\\' | '`' | '$') => value.push(next),
                next => value.extend(['\\', next]),
            },
            _ => value.push(character),
        }
    }
    Some(value)
}

/// How nginx reads a parameter in double quotes.
fn read_by_nginx(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' | '$' => return None,
            '\\' => match characters.next()? {
                next @ ('"' | '\'' | '\\') => value.push(next),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                'n' => value.push('\n'),
                next => value.extend(['\\', next]),
            },
            _ => value.push(character),
        }
    }
    Some(value)
}

/// How a browser reads text and attributes: entities become characters, and nothing else may be special.
fn read_by_browser(text: &str) -> Option<String> {
    if text.contains(['<', '>', '"', '\'']) {
        return None;
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
    ];
    let mut value = text.to_owned();
    for (entity, character) in entities {
        value = value.replace(entity, character);
    }
    Some(value.replace("&amp;", "&"))
}

/// One line, with the characters that matter more often than by chance.
fn one_line() -> impl Strategy<Value = String> {
    let nasty = proptest::sample::select(vec![
        '"', '\'', '\\', '$', '`', '<', '>', '&', ';', '{', '}', '#', '!', '*', '~', '=', ' ', '%',
        'n', 't', 'a', 'ä',
    ]);
    let any = any::<char>().prop_filter("no control characters", |one| !one.is_control());
    let character = prop_oneof![4 => nasty, 1 => any];
    proptest::collection::vec(character, 0..40).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn html_reads_back(value in one_line()) {
        prop_assert_eq!(read_by_browser(&written(Escape::Html, &value)), Some(value));
    }

    #[test]
    fn systemd_reads_back(value in one_line()) {
        prop_assert_eq!(read_by_systemd(&written(Escape::ShellEnv, &value)), Some(value));
    }

    #[test]
    fn nginx_reads_back_or_the_value_is_refused(value in one_line()) {
        let read = read_by_nginx(&written(Escape::Nginx, &value));
        match Escape::Nginx.objection(&value) {
            Some(_) => prop_assert!(value.contains('$')),
            None => prop_assert_eq!(read, Some(value)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_real_shell_reads_back(values in proptest::collection::vec(one_line(), 1..40)) {
        prop_assert_eq!(read_by_sh(&values), values);
    }
}
