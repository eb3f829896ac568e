//! Named formats. Those that no emulated method reads are accepted as they come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::privileges::PRIVILEGES;
use super::special;

/// Checks a value against a registered format; `-list` splits first, `-opt` lets the empty value
/// through.
///
/// # Errors
/// PVE's text without the final newline.
pub fn check_named(format: &str, value: &str) -> Result<(), String> {
    if let Some(single) = format.strip_suffix("-list") {
        return split_list(value)
            .into_iter()
            .try_for_each(|element| check_one(single, element));
    }
    if let Some(single) = format.strip_suffix("-opt") {
        return if value.is_empty() || value == "0" {
            Ok(())
        } else {
            check_one(single, value)
        };
    }
    check_one(format, value)
}

/// The elements of a list: split at comma, semicolon, NUL or white space, empty ones left out.
pub fn split_list(value: &str) -> Vec<&str> {
    value
        .split(|c: char| c == ',' || c == ';' || c == '\0' || c.is_whitespace())
        .filter(|element| !element.is_empty())
        .collect()
}

fn check_one(format: &str, value: &str) -> Result<(), String> {
    if let Some(result) = special::check(format, value) {
        return result;
    }
    if fits(format, value) {
        Ok(())
    } else {
        Err(complaint(format, value))
    }
}

fn fits(format: &str, value: &str) -> bool {
    let ip = || value.parse::<IpAddr>().is_ok();
    match format {
        "pve-vmid" => is_vmid(value),
        "pve-node" => is_label(value),
        "pve-configid" => is_config_id(value),
        "pve-priv" => PRIVILEGES.contains(&value),
        "pve-userid" => is_user(value),
        "pve-tokenid" => value.split_once('!').is_some_and(|(user, _)| is_user(user)),
        "pve-roleid" | "pve-groupid" => is_plain_name(value),
        "pve-storage-id" => is_storage_id(value),
        "pve-poolid" => is_pool_id(value),
        "pve-bridge-id" => is_bridge(value),
        "pve-iface" => is_iface(value),
        "pve-tag" => is_tag(value),
        "pve-startup-order" => is_startup(value),
        "pve-storage-content" => is_content(value),
        "pve-task-status-type" => is_task_status(value),
        "pve-volume-id" => is_volume(value),
        "dns-name" => is_dns_name(value),
        "mac-addr" => is_mac(value),
        "ip" => ip(),
        "lxc-ip-with-ll-iface" => is_scoped_ip(value),
        "ipv4" => value.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => value.parse::<Ipv6Addr>().is_ok(),
        "CIDR" => is_cidr4(value) || is_cidr6(value),
        "CIDRv4" => is_cidr4(value),
        "CIDRv6" => is_cidr6(value),
        "pve-ipv4-config" => matches!(value, "dhcp" | "manual") || is_cidr4(value),
        "pve-ipv6-config" => matches!(value, "auto" | "dhcp" | "manual") || is_cidr6(value),
        "address" => ip() || is_dns_name(value),
        "disk-size" => parse_size(value).is_some(),
        "urlencoded" => is_urlencoded(value),
        _ => true,
    }
}

/// PVE's words for a value that does not fit.
fn complaint(format: &str, value: &str) -> String {
    match format {
        "pve-configid" => format!("invalid configuration ID '{value}'"),
        "pve-priv" => format!("invalid privilege '{value}'"),
        "pve-userid" => format!("value '{value}' does not look like a valid user name"),
        "pve-tokenid" => format!("value '{value}' does not look like a valid token ID"),
        "pve-roleid" => format!("role name '{value}' contains invalid characters"),
        "pve-groupid" => format!("group name '{value}' contains invalid characters"),
        "pve-storage-id" => format!("storage ID '{value}' contains illegal characters"),
        "pve-poolid" if is_deep(value) => {
            format!("pool name '{value}' nested too deeply (max levels = 3)")
        }
        "pve-poolid" => format!("pool name '{value}' contains invalid characters"),
        "pve-bridge-id" => format!("invalid bridge ID '{value}'"),
        "pve-iface" => format!("invalid network interface name '{value}'"),
        "pve-tag" => "invalid characters in tag".into(),
        "pve-startup-order" => "unable to parse startup options".into(),
        "pve-storage-content" => format!("invalid content type '{value}'"),
        "pve-task-status-type" => format!("invalid status '{value}'"),
        "pve-volume-id" => format!("unable to parse volume ID '{value}'"),
        "address" => format!("value does not look like a valid address: {value}"),
        "disk-size" => format!("value does not look like a valid disk size: {value}"),
        "urlencoded" => format!("invalid urlencoded string: {value}"),
        _ => format!("value does not look like a valid {}", noun(format)),
    }
}

fn noun(format: &str) -> &str {
    match format {
        "pve-vmid" => "VM ID",
        "pve-node" => "node name",
        "dns-name" => "DNS name",
        "mac-addr" => "unicast MAC address",
        "ip" | "lxc-ip-with-ll-iface" => "IP address",
        "ipv4" => "IPv4 address",
        "ipv6" => "IPv6 address",
        "CIDR" => "CIDR network",
        "CIDRv4" => "IPv4 CIDR network",
        "CIDRv6" => "IPv6 CIDR network",
        "pve-ipv4-config" => "ipv4 network configuration",
        "pve-ipv6-config" => "ipv6 network configuration",
        _ => "value",
    }
}

/// `name@realm`.
fn is_user(value: &str) -> bool {
    let Some((name, realm)) = value.rsplit_once('@') else {
        return false;
    };
    let clean = |c: char| !c.is_whitespace() && c != ':' && c != '/';
    (3..=64).contains(&value.len())
        && !name.is_empty()
        && name.chars().all(clean)
        && realm.len() >= 2
        && starts_with_letter(realm)
        && is_plain_name(realm)
}

fn is_plain_name(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_vmid(value: &str) -> bool {
    (3..=9).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_digit())
        && !value.starts_with('0')
}

fn is_label(value: &str) -> bool {
    let inner = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    !value.is_empty() && inner && !value.starts_with('-') && !value.ends_with('-')
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn starts_with_letter(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_config_id(value: &str) -> bool {
    value.len() >= 2
        && starts_with_letter(value)
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_storage_id(value: &str) -> bool {
    value.len() >= 2
        && starts_with_letter(value)
        && value.ends_with(|c: char| c.is_ascii_alphanumeric())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// More than three levels; empty ones at the end do not count.
fn is_deep(value: &str) -> bool {
    value.trim_end_matches('/').split('/').count() > 3
}

fn is_pool_id(value: &str) -> bool {
    let levels: Vec<&str> = value.split('/').collect();
    let word = |s: &&str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    levels.len() <= 3 && levels.iter().all(word)
}

fn is_bridge(value: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_iface(value: &str) -> bool {
    let name = value.split([':', '.']).next().unwrap_or_default();
    let suffix = &value[name.len()..];
    let number =
        suffix.is_empty() || (suffix.len() > 1 && suffix[1..].bytes().all(|b| b.is_ascii_digit()));
    (2..=21).contains(&name.len())
        && starts_with_letter(name)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && number
}

fn is_tag(value: &str) -> bool {
    let first = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.'))
}

fn is_startup(value: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let known = |part: &str| match part.split_once('=') {
        Some((key, value)) => matches!(key, "order" | "up" | "down") && number(value),
        None => number(part),
    };
    !value.is_empty()
        && value != "0"
        && value
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .all(known)
}

fn is_content(value: &str) -> bool {
    matches!(
        value,
        "images" | "rootdir" | "vztmpl" | "iso" | "backup" | "snippets" | "import" | "none"
    )
}

fn is_task_status(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "ok" | "error" | "warning" | "unknown"
    )
}

fn is_volume(value: &str) -> bool {
    value
        .split_once(':')
        .is_some_and(|(storage, name)| is_storage_id(storage) && !name.is_empty())
}

fn is_mac(value: &str) -> bool {
    let octets: Vec<&str> = value.split(':').collect();
    let hex = |octet: &&str| octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit());
    let unicast = octets
        .first()
        .and_then(|first| u8::from_str_radix(first, 16).ok())
        .is_some_and(|b| b & 1 == 0);
    octets.len() == 6 && octets.iter().all(hex) && unicast
}

fn is_scoped_ip(value: &str) -> bool {
    let (address, scope) = match value.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (value, None),
    };
    match scope {
        None => value == "host" || address.parse::<IpAddr>().is_ok(),
        Some(scope) => {
            address.to_ascii_lowercase().starts_with("fe80:")
                && is_bridge(scope)
                && address.parse::<Ipv6Addr>().is_ok()
        }
    }
}

fn prefix(text: &str, longest: u8) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
        && text.parse::<u8>().is_ok_and(|n| n > 7 && n <= longest)
}

fn is_cidr4(value: &str) -> bool {
    value
        .split_once('/')
        .is_some_and(|(address, bits)| address.parse::<Ipv4Addr>().is_ok() && prefix(bits, 32))
}

fn is_cidr6(value: &str) -> bool {
    value
        .split_once('/')
        .is_some_and(|(address, bits)| address.parse::<Ipv6Addr>().is_ok() && prefix(bits, 128))
}

fn is_urlencoded(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&b))
}

/// A size such as `512M` or `1.5G` in bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) = match text.bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1_u64 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        b'T' => (&text[..text.len() - 1], 1 << 40),
        _ => (text, 1),
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !digits || number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let bytes = (number.parse::<f64>().ok()? * factor as f64) as u64;
    Some(bytes)
}

/// Bytes in the largest unit that divides them.
pub fn format_size(bytes: u64) -> String {
    let mut value = bytes;
    for unit in ["", "K", "M", "G"] {
        if !value.is_multiple_of(1024) {
            return format!("{value}{unit}");
        }
        value /= 1024;
    }
    format!("{value}T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_both_ways() {
        assert_eq!(parse_size("4G"), Some(4 << 30));
        assert_eq!(parse_size("1.5G"), Some(3 << 29));
        assert_eq!(parse_size("x"), None);
        assert_eq!(format_size(4 << 30), "4G");
        assert_eq!(format_size(3 << 29), "1536M");
        assert_eq!(format_size(1000), "1000");
        assert_eq!(format_size(0), "0T");
        assert_eq!(parse_size("0T"), Some(0));
    }

    #[test]
    fn formats_refuse_in_the_recorded_words() {
        assert_eq!(
            check_named("pve-vmid", "99").unwrap_err(),
            "value does not look like a valid VM ID"
        );
        assert_eq!(check_named("pve-tag-list", "a;b c").ok(), Some(()));
        assert_eq!(
            check_named("pve-tag-list", "bad tag!").unwrap_err(),
            "invalid characters in tag"
        );
        assert_eq!(
            check_named("dns-name", "bad_host!").unwrap_err(),
            "value does not look like a valid DNS name"
        );
        assert_eq!(
            check_named("lxc-ip-with-ll-iface-list", "not-an-ip!").unwrap_err(),
            "value does not look like a valid IP address"
        );
        assert!(check_named("pve-startup-order", "first").is_err());
        assert!(check_named("pve-startup-order", "order=3").is_ok());
    }
}
