//! Whether the helper has network code: what a static program calls is in it, and its symbols say what that is.
//!
//! The shipped program has no symbols; the one that is looked into is the same but for that. Musl's calls are linked only where
//! they are reached. `socketpair`, `sendmsg`, `recvmsg` and `recv` are Rust's own way to hear from a child it starts, over a pair
//! that leads nowhere else; whoever wants more has to make a socket and give it an address.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::super::{Bench, Binary, binary};
use super::kernel_calls;
use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;

/// Functions that no program without network code has.
const NETWORK: [&str; 9] = [
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getaddrinfo",
    "gethostbyname",
    "sendto",
];
/// Crates that call the kernel themselves.
const CRATES: [&str; 2] = ["6rustix3net", "3std3net"];

fn with_symbols(place: &Place) -> PathBuf {
    place.target().join("figures").join("node-helper.symbols")
}

/// Builds the helper with its symbols.
pub(super) fn prepare(place: &Place) -> Result<()> {
    let deadline = Deadline::after(std::time::Duration::from_secs(600));
    let folder = with_symbols(place);
    Invocation::new("cargo")
        .args(["build", "--quiet", "--locked"])
        .args(binary::NODE_HELPER)
        .args(["--config", "profile.dist.strip=\"none\"", "--target-dir"])
        .arg(&folder)
        .until(deadline)
        .capture(place.root())?
        .expect_success("building the helper with its symbols")?;
    Ok(())
}

/// The network code that is in it. The control looks into the product, which has some.
pub(super) fn code(bench: &Bench<'_>) -> Result<Vec<String>> {
    let program = if bench.mode.sabotage {
        Binary::Plain.path(bench.place)
    } else {
        with_symbols(bench.place)
            .join(binary::NODE_TARGET)
            .join("dist")
            .join("proximity-node-helper")
    };
    let listed = Invocation::new("nm")
        .arg(&program)
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("nm")?;
    if !listed.lines().any(|line| line.ends_with(" main")) {
        bail!("{} shows no symbols", program.display());
    }
    let mut found = found(&listed);
    if !bench.mode.sabotage {
        found.extend(kernel_calls::network(&program)?);
    }
    Ok(found)
}

fn found(listed: &str) -> Vec<String> {
    let names = listed.lines().filter_map(|line| line.rsplit(' ').next());
    let mut found: Vec<String> = names
        .map(|name| name.split('@').next().unwrap_or(name))
        .filter(|name| {
            let plain = name.trim_start_matches('_');
            NETWORK.contains(&plain) || CRATES.iter().any(|part| name.contains(part))
        })
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found.truncate(20);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_functions_are_found_by_name_and_others_are_not() {
        let listed = "00000000 T main\n         U connect@GLIBC_2.2.5\n00000000 t __socket\n\
                      00000000 t socketpair\n00000000 t _ZN4core3fmtE\n00000000 t _ZN6rustix3net6socketE\n";
        assert_eq!(
            found(listed),
            ["_ZN6rustix3net6socketE", "__socket", "connect"]
        );
    }
}
