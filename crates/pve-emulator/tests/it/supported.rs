//! The table of methods in the documentation is what the emulator has.

use std::collections::BTreeMap;
use std::path::Path;

use proximity_pve_emulator::core::emulated_methods;

const START: &str = "<!-- methods: written by a test of the emulator -->\n";
const END: &str = "<!-- end of methods -->";

fn table() -> String {
    let mut verbs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (verb, path) in emulated_methods() {
        verbs.entry(path).or_default().push(verb);
    }
    let mut text = String::from("| path | methods |\n|---|---|\n");
    for (path, mut methods) in verbs {
        methods.sort_unstable();
        text.push_str(&format!("| `{path}` | {} |\n", methods.join(", ")));
    }
    text
}

#[test]
fn the_documented_methods_are_those_that_are_emulated() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/lab.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, rest) = text
        .split_once(START)
        .expect("the page has the place for it");
    let (found, _) = rest.split_once(END).expect("the place ends");
    assert!(found == table(), "put this there:\n{}", table());
}
