//! The quoting function against the real shell.

use std::process::Command;

use proptest::prelude::*;
use proximity_pve::guest::quote;

/// What the shell makes of a line: each word ended by NUL.
fn words(line: &str) -> Vec<String> {
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("printf '%s\\0' {line}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{line:?}: {output:?}");
    let mut words: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .split('\0')
        .map(str::to_owned)
        .collect();
    assert_eq!(words.pop().as_deref(), Some(""));
    words
}

#[test]
fn whatever_a_shell_knows_it_reads_back_as_it_was() {
    let nasty = [
        "", " ", "'", "''", "\"", "\\", "\\'", "$HOME", "$(id)", "`id`", "a b", "a\nb", "\n", "*",
        "~", "!x", "#x", "-n", "--", "a;b", "a&b", "a|b", ">x", "<x", "(x)", "{a,b}", "[a]", "%s",
        "\t", "\r\n", "ü€", "'$(id)'",
    ];
    let line: Vec<String> = nasty.iter().map(|w| quote::sh(w)).collect();
    assert_eq!(words(&line.join(" ")), nasty);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_words_are_read_back_as_they_were(given in prop::collection::vec("[^\0]{0,40}", 1..6)) {
        let line: Vec<String> = given.iter().map(|w| quote::sh(w)).collect();
        prop_assert_eq!(words(&line.join(" ")), given);
    }

    #[test]
    fn words_of_shell_characters_are_read_back_as_they_were(given in prop::collection::vec("['\"\\\\$`!*?~#&|;<>(){} \n\t-]{0,20}", 1..6)) {
        let line: Vec<String> = given.iter().map(|w| quote::sh(w)).collect();
        prop_assert_eq!(words(&line.join(" ")), given);
    }
}
