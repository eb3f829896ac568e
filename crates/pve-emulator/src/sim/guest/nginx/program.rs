//! The program `nginx`: checks its configuration, starts, reloads.

use super::super::exec::{Done, Ended, Run, keep};
use super::super::options::Options;
use super::super::people::id_of;
use super::super::processes::{Listener, Process, Site};
use super::config::{Config, interpret};
use super::syntax::{Directive, read};

const USUAL: &str = "/etc/nginx/nginx.conf";

/// `nginx [-t] [-q] [-c FILE] [-g DIRECTIVES] [-s SIGNAL] [-v]`.
pub(crate) fn run(run: &mut Run<'_>, argv: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "tTqvVc:g:s:p:e:",
        long: &[],
    };
    let given = match OPTIONS.read("nginx", argv.get(1..).unwrap_or_default()) {
        Ok(given) => given,
        Err(_) => return Ok(Ended::failed(1, "nginx: invalid option")),
    };
    if given.has(&["v", "V"]) {
        return Ok(Ended::failed(0, "nginx version: nginx/1.22.1"));
    }
    let file = given.value(&["c"]).unwrap_or(USUAL).to_owned();
    let config = load(run, &file);
    if given.has(&["t", "T"]) {
        let quiet = given.has(&["q"]);
        return Ok(match config {
            Ok(_) if quiet => Ended::ok(),
            Ok(_) => Ended::failed(
                0,
                format!(
                    "nginx: the configuration file {file} syntax is ok\nnginx: configuration file {file} test is successful"
                ),
            ),
            Err(why) => Ended::failed(
                1,
                format!("nginx: [emerg] {why}\nnginx: configuration file {file} test failed"),
            ),
        });
    }
    let config = match config {
        Ok(config) => config,
        Err(why) => return Ok(Ended::failed(1, format!("nginx: [emerg] {why}"))),
    };
    match given.value(&["s"]) {
        None => start(run, argv, config),
        Some(signal) => Ok(self::signal(run, signal, config)),
    }
}

fn load(run: &Run<'_>, file: &str) -> Result<Config, String> {
    let files = &run.guest.files;
    let directives = read(files, file, 0)?;
    let user = directives.iter().find(|d| d.name == "user");
    let user = user.and_then(|directive: &Directive| directive.args.first());
    if let Some(user) = user
        && id_of(files, "/etc/passwd", user).is_none()
    {
        return Err(format!("getpwnam(\"{user}\") failed in {file}:1"));
    }
    interpret(&directives, run.guest.shape.cores)
}

fn listeners(config: Config) -> Vec<Listener> {
    let listens = config.listens.into_iter();
    listens
        .map(|((address, port), servers)| Listener {
            address,
            port,
            site: Site::Nginx(servers),
        })
        .collect()
}

fn start(run: &mut Run<'_>, argv: &[String], config: Config) -> Done {
    for ((address, port), _) in &config.listens {
        if run.is_taken(*address, *port) {
            let at = std::net::SocketAddr::new(*address, *port);
            return Ok(Ended::failed(
                1,
                format!(
                    "nginx: [emerg] bind() to {at} failed (98: Address already in use)\nnginx: [emerg] still could not bind()"
                ),
            ));
        }
    }
    let memory_mib = run.world.image.memory_mib("nginx") + config.workers_mib;
    if !run.has_memory(memory_mib) {
        return Ok(Ended::exit(super::super::exec::KILLED));
    }
    let process = Process {
        listeners: listeners(config),
        ..Process::of(argv, memory_mib, None)
    };
    keep(run, process);
    Ok(Ended::ok())
}

/// Tells the one that runs.
fn signal(run: &mut Run<'_>, signal: &str, config: Config) -> Ended {
    let processes = run.guest.processes.values();
    let found = processes
        .filter(|process| process.argv.first().is_some_and(|a| a.ends_with("nginx")))
        .map(|process| process.pid)
        .next();
    let Some(pid) = found else {
        let text = "nginx: [error] open() \"/run/nginx.pid\" failed (2: No such file or directory)";
        return Ended::failed(1, text);
    };
    match signal {
        "reload" => {
            if let Some(process) = run.guest.processes.get_mut(&pid) {
                process.listeners = listeners(config);
            }
        }
        "stop" | "quit" => run.guest.end_process(pid),
        "reopen" => {}
        _ => return Ended::failed(1, format!("nginx: invalid option: \"-s {signal}\"")),
    }
    Ended::ok()
}
