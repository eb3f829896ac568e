//! Addresses, networks and ranges as Perl's `Net::IP` 1.26 reads them, with its words for what it cannot read.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An address in its long form.
struct Address {
    version: u8,
    text: String,
    bits: u128,
}

impl Address {
    /// One digit for each bit.
    fn binary(&self) -> String {
        match self.version {
            4 => format!("{:032b}", self.bits),
            _ => format!("{:0128b}", self.bits),
        }
    }
}

/// Reads an address, a network or a range: 4 or 6. The error may be empty, as it may be there.
pub(super) fn version(data: &str) -> Result<u8, String> {
    let spaced = data.contains(char::is_whitespace);
    let slash = data.char_indices().skip(1).find(|(_, c)| *c == '/');
    if let Some((at, _)) = slash.filter(|(at, _)| !spaced && at + 1 < data.len()) {
        return network(&data[..at], &data[at + 1..]);
    }
    let dash = data.char_indices().skip(1).find(|(_, c)| *c == '-');
    if let Some((at, _)) = dash.filter(|(at, _)| !data[at + 1..].trim_start().is_empty()) {
        return range(data[..at].trim_end(), data[at + 1..].trim_start());
    }
    single(data).map(|address| address.version)
}

/// A prefix that is no number is passed over there too.
fn network(ip: &str, prefix: &str) -> Result<u8, String> {
    let address = single(ip)?;
    if !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(address.version);
    }
    let binary = address.binary();
    let bits: usize = prefix.parse().unwrap_or(usize::MAX);
    if bits > binary.len() {
        let longest = binary.len();
        return Err(format!(
            "Prefix length {prefix} is longer than IP address ({longest})"
        ));
    }
    if binary[bits..].contains('1') {
        return Err(format!("Invalid prefix {binary}/{prefix}"));
    }
    Ok(address.version)
}

fn range(first: &str, last: &str) -> Result<u8, String> {
    let first = single(first)?;
    let text = match first.version {
        4 => long_v4(last)?,
        _ => last.to_owned(),
    };
    let last = single(&text)?;
    if last.version != first.version {
        let text = "Begin and End addresses have different IP versions";
        return Err(format!("{text} - {} - {}", first.text, last.text));
    }
    if first.bits > last.bits {
        let text = "Begin address is greater than End address";
        return Err(format!("{text} {} - {}", first.text, last.text));
    }
    Ok(first.version)
}

fn single(ip: &str) -> Result<Address, String> {
    let version = version_of(ip)?;
    let (text, bits) = if version == 4 {
        let text = long_v4(ip)?;
        let address: Ipv4Addr = text.parse().map_err(|_| String::new())?;
        (text, u128::from(address.to_bits()))
    } else {
        let address: Ipv6Addr = ip.parse().map_err(|_| String::new())?;
        let groups = address.segments().map(|group| format!("{group:04x}"));
        (groups.join(":"), address.to_bits())
    };
    Ok(Address {
        version,
        text,
        bits,
    })
}

fn version_of(ip: &str) -> Result<u8, String> {
    let mut said = String::new();
    if !ip.contains(':') {
        match check_v4(ip) {
            Ok(()) => return Ok(4),
            Err(text) => said = text,
        }
    }
    match check_v6(ip) {
        Ok(()) => Ok(6),
        Err(text) if text.is_empty() => Err(said),
        Err(text) => Err(text),
    }
}

fn check_v4(ip: &str) -> Result<(), String> {
    if ip.is_empty() || !ip.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("Invalid chars in IP {ip}"));
    }
    if ip.starts_with('.') {
        return Err(format!("Invalid IP {ip} - starts with a dot"));
    }
    if ip.ends_with('.') {
        return Err(format!("Invalid IP {ip} - ends with a dot"));
    }
    if ip.matches('.').count() > 3 {
        return Err(format!("Invalid IP address {ip}"));
    }
    if ip.contains("..") {
        return Err(format!("Empty quad in IP address {ip}"));
    }
    let large = |quad: &&str| quad.parse::<u64>().is_ok_and(|n| n > 255) || quad.len() > 19;
    match ip.split('.').find(large) {
        Some(quad) => Err(format!("Invalid quad in IP address {ip} - {quad}")),
        None => Ok(()),
    }
}

fn check_v6(ip: &str) -> Result<(), String> {
    let mut colons = ip.matches(':').count();
    if !(1..8).contains(&colons) {
        return Err(String::new());
    }
    let parts: Vec<&str> = ip.split(':').collect();
    for (at, part) in parts.iter().enumerate() {
        let hex = part.len() <= 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if hex {
            continue;
        }
        // An IPv4 address at the end stands for two groups.
        if at == colons && check_v4(part).is_ok() {
            colons += 1;
            continue;
        }
        return Err(format!("Invalid IP address {ip}"));
    }
    if ip.starts_with(':') && !ip.starts_with("::") {
        return Err(format!("Invalid address {ip} (starts with :)"));
    }
    if ip.ends_with(':') && !ip.ends_with("::") {
        return Err(format!("Invalid address {ip} (ends with :)"));
    }
    let doubled = ip.as_bytes().windows(2).filter(|pair| pair == b"::");
    if doubled.count() > 1 {
        return Err(format!("Invalid address {ip} (More than one :: pattern)"));
    }
    if colons != 7 && !ip.contains("::") {
        return Err(format!("Invalid number of octets {ip}"));
    }
    Ok(())
}

/// Missing parts are 0.
fn long_v4(ip: &str) -> Result<String, String> {
    let quads: Vec<&str> = ip.split('.').collect();
    if quads.len() > 4 {
        return Err(format!("Not a valid IPv address {ip}"));
    }
    let mut clean = Vec::new();
    for quad in quads {
        let digits = (1..=3).contains(&quad.len()) && quad.bytes().all(|b| b.is_ascii_digit());
        let Some(number) = quad.parse::<u16>().ok().filter(|_| digits) else {
            return Err(format!("Not a valid IPv4 address {ip}"));
        };
        clean.push(number.to_string());
    }
    clean.resize(4, "0".into());
    Ok(clean.join("."))
}
