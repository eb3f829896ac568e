//! `lib.rs` and `mod.rs` of our crates: the first is a table of contents and nothing else.

use super::Finding;
use super::rust_text::{block_after, line_of, words};
use super::tree::Tree;

/// Finds functions with bodies in `lib.rs` files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(file, _)| file.path.ends_with("src/lib.rs"))
        .flat_map(|(file, rust)| {
            words(&rust.code, "fn")
                .filter(|offset| block_after(&rust.code, *offset).is_some())
                .map(|offset| {
                    Finding::fault(
                        &file.path,
                        line_of(&rust.code, offset),
                        "lib.rs is a table of contents; move the function to a file of its own",
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_in_lib_rs_is_a_fault() {
        let with = "//! A fn in words.\nmod a;\npub use a::A;\npub fn f() -> u8 { 1 }\n";
        let found = check(&Tree::of(&[("crates/x/src/lib.rs", with)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 4);
        let without = "//! A fn in words.\nmod a;\npub use a::A;\n";
        assert!(check(&Tree::of(&[("crates/x/src/lib.rs", without)])).is_empty());
        assert!(check(&Tree::of(&[("crates/x/src/a.rs", with)])).is_empty());
    }
}
