//! What a change of a resource is told as: an event of bounded size, whatever its state holds.

use serde_json::{Value, json};

use super::{FieldChange, Follows, Found, Now, ResourceState, SnapshotChange, differences};
use crate::event::EventKind;

/// Fields that one event tells of at most; the others are counted.
const FIELDS: usize = 32;
/// Longest name of a field, and longest value as JSON, characters; what is longer is cut off there.
const LONGEST: usize = 200;

/// The cluster that has the resource, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfCluster {
    /// The label of its host entry.
    pub host: String,
    /// What tells it from other clusters.
    pub cluster_key: String,
}

impl SnapshotChange {
    /// What it is told as.
    #[must_use]
    pub fn event(self) -> EventKind {
        match self {
            Self::Created | Self::Discovered => EventKind::ResourceDiscovered,
            Self::Updated => EventKind::ResourceUpdated,
            Self::Deleted => EventKind::ResourceDeleted,
        }
    }
}

impl Follows {
    /// The event of this, which makes the resource's snapshot number `snapshot`; `now` is what was on record before. `None`: nothing
    /// has happened.
    #[must_use]
    pub fn told(
        &self,
        found: &Found,
        now: Option<Now<'_>>,
        cluster: &OfCluster,
        snapshot: i64,
    ) -> Option<(EventKind, Value)> {
        let change = self.change?;
        let state = self.state.as_of(change == SnapshotChange::Deleted);
        let changes = match now {
            Some(now) => differences(&now.state.as_of(now.is_gone), &state),
            // It is new as a whole, and its snapshot has all of it.
            None => Vec::new(),
        };
        let key = found.key();
        let body = json!({
            "resource": found.id().to_string(),
            "host": cluster.host,
            "cluster_key": cluster.cluster_key,
            "kind": key.kind.label(),
            "key": cut(&key.name),
            "name": state.name().map(cut),
            "status": cut(state.status()),
            "change": change.label(),
            "snapshot": snapshot,
            "changes": changes.iter().take(FIELDS).map(field).collect::<Vec<_>>(),
            "more_changes": changes.len().saturating_sub(FIELDS),
        });
        Some((change.event(), body))
    }
}

impl ResourceState {
    /// As it is told: of what is gone the status says so.
    fn as_of(&self, is_gone: bool) -> Self {
        match is_gone {
            true => self.of_gone(),
            false => self.clone(),
        }
    }
}

fn field(change: &FieldChange) -> Value {
    let FieldChange { field, from, to } = change;
    json!({
        "field": cut(field),
        "from": from.as_ref().map(short),
        "to": to.as_ref().map(short),
    })
}

/// A value, or the beginning of a long one as text.
fn short(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    };
    match value {
        Value::String(_) => Value::from(text),
        // Nothing was cut off.
        other if !text.ends_with(CUT) => other.clone(),
        _ => Value::from(text),
    }
}

/// What stands where a text was cut off.
const CUT: char = '…';

fn cut(text: &str) -> String {
    let mut left = text.chars();
    let mut kept: String = left.by_ref().take(LONGEST).collect();
    if left.next().is_some() {
        kept.push(CUT);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::ids::{HostId, Vmid};

    fn cluster() -> OfCluster {
        OfCluster {
            host: "lab".to_owned(),
            cluster_key: "cluster:lab".to_owned(),
        }
    }

    fn found(config: &BTreeMap<String, Value>) -> Found {
        let vmid = Vmid::try_from(101).unwrap();
        Found::configured(HostId(Uuid::from_u128(1)), vmid, config)
    }

    fn follows(change: Option<SnapshotChange>, state: ResourceState) -> Follows {
        Follows { change, state }
    }

    fn state(status: &str, name: &str) -> ResourceState {
        ResourceState::of([("status", json!(status)), ("name", json!(name))])
    }

    fn told(of: &Follows, now: Option<Now<'_>>) -> (EventKind, Value) {
        let told = of.told(&found(&BTreeMap::new()), now, &cluster(), 7);
        told.unwrap()
    }

    #[test]
    fn a_change_says_what_it_is_of_and_which_fields_differ() {
        let before = state("running", "web");
        let now = Now {
            state: &before,
            is_gone: false,
        };
        let updated = follows(Some(SnapshotChange::Updated), state("stopped", "web"));
        let (kind, body) = told(&updated, Some(now));
        assert_eq!(kind, EventKind::ResourceUpdated);
        let id = found(&BTreeMap::new()).id().to_string();
        let expected = json!({
            "resource": id, "host": "lab", "cluster_key": "cluster:lab", "kind": "container", "key": "101", "name": "web",
            "status": "stopped", "change": "updated", "snapshot": 7, "more_changes": 0,
            "changes": [{"field": "status", "from": "running", "to": "stopped"}],
        });
        assert_eq!(body, expected);
        let mut fields: Vec<_> = kind.spec().fields.to_vec();
        fields.sort_unstable();
        let mut told: Vec<_> = body.as_object().unwrap().keys().collect();
        told.sort_unstable();
        assert_eq!(told, fields);
    }

    #[test]
    fn what_is_new_tells_no_fields_and_what_went_and_came_tells_its_status() {
        let web = state("running", "web");
        let (kind, body) = told(
            &follows(Some(SnapshotChange::Discovered), web.clone()),
            None,
        );
        assert_eq!(kind, EventKind::ResourceDiscovered);
        assert_eq!(
            (&body["change"], &body["changes"]),
            (&json!("discovered"), &json!([]))
        );
        let there = |is_gone| {
            Some(Now {
                state: &web,
                is_gone,
            })
        };
        let gone = follows(Some(SnapshotChange::Deleted), web.clone());
        let (kind, body) = told(&gone, there(false));
        assert_eq!(kind, EventKind::ResourceDeleted);
        let went = json!([{"field": "status", "from": "running", "to": "gone"}]);
        assert_eq!((&body["status"], &body["changes"]), (&json!("gone"), &went));
        let (kind, body) = told(
            &follows(Some(SnapshotChange::Created), web.clone()),
            there(true),
        );
        assert_eq!(kind, EventKind::ResourceDiscovered);
        let came = json!([{"field": "status", "from": "gone", "to": "running"}]);
        assert_eq!(
            (&body["change"], &body["changes"]),
            (&json!("created"), &came)
        );
    }

    #[test]
    fn what_is_only_told_whole_by_now_is_no_event() {
        let completed = follows(None, state("running", "web"));
        let told = completed.told(&found(&BTreeMap::new()), None, &cluster(), 1);
        assert_eq!(told, None);
    }

    proptest! {
        /// Whatever a configuration holds, an event of its change stays small, and says how much it leaves out.
        #[test]
        fn an_event_is_of_bounded_size(
            fields in proptest::collection::btree_map("[a-z]{1,300}", "\\PC{0,600}", 0..80),
        ) {
            let config: BTreeMap<String, Value> =
                fields.into_iter().map(|(key, text)| (key, Value::from(text))).collect();
            let after = ResourceState::of_config(&config);
            let nothing = ResourceState::default();
            let now = Now { state: &nothing, is_gone: false };
            let differ = differences(&nothing, &after).len();
            let updated = follows(Some(SnapshotChange::Updated), after);
            let (_, body) = told(&updated, Some(now));
            let changes = body["changes"].as_array().unwrap();
            prop_assert_eq!(changes.len() + usize::try_from(body["more_changes"].as_u64().unwrap()).unwrap(), differ);
            prop_assert!(changes.len() <= FIELDS);
            for change in changes {
                for text in [&change["field"], &change["to"]] {
                    prop_assert!(text.as_str().is_none_or(|text| text.chars().count() <= LONGEST + 1));
                }
            }
        }
    }
}
