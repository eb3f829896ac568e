//! The configuration of a container, read and changed by compare-and-swap.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, Volid};
use proximity_domain::restore::OptionChange;
use serde_json::Value;

use super::segment;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lenient;
use crate::network::NetDevice;
use crate::property::PropertyString;
use crate::read::ReadClient;

/// Names one state of a configuration file. PVE checks nothing when it is given an empty one, so there is none such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDigest(String);

/// The text names no state of a configuration. Holds its beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest of a configuration")]
pub struct NotADigest(pub String);

impl FromStr for ConfigDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if text.is_empty() || text.len() > LONGEST_DIGEST || !is_hex {
            return Err(NotADigest(text.chars().take(LONGEST_DIGEST).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ConfigDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// PVE's are SHA-1, 40 digits; its schema allows 64.
const LONGEST_DIGEST: usize = 64;

/// The configuration as PVE returns it, with what was changed but waits for the next start merged in.
#[derive(Debug, Clone, PartialEq)]
pub struct LxcConfig {
    /// Every key as PVE sent it.
    pub raw: BTreeMap<String, Value>,
    /// SHA-1 of the file; a change that carries it fails if somebody else was faster. That of a snapshot has none, so it
    /// guards no change.
    pub digest: Option<ConfigDigest>,
    /// Notes. PVE adds a newline at the end.
    pub description: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// PVE's lock, e.g. `create`.
    pub lock: Option<String>,
    /// Whether removal is blocked.
    pub protection: bool,
    /// First network device.
    pub net0: Option<NetDevice>,
    /// Root file system; `None` while the container is being created or if it is not a volume.
    pub rootfs: Option<Rootfs>,
    /// Memory limit.
    pub memory_mib: Option<u64>,
    /// Swap limit.
    pub swap_mib: Option<u64>,
    /// CPUs; `None` = all of the node.
    pub cores: Option<u64>,
    /// Whether root inside is an ordinary user outside.
    pub unprivileged: bool,
    /// Whether it starts with the node.
    pub onboot: bool,
    /// Whether it is a template.
    pub template: bool,
    /// Operating system as PVE detected it, e.g. `debian`.
    pub ostype: Option<String>,
    /// Tags, sorted as PVE keeps them.
    pub tags: Vec<String>,
}

/// The root file system of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// The volume.
    pub volid: Volid,
    /// Size as PVE prints it, e.g. `4G`.
    pub size: Option<String>,
}

impl Rootfs {
    fn parse(text: &str) -> Option<Self> {
        let pairs = PropertyString::parse(text);
        Some(Self {
            volid: pairs.get_default("volume")?.parse().ok()?,
            size: pairs.get("size").map(str::to_owned),
        })
    }
}

/// Reads single keys of the raw map.
struct Keys<'a>(&'a BTreeMap<String, Value>);

impl Keys<'_> {
    fn text(&self, key: &str) -> Result<Option<String>, String> {
        self.read(key, lenient::opt_text)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.read(key, lenient::opt_u64)
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        self.read(key, lenient::flag)
    }

    fn read<T: Default>(
        &self,
        key: &str,
        read: impl Fn(Value) -> Result<T, serde_json::Error>,
    ) -> Result<T, String> {
        match self.0.get(key) {
            None => Ok(T::default()),
            Some(value) => read(value.clone()).map_err(|e| format!("{key}: {e}")),
        }
    }
}

impl LxcConfig {
    fn from_raw(raw: BTreeMap<String, Value>) -> Result<Self, String> {
        let digest = Keys(&raw).text("digest")?.ok_or("it has no digest")?;
        let digest = digest.parse().map_err(|e: NotADigest| e.to_string())?;
        Self::with_digest(raw, Some(digest))
    }

    /// What a snapshot holds: it has no file of its own, so no digest.
    pub(super) fn of_snapshot(raw: BTreeMap<String, Value>) -> Result<Self, String> {
        Self::with_digest(raw, None)
    }

    fn with_digest(
        raw: BTreeMap<String, Value>,
        digest: Option<ConfigDigest>,
    ) -> Result<Self, String> {
        let keys = Keys(&raw);
        let tags = keys.text("tags")?.unwrap_or_default();
        Ok(Self {
            digest,
            description: keys.text("description")?,
            hostname: keys.text("hostname")?,
            lock: keys.text("lock")?,
            protection: keys.flag("protection")?,
            net0: keys.text("net0")?.map(|text| NetDevice::parse(&text)),
            rootfs: keys.text("rootfs")?.and_then(|text| Rootfs::parse(&text)),
            memory_mib: keys.number("memory")?,
            swap_mib: keys.number("swap")?,
            cores: keys.number("cores")?,
            unprivileged: keys.flag("unprivileged")?,
            onboot: keys.flag("onboot")?,
            template: keys.flag("template")?,
            ostype: keys.text("ostype")?,
            tags: tags
                .split([';', ',', ' '])
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect(),
            raw,
        })
    }
}

impl ReadClient {
    /// A container's configuration.
    ///
    /// # Errors
    /// [`Error::is_missing_config`] if that node has none for this id: gone, never there, or on another node.
    pub async fn lxc_config(&self, node: &NodeName, vmid: Vmid) -> Result<LxcConfig> {
        let call = Call::get(&["nodes", node.as_str(), "lxc", &segment(vmid), "config"]);
        let name = call.name();
        let raw = self.get(call).await?;
        LxcConfig::from_raw(raw).map_err(|why| Error::Unreadable { call: name, why })
    }

    /// The same as it is in force now, with `env`: that Proxmox VE shows to those alone who may change a container's options, so the token
    /// that operates asks (`PVE::LXC::delete_read_restricted_options`). What waits for the next start is not in it.
    ///
    /// # Errors
    /// As [`ReadClient::lxc_config`].
    pub async fn lxc_config_whole(&self, node: &NodeName, vmid: Vmid) -> Result<LxcConfig> {
        let call = Call::get(&["nodes", node.as_str(), "lxc", &segment(vmid), "config"])
            .with("current", 1);
        let name = call.name();
        let raw = self.get(call).await?;
        LxcConfig::from_raw(raw).map_err(|why| Error::Unreadable { call: name, why })
    }
}

impl Client {
    /// Switches protection, if the configuration is still the one the digest was read from.
    ///
    /// Disruptive in the sense of the doctrine when it lifts protection. Works on running containers at once.
    ///
    /// # Errors
    /// [`Error::is_digest_mismatch`] if somebody else was faster.
    pub async fn set_protection(
        &self,
        node: &NodeName,
        vmid: Vmid,
        on: bool,
        digest: &ConfigDigest,
    ) -> Result<()> {
        let call = change_call(node, vmid, digest).with_flag("protection", on);
        self.change(call).await
    }

    /// Replaces the tags, if the configuration is still the one the digest was read from.
    ///
    /// PVE lower-cases, sorts and deduplicates them; a tag is an index for people, never a proof.
    ///
    /// # Errors
    /// [`Error::is_digest_mismatch`] if somebody else was faster.
    pub async fn set_tags(
        &self,
        node: &NodeName,
        vmid: Vmid,
        tags: &[String],
        digest: &ConfigDigest,
    ) -> Result<()> {
        let call = change_call(node, vmid, digest);
        let call = if tags.is_empty() {
            call.with("delete", "tags")
        } else {
            call.with("tags", tags.join(";"))
        };
        self.change(call).await
    }

    /// Changes options, of adopted containers and of ours, all of them or none, if the configuration is still the one the digest was read from.
    ///
    /// What a running container does not take at once waits for its next start.
    ///
    /// # Errors
    /// [`Error::is_digest_mismatch`] if somebody else was faster.
    pub async fn set_options(
        &self,
        node: &NodeName,
        vmid: Vmid,
        change: &OptionChange,
        digest: &ConfigDigest,
    ) -> Result<()> {
        let mut call = change_call(node, vmid, digest);
        for (key, value) in change.set() {
            call = call.with(key, value);
        }
        if !change.delete().is_empty() {
            call = call.with("delete", change.delete().join(","));
        }
        self.change(call).await
    }
}

pub(super) fn change_call(node: &NodeName, vmid: Vmid, digest: &ConfigDigest) -> Call {
    Call::put(&["nodes", node.as_str(), "lxc", &segment(vmid), "config"]).with("digest", digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<LxcConfig, String> {
        LxcConfig::from_raw(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_container_that_is_being_created_has_no_root_yet() {
        let config = read(json!({"digest": "ab", "lock": "create"})).unwrap();
        assert_eq!(config.lock.as_deref(), Some("create"));
        assert_eq!((config.rootfs, config.net0), (None, None));
    }

    #[test]
    fn a_root_that_is_no_volume_is_none_and_kept_raw() {
        let config = read(json!({"digest": "ab", "rootfs": "/mnt/x,size=1G"})).unwrap();
        assert_eq!(config.rootfs, None);
        assert_eq!(config.raw["rootfs"], "/mnt/x,size=1G");
    }

    #[test]
    fn a_configuration_without_digest_cannot_be_used() {
        assert!(read(json!({"hostname": "x"})).is_err());
        assert!(read(json!({"hostname": "x", "digest": ""})).is_err());
        let told = read(json!({"digest": "a".repeat(10_000)})).unwrap_err();
        assert!(told.len() < 200, "{}", told.len());
    }

    /// PVE would take an empty one for none, and change whatever there is.
    #[test]
    fn a_snapshot_has_no_digest_and_none_can_be_made_of_nothing() {
        let raw = serde_json::from_value(json!({"hostname": "x", "snaptime": 1})).unwrap();
        assert_eq!(LxcConfig::of_snapshot(raw).unwrap().digest, None);
        for text in ["", " ", "ab\n", "xyz"] {
            assert!(text.parse::<ConfigDigest>().is_err(), "{text:?}");
        }
        let digest = "0123456789abcdef0123456789abcdef01234567";
        let parsed: ConfigDigest = digest.parse().unwrap();
        assert_eq!(parsed.to_string(), digest);
    }
}
