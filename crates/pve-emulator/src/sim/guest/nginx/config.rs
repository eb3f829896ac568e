//! What a configuration means: servers by the addresses they listen on.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::directives::{Place, check};
use super::syntax::Directive;

/// Bytes a worker holds for each connection it may have.
const CONNECTION_BYTES: u64 = 424;

/// The servers that share an address, and what types their files have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// In the order of the configuration, the default one first.
    pub servers: Vec<Server>,
    /// Content type by file extension.
    pub types: BTreeMap<String, String>,
    /// For other extensions.
    pub default_type: String,
}

/// A `server` block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Server {
    /// `server_name`.
    pub names: Vec<String>,
    /// What it says outside its locations.
    pub base: Location,
    /// Its locations, in order.
    pub locations: Vec<Location>,
}

/// What applies to requests of one location.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Location {
    /// `=`, `~`, `~*`, `^~` or nothing.
    pub modifier: String,
    /// What a path begins with, is, or matches.
    pub path: String,
    /// `root`, inherited.
    pub root: String,
    /// `alias`, instead of the root.
    pub alias: Option<String>,
    /// `index`, inherited.
    pub index: Vec<String>,
    /// `try_files`.
    pub try_files: Vec<String>,
    /// `return` with its text.
    pub answer: Option<(u16, String)>,
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    /// Servers by where they listen, in order.
    pub(crate) listens: Vec<((IpAddr, u16), Servers)>,
    /// Memory for its workers' connections, MiB.
    pub(crate) workers_mib: u64,
}

#[derive(Debug, Clone, Default)]
struct Http {
    types: BTreeMap<String, String>,
    default_type: String,
    base: Location,
}

type Result<T> = std::result::Result<T, String>;

/// Reads the meaning out of the directives.
///
/// # Errors
/// Text as nginx prints it behind `[emerg] `.
pub(crate) fn interpret(directives: &[Directive], cores: u32) -> Result<Config> {
    let mut config = Config::default();
    let (mut workers, mut connections) = (1, 512);
    let mut has_events = false;
    for directive in directives {
        check(&directive.name, Place::Main, &directive.at)?;
        match directive.name.as_str() {
            "worker_processes" => {
                workers = match one(directive)? {
                    "auto" => u64::from(cores),
                    number => number.parse().map_err(|_| invalid(directive))?,
                };
            }
            "events" => {
                has_events = true;
                for inner in block(directive)? {
                    check(&inner.name, Place::Events, &inner.at)?;
                    if inner.name == "worker_connections" {
                        connections = one(inner)?.parse().map_err(|_| invalid(inner))?;
                    }
                }
            }
            "http" => http(block(directive)?, &mut config)?,
            _ => {}
        }
    }
    if !has_events {
        return Err("no \"events\" section in configuration".to_owned());
    }
    let bytes: u64 = workers * connections * CONNECTION_BYTES;
    config.workers_mib = bytes >> 20;
    Ok(config)
}

fn http(directives: &[Directive], config: &mut Config) -> Result<()> {
    let mut http = Http {
        default_type: "text/plain".to_owned(),
        base: Location {
            root: "/usr/share/nginx/html".to_owned(),
            index: vec!["index.html".to_owned()],
            ..Location::default()
        },
        ..Http::default()
    };
    let mut found = Vec::new();
    for directive in directives {
        check(&directive.name, Place::Http, &directive.at)?;
        match directive.name.as_str() {
            "types" => http.types.extend(types(block(directive)?)),
            "default_type" => one(directive)?.clone_into(&mut http.default_type),
            "server" => found.push(directive),
            _ => common(directive, &mut http.base)?,
        }
    }
    if http.types.is_empty() {
        let usual = [
            ("html", "text/html"),
            ("gif", "image/gif"),
            ("jpg", "image/jpeg"),
        ];
        let usual = usual.map(|(extension, kind)| (extension.to_owned(), kind.to_owned()));
        http.types.extend(usual);
    }
    for directive in found {
        server(block(directive)?, &http, config)?;
    }
    Ok(())
}

fn types(directives: &[Directive]) -> impl Iterator<Item = (String, String)> {
    directives.iter().flat_map(|directive| {
        let kind = directive.name.clone();
        let extensions = directive.args.iter().cloned();
        extensions.map(move |extension| (extension, kind.clone()))
    })
}

fn server(directives: &[Directive], http: &Http, config: &mut Config) -> Result<()> {
    let mut server = Server {
        base: http.base.clone(),
        ..Server::default()
    };
    let mut listens = Vec::new();
    for directive in directives {
        check(&directive.name, Place::Server, &directive.at)?;
        match directive.name.as_str() {
            "listen" => listens.push(listen(directive)?),
            "server_name" => server.names.clone_from(&directive.args),
            "location" => {}
            _ => common(directive, &mut server.base)?,
        }
    }
    let inner = directives.iter().filter(|d| d.name == "location");
    for directive in inner {
        location(directive, &server.base, &mut server.locations)?;
    }
    if listens.is_empty() {
        listens.push((Ipv4Addr::UNSPECIFIED.into(), 80, false, String::new()));
    }
    for (address, port, is_default, at) in listens {
        let key = (address, port);
        if is_default && has_default(config, key) {
            let at_address = std::net::SocketAddr::new(address, port);
            return Err(format!(
                "a duplicate default server for {at_address} in {at}"
            ));
        }
        match config.listens.iter_mut().find(|(other, _)| *other == key) {
            None => {
                let servers = Servers {
                    servers: vec![server.clone()],
                    types: http.types.clone(),
                    default_type: http.default_type.clone(),
                };
                config.listens.push((key, servers));
            }
            Some((_, servers)) if is_default => servers.servers.insert(0, server.clone()),
            Some((_, servers)) => servers.servers.push(server.clone()),
        }
        if is_default {
            mark_default(config, key);
        }
    }
    Ok(())
}

/// The first server of an address is its default; one that was declared so has this mark on its base location.
fn mark_default(config: &mut Config, key: (IpAddr, u16)) {
    let servers = config.listens.iter_mut().find(|(other, _)| *other == key);
    if let Some(first) = servers.and_then(|(_, servers)| servers.servers.first_mut()) {
        "default".clone_into(&mut first.base.modifier);
    }
}

fn has_default(config: &Config, key: (IpAddr, u16)) -> bool {
    let servers = config.listens.iter().find(|(other, _)| *other == key);
    let first = servers.and_then(|(_, servers)| servers.servers.first());
    first.is_some_and(|first| first.base.modifier == "default")
}

fn location(directive: &Directive, base: &Location, into: &mut Vec<Location>) -> Result<()> {
    let (modifier, path) = match directive.args.as_slice() {
        [path] => ("", path),
        [modifier, path] if ["=", "~", "~*", "^~"].contains(&modifier.as_str()) => {
            (modifier.as_str(), path)
        }
        [modifier, _] => {
            return Err(format!(
                "invalid location modifier \"{modifier}\" in {}",
                directive.at
            ));
        }
        _ => return Err(arguments(directive)),
    };
    if modifier.starts_with('~')
        && let Err(error) = regex::Regex::new(path)
    {
        let why = error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        return Err(format!(
            "pcre2_compile() failed: {why} in \"{path}\" in {}",
            directive.at
        ));
    }
    let mut location = Location {
        modifier: modifier.to_owned(),
        path: path.clone(),
        try_files: Vec::new(),
        answer: None,
        alias: None,
        ..base.clone()
    };
    let inner = block(directive)?;
    for directive in inner {
        check(&directive.name, Place::Location, &directive.at)?;
        match directive.name.as_str() {
            "alias" => location.alias = Some(one(directive)?.to_owned()),
            "location" => {}
            _ => common(directive, &mut location)?,
        }
    }
    let nested: Vec<&Directive> = inner.iter().filter(|d| d.name == "location").collect();
    let outer = location.clone();
    into.push(location);
    for directive in nested {
        self::location(directive, &outer, into)?;
    }
    Ok(())
}

/// Directives that mean the same in `http`, `server` and `location`.
fn common(directive: &Directive, into: &mut Location) -> Result<()> {
    match directive.name.as_str() {
        "root" => into.root = one(directive)?.trim_end_matches('/').to_owned(),
        "index" => into.index = some(directive)?.to_vec(),
        "try_files" if directive.args.len() < 2 => return Err(arguments(directive)),
        "try_files" => into.try_files.clone_from(&directive.args),
        "return" => {
            let args = some(directive)?;
            let text = args.get(1).cloned().unwrap_or_default();
            let code = args.first().and_then(|code| code.parse().ok());
            into.answer = match code {
                Some(code) => Some((code, text)),
                None => {
                    let given = args.first().map_or("", String::as_str);
                    return Err(format!(
                        "invalid return code \"{given}\" in {}",
                        directive.at
                    ));
                }
            };
        }
        _ => {}
    }
    Ok(())
}

/// `listen [ADDRESS:]PORT|ADDRESS [default_server] …`.
fn listen(directive: &Directive) -> Result<(IpAddr, u16, bool, String)> {
    let args = some(directive)?;
    let given = args.first().map_or("", String::as_str);
    let bad = |what: &str| {
        format!(
            "{what} in \"{given}\" of the \"listen\" directive in {}",
            directive.at
        )
    };
    let (host, port) = match given.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| bad("invalid IPv6 address"))?;
            (host, after.strip_prefix(':').unwrap_or("80"))
        }
        None => match given.split_once(':') {
            Some((host, port)) => (host, port),
            None if given.bytes().all(|byte| byte.is_ascii_digit()) => ("*", given),
            None => (given, "80"),
        },
    };
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| bad("invalid port"))?;
    let address = match host {
        "*" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        "::" => Ipv6Addr::UNSPECIFIED.into(),
        host => host.parse().map_err(|_| bad("host not found"))?,
    };
    let known = [
        "default_server",
        "ssl",
        "http2",
        "reuseport",
        "deferred",
        "bind",
    ];
    let is_known = |word: &String| {
        known.contains(&word.as_str()) || word.contains('=') && !word.starts_with('=')
    };
    match args.iter().skip(1).find(|word| !is_known(word)) {
        Some(word) => Err(format!("invalid parameter \"{word}\" in {}", directive.at)),
        None => {
            let is_default = args.iter().any(|word| word == "default_server");
            Ok((address, port, is_default, directive.at.clone()))
        }
    }
}

fn arguments(directive: &Directive) -> String {
    let Directive { name, at, .. } = directive;
    format!("invalid number of arguments in \"{name}\" directive in {at}")
}

fn invalid(directive: &Directive) -> String {
    let Directive { name, at, .. } = directive;
    format!("invalid value in \"{name}\" directive in {at}")
}

fn one(directive: &Directive) -> Result<&str> {
    match directive.args.as_slice() {
        [one] => Ok(one),
        _ => Err(arguments(directive)),
    }
}

fn some(directive: &Directive) -> Result<&[String]> {
    if directive.args.is_empty() {
        return Err(arguments(directive));
    }
    Ok(&directive.args)
}

fn block(directive: &Directive) -> Result<&[Directive]> {
    match &directive.block {
        Some(block) => Ok(block),
        None => Err(format!(
            "directive \"{}\" has no opening \"{{\" in {}",
            directive.name, directive.at
        )),
    }
}
