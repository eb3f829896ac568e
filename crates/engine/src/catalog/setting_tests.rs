use serde_json::json;

use super::*;

fn setting(yaml: &str) -> Result<Setting, Vec<FieldProblem>> {
    Setting::from_file(&serde_saphyr::from_str::<SettingFile>(yaml).unwrap())
}

fn read(yaml: &str, given: Value) -> Result<Value, String> {
    setting(yaml)
        .unwrap()
        .read(Some(&given))
        .map(|value| value.to_json())
}

fn problems(yaml: &str) -> Vec<String> {
    let tell = |(field, reason): FieldProblem| format!("{field} {reason}");
    setting(yaml).unwrap_err().into_iter().map(tell).collect()
}

#[test]
fn text_follows_its_rule() {
    let yaml =
        "{name: a, type: string, required: true, help: h, min: 2, max: 4, pattern: '[a-zä]+'}";
    assert_eq!(read(yaml, json!("abc")), Ok(json!("abc")));
    assert_eq!(
        read(yaml, json!("ääää")),
        Ok(json!("ääää")),
        "characters count, not bytes"
    );
    for (bad, why) in [
        (json!("a"), "must have 2 to 4 characters, has 1"),
        (json!("abcde"), "must have 2 to 4 characters, has 5"),
        (json!("ab9"), "must match [a-zä]+"),
        (json!("9ab"), "must match [a-zä]+"),
        (json!("ab\n"), "must be one line without control characters"),
        (
            json!("a\u{85}b"),
            "must be one line without control characters",
        ),
        (json!(12), "must be text"),
        (json!(["ab"]), "must be text"),
        (json!(null), "must be given"),
    ] {
        assert_eq!(read(yaml, bad.clone()), Err(why.to_owned()), "{bad}");
    }
}

#[test]
fn an_alternation_in_a_pattern_is_still_for_the_whole_text() {
    let yaml = "{name: a, type: string, required: true, help: h, pattern: 'on|off'}";
    assert!(read(yaml, json!("off")).is_ok());
    assert!(read(yaml, json!("on fire")).is_err());
    assert!(read(yaml, json!("turned off")).is_err());
}

#[test]
fn numbers_and_booleans_may_come_as_text() {
    let number = "{name: a, type: integer, default: 5, min: 1, max: 9, help: h}";
    assert_eq!(read(number, json!(9)), Ok(json!(9)));
    assert_eq!(read(number, json!("7")), Ok(json!(7)));
    for bad in [
        json!(0),
        json!("10"),
        json!(1.5),
        json!("x"),
        json!(""),
        json!(true),
    ] {
        assert_eq!(
            read(number, bad),
            Err("must be a whole number from 1 to 9".to_owned())
        );
    }
    let boolean = "{name: a, type: boolean, default: false, help: h}";
    assert_eq!(read(boolean, json!("true")), Ok(json!(true)));
    assert_eq!(read(boolean, json!(true)), Ok(json!(true)));
    for bad in [json!("yes"), json!(1), json!("")] {
        assert_eq!(read(boolean, bad), Err("must be true or false".to_owned()));
    }
}

#[test]
fn a_choice_takes_its_words_only() {
    let yaml = "{name: a, type: enum, options: [low, high], default: low, help: h}";
    assert_eq!(read(yaml, json!("high")), Ok(json!("high")));
    assert_eq!(
        read(yaml, json!("HIGH")),
        Err("must be one of low, high".to_owned())
    );
}

#[test]
fn null_and_nothing_take_the_default() {
    let one = setting("{name: a, type: integer, default: 5, help: h}").unwrap();
    assert_eq!(one.read(None).unwrap().to_json(), json!(5));
    assert_eq!(one.read(Some(&json!(null))).unwrap().to_json(), json!(5));
}

#[test]
fn secrets_do_not_print_and_are_never_repeated() {
    let yaml = "{name: a, type: secret, required: true, help: h, max: 6, pattern: '[0-9]+'}";
    let one = setting(yaml).unwrap();
    let value = one.read(Some(&json!("424242"))).unwrap();
    assert!(value.is_secret());
    assert!(!format!("{value:?}").contains("4242"), "{value:?}");
    for bad in ["hunter", "hunter2-and-more"] {
        let reason = one.read(Some(&json!(bad))).unwrap_err();
        assert!(!reason.contains("hunter"), "{reason}");
    }
    assert!(
        one.read(Some(&json!(""))).is_err(),
        "an empty secret is none"
    );
}

const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "{name: a, type: integer, default: 1, help: h, pattern: x}",
        "pattern is only for type string or secret",
    ),
    (
        "{name: a, type: boolean, default: true, help: h, min: 1}",
        "min is only for type string, secret or integer",
    ),
    (
        "{name: a, type: string, default: x, help: h, options: [a, b]}",
        "options is only for type enum",
    ),
    (
        "{name: a, type: secret, default: x, help: h}",
        "default is only for types without secrets",
    ),
    (
        "{name: a, type: string, default: 1, help: h}",
        "default must be text",
    ),
    (
        "{name: a, type: integer, default: x, help: h}",
        "default must be a whole number",
    ),
    (
        "{name: a, type: integer, default: 12, max: 9, help: h}",
        "default must be a whole number from -9223372036854775808 to 9",
    ),
    (
        "{name: a, type: integer, default: 1, min: 9, max: 8, help: h}",
        "min is greater than max",
    ),
    (
        "{name: a, type: string, default: '', min: 1, help: h}",
        "default must have 1 to 1024 characters, has 0",
    ),
    (
        "{name: a, type: string, default: '', min: -1, help: h}",
        "min must be from 0 to 8192 characters",
    ),
    (
        "{name: a, type: string, default: '', max: 9999, help: h}",
        "max must be from 0 to 8192 characters",
    ),
    (
        "{name: a, type: string, default: a, pattern: 'b', help: h}",
        "default must match b",
    ),
    (
        "{name: a, type: boolean, help: h}",
        "required must be true where there is no default",
    ),
    (
        "{name: a, type: boolean, default: true, required: true, help: h}",
        "required has no use beside a default",
    ),
    (
        "{name: a, type: enum, default: x, help: h}",
        "options must have 2 to 32 words",
    ),
    (
        "{name: a, type: enum, default: x, options: [x, x], help: h}",
        "options must differ from each other",
    ),
    (
        "{name: a, type: enum, default: x, options: [x, 'y z'], help: h}",
        "options must be words of letters, digits, '_', '.' and '-'",
    ),
    (
        "{name: a, type: enum, default: z, options: [x, y], help: h}",
        "default must be one of x, y",
    ),
];

#[test]
fn contradictions_are_told_with_their_field() {
    for (yaml, problem) in CONTRADICTIONS {
        assert!(
            problems(yaml).contains(&(*problem).to_owned()),
            "{yaml}: {:?}",
            problems(yaml)
        );
    }
    let bad_pattern = problems("{name: a, type: string, default: '', pattern: '(', help: h}");
    assert!(
        bad_pattern[0].starts_with("pattern is no regular expression"),
        "{bad_pattern:?}"
    );
    let huge =
        problems("{name: a, type: string, default: '', pattern: '(a{1000}){1000}', help: h}");
    assert!(
        huge[0].starts_with("pattern is no regular expression"),
        "{huge:?}"
    );
}

#[test]
fn ports_and_paths_follow_their_rules() {
    let port = "{name: a, type: port, default: 25, help: h}";
    assert_eq!(read(port, json!("65535")), Ok(json!(65_535)));
    assert_eq!(read(port, json!(null)), Ok(json!(25)));
    for bad in [json!(0), json!(65_536), json!("http"), json!(-1)] {
        assert_eq!(
            read(port, bad.clone()),
            Err("must be a port, 1 to 65535".to_owned()),
            "{bad}"
        );
    }
    let path = "{name: a, type: path, required: true, help: h}";
    assert_eq!(read(path, json!("/srv/a b")), Ok(json!("/srv/a b")));
    for bad in ["srv", "/", "/a/", "/a/../b", "/a//b", "/a\nb"] {
        assert!(read(path, json!(bad)).is_err(), "{bad:?}");
    }
    for (yaml, problem) in [
        (
            "{name: a, type: port, default: 0, help: h}",
            "default must be a port, 1 to 65535",
        ),
        (
            "{name: a, type: port, default: x, help: h}",
            "default must be a port, 1 to 65535",
        ),
        (
            "{name: a, type: port, default: 1, min: 1, help: h}",
            "min is only for type string, secret or integer",
        ),
        (
            "{name: a, type: path, default: x, help: h}",
            "default must be an absolute path without '.', '..', '//' or a '/' at its end",
        ),
    ] {
        assert_eq!(problems(yaml), [problem], "{yaml}");
    }
}

#[test]
fn secrets_are_made_of_their_alphabet_and_only_by_chance() {
    let made = |yaml: &str, random: &mut dyn FnMut() -> Option<u128>| {
        let made = setting(yaml).unwrap().read_or_make(None, random)?;
        assert!(made.is_secret());
        Ok::<String, String>(made.to_json().as_str().unwrap().to_owned())
    };
    let yaml = "{name: a, type: secret, generate: {length: 20}, help: h}";
    let mut number = 0_u128;
    let mut chance = || {
        number += 1;
        Some(u128::MAX / 7 * number)
    };
    let one = made(yaml, &mut chance).unwrap();
    let other = made(yaml, &mut chance).unwrap();
    assert_ne!(one, other);
    assert_eq!(one.len(), 20);
    assert!(one.bytes().all(|sign| sign.is_ascii_alphanumeric()));
    let hex = "{name: a, type: secret, generate: {length: 16, alphabet: hex}, help: h}";
    let hex = made(hex, &mut chance).unwrap();
    assert!(hex.len() == 16 && hex.bytes().all(|sign| sign.is_ascii_hexdigit()));
    // Neither without chance, nor by one that gives nothing that can be used.
    assert_eq!(made(yaml, &mut || None), Err("must be given".to_owned()));
    assert_eq!(
        made(yaml, &mut || Some(u128::MAX)),
        Err("must be given".to_owned())
    );
    let given = setting(yaml).unwrap();
    let given = given
        .read_or_make(Some(&json!("mine")), &mut || None)
        .unwrap();
    assert_eq!(given.to_json(), json!("mine"));
    for (yaml, problem) in [
        (
            "{name: a, type: string, default: x, generate: {length: 20}, help: h}",
            "generate is only for type secret",
        ),
        (
            "{name: a, type: secret, required: true, generate: {length: 20}, help: h}",
            "required has no use beside generate",
        ),
        (
            "{name: a, type: secret, max: 19, generate: {length: 20}, help: h}",
            "generate makes another length than min and max allow",
        ),
        (
            "{name: a, type: secret, pattern: 'a+', generate: {length: 20}, help: h}",
            "pattern cannot stand beside generate: what is made may not match it",
        ),
    ] {
        assert_eq!(problems(yaml), [problem], "{yaml}");
    }
}
