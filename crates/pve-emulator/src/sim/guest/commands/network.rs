//! `hostname`, `ip`, `ss`, `curl`.

use std::net::{IpAddr, SocketAddr};

use super::super::exec::{Done, Ended, Interrupt, Run};
use super::super::http::{Answer, HttpRequest, HttpResponse, respond};
use super::super::options::{Given, Options};
use super::hang;

/// `hostname [-I|-f|-s]`.
pub(crate) fn hostname(run: &Run<'_>, args: &[String]) -> Ended {
    match args.first().map(String::as_str) {
        None | Some("-f" | "-s") => Ended::said(format!("{}\n", run.guest.shape.hostname)),
        Some("-I") => {
            let nets = run.guest.shape.nets.iter();
            let addresses = nets.filter_map(|net| net.address.map(|(address, _)| address));
            Ended::said(
                addresses
                    .map(|address| format!("{address} "))
                    .collect::<String>()
                    + "\n",
            )
        }
        Some(other) => Ended::failed(1, format!("hostname: {other}: not in this simulation")),
    }
}

/// `ip [-br] [-4] addr|a|address [show] [dev NAME]`, `ip link`, `ip route`.
pub(crate) fn ip(run: &Run<'_>, args: &[String]) -> Ended {
    let words: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let brief = args.iter().any(|arg| arg == "-br" || arg == "-brief");
    let device = words
        .iter()
        .position(|word| *word == "dev")
        .and_then(|at| words.get(at + 1));
    let shown = match words.first() {
        Some(&("addr" | "a" | "address")) => true,
        Some(&("link" | "l")) => false,
        Some(&("route" | "r")) => return routes(run),
        Some(other) => {
            return Ended::failed(
                1,
                format!("Object \"{other}\" is unknown, try \"ip help\"."),
            );
        }
        None => return Ended::failed(255, "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }"),
    };
    let lo = (
        "lo".to_owned(),
        "00:00:00:00:00:00".to_owned(),
        Some(("127.0.0.1".to_owned(), 8)),
    );
    let nets = run.guest.shape.nets.iter().map(|net| {
        let address = net
            .address
            .map(|(address, prefix)| (address.to_string(), prefix));
        (net.name.clone(), net.hwaddr.clone(), address)
    });
    let mut text = String::new();
    for (at, (name, mac, address)) in std::iter::once(lo).chain(nets).enumerate() {
        if device.is_some_and(|device| *device != name) {
            continue;
        }
        let address = address.map(|(address, prefix)| format!("{address}/{prefix}"));
        let kind = if name == "lo" { "loopback" } else { "ether" };
        let state = if name == "lo" { "UNKNOWN" } else { "UP" };
        if brief {
            let rest = if shown {
                address.unwrap_or_default()
            } else {
                mac
            };
            text.push_str(&format!("{name:<16} {state:<14} {rest} \n"));
            continue;
        }
        text.push_str(&format!(
            "{}: {name}: <UP,LOWER_UP> mtu 1500 state {state}\n    link/{kind} {mac}\n",
            at + 1
        ));
        if let Some(address) = address.filter(|_| shown) {
            text.push_str(&format!("    inet {address} scope global {name}\n"));
        }
    }
    match device {
        Some(device) if text.is_empty() => {
            Ended::failed(1, format!("Device \"{device}\" does not exist."))
        }
        _ => Ended::said(text),
    }
}

fn routes(run: &Run<'_>) -> Ended {
    let nets = run.guest.shape.nets.iter();
    let rows = nets.filter_map(|net| {
        let (address, prefix) = net.address?;
        let [a, b, c, _] = address.octets();
        Some(format!(
            "{a}.{b}.{c}.0/{prefix} dev {} proto kernel src {address}\n",
            net.name
        ))
    });
    Ended::said(rows.collect::<String>())
}

/// `ss [-l] [-t] [-n] [-p] [-H]`: sockets that listen.
pub(crate) fn ss(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "ltnpHu46a",
        long: &["listening", "tcp", "numeric", "processes", "no-header"],
    };
    let given = match OPTIONS.read("ss", args) {
        Ok(given) => given,
        Err(ended) => return Ended { exit: 255, ..ended },
    };
    let mut text = String::new();
    if !given.has(&["H", "no-header"]) {
        text.push_str("State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n");
    }
    for open in run.guest.listening() {
        let local = SocketAddr::new(open.address, open.port);
        let peer = if open.address.is_ipv6() {
            "[::]:*"
        } else {
            "0.0.0.0:*"
        };
        let mut row = format!("LISTEN 0      511    {local} {peer}");
        if given.has(&["p", "processes"])
            && let Some(process) = run.guest.processes.get(&open.pid)
        {
            let name = process.argv.first().map_or("", String::as_str);
            let name = name.rsplit('/').next().unwrap_or_default();
            row.push_str(&format!(" users:((\"{name}\",pid={},fd=6))", open.pid));
        }
        text.push_str(&format!("{row}\n"));
    }
    Ended::said(text)
}

/// `curl [-s] [-S] [-f] [-i|-I] [-o FILE] [-w FORMAT] [-X METHOD] [-H HEADER] URL`: what answers in this guest.
pub(crate) fn curl(run: &mut Run<'_>, args: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "sSfiIo:w:X:H:m:Lk4",
        long: &[
            "silent",
            "show-error",
            "fail",
            "include",
            "head",
            "output=",
            "write-out=",
            "request=",
            "header=",
            "max-time=",
            "location",
            "insecure",
            "retry=",
            "connect-timeout=",
        ],
    };
    let Ok(given) = OPTIONS.read("curl", args) else {
        let text = "curl: try 'curl --help' for more information";
        return Ok(Ended::failed(2, text));
    };
    let quiet = given.has(&["s", "silent"]) && !given.has(&["S", "show-error"]);
    let fetched = fetch(run, &given)?;
    let (code, text) = match fetched {
        Ok(response) => match deliver(run, &given, &response) {
            Ok(ended) => return Ok(ended),
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    let text = if quiet {
        String::new()
    } else {
        format!("curl: ({code}) {text}")
    };
    Ok(Ended::failed(code, text))
}

/// curl's exit code with its complaint.
type Failure = (u8, String);

fn fetch(run: &mut Run<'_>, given: &Given) -> Result<Result<HttpResponse, Failure>, Interrupt> {
    let failed = |code: u8, text: String| Ok(Err((code, text)));
    let Some(url) = given.rest.first() else {
        return failed(2, "no URL specified".to_owned());
    };
    let bare = url.strip_prefix("http://").unwrap_or(url);
    if bare.contains("://") {
        let scheme = bare.split(':').next().unwrap_or_default();
        let text = format!("Protocol \"{scheme}\" not supported or disabled in libcurl");
        return failed(1, text);
    }
    let (authority, path) = bare.find('/').map_or((bare, "/"), |at| bare.split_at(at));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(80)),
        _ => (authority, 80),
    };
    let Some(ip) = lookup(run, host) else {
        return failed(6, format!("Could not resolve host: {host}"));
    };
    let usual = if given.has(&["I", "head"]) {
        "HEAD"
    } else {
        "GET"
    };
    let named = given
        .value(&["H", "header"])
        .and_then(|header| header.split_once(':'));
    let named = named.filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let request = HttpRequest {
        method: given.value(&["X", "request"]).unwrap_or(usual).to_owned(),
        target: path.to_owned(),
        host: Some(
            named
                .map_or(authority, |(_, value)| value.trim())
                .to_owned(),
        ),
    };
    match respond(run.guest, SocketAddr::new(ip, port), &request) {
        None => failed(
            7,
            format!(
                "Failed to connect to {host} port {port} after 0 ms: Couldn't connect to server"
            ),
        ),
        Some(Answer::Closed) => failed(52, "Empty reply from server".to_owned()),
        Some(Answer::Http(response)) => Ok(Ok(response)),
        Some(Answer::Nothing) => {
            let limit = given
                .value(&["m", "max-time"])
                .and_then(|m| m.parse::<u64>().ok());
            let seconds = limit.ok_or_else(hang)?;
            run.delay_ms += seconds * 1_000;
            let text = format!(
                "Operation timed out after {seconds}000 milliseconds with 0 bytes received"
            );
            failed(28, text)
        }
    }
}

/// Prints or keeps what came.
fn deliver(run: &mut Run<'_>, given: &Given, response: &HttpResponse) -> Result<Ended, Failure> {
    if given.has(&["f", "fail"]) && response.status >= 400 {
        let text = format!("The requested URL returned error: {}", response.status);
        return Err((22, text));
    }
    let head = given.has(&["I", "head"]);
    let mut shown = Vec::new();
    if head || given.has(&["i", "include"]) {
        shown.extend(head_of(response).into_bytes());
    }
    if !head {
        shown.extend(&response.body);
    }
    let mut ended = Ended::ok();
    match given.value(&["o", "output"]) {
        Some(file) => {
            let path = run.path(file);
            let written = run.guest.files.write(&path, shown, run.world.now_s);
            written.map_err(|_| (23, "Failure writing output to destination".to_owned()))?;
        }
        None => ended.stdout = shown,
    }
    let format = given.value(&["w", "write-out"]).unwrap_or_default();
    let tail = format
        .replace("%{http_code}", &response.status.to_string())
        .replace("\\n", "\n");
    Ok(ended.stdout(tail))
}

fn head_of(response: &HttpResponse) -> String {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason());
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// An address, or a name from `/etc/hosts`; there is no other resolver.
fn lookup(run: &Run<'_>, host: &str) -> Option<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse() {
        return Some(ip);
    }
    let text = run.guest.files.text("/etc/hosts").unwrap_or_default();
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|name| name == host).then_some(ip)
    })
}
