//! The end of what is recorded on a node that a person gives up.

use proximity_domain::event::EventKind;
use proximity_domain::ids::GuestId;
use proximity_domain::time::Timestamp;

use super::hosts::no_host;
use super::state::State;
use crate::error::StoreError;
use crate::journal::Act;
use crate::lost::{ACTION, FORGET, NodeLost};
use crate::orphans::Ending;

impl State {
    pub(crate) fn lose_node(
        &mut self,
        lost: &NodeLost,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.recorded_on_node(lost) != lost.recorded {
            return Ok(false);
        }
        let mut judged = Vec::with_capacity(lost.apps.len());
        for orphan in &lost.apps {
            match self.still_judged(orphan) {
                Some(stuck) => judged.push((orphan, stuck)),
                None => return Ok(false),
            }
        }
        let label = lost.host.label.as_str();
        let act = Act::request(ACTION, label, lost.details());
        self.add_audit(&lost.actor, act, now);
        for (orphan, stuck) in judged {
            self.end_record(orphan, stuck, Ending::said_lost(), now)?;
        }
        if lost.is_forgotten {
            self.forget_node(lost, now)?;
        }
        Ok(true)
    }

    fn recorded_on_node(&self, lost: &NodeLost) -> Vec<GuestId> {
        let there = self.present().filter(|guest| {
            let place = guest.guest.place();
            place.host == lost.host.id && place.node == lost.node
        });
        let mut guests: Vec<GuestId> = there.map(|guest| guest.guest.id()).collect();
        guests.sort_unstable();
        guests
    }

    fn forget_node(&mut self, lost: &NodeLost, now: Timestamp) -> Result<(), StoreError> {
        let Some(known) = self.hosts.get(&lost.host.id) else {
            return Err(no_host(lost.host.id));
        };
        let mut host = lost.host.clone();
        host.created_at = known.created_at;
        let kind = EventKind::HostNodeForgotten;
        self.announce_host(kind, FORGET, &lost.host, &lost.actor, now);
        self.hosts.put(host.id, host);
        Ok(())
    }
}
