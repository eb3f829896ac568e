//! `apt-get update|install|remove|purge|clean`.

use super::super::exec::{Done, Ended, Interrupt, Run};
use super::super::machine::PackageState;
use super::super::options::{Given, Options};
use super::super::units;
use super::systemctl;

/// What `update` leaves, and `install` needs.
const LISTS: &str = "/var/lib/apt/lists";
/// Where what was downloaded and not installed lies.
const ARCHIVES: &str = "/var/cache/apt/archives";

/// As apt 2.6.1 of Debian 12 says it.
const NOT_FETCHED: &str =
    "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?";

const OPTIONS: Options = Options {
    short: "dqyso:t:",
    long: &[
        "quiet=?",
        "yes",
        "assume-yes",
        "no-install-recommends",
        "install-recommends",
        "no-download",
        "download-only",
        "purge",
        "option=",
        "reinstall",
        "simulate",
        "just-print",
        "dry-run",
        "no-act",
        "target-release=",
    ],
};

/// What was asked for beside the packages.
#[derive(Clone, Copy)]
struct Manner {
    /// Nobody has to be asked.
    sure: bool,
    /// Only told, not done.
    simulated: bool,
    purge: bool,
    again: bool,
    /// Only what was fetched before is installed.
    no_download: bool,
    /// It is fetched, and nothing is installed.
    download_only: bool,
}

impl Manner {
    fn of(given: &Given) -> Self {
        Self {
            sure: given.has(&["y", "yes", "assume-yes"]),
            simulated: given.has(&["s", "simulate", "just-print", "dry-run", "no-act"]),
            purge: given.has(&["purge"]),
            again: given.has(&["reinstall"]),
            no_download: given.has(&["no-download"]),
            download_only: given.has(&["d", "download-only"]),
        }
    }
}

/// The command.
pub(crate) fn apt_get(run: &mut Run<'_>, args: &[String]) -> Done {
    let given = match OPTIONS.read("apt-get", args) {
        Ok(given) => given,
        Err(_) => {
            let bad = args.iter().find(|arg| arg.starts_with('-'));
            let bad = bad.map_or("", String::as_str);
            let text = format!(
                "E: Command line option {bad} is not understood in combination with the other options"
            );
            return Ok(Ended::failed(100, text));
        }
    };
    let Some((verb, names)) = given.rest.split_first() else {
        return Ok(Ended::ok());
    };
    let release = given.value(&["t", "target-release"]);
    if let Some(release) = release.filter(|name| *name != run.world.image.suite) {
        let text = format!(
            "E: The value '{release}' is invalid for APT::Default-Release as such a release is not available in the sources"
        );
        return Ok(Ended::failed(100, text));
    }
    let manner = Manner::of(&given);
    let purge = Manner {
        purge: true,
        ..manner
    };
    match verb.as_str() {
        "update" => Ok(update(run)),
        "install" => Apt { run, manner }.install(names),
        "remove" => Apt { run, manner }.remove(names),
        "purge" => Apt { run, manner: purge }.remove(names),
        "clean" => Ok(clean(run)),
        // What is fetched here has no other version.
        "autoclean" => Ok(Ended::ok()),
        "upgrade" | "dist-upgrade" | "full-upgrade" | "autoremove" | "autopurge" => {
            let text = format!("E: {verb} is not emulated with simulated containers");
            Ok(Ended::failed(100, text))
        }
        other => Ok(Ended::failed(100, format!("E: Invalid operation {other}"))),
    }
}

fn head(more: &str) -> Ended {
    Ended::said(format!("Reading package lists...\n{more}"))
}

/// What is going to be done, as it is shown before.
fn plan(new: &[String], again: &[String], removed: &[String]) -> String {
    let mut text = String::new();
    for (title, names) in [
        ("The following NEW packages will be installed:", new),
        ("The following packages will be REMOVED:", removed),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("{title}\n  {}\n", names.join(" ")));
        }
    }
    let reinstalled = match again.len() {
        0 => String::new(),
        count => format!("{count} reinstalled, "),
    };
    text.push_str(&format!(
        "0 upgraded, {} newly installed, {reinstalled}{} to remove and 0 not upgraded.\n",
        new.len(),
        removed.len()
    ));
    text
}

fn update(run: &mut Run<'_>) -> Ended {
    let suite = &run.world.image.suite;
    let list = format!("{LISTS}/packages.example_debian_dists_{suite}_main_binary-amd64_Packages");
    let now_s = run.world.now_s;
    if let Err(error) = run.guest.files.write(&list, b"".to_vec(), now_s) {
        return Ended::failed(
            100,
            format!("E: Could not open file {list} - open ({error})"),
        );
    }
    Ended::said(format!(
        "Get:1 http://packages.example/debian {suite} InRelease\nGet:2 http://packages.example/debian {suite}/main amd64 Packages\nReading package lists...\n"
    ))
}

/// Nothing that was fetched is kept.
fn clean(run: &mut Run<'_>) -> Ended {
    let files = &mut run.guest.files;
    if files.is_dir(ARCHIVES)
        && let Err(error) = files.remove_tree(ARCHIVES)
    {
        return Ended::failed(100, format!("E: Unable to clean {ARCHIVES} ({error})"));
    }
    Ended::ok()
}

struct Apt<'a, 'b> {
    run: &'a mut Run<'b>,
    manner: Manner,
}

impl Apt<'_, '_> {
    fn install(&mut self, names: &[String]) -> Done {
        let mut report = head("Building dependency tree...\nReading state information...\n");
        for name in names {
            if !self.is_known(name) {
                report.complain(100, &format!("E: Unable to locate package {name}"));
            }
        }
        if report.exit != 0 {
            return Ok(report);
        }
        let mut wanted = Vec::new();
        let mut again = Vec::new();
        for name in names {
            let installed = self.run.guest.is_installed(name);
            if installed && self.manner.again {
                again.push(name.clone());
            } else if installed {
                let version = self.run.guest.packages.get(name).map(|s| s.version.clone());
                let version = version.unwrap_or_default();
                report = report.stdout(format!(
                    "{name} is already the newest version ({version}).\n"
                ));
            }
            self.collect(name, &mut wanted);
        }
        let in_the_way = self.conflicts(&wanted);
        report = report.stdout(plan(&wanted, &again, &in_the_way));
        // More than what was named is done only to who is sure of it.
        let more = !in_the_way.is_empty() || wanted.iter().any(|name| !names.contains(name));
        wanted.extend(again);
        if self.manner.simulated {
            let removals = in_the_way.iter().map(|name| self.would_remove(name));
            let removals: String = removals.collect();
            return Ok(report.stdout(removals).stdout(self.would_install(&wanted)));
        }
        if more && !self.agreed(&mut report)? {
            return Ok(report);
        }
        if self.manner.no_download && !wanted.iter().all(|name| self.is_fetched(name)) {
            report.complain(100, NOT_FETCHED);
            return Ok(report);
        }
        if self.manner.download_only {
            return Ok(self.fetch(&wanted, report));
        }
        for name in in_the_way {
            let ended = self.take_away(&name, false);
            report = report.then(ended);
        }
        for name in &wanted {
            let ended = self.unpack(name);
            report = report.then(ended);
            if report.exit != 0 {
                return Ok(report);
            }
        }
        for name in &wanted {
            let ended = self.configure(name);
            report = report.then(ended);
        }
        Ok(report)
    }

    /// The file that a package is fetched as.
    fn archive(&self, name: &str) -> String {
        let package = self.run.world.image.package(name);
        let version = package.map_or("", |package| &package.version);
        let version = version.replace(':', "%3a");
        format!("{ARCHIVES}/{name}_{version}_amd64.deb")
    }

    fn is_fetched(&self, name: &str) -> bool {
        self.run.guest.files.exists(&self.archive(name))
    }

    /// Keeps the packages without installing them.
    fn fetch(&mut self, names: &[String], mut report: Ended) -> Ended {
        let now_s = self.run.world.now_s;
        for name in names {
            let path = self.archive(name);
            let files = &mut self.run.guest.files;
            let made = files.make_dirs(ARCHIVES, now_s);
            let kept = made.and_then(|_| files.write(&path, b"deb".to_vec(), now_s));
            if let Err(error) = kept {
                let text = format!("E: Could not open file {path} - open ({error})");
                report.complain(100, &text);
                return report;
            }
        }
        report.stdout("Download complete and in download only mode\n")
    }

    /// Asks who did not say yes beforehand. An end of the input is a no.
    fn agreed(&mut self, report: &mut Ended) -> Result<bool, Interrupt> {
        if self.manner.sure {
            return Ok(true);
        }
        let input = self.run.input()?;
        let line = input.split(|byte| *byte == b'\n').next();
        let yes = match line {
            Some([]) | None => !input.is_empty(),
            Some(line) => matches!(line.first(), Some(b'y' | b'Y')),
        };
        let asked = "Do you want to continue? [Y/n] ";
        report.stdout.extend_from_slice(asked.as_bytes());
        if !yes {
            report.stdout.extend_from_slice(b"Abort.\n");
            report.exit = 1;
        }
        Ok(yes)
    }

    fn would_install(&self, names: &[String]) -> String {
        let image = self.run.world.image;
        let line = |word: &str, name: &String| {
            let version = image.package(name).map_or("", |package| &package.version);
            format!("{word} {name} ({version} {} [amd64])\n", image.suite)
        };
        let unpacked = names.iter().map(|name| line("Inst", name));
        let configured = names.iter().map(|name| line("Conf", name));
        unpacked.chain(configured).collect()
    }

    fn would_remove(&self, name: &str) -> String {
        let known = self.run.guest.packages.get(name);
        let version = known.map_or("", |state| &state.version);
        let word = if self.manner.purge { "Purg" } else { "Remv" };
        format!("{word} {name} [{version}]\n")
    }

    /// The archive's packages are known once the lists are there; installed ones always.
    fn is_known(&self, name: &str) -> bool {
        let files = &self.run.guest.files;
        let has_lists = files.children(LISTS).next().is_some();
        self.run.guest.is_installed(name) || has_lists && self.run.world.image.has(name)
    }

    /// The package with what it needs, dependencies first.
    fn collect(&self, name: &str, into: &mut Vec<String>) {
        if self.run.guest.is_installed(name) || into.iter().any(|known| known == name) {
            return;
        }
        if let Some(package) = self.run.world.image.package(name) {
            for needed in &package.depends {
                self.collect(needed, into);
            }
        }
        into.push(name.to_owned());
    }

    fn conflicts(&self, wanted: &[String]) -> Vec<String> {
        let image = self.run.world.image;
        let packages = wanted.iter().filter_map(|name| image.package(name));
        let mut found: Vec<String> = packages
            .flat_map(|package| package.conflicts.iter().cloned())
            .filter(|name| self.run.guest.is_installed(name))
            .collect();
        found.dedup();
        found
    }

    fn unpack(&mut self, name: &str) -> Ended {
        let now_s = self.run.world.now_s;
        let Some(package) = self.run.world.image.package(name) else {
            return Ended::ok();
        };
        for file in &package.files {
            // A configuration file that is there, or was taken away on purpose, stays as the user left it.
            let known = self.run.guest.packages.contains_key(name);
            let kept = file.is_configuration() && !file.is_dir() && known;
            if !kept {
                file.place(&mut self.run.guest.files, now_s);
            }
        }
        let state = PackageState {
            version: package.version.clone(),
            installed: true,
        };
        self.run.guest.packages.insert(name.to_owned(), state);
        let (version, kib) = (&package.version, package.kib);
        Ended::said(format!(
            "Get:1 http://packages.example/debian bookworm/main amd64 {name} amd64 {version} [{kib} kB]\nUnpacking {name} ({version}) ...\n"
        ))
    }

    fn configure(&mut self, name: &str) -> Ended {
        let Some(package) = self.run.world.image.package(name) else {
            return Ended::ok();
        };
        let mut report = Ended::said(format!("Setting up {name} ({}) ...\n", package.version));
        for unit in self.units_ready(name) {
            let enabled = systemctl::enable(self.run, &unit);
            report.stdout.extend(enabled.stderr);
            let started = units::start(self.run, &unit);
            if started.exit != 0 {
                // As Debian's scripts do: a unit that does not start leaves the package half configured.
                report = report.then(started);
                report.complain(
                    100,
                    &format!("E: Sub-process /usr/bin/dpkg returned an error code (1) ({name})"),
                );
            }
        }
        report
    }

    /// Units of packages that are complete with this one: a unit may come with another package than its program.
    fn units_ready(&self, name: &str) -> Vec<String> {
        let image = self.run.world.image;
        let Some(package) = image.package(name) else {
            return Vec::new();
        };
        let own = std::iter::once(package);
        let needed = package
            .depends
            .iter()
            .filter_map(|name| image.package(name));
        let units = own.chain(needed).flat_map(|package| package.units.iter());
        let runnable = |unit: &&String| {
            let program = units::load(self.run, unit)
                .and_then(|(_, file)| file.one("Service", "ExecStart").map(str::to_owned));
            let program = program.unwrap_or_default();
            let program = program.split_whitespace().next().unwrap_or_default();
            self.run.find(program).is_ok()
        };
        units.filter(runnable).cloned().collect()
    }

    fn remove(&mut self, names: &[String]) -> Done {
        let purge = self.manner.purge;
        let mut report = head("Building dependency tree...\nReading state information...\n");
        for name in names {
            if !self.is_known(name) && !self.run.guest.packages.contains_key(name) {
                report.complain(100, &format!("E: Unable to locate package {name}"));
            }
        }
        if report.exit != 0 {
            return Ok(report);
        }
        let mut gone = Vec::new();
        for name in names {
            let known = self.run.guest.packages.contains_key(name);
            if !known || !self.run.guest.is_installed(name) && !purge {
                report = report.stdout(format!(
                    "Package '{name}' is not installed, so not removed\n"
                ));
                continue;
            }
            gone.extend(self.dependents(name));
            gone.push(name.clone());
        }
        let mut seen = std::collections::BTreeSet::new();
        gone.retain(|name| seen.insert(name.clone()));
        report = report.stdout(plan(&[], &[], &gone));
        if self.manner.simulated {
            let lines: String = gone.iter().map(|name| self.would_remove(name)).collect();
            return Ok(report.stdout(lines));
        }
        if !gone.is_empty() && !self.agreed(&mut report)? {
            return Ok(report);
        }
        for name in gone {
            let ended = self.take_away(&name, purge);
            report = report.then(ended);
        }
        Ok(report)
    }

    fn dependents(&self, name: &str) -> Vec<String> {
        let installed = self.run.guest.packages.keys();
        let needs = |other: &&String| {
            let package = self.run.world.image.package(other);
            self.run.guest.is_installed(other)
                && package.is_some_and(|package| package.depends.iter().any(|n| n == name))
        };
        installed.filter(needs).cloned().collect()
    }

    fn take_away(&mut self, name: &str, purge: bool) -> Ended {
        let Some(state) = self.run.guest.packages.get(name).cloned() else {
            return Ended::ok();
        };
        let Some(package) = self.run.world.image.package(name) else {
            let text =
                format!("E: Removing essential system-critical packages is not permitted: {name}");
            return Ended::failed(100, text);
        };
        for unit in self.units_ready(name) {
            let _ = units::stop(self.run, &unit);
        }
        let files = package.files.iter().filter(|file| !file.is_dir());
        for file in files.filter(|file| purge || !file.is_configuration()) {
            // Somebody may have removed it before.
            let _ = self.run.guest.files.unlink(&file.path);
        }
        if purge {
            self.run.guest.packages.remove(name);
        } else if let Some(state) = self.run.guest.packages.get_mut(name) {
            state.installed = false;
        }
        Ended::said(format!("Removing {name} ({}) ...\n", state.version))
    }
}
