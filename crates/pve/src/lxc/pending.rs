//! What was changed in a configuration and waits for the next start.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;

use super::segment;
use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// One key of a configuration, as it is and as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PendingKey {
    /// The key, e.g. `memory`.
    #[serde(deserialize_with = "lenient::text")]
    pub key: String,
    /// Its value now, if it has one.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub value: Option<String>,
    /// Its value after the next start, if that differs.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub pending: Option<String>,
    /// Whether it goes with the next start. PVE says 2 for "by force".
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    delete: Option<u64>,
}

impl PendingKey {
    /// Whether the next start takes the key away.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.delete.is_some_and(|delete| delete > 0)
    }

    /// Whether the next start changes anything about it.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.pending.is_some() || self.is_deleted()
    }
}

impl ReadClient {
    /// All keys of a container's configuration, with what waits for the next start.
    ///
    /// # Errors
    /// [`crate::Error::is_missing_config`] if that node does not have it.
    pub async fn lxc_pending(&self, node: &NodeName, vmid: Vmid) -> Result<Vec<PendingKey>> {
        let call = Call::get(&["nodes", node.as_str(), "lxc", &segment(vmid), "pending"]);
        let mut keys: Vec<PendingKey> = self.get(call).await?;
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_waits_for_another_value_or_for_its_end() {
        let read = |value| serde_json::from_value::<PendingKey>(value).unwrap();
        let changed = read(json!({"key": "cores", "value": 1, "pending": 2}));
        assert_eq!(changed.pending.as_deref(), Some("2"));
        assert!(changed.waits() && !changed.is_deleted());
        for delete in [json!(1), json!("1"), json!(2)] {
            let gone = read(json!({"key": "nameserver", "value": "10.0.0.1", "delete": delete}));
            assert!(gone.waits() && gone.is_deleted(), "{gone:?}");
        }
        assert!(!read(json!({"key": "cores", "value": 1, "delete": 0})).waits());
    }
}
