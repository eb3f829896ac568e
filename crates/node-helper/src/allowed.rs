//! Root's own list of adopted containers that may be entered: one line each, bound to what the container was then.

use std::fmt;
use std::str::FromStr;

use proximity_domain::ids::Vmid;
use proximity_domain::names::{Mac, Volid};

use crate::conf::Conf;

/// One permission: the number, and what had it when root gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    vmid: Vmid,
    mac: Option<Mac>,
    rootfs: Volid,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Entry>);

/// A line of the list that means nothing; the whole list is refused then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the list of allowed containers is damaged")]
pub struct BadLine {
    line: usize,
}

impl Allowed {
    /// Whether the container is on it, and still the one that root meant: another guest with the same number is not.
    #[must_use]
    pub fn covers(&self, vmid: Vmid, conf: &Conf) -> bool {
        self.0.iter().any(|entry| {
            entry.vmid == vmid
                && entry.mac == conf.mac
                && Some(&entry.rootfs) == conf.rootfs.as_ref()
        })
    }

    /// Puts the container on it as it is now; `false` if it has no root volume, by which it would be known.
    #[must_use]
    pub fn allow(&mut self, vmid: Vmid, conf: &Conf) -> bool {
        let Some(rootfs) = conf.rootfs.clone() else {
            return false;
        };
        self.forbid(vmid);
        let mac = conf.mac;
        self.0.push(Entry { vmid, mac, rootfs });
        true
    }

    /// Takes it off; `false` if it was not on it.
    pub fn forbid(&mut self, vmid: Vmid) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| entry.vmid != vmid);
        self.0.len() < before
    }

    /// The numbers on it.
    pub fn vmids(&self) -> impl Iterator<Item = Vmid> {
        self.0.iter().map(|entry| entry.vmid)
    }
}

impl FromStr for Allowed {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let entries = text
            .lines()
            .zip(1..)
            .map(|(line, number)| entry(line).ok_or(BadLine { line: number }));
        entries.collect::<Result<_, _>>().map(Self)
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let vmid = words.next()?.parse().ok()?;
    let mac = match words.next()? {
        "-" => None,
        mac => Some(mac.parse().ok()?),
    };
    let rootfs = words.next()?.parse().ok()?;
    words
        .next()
        .is_none()
        .then_some(Entry { vmid, mac, rootfs })
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { vmid, mac, rootfs } in &self.0 {
            match mac {
                Some(mac) => writeln!(f, "{vmid} {mac} {rootfs}")?,
                None => writeln!(f, "{vmid} - {rootfs}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(mac: Option<&str>, rootfs: &str) -> Conf {
        Conf {
            mark: None,
            mac: mac.map(|mac| mac.parse().unwrap()),
            rootfs: rootfs.parse().ok(),
        }
    }

    #[test]
    fn a_permission_is_for_one_container_and_not_for_whoever_has_its_number_later() {
        let vmid: Vmid = "120".parse().unwrap();
        let then = conf(Some("BC:24:11:00:00:01"), "local:subvol-120-disk-0");
        let mut list = Allowed::default();
        assert!(list.allow(vmid, &then));
        let list: Allowed = list.to_string().parse().unwrap();
        assert!(list.covers(vmid, &then));
        assert!(!list.covers("121".parse().unwrap(), &then));
        for other in [
            conf(Some("BC:24:11:00:00:02"), "local:subvol-120-disk-0"),
            conf(None, "local:subvol-120-disk-0"),
            conf(Some("BC:24:11:00:00:01"), "local:subvol-120-disk-1"),
        ] {
            assert!(!list.covers(vmid, &other), "{other:?}");
        }
    }

    #[test]
    fn what_has_no_volume_is_not_allowed_and_a_damaged_list_allows_nothing() {
        let vmid: Vmid = "120".parse().unwrap();
        let bare = Conf {
            mark: None,
            mac: None,
            rootfs: None,
        };
        let mut list = Allowed::default();
        assert!(!list.allow(vmid, &bare));
        assert!(!list.covers(vmid, &bare));
        for damaged in ["120\n", "120 - \n", "x - a:b\n", "120 - a:b more\n", "\n"] {
            assert!(damaged.parse::<Allowed>().is_err(), "{damaged:?}");
        }
        assert!(list.allow(vmid, &conf(None, "a:b")) && list.forbid(vmid) && !list.forbid(vmid));
    }
}
