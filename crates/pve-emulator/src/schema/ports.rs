//! Ports, protocols and kinds of ICMP in firewall rules (pve-firewall, `Firewall.pm`). Names of services and protocols
//! are those of Debian's netbase.

use std::collections::BTreeSet;
use std::sync::LazyLock;

static NAMED_PORTS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| include_str!("../../assets/services.txt").lines().collect());

/// Names and numbers.
static PROTOCOLS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    include_str!("../../assets/protocols.txt")
        .split_whitespace()
        .collect()
});

const ICMP: [&str; 37] = [
    "any",
    "echo-reply",
    "destination-unreachable",
    "network-unreachable",
    "host-unreachable",
    "protocol-unreachable",
    "port-unreachable",
    "fragmentation-needed",
    "source-route-failed",
    "network-unknown",
    "host-unknown",
    "network-prohibited",
    "host-prohibited",
    "TOS-network-unreachable",
    "TOS-host-unreachable",
    "communication-prohibited",
    "host-precedence-violation",
    "precedence-cutoff",
    "source-quench",
    "redirect",
    "network-redirect",
    "host-redirect",
    "TOS-network-redirect",
    "TOS-host-redirect",
    "echo-request",
    "router-advertisement",
    "router-solicitation",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "ip-header-bad",
    "required-option-missing",
    "timestamp-request",
    "timestamp-reply",
    "address-mask-request",
    "address-mask-reply",
];

const ICMP_V6: [&str; 25] = [
    "destination-unreachable",
    "no-route",
    "communication-prohibited",
    "beyond-scope",
    "address-unreachable",
    "port-unreachable",
    "failed-policy",
    "reject-route",
    "packet-too-big",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "bad-header",
    "unknown-header-type",
    "unknown-option",
    "echo-request",
    "echo-reply",
    "router-solicitation",
    "router-advertisement",
    "neighbor-solicitation",
    "neighbour-solicitation",
    "neighbor-advertisement",
    "neighbour-advertisement",
    "redirect",
];

/// Whether ICMP has such a kind.
pub fn is_icmp_type(name: &str) -> bool {
    ICMP.contains(&name)
}

/// Whether ICMP of IPv6 has such a kind.
pub fn is_icmp_v6_type(name: &str) -> bool {
    ICMP_V6.contains(&name)
}

/// Format `pve-fw-icmp-type-spec`.
pub(super) fn check_icmp_type(name: &str) -> Result<(), String> {
    if name.is_empty() || is_icmp_type(name) || is_icmp_v6_type(name) {
        return Ok(());
    }
    Err(format!("invalid icmp-type value '{name}'"))
}

/// Format `pve-fw-protocol-spec`.
///
/// # Errors
/// PVE's text without the final newline.
pub fn check_protocol(name: &str) -> Result<(), String> {
    if matches!(name, "" | "0") || PROTOCOLS.contains(name) {
        return Ok(());
    }
    Err(format!("unknown protocol '{name}'"))
}

/// Formats `pve-fw-dport-spec`, where kinds of ICMP may stand too, and `pve-fw-sport-spec`.
///
/// # Errors
/// PVE's text without the final newline.
pub fn check_ports(text: &str, icmp: bool) -> Result<(), String> {
    if text.ends_with(',') {
        return Err("extraneous commas in list".into());
    }
    let mut count = 0;
    let mut kinds = false;
    for item in text.split(',').filter(|_| !text.is_empty()) {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match item.split_once(':') {
            Some((first, last)) if digits(first) && digits(last) => {
                count += 2;
                check_range(first, last)?;
            }
            None if digits(item) => {
                count += 1;
                port(item)?;
            }
            Some(_) | None if icmp && (is_icmp_type(item) || is_icmp_v6_type(item)) => kinds = true,
            Some(_) | None if NAMED_PORTS.contains(item) => {}
            Some(_) | None => return Err(format!("invalid port '{item}'")),
        }
    }
    if kinds && count > 0 {
        return Err("ICMP ports not allowed in port range".into());
    }
    if count > 15 {
        return Err("too many entries in port list (> 15 numbers)".into());
    }
    Ok(())
}

fn port(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number <= 65_535);
    number.ok_or_else(|| format!("invalid port '{text}'"))
}

fn check_range(first: &str, last: &str) -> Result<(), String> {
    if port(first)? > port(last)? {
        return Err(format!(
            "backwards range '{first}:{last}' not allowed, did you mean '{last}:{first}'?"
        ));
    }
    Ok(())
}

/// Format `pve-fw-conntrack-helper`.
pub(super) fn check_helpers(text: &str) -> Result<(), String> {
    const HELPERS: [&str; 9] = [
        "amanda",
        "ftp",
        "irc",
        "netbios-ns",
        "pptp",
        "sane",
        "sip",
        "snmp",
        "tftp",
    ];
    if text.ends_with(',') {
        return Err("extraneous commas in list".into());
    }
    let mut all = text.split(',').filter(|_| !text.is_empty());
    match all.find(|helper| !HELPERS.contains(helper)) {
        Some(helper) => Err(format!(
            "unknown helper {helper} at /usr/share/perl5/PVE/Firewall.pm line 1167."
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_refused_in_the_words_of_their_format() {
        for (text, words) in [
            ("80,", "extraneous commas in list"),
            ("70000", "invalid port '70000'"),
            ("nowhere", "invalid port 'nowhere'"),
            (
                "90:80",
                "backwards range '90:80' not allowed, did you mean '80:90'?",
            ),
            ("echo-request,80", "ICMP ports not allowed in port range"),
            (
                "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16",
                "too many entries in port list (> 15 numbers)",
            ),
        ] {
            assert_eq!(check_ports(text, true), Err(words.into()), "{text}");
        }
        assert!(check_ports("http,443,8000:8100", false).is_ok());
        assert!(check_ports("echo-request", false).is_err());
        assert_eq!(
            check_protocol("carrier-pigeon"),
            Err("unknown protocol 'carrier-pigeon'".into())
        );
        assert!(check_protocol("tcp").is_ok() && check_protocol("6").is_ok());
        assert!(check_icmp_type("no-route").is_ok() && check_icmp_type("odd").is_err());
        assert!(check_helpers("ftp,sip").is_ok() && check_helpers("ftp,x").is_err());
    }
}
