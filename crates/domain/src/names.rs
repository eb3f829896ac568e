//! Names with rules: host names of apps, PVE's node and storage names, MAC addresses, catalog ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that does not follow its rule; the text says which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {rule}")]
pub struct BadName {
    /// What the name is for, e.g. `host name`.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(value: String) -> Result<Self, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(&value) { Ok(Self(value)) } else { Err(BadName { what: $what, value, rule: $rule }) }
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(s: &str) -> Result<Self, BadName> {
                Self::try_from(s.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> String {
                n.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// Host name of an app, unique among live apps. The seeds' rule: 3 to 63 characters.
    Hostname,
    "host name",
    "must be 3 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
    |s| (3..=63).contains(&s.len()) && is_label(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name_type!(
    /// Host name under which people reach an app from outside, as RFC 1123 has it: lower-case labels with dots between them, and
    /// no address. One label alone is none of a site: certificates are made for names with a domain.
    SiteName,
    "host name",
    "must be a host name with its domain, e.g. blog.example.org: at most 253 characters, labels of 1 to 63 lower-case letters, \
     digits and dashes, no dash at either end of one, and a letter in the last",
    is_site_name
);
name_type!(
    /// A PVE node's name: one DNS label.
    NodeName,
    "node name",
    "must be a DNS label: letters, digits and dashes, no dash at either end, at most 63 characters",
    |s| s.len() <= 63 && is_label(s)
);
name_type!(
    /// A PVE storage's id.
    StorageName,
    "storage",
    "must start with a letter and hold letters, digits, '-', '_' or '.', ending in a letter or digit",
    |s| {
        let b = s.as_bytes();
        (2..=100).contains(&b.len())
            && b[0].is_ascii_alphabetic()
            && b[b.len() - 1].is_ascii_alphanumeric()
            && b.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
    }
);
name_type!(
    /// A PVE resource pool's id, nested ones with slashes.
    PoolName,
    "pool",
    "must hold letters, digits, '-', '_' or '.', parts separated by '/'",
    |s| {
        (1..=128).contains(&s.len())
            && s.split('/').all(|p| {
                !p.is_empty() && p.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
            })
    }
);
impl PoolName {
    /// Whether a grant on this pool that propagates holds for the guests of `other` too: it is the same pool, or lies below it
    /// (`apps` and `apps/web`).
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        let below = other.0.strip_prefix(self.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

name_type!(
    /// A network bridge on the nodes, e.g. `vmbr0`.
    BridgeName,
    "bridge",
    "must be 1 to 15 letters, digits, '-', '_' or '.'",
    |s| (1..=15).contains(&s.len())
        && s.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
);
name_type!(
    /// What host entries call a network that the bridges of several of them lead to.
    LanName,
    "lan",
    "must be 1 to 63 characters: letters, digits, '-', '_' or '.', starting with a letter or digit",
    |s| (1..=63).contains(&s.len())
        && s.as_bytes()[0].is_ascii_alphanumeric()
        && s.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
);
name_type!(
    /// Id of a catalog entry, e.g. `nginx`.
    CatalogId,
    "catalog id",
    "must be 1 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
    |s| s.len() <= 63 && is_label(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name_type!(
    /// Name of a document of desired state, and what others depend on: an app's host name, a stack, a set of values.
    ManifestName,
    "name",
    "must be 1 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
    |s| s.len() <= 63 && is_label(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name_type!(
    /// Name of a secret that is kept elsewhere.
    SecretName,
    "secret",
    "must be 1 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
    |s| s.len() <= 63 && is_label(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name_type!(
    /// Name of a setting of a catalog entry, as templates or an app's environment call it.
    SettingName,
    "setting",
    "must be 1 to 48 letters, digits or '_', starting with a letter",
    |s| (1..=48).contains(&s.len())
        && s.as_bytes()[0].is_ascii_alphabetic()
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
);
name_type!(
    /// One part of the name of a value, e.g. `db` and `memory` of `${db.memory}`.
    ValueName,
    "value",
    "must be 1 to 48 letters, digits, '-' or '_', starting with a letter",
    |s| (1..=48).contains(&s.len())
        && s.as_bytes()[0].is_ascii_alphabetic()
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
);
name_type!(
    /// Name people give to a host entry (a cluster), unique.
    HostLabel,
    "host label",
    "must be 1 to 63 characters: letters, digits, '-', '_' or '.', starting with a letter or digit",
    |s| (1..=63).contains(&s.len())
        && s.as_bytes()[0].is_ascii_alphanumeric()
        && s.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
);
name_type!(
    /// A PVE volume id, e.g. `local:100/vm-100-disk-0.raw`.
    Volid,
    "volume id",
    "must be STORAGE:NAME without white space, commas or control characters",
    |s| s.len() <= 512
        && s.split_once(':').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        && !s.chars().any(|c| c.is_whitespace() || c.is_control() || c == ',')
);

name_type!(
    /// A user of PVE with its realm, `USER@REALM`.
    AccountName,
    "user",
    "must be USER@REALM: at most 64 characters, no white space, and none of ':', '/', '!', '=' in the user",
    is_account
);
name_type!(
    /// An API token of PVE, `USER@REALM!NAME`.
    ApiTokenName,
    "API token",
    "must be USER@REALM!NAME, e.g. root@pam!proximity",
    |s| s.rsplit_once('!').is_some_and(|(user, name)| is_account(user) && is_word(name))
);
name_type!(
    /// A role of PVE's access control that is not one of PVE's own.
    RoleName,
    "role",
    "must hold letters, digits, '-', '_' or '.', and not start with PVE",
    |s| {
        (1..=64).contains(&s.len())
            && s.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
            && !s.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pve"))
    }
);
name_type!(
    /// Name of a snapshot of a guest.
    GuestSnapshotName,
    "snapshot",
    "must be 2 to 40 letters, digits, '-' or '_', starting with a letter, and none of current, pending, vzdump",
    |s| {
        (2..=40).contains(&s.len())
            && s.as_bytes()[0].is_ascii_alphabetic()
            && s.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
            && !["current", "pending", "vzdump"].contains(&s)
    }
);

name_type!(
    /// Name people give to a source of documents, unique.
    SourceName,
    "source",
    "must be 1 to 63 characters: lower-case letters, digits and dashes, no dash at either end",
    |s| s.len() <= 63 && is_label(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name_type!(
    /// A branch of a Git repository, without `refs/heads/`.
    BranchName,
    "branch",
    "must be 1 to 200 letters, digits, '-', '_', '.' or '/', each part starting with a letter or digit, without '..' and not ending in '.' or '.lock'",
    |s| s.len() <= 200 && s.split('/').all(is_ref_part)
);
name_type!(
    /// A commit of a Git repository: its whole hash.
    CommitId,
    "commit",
    "must be 40 or 64 lower-case hexadecimal digits",
    |s| matches!(s.len(), 40 | 64) && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
name_type!(
    /// A folder or file inside of a repository, from its root.
    RepositoryPath,
    "path",
    "must be 1 to 500 letters, digits, '-', '_', '.', '+' or '/', without a slash at either end, and no part '.', '..', '.git' or one that starts with a dash",
    |s| s.len() <= 500 && s.split('/').all(is_path_part)
);

/// One part of a branch's name: stricter than Git, so that it can be nothing else in any place.
fn is_ref_part(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !part.contains("..")
        && !part.ends_with('.')
        && !part.ends_with(".lock")
}

fn is_path_part(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('-')
        && !matches!(part, "." | "..")
        && !part.eq_ignore_ascii_case(".git")
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b))
}

fn is_label(s: &str) -> bool {
    let b = s.as_bytes();
    !b.is_empty()
        && b.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
        && b[0] != b'-'
        && b[b.len() - 1] != b'-'
}

/// RFC 1123, section 2.1, of a name with a domain. Its last label has a letter, by which no address is taken for a name.
fn is_site_name(s: &str) -> bool {
    let label =
        |l: &str| l.len() <= 63 && is_label(l) && !l.bytes().any(|b| b.is_ascii_uppercase());
    let last = s.rsplit('.').next().unwrap_or_default();
    s.len() <= 253
        && s.contains('.')
        && s.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
}

/// PVE's rule for names of realms and tokens.
fn is_word(s: &str) -> bool {
    s.len() >= 2
        && s.as_bytes()[0].is_ascii_alphabetic()
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

fn is_account(s: &str) -> bool {
    let user = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_graphic() && !b":/!=".contains(&b))
    };
    s.len() <= 64
        && s.rsplit_once('@')
            .is_some_and(|(name, realm)| user(name) && is_word(realm))
}

/// A MAC address, kept upper case and colon separated as PVE prints it in configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// The vendor prefix PVE itself uses for generated addresses.
    pub const PVE_PREFIX: [u8; 3] = [0xBC, 0x24, 0x11];

    /// A MAC with PVE's prefix and the given three random bytes.
    #[must_use]
    pub fn with_pve_prefix(tail: [u8; 3]) -> Self {
        let [a, b, c] = Self::PVE_PREFIX;
        Self([a, b, c, tail[0], tail[1], tail[2]])
    }
}

impl FromStr for Mac {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let bad = || BadName {
            what: "MAC address",
            value: s.to_owned(),
            rule: "must be six pairs of hex digits separated by colons",
        };
        let mut bytes = [0_u8; 6];
        let mut parts = s.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() {
            Err(bad())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl TryFrom<String> for Mac {
    type Error = BadName;
    fn try_from(s: String) -> Result<Self, BadName> {
        s.parse()
    }
}

impl From<Mac> for String {
    fn from(m: Mac) -> String {
        m.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_the_rule() {
        for good in ["web", "a-b", "a1234567890", &"a".repeat(63)] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "-ab",
            "ab-",
            "Web",
            "w_b",
            "w.b",
            "w b",
            "wéb",
            &"a".repeat(64),
            "a\nb",
        ] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_sites_are_host_names_with_a_domain_and_no_addresses() {
        let longest = [63, 63, 63, 61].map(|n| "a".repeat(n)).join(".");
        assert_eq!(longest.len(), 253);
        for good in [
            "blog.example.org",
            "a.b",
            "1.example",
            "x--y.de",
            "web.xn--p1ai",
            &longest,
        ] {
            assert!(good.parse::<SiteName>().is_ok(), "{good}");
        }
        let too_long = format!("a.{longest}");
        let label = format!("{}.example.org", "a".repeat(64));
        for bad in [
            "",
            "blog",
            "Blog.example.org",
            "blog.example.org.",
            ".example.org",
            "a..b",
            "*.example.org",
            "-a.example.org",
            "a-.example.org",
            "a_b.example.org",
            "10.0.0.1",
            "blog.example.org:443",
            "blog.example.org/x",
            "{host}.example.org",
            "blög.example.org",
            &too_long,
            &label,
        ] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_in_documents_follow_their_rules() {
        for good in ["a", "qa", "web-1", &"a".repeat(63)] {
            assert!(good.parse::<ManifestName>().is_ok(), "{good}");
            assert!(good.parse::<SecretName>().is_ok(), "{good}");
        }
        for bad in ["", "Web", "a_b", "-a", "a.b", &"a".repeat(64)] {
            assert!(bad.parse::<ManifestName>().is_err(), "{bad:?}");
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
        for good in ["SITE_TITLE", "gzip", "a1"] {
            assert!(good.parse::<SettingName>().is_ok(), "{good}");
            assert!(good.parse::<ValueName>().is_ok(), "{good}");
        }
        assert!("a-b".parse::<ValueName>().is_ok());
        for bad in ["", "1a", "_a", "a b", "a.b", "ä", &"a".repeat(49)] {
            assert!(bad.parse::<SettingName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ValueName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn macs_are_read_in_either_case_and_printed_as_pve_does() {
        let mac: Mac = "bc:24:11:e5:9b:83".parse().unwrap();
        assert_eq!(mac.to_string(), "BC:24:11:E5:9B:83");
        for bad in [
            "",
            "bc:24:11:e5:9b",
            "bc:24:11:e5:9b:83:00",
            "bc-24-11-e5-9b-83",
            "+c:24:11:e5:9b:8",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn snapshots_are_named_as_pve_names_them_and_not_as_it_needs_itself() {
        for good in ["s1", "before-update_2", &"a".repeat(40)] {
            assert!(good.parse::<GuestSnapshotName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "s",
            "1x",
            "a/b",
            "a b",
            "../a",
            "current",
            "pending",
            "vzdump",
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<GuestSnapshotName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn accounts_follow_pves_rules() {
        for good in ["root@pam", "a.b@x@pve", "proximity-operate-1a2b3c4d@pve"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
            let token = format!("{good}!t1");
            assert!(token.parse::<ApiTokenName>().is_ok(), "{token}");
        }
        for bad in [
            "",
            "root",
            "@pam",
            "root@",
            "a b@pam",
            "a/b@pam",
            "a!b@pam",
            &"a@pam".repeat(20),
        ] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
            assert!(
                format!("{bad}!t1").parse::<ApiTokenName>().is_err(),
                "{bad}"
            );
        }
        assert!("root@pam!1".parse::<ApiTokenName>().is_err());
        for bad in ["", "PVEAdmin", "pveX", "a b", "a/b"] {
            assert!(bad.parse::<RoleName>().is_err(), "{bad}");
        }
        assert!("ProximityOperate-1a2b3c4d".parse::<RoleName>().is_ok());
    }

    #[test]
    fn a_pool_reaches_itself_and_what_lies_below_it() {
        let pool = |name: &str| name.parse::<PoolName>().unwrap();
        let apps = pool("apps");
        for below in ["apps", "apps/web", "apps/web/one"] {
            assert!(apps.reaches(&pool(below)), "{below}");
        }
        for other in ["app", "apps2", "apps-web", "others/apps"] {
            assert!(!apps.reaches(&pool(other)), "{other}");
        }
        assert!(!pool("apps/web").reaches(&apps), "what lies above it");
    }

    #[test]
    fn volume_ids_need_a_storage_and_a_name() {
        assert!("local:100/vm-100-disk-0.raw".parse::<Volid>().is_ok());
        for bad in ["", "local", ":x", "local:", "local:a b", "local:a,b"] {
            assert!(bad.parse::<Volid>().is_err(), "{bad:?}");
        }
    }
}
