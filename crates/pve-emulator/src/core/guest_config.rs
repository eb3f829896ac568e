//! A container's configuration file: keys, pending changes, digest, and the forms PVE brings values
//! into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::guest::{GuestInit, GuestNet, GuestSpec};
use super::random::Random;
use crate::schema::{Format, Method, PropertyMap, parse_property_string, parse_size, table};

/// A configuration as PVE stores it; all values are texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestConfig {
    pub(crate) keys: BTreeMap<String, String>,
    /// Changes that wait for the next start.
    pub(crate) pending: BTreeMap<String, String>,
    /// Keys to be removed at the next start.
    pub(crate) pending_delete: BTreeSet<String>,
    /// Lines for the container runtime itself.
    pub(crate) raw: Vec<(String, String)>,
}

impl GuestConfig {
    /// A value in force.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// A number in force, e.g. `memory`.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// A switch that is on.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// Size of the root file system, bytes; 4 GiB of one that has none.
    pub(crate) fn rootfs_bytes(&self) -> u64 {
        let size = self
            .get("rootfs")
            .and_then(|text| text.split(',').find_map(|part| part.strip_prefix("size=")));
        let size_bytes = size.and_then(parse_size).filter(|bytes| *bytes > 0);
        size_bytes.unwrap_or(4 << 30)
    }

    /// Volumes in force: key and value, the root file system first.
    pub(crate) fn volumes(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = self
            .keys
            .iter()
            .filter(|(key, value)| is_volume_key(key) && !value.starts_with('/'))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        found.sort_by_key(|(key, _)| volume_rank(key));
        found
    }

    /// All volumes a configuration names: those in force, those that wait for the next start, and the unused ones.
    pub(crate) fn all_volumes(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (key, value) in self.keys.iter().chain(&self.pending) {
            let volid = volume_of(value);
            let names = is_volume_key(key) || key.starts_with("unused");
            let made = !volid.starts_with('/') && new_disk(volid).is_none();
            if names && made && !found.iter().any(|known| known == volid) {
                found.push(volid.to_owned());
            }
        }
        found
    }

    /// Notes a volume nothing refers to any more; one that is mounted, or noted already, is not noted.
    pub(crate) fn add_unused(&mut self, volid: &str) {
        let free = (0..256)
            .map(|index| format!("unused{index}"))
            .find(|key| !self.keys.contains_key(key));
        let known = |(key, value): (&String, &String)| {
            (is_volume_key(key) && volume_of(value) == volid)
                || (key.starts_with("unused") && value == volid)
        };
        if let Some(key) = free.filter(|_| !self.keys.iter().any(known)) {
            self.keys.insert(key, volid.to_owned());
        }
    }

    /// The file's text; its SHA-1 is the digest.
    pub(crate) fn text(&self) -> String {
        let mut text = section(&self.keys, &self.raw);
        if !self.pending.is_empty() || !self.pending_delete.is_empty() {
            text.push_str("\n[pve:pending]\n");
            if !self.pending_delete.is_empty() {
                let keys: Vec<&str> = self.pending_delete.iter().map(String::as_str).collect();
                text.push_str(&format!("delete: {}\n", keys.join(",")));
            }
            text.push_str(&section(&self.pending, &[]));
        }
        text
    }

    /// SHA-1 of the file, hex.
    pub fn digest(&self) -> String {
        hex::encode(Sha1::digest(self.text().as_bytes()))
    }

    /// What `GET config` shows beside the digest: pending changes merged in unless `current`.
    pub(crate) fn shown(&self, current: bool) -> Map<String, Value> {
        let row = |(key, value): (&String, &String)| (key.clone(), typed(key, value));
        let mut shown: Map<String, Value> = self.keys.iter().map(row).collect();
        if !current {
            shown.extend(self.pending.iter().map(row));
            for key in &self.pending_delete {
                shown.remove(key);
            }
        }
        if !self.raw.is_empty() {
            shown.insert("lxc".into(), serde_json::json!(self.raw));
        }
        shown
    }

    /// What `GET pending` shows, with the digest of the file.
    pub(crate) fn changes(&self, digest: &str) -> Value {
        let names: BTreeSet<&String> = self.keys.keys().chain(self.pending.keys()).collect();
        let mut rows: Vec<Value> = names
            .into_iter()
            .map(|key| {
                let mut row = Map::from_iter([("key".to_owned(), Value::String(key.clone()))]);
                row.extend(
                    self.keys
                        .get(key)
                        .map(|value| ("value".to_owned(), typed(key, value))),
                );
                row.extend(
                    self.pending
                        .get(key)
                        .map(|value| ("pending".to_owned(), typed(key, value))),
                );
                row.extend(
                    self.pending_delete
                        .contains(key)
                        .then(|| ("delete".to_owned(), 1.into())),
                );
                Value::Object(row)
            })
            .collect();
        rows.push(serde_json::json!({"key": "digest", "value": digest}));
        Value::Array(rows)
    }

    /// What a backup keeps of it: neither locks nor snapshots nor what waits for a start.
    pub(crate) fn backed_up(&self) -> Self {
        let mut kept = Self {
            pending: BTreeMap::new(),
            pending_delete: BTreeSet::new(),
            ..self.clone()
        };
        kept.keys.remove("lock");
        kept.keys.remove("parent");
        kept
    }

    /// A change to the value in force is none, nor is the removal of what is not there.
    pub(crate) fn clean_pending(&mut self) {
        let Self {
            keys,
            pending,
            pending_delete,
            ..
        } = self;
        pending.retain(|key, value| keys.get(key) != Some(value));
        pending_delete.retain(|key| keys.contains_key(key));
    }

    /// What it runs, if it was made of an OCI image: only those have such a line for the container runtime.
    fn init(&self) -> Option<Box<GuestInit>> {
        let line = |name: &str| {
            let mut lines = self.raw.iter();
            lines.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        line("lxc.signal.halt")?;
        let folder = line("lxc.init.cwd").map_or("/", String::as_str);
        let env = self.get("env").unwrap_or_default();
        let init = GuestInit::of(self.get("entrypoint")?, env, folder);
        Some(Box::new(init))
    }

    /// What a driver needs to know.
    pub(crate) fn spec(&self, template: &str) -> GuestSpec {
        let cores = self.number("cores").and_then(|n| u32::try_from(n).ok());
        let limit = self
            .get("cpulimit")
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|limit| *limit > 0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let limit = limit.map(|limit| limit.ceil() as u32);
        GuestSpec {
            template: template.to_owned(),
            hostname: self.get("hostname").unwrap_or_default().to_owned(),
            memory_mib: self.number("memory").unwrap_or(512),
            cores: cores.into_iter().chain(limit).min(),
            unprivileged: self.flag("unprivileged"),
            nets: self
                .keys
                .iter()
                .filter_map(|(key, value)| net(key, value))
                .collect(),
            init: self.init(),
            login: None,
        }
    }
}

/// One section of the file: the description as comments, keys by name, lines for the container runtime.
pub(crate) fn section(keys: &BTreeMap<String, String>, raw: &[(String, String)]) -> String {
    let mut text = String::new();
    for line in keys
        .get("description")
        .into_iter()
        .flat_map(|description| description.lines())
    {
        text.push_str(&format!(
            "#{}\n",
            line.replace('%', "%25").replace(':', "%3A")
        ));
    }
    for (key, value) in keys.iter().filter(|(key, _)| *key != "description") {
        text.push_str(&format!("{key}: {value}\n"));
    }
    for (key, value) in raw {
        text.push_str(&format!("{key}: {value}\n"));
    }
    text
}

/// `rootfs` and `mp0` … name volumes.
pub(crate) fn is_volume_key(key: &str) -> bool {
    let index = key.strip_prefix("mp");
    key == "rootfs"
        || index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
}

/// In which order volumes come: the root file system first, then by number.
pub(crate) fn volume_rank(key: &str) -> Option<u32> {
    key.strip_prefix("mp").and_then(|index| index.parse().ok())
}

/// Bytes of so many GiB, in whole KiB as Proxmox VE counts them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn gib_bytes(gib: f64) -> u64 {
    ((gib * 1024.0) as u64).saturating_mul(1024 * 1024)
}

/// A root file system or mount point in the order of keys it is written in.
pub(crate) fn printed_volume(key: &str, value: &str) -> String {
    parse_keys(key, value).map_or_else(|_| value.to_owned(), |keys| print_keys(key, &keys))
}

/// `net0`, `net1` …
pub(crate) fn is_net_key(key: &str) -> bool {
    let index = key.strip_prefix("net");
    index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
}

/// What a mount point shows that shows no volume: `bind` a folder of the node, `device` a device.
pub(crate) fn mount_kind(volume: &str) -> Option<&'static str> {
    match volume {
        device if device.starts_with("/dev/") => Some("device"),
        path if path.starts_with('/') => Some("bind"),
        _ => None,
    }
}

/// The volume a value such as `local:100/vm-100-disk-0.raw,size=1G` names.
pub(crate) fn volume_of(value: &str) -> &str {
    let mut parts = value.split(',');
    let named = parts.clone().find_map(|part| part.strip_prefix("volume="));
    named.unwrap_or_else(|| parts.next().unwrap_or_default())
}

/// Storage and size in GiB of a volume that is to be made: `local:4`.
pub(crate) fn new_disk(volume: &str) -> Option<(&str, f64)> {
    let (storage, size) = volume.split_once(':')?;
    let (whole, part) = size.split_once('.').unwrap_or((size, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let named = !storage.is_empty() && !storage.contains(char::is_whitespace);
    let gib = size.parse().ok().filter(|_| digits(whole) && digits(part));
    gib.filter(|_| named).map(|gib| (storage, gib))
}

fn update_method() -> Option<&'static Method> {
    // Asked for each key of each configuration that is read.
    static METHOD: LazyLock<Option<&Method>> = LazyLock::new(|| {
        let found = table().lookup("PUT", "/nodes/n/lxc/100/config");
        found.map(|found| found.method)
    });
    *METHOD
}

/// Whether a container's configuration can have this key.
pub(crate) fn known_key(key: &str) -> bool {
    let foreign = ["node", "vmid", "delete", "revert", "digest"];
    !foreign.contains(&key) && update_method().is_some_and(|method| method.parameter(key).is_some())
}

/// Whole numbers and switches are shown as numbers, everything else as text.
fn typed(key: &str, value: &str) -> Value {
    let kind = update_method()
        .and_then(|method| method.parameter(key))
        .and_then(|property| property.kind.as_deref());
    match (kind, value.parse::<i64>()) {
        (Some("integer" | "boolean"), Ok(number)) => number.into(),
        _ => value.into(),
    }
}

/// Parses a value such as `net0` with the schema's keys for it; `Err` is PVE's text.
pub(crate) fn parse_keys(key: &str, value: &str) -> Result<PropertyMap, String> {
    match update_method()
        .and_then(|method| method.parameter(key))
        .and_then(|property| property.format.as_ref())
    {
        Some(Format::Keys(keys)) => parse_property_string(keys, value),
        Some(Format::Named(_)) | None => Err(format!("'{key}' is no property string\n")),
    }
}

fn print_keys(key: &str, values: &PropertyMap) -> String {
    let format = update_method()
        .and_then(|method| method.parameter(key))
        .and_then(|property| property.format.as_ref());
    let Some(Format::Keys(keys)) = format else {
        return String::new();
    };
    // The default key comes first and bare, then what must be there, then the rest, each in
    // alphabetical order.
    let rank = |name: &str| {
        keys.get(name)
            .map_or((false, true), |p| (!p.default_key, p.optional))
    };
    let mut names: Vec<&String> = values.keys().collect();
    names.sort_by_key(|name| (rank(name), *name));
    let parts: Vec<String> = names
        .into_iter()
        .map(|name| match keys.get(name) {
            Some(property) if property.default_key => values[name].clone(),
            Some(_) | None => format!("{name}={}", values[name]),
        })
        .collect();
    parts.join(",")
}

/// A network device with address and type filled in, in PVE's order of keys.
pub(crate) fn normal_net(key: &str, value: &str, random: &mut Random) -> Result<String, String> {
    let mut keys = parse_keys(key, value)?;
    keys.entry("hwaddr".into()).or_insert_with(|| random.mac());
    keys.entry("type".into()).or_insert_with(|| "veth".into());
    Ok(print_keys(key, &keys))
}

/// A root file system or mount point with its volume and size.
pub(crate) fn normal_volume(
    key: &str,
    value: &str,
    volid: &str,
    size: &str,
) -> Result<String, String> {
    let mut keys = parse_keys(key, value)?;
    keys.insert("volume".into(), volid.to_owned());
    keys.insert("size".into(), size.to_owned());
    Ok(print_keys(key, &keys))
}

/// Weight of a container's programs, at most what the kernel's second control groups know.
pub(crate) fn clamped_units(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(units) => units.min(10_000).to_string(),
        Err(_) => value.to_owned(),
    }
}

/// Each line ended by a newline, empty lines at the end dropped; empty means no description.
pub(crate) fn normal_description(value: &str) -> String {
    let lines = value.trim_end_matches('\n');
    if lines.is_empty() {
        String::new()
    } else {
        format!("{lines}\n")
    }
}

fn net(key: &str, value: &str) -> Option<(u8, GuestNet)> {
    let index = key.strip_prefix("net")?.parse().ok()?;
    let mut keys = parse_keys(key, value).ok()?;
    Some((
        index,
        GuestNet {
            name: keys.remove("name").unwrap_or_default(),
            hwaddr: keys.remove("hwaddr").unwrap_or_default().to_uppercase(),
            bridge: keys.remove("bridge").unwrap_or_default(),
            ip: keys.remove("ip"),
            gw: keys.remove("gw"),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_are_printed_in_pve_order() {
        let net = normal_net(
            "net0",
            "ip=10.0.0.2/24,gw=10.0.0.1,bridge=vmbr0,name=eth0,hwaddr=BC:24:11:00:00:01",
            &mut Random::seeded(1),
        );
        assert_eq!(
            net.unwrap(),
            "name=eth0,bridge=vmbr0,gw=10.0.0.1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.2/24,type=veth"
        );
        let generated = normal_net("net0", "name=eth0", &mut Random::seeded(1)).unwrap();
        assert!(generated.contains("hwaddr=BC:24:11:"), "{generated}");
    }

    #[test]
    fn tags_and_descriptions_take_their_normal_form() {
        assert_eq!(normal_description("first\nsecond"), "first\nsecond\n");
        assert_eq!(normal_description("x\n\n"), "x\n");
        assert_eq!(normal_description("\n"), "");
    }

    #[test]
    fn volumes_keep_their_options() {
        let rootfs = normal_volume(
            "rootfs",
            "local:4,acl=1",
            "local:100/vm-100-disk-0.raw",
            "4G",
        )
        .unwrap();
        assert_eq!(rootfs, "local:100/vm-100-disk-0.raw,acl=1,size=4G");
    }

    #[test]
    fn a_volume_to_be_made_has_a_size_in_place_of_a_name() {
        assert_eq!(new_disk("local:4"), Some(("local", 4.0)));
        assert_eq!(new_disk("local:0.5"), Some(("local", 0.5)));
        for other in [
            "4",
            "local:",
            "local:4.",
            "local:1e3",
            ":4",
            "local:100/a.raw",
        ] {
            assert_eq!(new_disk(other), None, "{other}");
        }
    }

    #[test]
    fn what_waits_for_the_next_start_is_shown_unless_it_is_asked_without() {
        let mut config = GuestConfig::default();
        let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        config.keys = texts(&[("hostname", "web"), ("cores", "2"), ("swap", "64")]);
        config.pending = texts(&[("cores", "4"), ("memory", "128")]);
        config.pending_delete.insert("swap".to_owned());
        let shown = |current| Value::Object(config.shown(current));
        let merged = serde_json::json!({"hostname": "web", "cores": 4, "memory": 128});
        assert_eq!(shown(false), merged);
        let in_force = serde_json::json!({"hostname": "web", "cores": 2, "swap": 64});
        assert_eq!(shown(true), in_force);
    }

    #[test]
    fn the_digest_follows_every_change() {
        let mut config = GuestConfig::default();
        let empty = config.digest();
        assert_eq!(empty, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        config.pending.insert("nameserver".into(), "1.1.1.1".into());
        assert_ne!(config.digest(), empty);
    }
}
