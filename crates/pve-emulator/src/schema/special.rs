//! Named formats with rules and words of their own, each as its place in Proxmox VE's source has it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::format::check_named;
use super::{addresses, ports};

/// Names of time zones: the third column of tzdata's `zone.tab`.
static ZONES: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| include_str!("../../assets/zones.txt").lines().collect());

/// Format, what fits, and PVE's words for what does not; `%` stands for the value.
const PATTERNS: [(&str, &str, &str); 18] = [
    // pve-common, JSONSchema.pm
    (
        "email",
        r"[\w+\-~]+(\.[\w+\-~]+)*@[a-zA-Z0-9\-]+(\.[a-zA-Z0-9\-]+)*",
        "value does not look like a valid email address",
    ),
    (
        "email-or-username",
        r"[\w+\-~]+(\.[\w+\-~]+)*(@[a-zA-Z0-9\-]+(\.[a-zA-Z0-9\-]+)*)?",
        "value does not look like a valid email address or user name",
    ),
    (
        "ldap-simple-attr",
        r"[a-zA-Z0-9]+",
        "value '%' does not look like a simple ldap attribute name",
    ),
    // pve-ha-manager, HA/Tools.pm
    (
        "pve-ha-resource-id",
        r"[a-z]+:\S+",
        "value does not look like a valid ha resource id",
    ),
    (
        "pve-ha-resource-or-vm-id",
        r"([a-z]+:\S+|\d+)",
        "value does not look like a valid ha resource id",
    ),
    (
        "pve-ha-node",
        r"[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?(:\d+)?",
        "value does not look like a valid ha node",
    ),
    // pve-access-control, Auth/Plugin.pm
    (
        "pve-realm",
        r"[A-Za-z][A-Za-z0-9.\-_]+",
        "value does not look like a valid realm",
    ),
    // pve-cluster, DataCenterConfig.pm
    (
        "mac-prefix",
        r"(?i)[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}(?::[a-f0-9]?)?",
        "value is not a valid unicast MAC address prefix",
    ),
    // pve-manager, API2/Backup.pm, Status/Graphite.pm
    (
        "pve-day-of-week",
        r"(mon|tue|wed|thu|fri|sat|sun)",
        "invalid day '%'",
    ),
    (
        "graphite-path",
        r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*",
        "value does not look like a valid graphite path",
    ),
    // pve-storage, Storage/Plugin.pm
    (
        "pve-storage-path",
        r"(?s)/[^;()]+.*",
        "value does not look like a valid absolute path",
    ),
    (
        "pve-storage-vgname",
        r"(?i)[a-z0-9][a-z0-9\-_.]*[a-z0-9]",
        "lvm name '%' contains illegal characters",
    ),
    ("pve-storage-options", r"\S+", "invalid options '%'"),
    (
        "pve-dir-override",
        r"(images|rootdir|vztmpl|iso|backup|snippets|import|none)=[^.]*(?:\.?[^.]+)+",
        "invalid override '%'",
    ),
    // pve-container, LXC/Config.pm
    (
        "pve-lxc-dev-string",
        r"/dev/.*",
        "% is not a valid device path",
    ),
    ("pve-lxc-mp-string", r"(?s).*", ""),
    // The rest is looked at below.
    ("pve-ct-timezone", r"(?s).*", ""),
    ("timezone", r"(?s).*", ""),
];

static COMPILED: LazyLock<Vec<(&str, Regex, &str)>> = LazyLock::new(|| {
    let compile = |(name, pattern, words): (&'static str, &str, &'static str)| {
        let whole = Regex::new(&format!("^(?:{pattern})$")).ok()?;
        Some((name, whole, words))
    };
    PATTERNS.into_iter().filter_map(compile).collect()
});

/// Checks a value; nothing if the format is none of these.
pub(super) fn check(format: &str, value: &str) -> Option<Result<(), String>> {
    match format {
        "pve-storage-id" if value.chars().count() < 2 => {
            let text = format!("storage ID '{value}' cannot be shorter than 2 characters");
            return Some(Err(text));
        }
        "pve-replication-job-id" => return Some(replication_job(value)),
        "pve-storage-server" => {
            let known = ["ip", "dns-name"]
                .iter()
                .any(|kind| check_named(kind, value).is_ok());
            let words = "value does not look like a valid server name or IP address";
            return Some(known.then_some(()).ok_or_else(|| words.to_owned()));
        }
        "pve-calendar-event" if value.trim().is_empty() => {
            let words = "unable to parse calendar event - event is empty\n";
            return Some(Err(format!("invalid calendar event '{value}' - {words}")));
        }
        // pve-firewall, Firewall.pm
        "IPorCIDR" => return Some(addresses::check_cidr(value)),
        "IPorCIDRorAlias" => return Some(addresses::check_cidr_or_alias(value)),
        "pve-fw-addr-spec" => return Some(addresses::parse_addresses(value).map(|_| ())),
        "pve-fw-conntrack-helper" => return Some(ports::check_helpers(value)),
        "pve-fw-dport-spec" => return Some(ports::check_ports(value, true)),
        "pve-fw-icmp-type-spec" => return Some(ports::check_icmp_type(value)),
        "pve-fw-protocol-spec" => return Some(ports::check_protocol(value)),
        "pve-fw-sport-spec" => return Some(ports::check_ports(value, false)),
        "storage-pair" => return Some(pair("pve-storage-id", value)),
        "bridge-pair" => return Some(pair("pve-bridge-id", value)),
        _ => {}
    }
    let (_, pattern, words) = COMPILED.iter().find(|(name, _, _)| *name == format)?;
    if !pattern.is_match(value) {
        return Some(Err(words.replace('%', value)));
    }
    Some(further(format, value))
}

/// What a pattern alone does not say.
fn further(format: &str, value: &str) -> Result<(), String> {
    let up = |value: &str| {
        let parts: Vec<&str> = value.split('/').collect();
        parts.iter().skip(1).any(|part| matches!(*part, "." | ".."))
    };
    match format {
        "pve-lxc-mp-string" if up(value) || value.starts_with("../") => {
            Err(format!("{value} contains illegal character sequences"))
        }
        "pve-lxc-dev-string" if up(value) => Err(format!("{value} is not a valid device path")),
        "pve-ct-timezone" if value == "host" => Ok(()),
        "pve-ct-timezone" | "timezone" if value != "UTC" && !ZONES.contains(value) => {
            Err(format!("invalid time zone '{value}'"))
        }
        _ => Ok(()),
    }
}

fn replication_job(value: &str) -> Result<(), String> {
    let complaint = format!("invalid replication job id '{value}'");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match value.split_once('-') {
        Some((guest, job)) if digits(guest) && digits(job) => {
            if guest.parse::<u64>().is_ok_and(|guest| guest < 100) {
                return Err(format!("{complaint} (guest IDs < 100 are reserved)"));
            }
            Ok(())
        }
        Some(_) | None => Err(complaint),
    }
}

/// One element of a mapping: `1`, a target, or source and target.
fn pair(of: &str, value: &str) -> Result<(), String> {
    if value == "1" {
        return Ok(());
    }
    let parts: Vec<&str> = value.split(':').collect();
    let parts = match parts.as_slice() {
        [source, target] if !source.is_empty() && !target.is_empty() => parts,
        _ => vec![value],
    };
    for part in parts {
        check_named(of, part)
            .map_err(|e| format!("entry '{value}' contains invalid ID - {e}\n\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(format: &str, value: &str) -> String {
        check(format, value).unwrap().err().unwrap_or_default()
    }

    #[test]
    fn all_patterns_are_patterns() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn values_that_do_not_fit_are_refused_in_the_words_of_their_format() {
        for (format, good, bad, words) in [
            (
                "pve-ct-timezone",
                "Europe/Vienna",
                "Mars/Crater",
                "invalid time zone 'Mars/Crater'",
            ),
            ("pve-ct-timezone", "host", "", "invalid time zone ''"),
            (
                "pve-lxc-dev-string",
                "/dev/fuse",
                "/etc/passwd",
                "/etc/passwd is not a valid device path",
            ),
            (
                "pve-lxc-dev-string",
                "/dev/net/tun",
                "/dev/../etc",
                "/dev/../etc is not a valid device path",
            ),
            (
                "pve-lxc-mp-string",
                "/data",
                "/a/../b",
                "/a/../b contains illegal character sequences",
            ),
            (
                "pve-realm",
                "pve",
                "x y",
                "value does not look like a valid realm",
            ),
            (
                "pve-ha-node",
                "pve1:2",
                "pve1:x",
                "value does not look like a valid ha node",
            ),
            (
                "email-or-username",
                "root",
                "a b",
                "value does not look like a valid email address or user name",
            ),
            (
                "pve-replication-job-id",
                "100-0",
                "100",
                "invalid replication job id '100'",
            ),
            (
                "pve-replication-job-id",
                "100-1",
                "99-0",
                "invalid replication job id '99-0' (guest IDs < 100 are reserved)",
            ),
            (
                "storage-pair",
                "local:shared",
                "local:a",
                "entry 'local:a' contains invalid ID - storage ID 'a' cannot be shorter than 2 characters\n\n",
            ),
        ] {
            assert_eq!(said(format, good), "", "{format} {good}");
            assert_eq!(said(format, bad), words, "{format} {bad}");
        }
        assert!(check("pve-vmid", "100").is_none());
    }
}
