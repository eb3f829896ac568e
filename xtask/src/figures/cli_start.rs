//! P10: how long the program takes to say its version, beside a program that does nothing else.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::api_fuzz::world::World;
use super::binary::SHIPPED_CODEGEN;
use super::{Bench, Binary, Figure, Measured};
use crate::clock::Stopwatch;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// Apps of the server that is listed.
const APPS: u16 = 10_000;
const ROUNDS_OF_LIST: usize = 3;
/// How many times a bare program the start may take.
const MOST: f64 = 3.0;

pub(crate) const FIGURE: Figure = Figure {
    id: "P10",
    shows: "start of `proximity --version`, as a multiple of a bare program built the same way (medians, in rotation)",
    goal: "<= 3",
    binaries: &[Binary::Shipped, Binary::ApiWorld],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(120),
    measure,
};

fn bare(place: &Place) -> PathBuf {
    place.target().join("figures").join("bare")
}

/// Builds the bare program with the settings of the shipped one.
fn prepare(place: &Place) -> Result<()> {
    let program = bare(place);
    let source = program.with_extension("rs");
    if let Some(folder) = program.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&source, "fn main() {\n    println!(\"bare 0.1.0\");\n}\n")?;
    Invocation::new("rustc")
        .args(["--edition", "2024"])
        .args(SHIPPED_CODEGEN.iter().flat_map(|setting| ["-C", setting]))
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .capture(place.root())?
        .expect_success("building the bare program")?;
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let proximity = Binary::Shipped.path(bench.place);
    let bare = bare(bench.place);
    let rounds = if bench.mode.quick { 60 } else { 400 };
    let mut taken: [Vec<f64>; 3] = Default::default();
    let [bares, versions, scripts] = &mut taken;
    for _ in 0..rounds {
        bares.push(start(&bare, &[], false)?);
        versions.push(start(&proximity, &["--version"], bench.mode.sabotage)?);
        scripts.push(start(&proximity, &["completion", "bash"], false)?);
    }
    let [bare, version, script] = taken.map(median);
    let times = version / bare;
    say::note(format!(
        "P10: completion {:.1}x a bare start",
        script / bare
    ));
    // Recording so many apps takes longer than a quick measurement may.
    let list = (!bench.mode.quick)
        .then(|| list(bench, &proximity))
        .transpose()?;
    if let Some(ms) = list {
        let times = ms / bare;
        say::note(format!("P10: list of {APPS} apps {ms:.0} ms, {times:.0}x"));
    }
    Ok(Measured {
        value: format!("{times:.2}"),
        unit: "x bare start",
        reached: times <= MOST,
        raw: serde_json::json!({
            "rounds": rounds, "bare_ms": bare, "version_ms": version, "completion_ms": script,
            "version_times": times, "completion_times": script / bare, "list_ms": list,
            "listed_apps": APPS,
        }),
    })
}

/// How long `proximity apps` takes against a server with many, milliseconds.
fn list(bench: &Bench<'_>, proximity: &Path) -> Result<f64> {
    let world = World::start_with(&Binary::ApiWorld.path(bench.place), &[&APPS.to_string()])?;
    let token = bench.place.target().join("figures").join("P10.token");
    private_file(&token, &world.token)?;
    let mut taken = Vec::new();
    for _ in 0..ROUNDS_OF_LIST {
        let [enter, rest @ ..] = &world.inside()[..] else {
            bail!("no way into the world");
        };
        let mut args: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (program, file) = (proximity.to_string_lossy(), token.to_string_lossy());
        args.extend([
            &*program,
            "apps",
            "--json",
            "--url",
            &world.url,
            "--token-file",
            &file,
        ]);
        taken.push(start(Path::new(enter), &args, false)?);
    }
    world.end()?;
    Ok(median(taken))
}

fn private_file(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Milliseconds from start to end. The control sleeps before.
fn start(program: &Path, args: &[&str], sabotage: bool) -> Result<f64> {
    let mut command = if sabotage {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "sleep 0.05; exec \"$@\"", "sh"])
            .arg(program);
        shell
    } else {
        Command::new(program)
    };
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let watch = Stopwatch::start();
    let status = command
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    let ms = watch.elapsed().as_secs_f64() * 1e3;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    Ok(ms)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
