//! `dpkg-query` and the part of `dpkg` that looks.

use super::super::exec::{Ended, Run};
use super::super::machine::PackageState;
use super::super::options::{Given, Options};

const OPTIONS: Options = Options {
    short: "WslLf:a",
    long: &[
        "show",
        "status",
        "list",
        "listfiles",
        "showformat=",
        "configure",
        "audit",
    ],
};
/// What `--show` prints unless told otherwise.
const USUAL: &str = "${binary:Package}\\t${Version}\\n";

/// `dpkg-query -W|--show [--showformat=FORMAT] [PACKAGE…]`, `-s`, `-l`, `-L`.
pub(crate) fn query(run: &Run<'_>, args: &[String]) -> Ended {
    match OPTIONS.read("dpkg-query", args) {
        Err(_) => Ended::failed(2, "dpkg-query: error: unknown option"),
        Ok(given) => ask(run, &given),
    }
}

/// `dpkg -s|-l|-L …` asks; `dpkg --configure -a` finds nothing left to do, because an installation is never half made.
pub(crate) fn dpkg(run: &Run<'_>, args: &[String]) -> Ended {
    match OPTIONS.read("dpkg", args) {
        Err(_) => Ended::failed(2, "dpkg: error: unknown option"),
        Ok(given) if given.has(&["configure", "audit"]) => Ended::ok(),
        Ok(given) => ask(run, &given),
    }
}

fn ask(run: &Run<'_>, given: &Given) -> Ended {
    let names: Vec<String> = if given.rest.is_empty() {
        run.guest.packages.keys().cloned().collect()
    } else {
        given.rest.clone()
    };
    let mut report = Ended::ok();
    for name in names {
        let Some(state) = run.guest.packages.get(&name) else {
            let text = if given.has(&["s", "status", "L", "listfiles"]) {
                format!(
                    "dpkg-query: package '{name}' is not installed and no information is available"
                )
            } else {
                format!("dpkg-query: no packages found matching {name}")
            };
            report.complain(1, &text);
            continue;
        };
        report = report.stdout(row(run, given, &name, state));
    }
    report
}

fn row(run: &Run<'_>, given: &Given, name: &str, state: &PackageState) -> String {
    if given.has(&["L", "listfiles"]) {
        let package = run.world.image.package(name);
        let files = package
            .map(|package| &package.files[..])
            .unwrap_or_default();
        return files
            .iter()
            .map(|file| format!("{}\n", file.path))
            .collect();
    }
    if given.has(&["s", "status"]) {
        let status = status(state);
        let version = &state.version;
        return format!("Package: {name}\nStatus: {status}\nVersion: {version}\n\n");
    }
    if given.has(&["l", "list"]) {
        return format!("{}  {name} {} amd64\n", short(state), state.version);
    }
    let format = given.value(&["f", "showformat"]).unwrap_or(USUAL);
    fill(format, name, state)
}

fn status(state: &PackageState) -> &'static str {
    if state.installed {
        "install ok installed"
    } else {
        "deinstall ok config-files"
    }
}

fn short(state: &PackageState) -> &'static str {
    if state.installed { "ii" } else { "rc" }
}

/// `${field}` and `\n`, `\t`, `\\`; an unknown field is empty.
fn fill(format: &str, name: &str, state: &PackageState) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(sign) = rest.chars().next() {
        if let Some((field, after)) = rest.strip_prefix("${").and_then(|r| r.split_once('}')) {
            let field = field.split(';').next().unwrap_or_default();
            match field {
                "Package" | "binary:Package" => text.push_str(name),
                "Version" => text.push_str(&state.version),
                "Status" => text.push_str(status(state)),
                "db:Status-Abbrev" => text.push_str(&format!("{} ", short(state))),
                "db:Status-Status" => text.push_str(if state.installed {
                    "installed"
                } else {
                    "config-files"
                }),
                "Architecture" => text.push_str("amd64"),
                _ => {}
            }
            rest = after;
            continue;
        }
        let escape = rest.get(..2).and_then(|pair| match pair {
            "\\n" => Some('\n'),
            "\\t" => Some('\t'),
            "\\\\" => Some('\\'),
            _ => None,
        });
        match escape {
            Some(meant) => {
                text.push(meant);
                rest = rest.get(2..).unwrap_or_default();
            }
            None => {
                text.push(sign);
                rest = rest.get(sign.len_utf8()..).unwrap_or_default();
            }
        }
    }
    text
}
