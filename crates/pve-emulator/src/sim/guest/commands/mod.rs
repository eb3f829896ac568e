//! The fixed table of commands, one function each.

mod apt;
mod change;
mod copies;
mod dpkg;
mod journal;
mod look;
mod network;
mod permissions;
mod small;
mod systemctl;
mod test_command;
mod users;

use super::exec::{Done, Ended, Interrupt, Run};
use super::{busybox, nginx, shell};

/// Runs the program of this name; `argv` has it as it was called.
pub(crate) fn run(run: &mut Run<'_>, program: &str, argv: &[String]) -> Done {
    let args = argv.get(1..).unwrap_or_default();
    match program {
        "apt-get" => apt::apt_get(run, args),
        "dpkg" => Ok(dpkg::dpkg(run, args)),
        "dpkg-query" => Ok(dpkg::query(run, args)),
        "systemctl" => Ok(systemctl::systemctl(run, args)),
        "journalctl" => Ok(journal::journalctl(run, args)),
        "sh" => shell::sh(run, argv),
        "env" => small::env(run, args),
        "flock" => small::flock(run, args),
        "sleep" => small::sleep(run, args),
        "cat" => small::cat(run, args),
        "wc" => small::wc(run, args),
        "sha256sum" => look::sha256sum(run, args),
        "echo" => Ok(small::echo(args)),
        "printf" => Ok(small::printf(args)),
        "true" => Ok(Ended::ok()),
        "false" => Ok(Ended::exit(1)),
        "test" => Ok(test_command::test(run, "test", args)),
        "[" => Ok(test_command::test(run, "[", args)),
        "mkdir" => Ok(change::mkdir(run, args)),
        "rm" => Ok(change::rm(run, args)),
        "touch" => Ok(change::touch(run, args)),
        "ln" => Ok(change::ln(run, args)),
        "cp" => Ok(copies::cp(run, args)),
        "mv" => Ok(copies::mv(run, args)),
        "install" => Ok(copies::install(run, args)),
        "chmod" => Ok(permissions::chmod(run, args)),
        "chown" => Ok(permissions::chown(run, args)),
        "ls" => Ok(look::ls(run, args)),
        "stat" => Ok(look::stat(run, args)),
        "readlink" => Ok(look::readlink(run, args)),
        "useradd" => Ok(users::useradd(run, args)),
        "id" => Ok(users::id(run, args)),
        "hostname" => Ok(network::hostname(run, args)),
        "ip" => Ok(network::ip(run, args)),
        "ss" => Ok(network::ss(run, args)),
        "curl" => network::curl(run, args),
        "ps" => Ok(small::ps(run)),
        "pwd" => Ok(Ended::said(format!("{}\n", run.cwd))),
        "free" => Ok(small::free(run)),
        "uname" => Ok(small::uname(run, args)),
        "nginx" => nginx::run(run, argv),
        "sshd" => small::sshd(run, argv),
        "busybox" => match args.first().map(String::as_str) {
            Some("httpd") => busybox::httpd(run, args),
            Some(applet) => {
                let known = run.find(applet).is_ok();
                if known {
                    return run.command(args);
                }
                Ok(Ended::failed(127, format!("{applet}: applet not found")))
            }
            None => Ok(Ended::ok()),
        },
        // The image names a program this table lacks: as if its file were damaged.
        other => Ok(Ended::failed(126, format!("{other}: cannot execute"))),
    }
}

/// Gives up at once where a command only has an ending, not a result.
pub(crate) fn hang() -> Interrupt {
    Interrupt::Hang(None)
}
