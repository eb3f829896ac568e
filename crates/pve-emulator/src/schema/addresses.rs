//! Addresses in the rules, aliases and sets of Proxmox VE's firewall (pve-firewall, `Firewall.pm`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::net_ip;

/// Whether a text is a name of an alias, a set or a group.
pub fn is_firewall_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.len() >= 2 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(word)
}

/// Where an alias is looked for (`dc/`, `guest/` or nothing), and its name; nothing if the text is none.
pub fn scoped_alias(text: &str) -> Option<(&str, &str)> {
    let at = ["dc/", "guest/"]
        .iter()
        .find(|scope| text.starts_with(**scope))
        .map_or(0, |scope| scope.len());
    let (scope, name) = text.split_at(at);
    is_firewall_name(name).then_some((scope, name))
}

/// An address with or without a prefix, as its parts.
fn parts(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (text, None),
    };
    let number = |prefix: &str| !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let ip = ip.parse().ok()?;
    prefix.is_none_or(number).then_some((ip, prefix))
}

const NEITHER: &str = "value does not look like a valid IP address or CIDR network";

/// Format `IPorCIDR`.
pub(super) fn check_cidr(text: &str) -> Result<(), String> {
    if parts(text).is_none() {
        return Err(NEITHER.into());
    }
    net_ip::version(&clean_cidr(text)).map(|_| ())
}

/// Format `IPorCIDRorAlias`.
pub(super) fn check_cidr_or_alias(text: &str) -> Result<(), String> {
    if scoped_alias(text).is_some() {
        return Ok(());
    }
    check_cidr(text)
}

/// A network without the bits behind its prefix; what has none, or 0, stays.
pub fn clean_cidr(text: &str) -> String {
    let Some((ip, Some(prefix))) = parts(text).filter(|(_, prefix)| *prefix != Some("0")) else {
        return text.to_owned();
    };
    let bits = prefix.parse().unwrap_or(u32::MAX);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            format!("{}/{prefix}", ip & Ipv4Addr::from_bits(mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            format!("{}/{prefix}", compressed(ip & Ipv6Addr::from_bits(mask)))
        }
    }
}

/// As `Net::IP` writes it: the longest text of zeros is left out.
fn compressed(ip: Ipv6Addr) -> String {
    let text = ip.segments().map(|group| format!("{group:x}")).join(":");
    let groups: Vec<&str> = text.split(':').collect();
    let mut longest = String::new();
    let mut at = 0;
    while at < groups.len() {
        let count = groups[at..]
            .iter()
            .take_while(|group| **group == "0")
            .count();
        if count >= 2 {
            let before = if at > 0 { ":" } else { "" };
            let after = if at + count < groups.len() { ":" } else { "" };
            let found = format!("{before}{}{after}", vec!["0"; count].join(":"));
            if found.len() > longest.len() {
                longest = found;
            }
        }
        at += count.max(1);
    }
    if longest.is_empty() {
        return text;
    }
    text.replacen(&longest, "::", 1)
}

/// An address or network as it is kept, and its version.
///
/// # Errors
/// PVE's text without the final newline.
pub fn parse_cidr(text: &str) -> Result<(String, u8), String> {
    match parts(text) {
        Some((IpAddr::V6(_), _)) => Ok((text.replacen("/128", "", 1), 6)),
        Some((IpAddr::V4(_), _)) => Ok((text.replacen("/32", "", 1), 4)),
        None => Err(NEITHER.into()),
    }
}

/// Format `pve-fw-addr-spec`: a set, an alias, a range, or addresses and networks; their version, if it shows.
///
/// # Errors
/// PVE's text without the final newline.
pub fn parse_addresses(text: &str) -> Result<Option<u8>, String> {
    if text.len() > 1 && text.starts_with('+') && !text.contains(char::is_whitespace) {
        let long = text.chars().count() > 65;
        return if long {
            Err("ipset name too long".into())
        } else {
            Ok(None)
        };
    }
    if scoped_alias(text).is_some() {
        let long = text.chars().count() > 64;
        return if long {
            Err("alias name too long".into())
        } else {
            Ok(None)
        };
    }
    if text.is_empty() {
        return Ok(None);
    }
    if text.ends_with(',') {
        return Err("extraneous commas in list".into());
    }
    let elements: Vec<&str> = text.split(',').collect();
    let mut version = None;
    for element in &elements {
        let its = net_ip::version(element).map_err(|e| format!("invalid IP address: {e}"))?;
        if version.is_some_and(|version| version != its) {
            return Err(format!(
                "detected mixed ipv4/ipv6 addresses in address list '{text}'"
            ));
        }
        version = Some(its);
    }
    if elements.len() > 1 && elements.iter().any(|element| element.contains('-')) {
        return Err("you can't use a range in a list".into());
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_in_the_words_of_net_ip() {
        for (text, words) in [
            ("!10.0.0.0/8", "Invalid chars in IP !10.0.0.0"),
            (
                "10.0.0.1/31",
                "Invalid prefix 00001010000000000000000000000001/31",
            ),
            (
                "10.0.0.0/33",
                "Prefix length 33 is longer than IP address (32)",
            ),
            ("10.0.0.256", "Invalid quad in IP address 10.0.0.256 - 256"),
            ("1.2.3.4.5", "Invalid IP address 1.2.3.4.5"),
            (
                "10.0.0.9-10.0.0.1",
                "Begin address is greater than End address 10.0.0.9 - 10.0.0.1",
            ),
            (
                "fe80:::1",
                "Invalid address fe80:::1 (More than one :: pattern)",
            ),
            ("fe80:1", "Invalid number of octets fe80:1"),
            ("a", "Invalid chars in IP a"),
        ] {
            let words = format!("invalid IP address: {words}");
            assert_eq!(parse_addresses(text), Err(words), "{text}");
        }
        assert_eq!(
            parse_addresses("10.0.0.1,").unwrap_err(),
            "extraneous commas in list"
        );
        assert_eq!(
            parse_addresses("10.0.0.1,fe80::1").unwrap_err(),
            "detected mixed ipv4/ipv6 addresses in address list '10.0.0.1,fe80::1'"
        );
        assert_eq!(
            parse_addresses("10.0.0.1-10.0.0.3,10.0.0.9").unwrap_err(),
            "you can't use a range in a list"
        );
        for (text, version) in [
            ("10.0.0.0/8,10.2", Some(4)),
            ("10.0.0.1 - 10.0.0.9", Some(4)),
            ("2001:db8::/32", Some(6)),
            ("+dc/web", None),
            ("guest/web", None),
            ("", None),
        ] {
            assert_eq!(parse_addresses(text), Ok(version), "{text}");
        }
    }

    #[test]
    fn networks_lose_what_lies_behind_their_prefix() {
        for (text, clean) in [
            ("192.168.1.155/24", "192.168.1.0/24"),
            ("10.0.0.1/32", "10.0.0.1/32"),
            ("10.0.0.1/0", "10.0.0.1/0"),
            ("2001:db8:0:0:1::5/80", "2001:db8:0:0:1::/80"),
            ("::5/64", "::/64"),
        ] {
            assert_eq!(clean_cidr(text), clean);
        }
        assert_eq!(parse_cidr("10.0.0.1/32"), Ok(("10.0.0.1".into(), 4)));
        assert_eq!(parse_cidr("::1/128"), Ok(("::1".into(), 6)));
        assert!(check_cidr("0.0.0.0/0").is_ok());
        assert!(check_cidr("10.0.0.1/0").is_err());
        assert_eq!(check_cidr("nine"), Err(NEITHER.into()));
        assert!(check_cidr_or_alias("dc/nine").is_ok());
    }
}
