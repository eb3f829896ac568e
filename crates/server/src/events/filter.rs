//! Which events a caller gets: what it asked for, of what it may see.

use jiff::Timestamp;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::resource::ResourceId;
use serde_json::Value;

use super::told::ToldEvent;

/// A filter. The default lets everything through.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventFilter {
    pub(crate) app: Option<AppId>,
    pub(crate) operation: Option<OperationId>,
    /// Empty: all kinds.
    pub(crate) kinds: Vec<EventKind>,
    pub(crate) resource: Option<ResourceId>,
    /// Only of this moment or later.
    pub(crate) since: Option<Timestamp>,
    /// Nothing of what the clusters have: that is everybody's.
    pub(crate) hides_clusters: bool,
    /// Only of apps of this account, and what is about no app.
    pub(crate) account: Option<String>,
}

impl EventFilter {
    /// Everything passes.
    pub(crate) fn is_open(&self) -> bool {
        self.app.is_none()
            && self.operation.is_none()
            && self.kinds.is_empty()
            && self.resource.is_none()
            && self.since.is_none()
            && !self.hides_clusters
            && self.account.is_none()
    }

    pub(crate) fn lets(&self, event: &ToldEvent) -> bool {
        self.app.is_none_or(|app| event.app == Some(app))
            && self.operation.is_none_or(|id| event.operation == Some(id))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.resource.is_none_or(|id| is_of(event, id))
            && self.since.is_none_or(|since| event.wire.at >= since)
            && self.may_see(event)
    }

    fn may_see(&self, event: &ToldEvent) -> bool {
        if self.hides_clusters && event.kind.is_of_clusters() {
            return false;
        }
        match (&self.account, event.app) {
            (None, _) => true,
            // It names apps, whosever they are.
            (Some(_), None)
                if matches!(
                    event.kind,
                    EventKind::OrphansSuspected | EventKind::RevisionRejected
                ) =>
            {
                false
            }
            // Host entries: whoever may read may list them.
            (Some(_), None) => true,
            (Some(account), Some(_)) => event.owner.as_deref() == Some(account),
        }
    }
}

fn is_of(event: &ToldEvent, id: ResourceId) -> bool {
    let said = event.wire.body.get("resource").and_then(Value::as_str);
    said.is_some_and(|said| said == id.to_string())
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp as Moment;
    use proximity_store::effects::NewEvent;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn told(kind: EventKind, app: Option<AppId>, owner: Option<&str>) -> ToldEvent {
        let event = NewEvent {
            kind,
            body: Value::Null,
        };
        ToldEvent::new((1, Moment(0), event, app, None), owner.map(Into::into))
    }

    #[test]
    fn another_accounts_app_is_not_seen_and_an_unknown_owner_is_another() {
        let app: AppId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let filter = EventFilter {
            account: Some("robot".to_owned()),
            ..EventFilter::default()
        };
        let of = |owner| filter.lets(&told(EventKind::AppStarted, Some(app), owner));
        assert!(of(Some("robot")));
        assert!(!of(Some("admin")));
        assert!(!of(None));
        assert!(filter.lets(&told(EventKind::HostAdded, None, None)));
        let many = told(EventKind::OrphansSuspected, None, None);
        assert!(!filter.lets(&many), "it names the apps of others");
        let among = |owner| filter.lets(&told(EventKind::OrphanAmongMany, Some(app), owner));
        assert!(among(Some("robot")) && !among(Some("admin")), "its own");
        let all = EventFilter::default();
        assert!(all.lets(&many));
        assert!(all.lets(&told(EventKind::AppStarted, Some(app), Some("admin"))));
    }

    #[test]
    fn kinds_narrow_only_when_there_are_some() {
        let filter = EventFilter {
            kinds: vec![EventKind::HostAdded],
            ..EventFilter::default()
        };
        assert!(filter.lets(&told(EventKind::HostAdded, None, None)));
        assert!(!filter.lets(&told(EventKind::HostRemoved, None, None)));
    }

    fn of_resource(at: i64, resource: ResourceId) -> ToldEvent {
        let event = NewEvent {
            kind: EventKind::ResourceUpdated,
            body: json!({ "resource": resource.to_string() }),
        };
        ToldEvent::new((1, Moment(at), event, None, None), None)
    }

    #[test]
    fn what_the_clusters_have_is_for_who_may_look_at_them() {
        let resource = ResourceId(Uuid::from_u128(1));
        let filter = EventFilter {
            hides_clusters: true,
            ..EventFilter::default()
        };
        assert!(!filter.is_open());
        assert!(!filter.lets(&of_resource(0, resource)));
        assert!(!filter.lets(&told(EventKind::ReconciliationCompleted, None, None)));
        assert!(filter.lets(&told(EventKind::HostAdded, None, None)));
        assert!(EventFilter::default().lets(&of_resource(0, resource)));
    }

    #[test]
    fn a_resource_and_a_moment_narrow() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let filter = EventFilter {
            resource: Some(ResourceId(one)),
            since: Some(Timestamp::from_millisecond(5).unwrap()),
            ..EventFilter::default()
        };
        assert!(!filter.is_open());
        assert!(filter.lets(&of_resource(5, ResourceId(one))));
        assert!(!filter.lets(&of_resource(4, ResourceId(one))), "before it");
        assert!(!filter.lets(&of_resource(5, ResourceId(other))));
        assert!(!filter.lets(&told(EventKind::HostAdded, None, None)));
    }
}
