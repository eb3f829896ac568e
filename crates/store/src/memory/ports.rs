//! Port pairs: taken with the app, given back with its archive.

use std::collections::BTreeMap;

use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::ports::{FreedAt, PortPair, PortRange, choose};
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::state::{Port, PortUse, State};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::views::{FreedPort, PortSide, PortsView};

impl Port {
    pub(crate) fn holder(&self) -> Option<AppId> {
        match self.use_of {
            PortUse::Held(app) => Some(app),
            PortUse::Free { .. } => None,
        }
    }

    fn rests(&self, now: Timestamp) -> bool {
        match self.use_of {
            PortUse::Held(_) => false,
            PortUse::Free { rests_until, .. } => rests_until.is_some_and(|until| until > now),
        }
    }
}

impl State {
    /// Takes a pair for `app`.
    pub(crate) fn take_ports(
        &mut self,
        app: AppId,
        now: Timestamp,
    ) -> Result<PortPair, StoreError> {
        let public = self.take_port(PortSide::Public, self.public, app, now)?;
        // Ranges may overlap: what is taken for one side is gone for the other.
        let internal = self.take_port(PortSide::Internal, self.internal, app, now)?;
        Ok(PortPair { public, internal })
    }

    fn take_port(
        &mut self,
        side: PortSide,
        range: PortRange,
        app: AppId,
        now: Timestamp,
    ) -> Result<u16, StoreError> {
        let port = self.free_port(range, now)?;
        let use_of = PortUse::Held(app);
        self.ports.put(port, Port { side, use_of });
        Ok(port)
    }

    fn free_port(&self, range: PortRange, now: Timestamp) -> Result<u16, StoreError> {
        let (mut held, mut resting) = (Vec::new(), Vec::new());
        let mut freed = FreedAt::new();
        for (number, port) in self.ports.iter().filter(|(n, _)| range.contains(**n)) {
            match port.use_of {
                PortUse::Held(_) => held.push(*number),
                PortUse::Free { .. } if port.rests(now) => resting.push(*number),
                PortUse::Free { since, .. } => {
                    freed.insert(*number, since);
                }
            }
        }
        let out: Vec<u16> = held.iter().chain(&resting).copied().collect();
        choose(range, &out, &freed).ok_or_else(|| StoreError::PortsExhausted {
            range: format!("{}-{}", range.first, range.last),
            held: held.len(),
            resting,
        })
    }

    /// Gives a pair back.
    pub(crate) fn free_ports(&mut self, pair: PortPair, rest_ms: Option<i64>, now: Timestamp) {
        for number in [pair.public, pair.internal] {
            if let Some(port) = self.ports.row(&number) {
                port.use_of = PortUse::Free {
                    since: now,
                    rests_until: rest_ms.map(|rest| Timestamp(now.0.saturating_add(rest))),
                };
            }
        }
    }

    /// Ends the rest of all ports, or of one; gives those whose rest has ended.
    pub(crate) fn end_port_rest(
        &mut self,
        wanted: Option<u16>,
        actor: &Actor,
        now: Timestamp,
    ) -> Vec<u16> {
        let resting = self.ports.iter().filter(|(number, port)| {
            port.rests(now) && wanted.is_none_or(|wanted| wanted == **number)
        });
        let ended: Vec<u16> = resting.map(|(number, _)| *number).collect();
        if ended.is_empty() {
            return ended;
        }
        for number in &ended {
            if let Some(Port {
                use_of: PortUse::Free { rests_until, .. },
                ..
            }) = self.ports.row(number)
            {
                *rests_until = None;
            }
        }
        let body = json!({ "ports": ended });
        let event = NewEvent {
            kind: EventKind::PortsFreed,
            body: body.clone(),
        };
        self.add_event(&event, None, None, now);
        self.add_audit(actor, Act::request("ports.free", "ports", body), now);
        ended
    }

    pub(crate) fn ports_view(&self) -> PortsView {
        let mut pairs: BTreeMap<u16, (AppId, PortPair)> = BTreeMap::new();
        let mut freed = Vec::new();
        for (number, port) in self.ports.iter() {
            match port.use_of {
                PortUse::Held(app) => {
                    let pair = self.apps.get(&app).and_then(|app| app.ports);
                    if let Some(pair) = pair {
                        pairs.insert(pair.public, (app, pair));
                    }
                }
                PortUse::Free { since, rests_until } => freed.push(FreedPort {
                    port: *number,
                    side: port.side,
                    freed_at: since,
                    rests_until,
                }),
            }
        }
        freed.sort_by_key(|port| (port.freed_at, port.port));
        PortsView {
            public: self.public,
            internal: self.internal,
            held: pairs.into_values().collect(),
            freed,
        }
    }
}
