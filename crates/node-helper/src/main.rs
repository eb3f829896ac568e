//! The program: see the library.

use std::io::Write as _;
use std::process::ExitCode;

use proximity_domain::ids::Vmid;
use proximity_node_helper::ground::{Command, Ground, USAGE};
use proximity_node_helper::serve::serve;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1);
    let ground = std::env::current_exe()
        .map_err(|e| format!("the program's own place cannot be told: {e}"))
        .and_then(|program| Ground::beside(&program));
    let (ground, command) = match ground.and_then(|ground| ground.parse(words)) {
        Ok(parsed) => parsed,
        Err(complaint) => return complain(2, &format!("{complaint}\n{USAGE}")),
    };
    match command {
        Command::Serve(installation) => {
            let from = caller();
            serve(
                &ground,
                installation,
                from,
                std::io::stdin(),
                std::io::stdout(),
            );
            ExitCode::SUCCESS
        }
        Command::Allow(vmid) => allow(&ground, vmid),
        Command::Forbid(vmid) => forbid(&ground, vmid),
        Command::Allowed => list(&ground),
        Command::Version => say(concat!(
            "proximity-node-helper ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read: who sshd says the caller is"
)]
fn caller() -> String {
    std::env::var("SSH_CONNECTION").unwrap_or_default()
}

fn allow(ground: &Ground, vmid: Vmid) -> ExitCode {
    let both = ground
        .conf(vmid)
        .and_then(|conf| Ok((conf, ground.allowed()?)));
    let (conf, mut list) = match both {
        Ok(both) => both,
        Err(trouble) => return complain(1, &format!("{}\n", trouble.message)),
    };
    if !list.allow(vmid, &conf) {
        return complain(1, &format!("container {vmid} shows no root volume\n"));
    }
    match ground.keep_allowed(&list) {
        Ok(()) => say(&format!(
            "container {vmid} may be entered, as long as it keeps its volume and address\n"
        )),
        Err(e) => complain(1, &format!("the list cannot be written: {e}\n")),
    }
}

fn forbid(ground: &Ground, vmid: Vmid) -> ExitCode {
    let mut list = match ground.allowed() {
        Ok(list) => list,
        Err(trouble) => return complain(1, &format!("{}\n", trouble.message)),
    };
    if !list.forbid(vmid) {
        return complain(1, &format!("container {vmid} was not on the list\n"));
    }
    match ground.keep_allowed(&list) {
        Ok(()) => say(&format!("container {vmid} may not be entered any more\n")),
        Err(e) => complain(1, &format!("the list cannot be written: {e}\n")),
    }
}

fn list(ground: &Ground) -> ExitCode {
    match ground.allowed() {
        Ok(list) => say(&list.to_string()),
        Err(trouble) => complain(1, &format!("{}\n", trouble.message)),
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(code: u8, text: &str) -> ExitCode {
    // Nobody is left to tell that standard error is closed.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(code)
}
