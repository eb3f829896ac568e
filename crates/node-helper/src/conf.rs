//! A container's configuration as PVE keeps it on the node (`/etc/pve/lxc/VMID.conf`), as far as identity goes.
//!
//! Source: `parse_pct_config` of pve-container. Lines that begin with `#` are the description, percent-encoded; sections
//! (`[pve:pending]`, snapshots) come after what is in force, and nothing in them counts.

use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};

/// What identifies a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The mark in the last line of its description.
    pub mark: Option<Mark>,
    /// The address of `net0`.
    pub mac: Option<Mac>,
    /// Its root volume.
    pub rootfs: Option<Volid>,
}

impl Conf {
    /// Reads the text of a configuration.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let in_force = text.lines().take_while(|line| !line.starts_with('['));
        let mut description = String::new();
        let (mut mac, mut rootfs) = (None, None);
        for line in in_force {
            if let Some(encoded) = line.strip_prefix('#') {
                description.push_str(&decoded(encoded));
                description.push('\n');
            } else if let Some((key, value)) = line.split_once(':') {
                match key {
                    // PVE writes none; whoever did may have put anything below it.
                    "description" => return Self::unknown(),
                    "net0" => mac = option(value, "hwaddr").and_then(|text| text.parse().ok()),
                    "rootfs" => rootfs = volume(value),
                    _ => {}
                }
            }
        }
        Self {
            mark: Mark::find(&description),
            mac,
            rootfs,
        }
    }

    /// Of which nothing is known, and nothing therefore allowed.
    fn unknown() -> Self {
        Self {
            mark: None,
            mac: None,
            rootfs: None,
        }
    }
}

/// The value of `name=` in a list with commas.
fn option<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = list.trim().split(',');
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The volume of `VOLUME,size=…`, or of `volume=VOLUME,…`.
fn volume(list: &str) -> Option<Volid> {
    let first = list.trim().split(',').next()?;
    let bare = (!first.contains('=')).then_some(first);
    bare.or_else(|| option(list, "volume"))?.parse().ok()
}

/// What PVE's `decode_text` makes of it: `%XX` is a byte. What is not UTF-8 then cannot be a mark of ours.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, after.get(..2)) {
            (b'%', Some(digits)) => hex(digits),
            _ => None,
        };
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: &str = "proximity-mark:v1:00000000-0000-0000-0000-000000000001:\
                        00000000-0000-0000-0000-000000000002:0000000000000000000000000000000a";

    fn text(description: &str) -> String {
        format!(
            "{description}arch: amd64\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth\n\
             rootfs: local-zfs:subvol-100-disk-0,size=4G\n"
        )
    }

    #[test]
    fn mark_address_and_volume_are_read_as_pve_writes_them() {
        let encoded = MARK.replace(':', "%3A");
        let conf = Conf::parse(&text(&format!("#web%2C by us\n#{encoded}\n")));
        assert_eq!(conf.mark.map(|m| m.to_string()).as_deref(), Some(MARK));
        assert_eq!(conf.mac, "BC:24:11:00:00:01".parse().ok());
        assert_eq!(conf.rootfs, "local-zfs:subvol-100-disk-0".parse().ok());
        let named = "rootfs: size=4G,volume=local:100/vm-100-disk-0.raw\n";
        let conf = Conf::parse(named);
        assert_eq!(conf.rootfs, "local:100/vm-100-disk-0.raw".parse().ok());
    }

    #[test]
    fn what_is_not_in_force_does_not_count() {
        let conf = Conf::parse(&format!("arch: amd64\n\n[before]\n#{MARK}\nrootfs: a:b\n"));
        assert_eq!(conf, Conf::unknown());
        let below = Conf::parse(&text(&format!("#{MARK}\n#edited by hand\n")));
        assert_eq!(below.mark, None);
        let odd = Conf::parse(&text(&format!("#{MARK}\ndescription: x\n")));
        assert_eq!(odd, Conf::unknown());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}", hash in "(?s)#[%0-9a-fA-F\n]{0,80}") {
            let _ = Conf::parse(&text);
            let _ = Conf::parse(&hash);
        }
    }
}
