//! `systemctl`.

use super::super::exec::{Ended, Interrupt, Run};
use super::super::files::{Kind, Node};
use super::super::options::{Given, Options};
use super::super::unit_file::split_words;
use super::super::units::{self, UnitState, full_name, load, wants};

const OPTIONS: Options = Options {
    short: "qp:ant:l",
    long: &[
        "quiet",
        "now",
        "wait",
        "no-pager",
        "no-block",
        "property=",
        "value",
        "all",
        "type=",
        "full",
        "system",
    ],
};

/// `systemctl VERB [UNIT…]`.
pub(crate) fn systemctl(run: &mut Run<'_>, args: &[String]) -> Ended {
    let given = match OPTIONS.read("systemctl", args) {
        Ok(given) => given,
        Err(mut refused) => {
            refused
                .stderr
                .truncate(refused.stderr.iter().position(|b| *b == b'\n').unwrap_or(0) + 1);
            return refused;
        }
    };
    let (verb, names) = match given.rest.split_first() {
        Some((verb, names)) => (verb.as_str(), names),
        None => ("list-units", &[][..]),
    };
    let names: Vec<String> = names.iter().map(|name| full_name(name)).collect();
    match verb {
        "daemon-reload" | "daemon-reexec" => Ended::ok(),
        "reset-failed" => reset_failed(run, &names),
        "is-system-running" => is_system_running(run),
        "list-units" => list(run),
        "show" => show(run, &given, &names),
        _ if names.is_empty() => Ended::failed(1, "Too few arguments."),
        "start" => each(run, &names, units::start),
        "stop" => each(run, &names, units::stop),
        "restart" => each(run, &names, restart),
        "reload" => each(run, &names, reload),
        "try-restart" => each(run, &names, try_restart),
        "reload-or-restart" => each(run, &names, reload_or_restart),
        "enable" => {
            let mut report = each(run, &names, enable);
            if given.has(&["now"]) && report.exit == 0 {
                report = report.then(each(run, &names, units::start));
            }
            report
        }
        "disable" => {
            let mut report = each(run, &names, disable);
            if given.has(&["now"]) && report.exit == 0 {
                report = report.then(each(run, &names, units::stop));
            }
            report
        }
        "is-active" => is_active(run, &names, given.has(&["q", "quiet"])),
        "is-failed" => is_failed(run, &names),
        "is-enabled" => each(run, &names, is_enabled),
        "status" => each(run, &names, status),
        other => Ended::failed(1, format!("Unknown command verb {other}.")),
    }
}

/// Every one is tried; the worst exit code counts.
fn each(run: &mut Run<'_>, names: &[String], act: impl Fn(&mut Run<'_>, &str) -> Ended) -> Ended {
    let mut report = Ended::ok();
    for name in names {
        let worst = report.exit;
        report = report.then(act(run, name));
        report.exit = report.exit.max(worst);
    }
    report
}

fn state(run: &Run<'_>, name: &str) -> UnitState {
    run.guest.units.get(name).cloned().unwrap_or_default()
}

fn restart(run: &mut Run<'_>, name: &str) -> Ended {
    if load(run, name).is_none() {
        let text = format!("Failed to restart {name}: Unit {name} not found.");
        return Ended::failed(5, text);
    }
    let _ = units::stop(run, name);
    units::start(run, name)
}

/// A unit that is not up is left as it is.
fn try_restart(run: &mut Run<'_>, name: &str) -> Ended {
    if load(run, name).is_none() {
        let text = format!("Failed to try-restart {name}: Unit {name} not found.");
        return Ended::failed(5, text);
    }
    if state(run, name).active {
        return restart(run, name);
    }
    Ended::ok()
}

/// A unit that is not up is started; one that cannot be told to read its files again is restarted.
fn reload_or_restart(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((_, file)) = load(run, name) else {
        let text = format!("Failed to reload-or-restart {name}: Unit {name} not found.");
        return Ended::failed(5, text);
    };
    if state(run, name).active && file.one("Service", "ExecReload").is_some() {
        return reload(run, name);
    }
    restart(run, name)
}

/// Forgets how units ended: those named, or all. One that then neither runs nor starts with the boot is
/// no longer loaded.
fn reset_failed(run: &mut Run<'_>, names: &[String]) -> Ended {
    let mut report = Ended::ok();
    for name in names {
        let state = state(run, name);
        let loaded = state.active || state.has_failed();
        if !loaded && enabled_word(run, name) != Some("enabled") {
            let text =
                format!("Failed to reset failed state of unit {name}: Unit {name} not loaded.");
            report.complain(1, &text);
        }
    }
    for (name, state) in &mut run.guest.units {
        if state.has_failed() && (names.is_empty() || names.contains(name)) {
            *state = UnitState::default();
        }
    }
    report
}

fn reload(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((_, file)) = load(run, name) else {
        let text = format!("Failed to reload {name}: Unit {name} not found.");
        return Ended::failed(5, text);
    };
    let Some(line) = file.one("Service", "ExecReload").map(str::to_owned) else {
        let text =
            format!("Failed to reload {name}: Job type reload is not applicable for unit {name}.");
        return Ended::failed(3, text);
    };
    if !state(run, name).active {
        return Ended::failed(1, format!("{name} is not active, cannot reload."));
    }
    let argv = split_words(&line).unwrap_or_default();
    match run.command(&argv) {
        Ok(ended) if ended.exit != 0 => {
            let text = String::from_utf8_lossy(&ended.stderr).into_owned();
            let program = argv.first().map_or("", String::as_str);
            let program = program.rsplit('/').next().unwrap_or_default();
            units::say(run, name, program, &text);
            Ended::failed(
                1,
                format!(
                    "Job for {name} failed because the control process exited with error code.\nSee \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details."
                ),
            )
        }
        Ok(_) | Err(Interrupt::Hang(_) | Interrupt::NeedsInput | Interrupt::Blocked { .. }) => {
            Ended::ok()
        }
    }
}

/// Makes the links that the unit's file asks for.
pub(crate) fn enable(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((path, file)) = load(run, name) else {
        let text = format!("Failed to enable unit: Unit file {name} does not exist.");
        return Ended::failed(1, text);
    };
    let mut report = Ended::ok();
    let lines = file.all("Install", "WantedBy").join(" ");
    for target in lines.split_whitespace() {
        let link = wants(target, name);
        if run.guest.files.get_link(&link).is_ok() {
            continue;
        }
        let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
        let now_s = run.world.now_s;
        let node = Node::new(Kind::Link(path.clone()), 0o777, now_s);
        let files = &mut run.guest.files;
        let made = files
            .make_dirs(folder, now_s)
            .and_then(|_| files.insert(&link, node));
        match made {
            Ok(()) => report.complain(0, &format!("Created symlink {link} → {path}.")),
            Err(error) => report.complain(1, &format!("Failed to enable unit: {error}")),
        }
    }
    report
}

fn disable(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((_, file)) = load(run, name) else {
        let text = format!("Failed to disable unit: Unit file {name} does not exist.");
        return Ended::failed(1, text);
    };
    let mut report = Ended::ok();
    let lines = file.all("Install", "WantedBy").join(" ");
    for target in lines.split_whitespace() {
        let link = wants(target, name);
        if run.guest.files.unlink(&link).is_ok() {
            report.complain(0, &format!("Removed \"{link}\"."));
        }
    }
    report
}

fn enabled_word(run: &Run<'_>, name: &str) -> Option<&'static str> {
    let (_, file) = load(run, name)?;
    let lines = file.all("Install", "WantedBy").join(" ");
    let mut targets = lines.split_whitespace().peekable();
    if targets.peek().is_none() {
        return Some("static");
    }
    let linked = targets.any(|target| run.guest.files.get_link(&wants(target, name)).is_ok());
    Some(if linked { "enabled" } else { "disabled" })
}

fn is_enabled(run: &mut Run<'_>, name: &str) -> Ended {
    match enabled_word(run, name) {
        None => Ended::failed(
            1,
            format!("Failed to get unit file state for {name}: No such file or directory"),
        ),
        Some(word) => {
            let mut said = Ended::said(format!("{word}\n"));
            said.exit = u8::from(word == "disabled");
            said
        }
    }
}

fn is_active(run: &Run<'_>, names: &[String], quiet: bool) -> Ended {
    let states: Vec<UnitState> = names.iter().map(|name| state(run, name)).collect();
    let any = states.iter().any(|state| state.active);
    let mut report = Ended::exit(if any { 0 } else { 3 });
    if !quiet {
        let words = states.iter().map(|state| format!("{}\n", state.word()));
        report.stdout = words.collect::<String>().into_bytes();
    }
    report
}

fn is_failed(run: &Run<'_>, names: &[String]) -> Ended {
    let states: Vec<UnitState> = names.iter().map(|name| state(run, name)).collect();
    let words = states.iter().map(|state| format!("{}\n", state.word()));
    let mut report = Ended::said(words.collect::<String>());
    report.exit = u8::from(!states.iter().any(UnitState::has_failed));
    report
}

fn is_system_running(run: &Run<'_>) -> Ended {
    if run.guest.units.values().any(UnitState::has_failed) {
        return Ended {
            exit: 1,
            ..Ended::said("degraded\n")
        };
    }
    Ended::said("running\n")
}

fn list(run: &Run<'_>) -> Ended {
    let rows = run.guest.units.iter();
    let rows = rows.map(|(name, state)| format!("  {name} loaded {}\n", state.word()));
    Ended::said(rows.collect::<String>())
}

/// Properties in the order systemd prints them, whatever they are asked for in.
const PROPERTIES: [&str; 11] = [
    "MainPID",
    "Result",
    "NRestarts",
    "ExecMainStatus",
    "Id",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "FragmentPath",
    "UnitFileState",
];

fn show(run: &Run<'_>, given: &Given, names: &[String]) -> Ended {
    let wanted = given.value(&["p", "property"]);
    let is_wanted = |property: &&str| {
        wanted.is_none_or(|wanted| wanted.split(',').any(|name| name == *property))
    };
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        for property in PROPERTIES.iter().copied().filter(is_wanted) {
            let Some(value) = property_of(run, name, property) else {
                continue;
            };
            if given.has(&["value"]) {
                text.push_str(&format!("{value}\n"));
            } else {
                text.push_str(&format!("{property}={value}\n"));
            }
        }
    }
    Ended::said(text)
}

fn property_of(run: &Run<'_>, name: &str, property: &str) -> Option<String> {
    let state = state(run, name);
    let loaded = load(run, name);
    Some(match property {
        "Id" => name.to_owned(),
        "LoadState" => if loaded.is_some() {
            "loaded"
        } else {
            "not-found"
        }
        .to_owned(),
        "ActiveState" => state.word().to_owned(),
        "SubState" => match (state.active, state.exited, state.has_failed()) {
            (true, true, _) => "exited",
            (true, false, _) => "running",
            (false, _, true) => "failed",
            (false, _, false) => "dead",
        }
        .to_owned(),
        "UnitFileState" => enabled_word(run, name).unwrap_or_default().to_owned(),
        "Result" => state.verdict.word().to_owned(),
        "MainPID" => state.main_pid.unwrap_or(0).to_string(),
        "NRestarts" => state.restarts.to_string(),
        "ExecMainStatus" => state.status.to_string(),
        "Description" => loaded?
            .1
            .one("Unit", "Description")
            .unwrap_or(name)
            .to_owned(),
        "FragmentPath" => loaded?.0,
        _ => return None,
    })
}

fn status(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((path, file)) = load(run, name) else {
        return Ended::failed(4, format!("Unit {name} could not be found."));
    };
    let state = state(run, name);
    let title = file.one("Unit", "Description").unwrap_or(name);
    let enabled = enabled_word(run, name).unwrap_or_default();
    let mut text = format!(
        "{name} - {title}\n     Loaded: loaded ({path}; {enabled})\n     Active: {}",
        state.word()
    );
    if state.has_failed() {
        text.push_str(&format!(" (Result: {})", state.verdict.word()));
    }
    text.push('\n');
    if let Some(pid) = state.main_pid {
        text.push_str(&format!("   Main PID: {pid}\n"));
    }
    Ended {
        exit: if state.active { 0 } else { 3 },
        ..Ended::said(text)
    }
}
