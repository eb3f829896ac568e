//! Puts the helper for the nodes into the program, if it is told where one is.

use std::path::PathBuf;

/// A file: the helper, built for the nodes. `cargo xtask dist` sets it.
const HELPER: &str = "PROXIMITY_SHIPPED_HELPER";

#[allow(
    clippy::disallowed_methods,
    reason = "how cargo, and who calls it, tell a build script what to do"
)]
fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed={HELPER}");
    println!("cargo::rustc-check-cfg=cfg(shipped_helper)");
    let (Some(helper), Some(out)) = (std::env::var_os(HELPER), std::env::var_os("OUT_DIR")) else {
        return Ok(());
    };
    let helper = PathBuf::from(helper);
    println!("cargo::rerun-if-changed={}", helper.display());
    std::fs::copy(&helper, PathBuf::from(out).join("proximity-node-helper"))?;
    println!("cargo::rustc-cfg=shipped_helper");
    Ok(())
}
