//! Small commands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::exec::{Done, Ended, Interrupt, Run, keep};
use super::super::options::{Options, refused};
use super::super::processes::{Listener, Process, Site};
use super::hang;

/// `env [-i] [NAME=VALUE…] [COMMAND…]`.
pub(crate) fn env(run: &mut Run<'_>, args: &[String]) -> Done {
    let (mut args, before) = (args, run.env.clone());
    while let Some((first, rest)) = args.split_first() {
        match first.split_once('=') {
            _ if first == "-i" => run.env.clear(),
            Some((name, value)) => drop(run.env.insert(name.to_owned(), value.to_owned())),
            None => break,
        }
        args = rest;
    }
    let done = match args.first() {
        None => {
            let lines = run
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}\n"));
            Ok(Ended::said(lines.collect::<String>()))
        }
        Some(name) => match run.find(name) {
            Ok(_) => run.command(args),
            Err(code) => {
                let why = if code == 126 {
                    "Permission denied"
                } else {
                    "No such file or directory"
                };
                Ok(Ended::failed(code, format!("env: '{name}': {why}")))
            }
        },
    };
    run.env = before;
    done
}

/// `flock [-n] [-w|--wait SECONDS] FILE COMMAND…`.
pub(crate) fn flock(run: &mut Run<'_>, args: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "nxsw:oE:",
        long: &[
            "nonblock",
            "nb",
            "exclusive",
            "wait=",
            "timeout=",
            "close",
            "conflict-exit-code=",
        ],
    };
    let given = match OPTIONS.read_prefix("flock", args) {
        Ok(given) => given,
        Err(ended) => return Ok(Ended { exit: 64, ..ended }),
    };
    let Some((file, command)) = given.rest.split_first().filter(|(_, c)| !c.is_empty()) else {
        return Ok(Ended::failed(
            64,
            "flock: requires file descriptor, file or directory",
        ));
    };
    let path = run.path(file);
    if !run.guest.files.exists(&path)
        && let Err(error) = run.guest.files.write(&path, Vec::new(), run.world.now_s)
    {
        return Ok(Ended::failed(
            66,
            format!("flock: cannot open lock file {file}: {error}"),
        ));
    }
    let conflict = given
        .value(&["E", "conflict-exit-code"])
        .and_then(|c| c.parse().ok());
    if run.guest.is_locked(&path) {
        let wait = given
            .value(&["w", "wait", "timeout"])
            .and_then(|s| s.parse::<u64>().ok());
        if given.has(&["n", "nonblock", "nb"]) || wait == Some(0) {
            return Ok(Ended::exit(conflict.unwrap_or(1)));
        }
        let wait_ms = wait.map(|seconds| seconds.saturating_mul(1_000));
        return Err(Interrupt::Blocked { wait_ms });
    }
    let command = match command {
        [flag, script] if flag == "-c" || flag == "--command" => {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()]
        }
        command => command.to_vec(),
    };
    if let Some(Err(_)) = command.first().map(|name| run.find(name)) {
        let name = command.first().map_or("", String::as_str);
        let text = format!("flock: failed to execute {name}: No such file or directory");
        return Ok(Ended::failed(69, text));
    }
    run.locks.push(path);
    let done = run.command(&command);
    if done.is_ok() && run.delay_ms == 0 {
        run.locks.pop();
    }
    done
}

/// `sleep SECONDS|infinity`.
pub(crate) fn sleep(run: &mut Run<'_>, args: &[String]) -> Done {
    let mut total_ms = 0;
    for arg in args {
        if arg == "infinity" || arg == "inf" {
            return Err(hang());
        }
        let (digits, unit_ms) = match arg.strip_suffix(['s', 'm', 'h', 'd']) {
            Some(digits) if arg.ends_with('m') => (digits, 60_000.0),
            Some(digits) if arg.ends_with('h') => (digits, 3_600_000.0),
            Some(digits) if arg.ends_with('d') => (digits, 86_400_000.0),
            Some(digits) => (digits, 1_000.0),
            None => (arg.as_str(), 1_000.0),
        };
        match digits.parse::<f64>() {
            Ok(count) if (0.0..1e9).contains(&count) => {
                // Checked to be small and not negative.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let ms = (count * unit_ms) as u64;
                total_ms += ms;
            }
            Ok(_) | Err(_) => {
                return Ok(refused("sleep", &format!("invalid time interval '{arg}'")));
            }
        }
    }
    if args.is_empty() {
        return Ok(refused("sleep", "missing operand"));
    }
    run.delay_ms += total_ms;
    Ok(Ended::ok())
}

/// `cat [FILE…]`.
pub(crate) fn cat(run: &mut Run<'_>, args: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "uAn",
        long: &[],
    };
    let given = match OPTIONS.read("cat", args) {
        Ok(given) => given,
        Err(refused) => return Ok(refused),
    };
    if given.rest.is_empty() {
        let input = run.input()?;
        return Ok(Ended::ok().stdout(input));
    }
    let mut report = Ended::ok();
    for path in &given.rest {
        if path == "-" {
            let input = run.input()?;
            report = report.stdout(input);
            continue;
        }
        if let Some(table) = run.guest.socket_table(path) {
            report = report.stdout(table.into_bytes());
            continue;
        }
        match run.guest.files.read(&run.path(path)) {
            Ok(bytes) => report.stdout.extend_from_slice(bytes),
            Err(error) => report.complain(1, &format!("cat: {path}: {error}")),
        }
    }
    Ok(report)
}

/// `wc -c|-l|-w [FILE]`.
pub(crate) fn wc(run: &mut Run<'_>, args: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "clw",
        long: &["bytes", "lines", "words"],
    };
    let given = match OPTIONS.read("wc", args) {
        Ok(given) => given,
        Err(refused) => return Ok(refused),
    };
    let (bytes, name) = match given.rest.first() {
        None => (run.input()?, String::new()),
        Some(path) => match run.guest.files.read(&run.path(path)) {
            Ok(bytes) => (bytes.to_vec(), format!(" {path}")),
            Err(error) => return Ok(Ended::failed(1, format!("wc: {path}: {error}"))),
        },
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.matches('\n').count();
    let words = text.split_whitespace().count();
    let counted = match (
        given.has(&["c", "bytes"]),
        given.has(&["l", "lines"]),
        given.has(&["w", "words"]),
    ) {
        (true, _, _) => bytes.len().to_string(),
        (_, true, _) => lines.to_string(),
        (_, _, true) => words.to_string(),
        (false, false, false) => format!("{lines} {words} {}", bytes.len()),
    };
    Ok(Ended::said(format!("{counted}{name}\n")))
}

/// `echo [-n] WORD…`, as dash has it.
pub(crate) fn echo(args: &[String]) -> Ended {
    let (words, end) = match args.split_first() {
        Some((flag, words)) if flag == "-n" => (words, ""),
        _ => (args, "\n"),
    };
    Ended::said(words.join(" ") + end)
}

/// `printf FORMAT [ARGUMENT…]` with `%s`, `%d`, `%%` and escapes; the format is used again for further arguments.
pub(crate) fn printf(args: &[String]) -> Ended {
    let Some((format, arguments)) = args.split_first() else {
        return Ended::failed(2, "printf: usage: printf format [arg ...]");
    };
    let mut arguments = arguments.iter();
    let mut text = String::new();
    loop {
        let before = arguments.len();
        let mut signs = format.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '%' => match signs.next() {
                    Some('s' | 'b') => text.push_str(arguments.next().map_or("", String::as_str)),
                    Some('d' | 'i') => {
                        let word = arguments.next().map_or("0", String::as_str);
                        match word.parse::<i64>() {
                            Ok(number) => text.push_str(&number.to_string()),
                            Err(_) => {
                                let mut ended = Ended::said(text);
                                ended.complain(
                                    1,
                                    &format!("printf: {word}: expected numeric value"),
                                );
                                return ended;
                            }
                        }
                    }
                    Some('%') | None => text.push('%'),
                    Some(other) => text.extend(['%', other]),
                },
                '\\' => match signs.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('\\') | None => text.push('\\'),
                    Some(other) => text.extend(['\\', other]),
                },
                sign => text.push(sign),
            }
        }
        if arguments.len() == 0 || arguments.len() == before {
            return Ended::said(text);
        }
    }
}

/// `ps`: every process.
pub(crate) fn ps(run: &Run<'_>) -> Ended {
    let rows = run.guest.processes.values().map(|process| {
        let line = process.argv.join(" ");
        format!("{:>7} ?        00:00:00 {line}\n", process.pid)
    });
    Ended::said(format!(
        "    PID TTY          TIME CMD\n{}",
        rows.collect::<String>()
    ))
}

/// `free`, in MiB as `free -m` prints it.
pub(crate) fn free(run: &Run<'_>) -> Ended {
    let (total, used) = (run.guest.shape.memory_mib, run.guest.used_mib());
    let free = total.saturating_sub(used);
    Ended::said(format!(
        "               total        used        free\nMem:     {total:>11} {used:>11} {free:>11}\nSwap:              0           0           0\n"
    ))
}

/// `uname [-a|-m|-n|-r|-s]`.
pub(crate) fn uname(run: &Run<'_>, args: &[String]) -> Ended {
    let host = &run.guest.shape.hostname;
    Ended::said(match args.first().map(String::as_str) {
        Some("-m") => "x86_64\n".to_owned(),
        Some("-n") => format!("{host}\n"),
        Some("-r") => "6.8.0\n".to_owned(),
        Some("-a") => format!("Linux {host} 6.8.0 x86_64 GNU/Linux\n"),
        Some(_) | None => "Linux\n".to_owned(),
    })
}

/// `sshd -D`: listens where its configuration says.
pub(crate) fn sshd(run: &mut Run<'_>, argv: &[String]) -> Done {
    let text = run
        .guest
        .files
        .text("/etc/ssh/sshd_config")
        .unwrap_or_default();
    let ports = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Port "));
    let ports: Vec<u16> = ports.filter_map(|port| port.trim().parse().ok()).collect();
    let ports = if ports.is_empty() { vec![22] } else { ports };
    let mut listeners = Vec::new();
    for port in ports {
        for address in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            if run.is_taken(address, port) {
                let text = format!(
                    "error: Bind to port {port} on {address} failed: Address already in use.\nfatal: Cannot bind any address."
                );
                return Ok(Ended::failed(255, text));
            }
            listeners.push(Listener {
                address,
                port,
                site: Site::Silent,
            });
        }
    }
    let memory_mib = run.world.image.memory_mib("sshd");
    let process = Process {
        listeners,
        ..Process::of(argv, memory_mib, None)
    };
    Err(Interrupt::Hang(Some(keep(run, process))))
}
