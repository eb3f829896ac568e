//! Reads a configuration. What cannot be read is left out, as Proxmox VE does.

use super::parse_rule::{parse_rule, split_comment};
use super::row::{Row, is_true};
use super::verify::verify;
use super::{Config, Kind, Sight};
use crate::schema::{is_firewall_name, parse_cidr, scoped_alias};

/// What the lines belong to.
enum Section {
    Options,
    Aliases,
    Set(String),
    Rules,
    Group(String),
}

pub(super) fn parse(text: &str, kind: Kind, cluster: Option<&Config>, now_s: u64) -> Config {
    let mut config = Config {
        rules: Some(Vec::new()),
        ..Config::default()
    };
    let mut section = None;
    for line in text.lines().map(|line| line.trim_matches([' ', '\t'])) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if let Some(head) = heading(line, kind) {
            section = open(&mut config, head);
            continue;
        }
        match &section {
            None => {}
            Some(Section::Options) => {
                if let Some((key, value)) = option(line, kind, now_s) {
                    config.options.insert(key, value);
                }
            }
            Some(Section::Aliases) => {
                if let Some(row) = alias(line) {
                    config.aliases.insert(row.text("name").to_lowercase(), row);
                }
            }
            Some(Section::Set(name)) => {
                let row = member(line, &config, name, cluster);
                let members = config.sets.get_mut(name);
                if let Some((members, row)) = members.zip(row) {
                    members.push(row);
                }
            }
            Some(Section::Rules) => {
                let row = rule(line, &config, cluster, kind);
                config.rules.get_or_insert_default().extend(row);
            }
            Some(Section::Group(name)) => {
                let row = rule(line, &config, None, Kind::Group);
                if let Some((rules, row)) = config.groups.get_mut(name).zip(row) {
                    rules.push(row);
                }
            }
        }
    }
    config
}

/// `[NAME]`, or `[NAME WORD]` with a comment; what, which one, and the comment.
type Heading<'a> = (String, &'a str, Option<&'a str>);

fn heading(line: &str, kind: Kind) -> Option<Heading<'_>> {
    let (inner, rest) = line.strip_prefix('[')?.split_once(']')?;
    let mut words = inner.split_whitespace();
    let (what, which) = (words.next()?.to_lowercase(), words.next());
    let host = kind == Kind::Host;
    let known = match (what.as_str(), which) {
        ("options" | "rules", None) => rest.is_empty(),
        ("aliases", None) => rest.is_empty() && !host,
        ("ipset", Some(_)) => !host,
        ("group", Some(_)) => kind == Kind::Cluster,
        (_, _) => false,
    };
    let (rest, comment) = split_comment(rest);
    let clean = rest.trim().is_empty() && words.next().is_none();
    (known && clean).then_some((what, which.unwrap_or_default(), comment))
}

/// Begins a section; names are small there, and one that is none begins nothing.
fn open(config: &mut Config, (what, which, comment): Heading<'_>) -> Option<Section> {
    let name = which.to_lowercase();
    let longest = if what == "group" { 18 } else { 64 };
    let named = is_firewall_name(&name) && name.len() <= longest;
    let comment = comment.filter(|text| is_true(text)).map(str::to_owned);
    match what.as_str() {
        "options" => Some(Section::Options),
        "aliases" => Some(Section::Aliases),
        "rules" => Some(Section::Rules),
        "group" if named => {
            config.groups.insert(name.clone(), Vec::new());
            config
                .group_comments
                .extend(comment.map(|it| (name.clone(), it)));
            Some(Section::Group(name))
        }
        "ipset" if named => {
            config.sets.insert(name.clone(), Vec::new());
            config
                .set_comments
                .extend(comment.map(|it| (name.clone(), it)));
            Some(Section::Set(name))
        }
        _ => None,
    }
}

/// Names of options that are on or off.
fn switches(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Cluster | Kind::Group => &["ebtables"],
        Kind::Host => &[
            "enable",
            "nosmurfs",
            "tcpflags",
            "ndp",
            "log_nf_conntrack",
            "nf_conntrack_allow_invalid",
            "protection_synflood",
            "nftables",
        ],
        Kind::Guest => &["enable", "dhcp", "ndp", "radv", "macfilter", "ipfilter"],
    }
}

/// Names of options that are numbers.
fn counts(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Cluster => &["enable"],
        Kind::Host => &[
            "nf_conntrack_max",
            "nf_conntrack_tcp_timeout_established",
            "nf_conntrack_tcp_timeout_syn_recv",
            "protection_synflood_rate",
            "protection_synflood_burst",
        ],
        Kind::Group | Kind::Guest => &[],
    }
}

/// Names of options that are words.
fn words(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Cluster => &["policy_in", "policy_out", "policy_forward", "log_ratelimit"],
        Kind::Host => &[
            "log_level_in",
            "log_level_out",
            "log_level_forward",
            "tcp_flags_log_level",
            "smurf_log_level",
            "nf_conntrack_helpers",
        ],
        Kind::Guest => &["policy_in", "policy_out", "log_level_in", "log_level_out"],
        Kind::Group => &[],
    }
}

fn option(line: &str, kind: Kind, now_s: u64) -> Option<(String, String)> {
    let (key, value) = line.split_once(':')?;
    let value = value.trim();
    let word = !value.is_empty() && !value.contains(char::is_whitespace);
    let digits = word && value.bytes().all(|b| b.is_ascii_digit());
    let value = if switches(kind).contains(&key) {
        matches!(value, "0" | "1").then(|| value.to_owned())
    } else if counts(kind).contains(&key) {
        let number = value.parse::<u64>().ok().filter(|_| digits);
        number.map(|it| passed(it, kind, now_s).to_string())
    } else {
        let known = words(kind).contains(&key) && (word || key.contains("log_level"));
        known.then(|| value.to_owned())
    };
    Some((key.to_owned(), value?))
}

/// The cluster's switch may be a time, from which on it is on for a minute.
fn passed(number: u64, kind: Kind, now_s: u64) -> u64 {
    let over = number > 1 && now_s.saturating_sub(number) > 60;
    if kind == Kind::Cluster && over {
        0
    } else {
        number
    }
}

fn alias(line: &str) -> Option<Row> {
    let (line, comment) = split_comment(line);
    let mut words = line.split_whitespace();
    let (name, cidr) = (words.next()?, words.next()?);
    let (cidr, version) = parse_cidr(cidr).ok().filter(|_| words.next().is_none())?;
    let version = version.to_string();
    let mut row = Row::of([("name", name), ("cidr", &cidr), ("ipversion", &version)]);
    row.put("comment", comment.map(str::to_owned));
    Some(row)
}

fn member(line: &str, config: &Config, set: &str, cluster: Option<&Config>) -> Option<Row> {
    let (line, comment) = split_comment(line);
    let not = line.strip_prefix('!');
    let mut words = not.unwrap_or(line).split_whitespace();
    let given = words.next().filter(|_| words.next().is_none())?;
    let sight = Sight {
        cluster: Some(cluster.unwrap_or(config)),
        own: Some(config),
    };
    let read = match scoped_alias(given) {
        Some((scope, name)) if sight.alias(scope, name).is_none() => {
            Err(format!("no such alias '{name}'"))
        }
        Some(_) => Ok(given.to_owned()),
        None => parse_cidr(given).map(|(cidr, _)| cidr),
    };
    let cidr = read.clone().unwrap_or_else(|_| given.to_owned());
    let mut row = Row::of([("cidr", &cidr)]);
    row.put("nomatch", not.map(|_| "1".to_owned()));
    row.put("comment", comment.map(str::to_owned));
    let mut there = config.sets.get(set).into_iter().flatten();
    let twice = there.any(|other| other.text("cidr") == cidr);
    if let Err(error) = read {
        row.errors.insert("cidr".into(), error);
    } else if twice {
        let text = format!("duplicate ipset entry for '{cidr}'");
        row.errors.insert("cidr".into(), text);
    }
    if is_zero_prefix(&cidr) {
        let text = "a zero prefix is not allowed in ipset entries\n";
        row.errors.insert("cidr".into(), text.into());
    }
    Some(row)
}

/// Everything: no set can have that.
pub(crate) fn is_zero_prefix(cidr: &str) -> bool {
    cidr.rsplit_once('/')
        .is_some_and(|(_, prefix)| !prefix.is_empty() && prefix.bytes().all(|b| b == b'0'))
}

/// A rule that only says something wrong stays, with what is wrong; one that does not hold together is dropped.
fn rule(line: &str, config: &Config, cluster: Option<&Config>, kind: Kind) -> Option<Row> {
    let mut row = parse_rule(line)?;
    let sight = Sight {
        cluster: Some(cluster.unwrap_or(config)),
        own: (kind != Kind::Group).then_some(config),
    };
    verify(&mut row, sight, kind, true).ok()?;
    Some(row)
}
