//! Property strings that the schema knows by name only: which keys they have is in Proxmox VE's source.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::json;

use super::property_string::{PropertyMap, parse_at};
use super::table::Property;

type Keys = BTreeMap<String, Property>;

/// pve-guest-common, `PVE/VZDump/Common.pm`; pve-storage, `PVE/Storage/Plugin.pm`.
static REGISTERED: LazyLock<BTreeMap<&str, Keys>> = LazyLock::new(|| {
    let flag = json!({"type": "boolean", "optional": 1});
    let count = json!({"type": "integer", "optional": 1, "minimum": 0});
    let formats = [
        (
            "backup-fleecing",
            json!({
                "enabled": {"type": "boolean", "optional": 1, "default_key": 1},
                "storage": {"type": "string", "optional": 1, "format": "pve-storage-id"},
            }),
        ),
        (
            "backup-performance",
            json!({
                "max-workers": {"type": "integer", "optional": 1, "minimum": 1, "maximum": 256},
                "pbs-entries-max": {"type": "integer", "optional": 1, "minimum": 1},
            }),
        ),
        (
            "prune-backups",
            json!({
                "keep-all": flag, "keep-last": count, "keep-hourly": count, "keep-daily": count,
                "keep-weekly": count, "keep-monthly": count, "keep-yearly": count,
            }),
        ),
    ];
    let read = |keys| serde_json::from_value(keys).unwrap_or_default();
    formats.map(|(name, keys)| (name, read(keys))).into()
});

/// Checks a value; nothing if no property string has this name.
pub(super) fn check(format: &str, text: &str, path: &str) -> Option<Result<(), String>> {
    let keys = REGISTERED.get(format)?;
    Some(parse_at(keys, text, path).and_then(|values| agree(format, &values)))
}

/// What keys demand of one another.
fn agree(format: &str, values: &PropertyMap) -> Result<(), String> {
    let is_on = |name: &str| values.get(name).is_some_and(|value| value == "1");
    if format == "backup-fleecing" && is_on("enabled") && !values.contains_key("storage") {
        return Err("'storage' parameter is required when 'enabled' is set\n".to_owned());
    }
    let counts = values.iter().filter(|(name, _)| *name != "keep-all");
    let keeps = counts.filter(|(_, value)| *value != "0").count() > 0;
    if format == "prune-backups" && is_on("keep-all") && keeps {
        return Err("keep-all cannot be set together with other options.\n".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_property_strings_are_checked_by_their_keys() {
        let fits = |format, text| check(format, text, "x").unwrap();
        assert_eq!(fits("backup-fleecing", "0"), Ok(()));
        assert_eq!(fits("backup-fleecing", "1,storage=local"), Ok(()));
        assert_eq!(
            fits("backup-fleecing", "enabled=1").unwrap_err(),
            "'storage' parameter is required when 'enabled' is set\n"
        );
        assert!(fits("backup-fleecing", "a").is_err());
        assert!(fits("backup-performance", "max-workers=257").is_err());
        assert!(fits("backup-performance", "7").is_err());
        assert_eq!(fits("prune-backups", "keep-last=3,keep-yearly=0"), Ok(()));
        assert!(fits("prune-backups", "keep-never=3").is_err());
        assert_eq!(
            fits("prune-backups", "keep-all=1,keep-last=3").unwrap_err(),
            "keep-all cannot be set together with other options.\n"
        );
        assert_eq!(check("pve-node", "a", "x"), None);
    }
}
