//! Puts the files of the page into the program, if they were built: `cargo xtask ui` leaves them in `ui/dist`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where they are, from this crate's folder.
const BUILT: &str = "../../ui/dist";
/// The file without which there is no page.
const FIRST: &str = "/index.html";
/// What the packed copy of a file has behind its name.
const PACKED: &str = ".gz";

#[allow(
    clippy::disallowed_methods,
    reason = "how cargo tells a build script where it is"
)]
fn main() -> std::io::Result<()> {
    let (Some(here), Some(out)) = (
        std::env::var_os("CARGO_MANIFEST_DIR"),
        std::env::var_os("OUT_DIR"),
    ) else {
        return Ok(());
    };
    let built = PathBuf::from(here).join(BUILT);
    println!("cargo::rerun-if-changed={}", built.display());
    let mut paths = Vec::new();
    if built.is_dir() {
        gather(&built, "", &mut paths)?;
    }
    paths.sort();
    std::fs::write(
        PathBuf::from(out).join("page_files.rs"),
        table(&built, &paths),
    )
}

/// The paths of all files below a folder, each from a slash on. What begins with a dot is none of the page's.
fn gather(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), &path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// The table of the files as an expression; empty without a page.
fn table(built: &Path, paths: &[String]) -> String {
    let mut text = String::from("&[\n");
    if paths.iter().any(|path| path == FIRST) {
        for path in paths.iter().filter(|path| !path.ends_with(PACKED)) {
            let packed = format!("{path}{PACKED}");
            let gzip = match paths.contains(&packed) {
                true => included(built, &packed),
                false => "&[]".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "PageFile {{ path: {path:?}, whole: {}, gzip: {gzip} }},",
                included(built, path)
            );
        }
    }
    text.push_str("]\n");
    text
}

fn included(built: &Path, path: &str) -> String {
    let file = built.join(path.trim_start_matches('/'));
    format!("include_bytes!({:?})", file.display().to_string())
}
