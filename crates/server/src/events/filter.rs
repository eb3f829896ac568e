//! Which events a caller gets: what it asked for, of what it may see.

use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};

use super::told::ToldEvent;

/// A filter. The default lets everything through.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventFilter {
    pub(crate) app: Option<AppId>,
    pub(crate) operation: Option<OperationId>,
    /// Empty: all kinds.
    pub(crate) kinds: Vec<EventKind>,
    /// Only of apps of this account, and what is about no app.
    pub(crate) account: Option<String>,
}

impl EventFilter {
    /// Everything passes.
    pub(crate) fn is_open(&self) -> bool {
        self.app.is_none()
            && self.operation.is_none()
            && self.kinds.is_empty()
            && self.account.is_none()
    }

    pub(crate) fn lets(&self, event: &ToldEvent) -> bool {
        self.app.is_none_or(|app| event.app == Some(app))
            && self.operation.is_none_or(|id| event.operation == Some(id))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.may_see(event)
    }

    fn may_see(&self, event: &ToldEvent) -> bool {
        match (&self.account, event.app) {
            (None, _) => true,
            // It names apps, whosever they are.
            (Some(_), None) if event.kind == EventKind::OrphansSuspected => false,
            // Host entries: whoever may read may list them.
            (Some(_), None) => true,
            (Some(account), Some(_)) => event.owner.as_deref() == Some(account),
        }
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp;
    use proximity_store::effects::NewEvent;
    use serde_json::Value;

    use super::*;

    fn told(kind: EventKind, app: Option<AppId>, owner: Option<&str>) -> ToldEvent {
        let event = NewEvent {
            kind,
            body: Value::Null,
        };
        ToldEvent::new((1, Timestamp(0), event, app, None), owner.map(Into::into))
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
}
