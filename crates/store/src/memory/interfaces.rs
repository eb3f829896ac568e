//! Network devices of guests as they were seen last.

use proximity_domain::ids::GuestId;
use proximity_domain::interface::GuestInterface;
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::interfaces::SeenInterfaces;

impl State {
    pub(crate) fn note_interfaces(
        &mut self,
        guest: GuestId,
        interfaces: &[GuestInterface],
        now: Timestamp,
    ) -> bool {
        let is_new = |seen: &SeenInterfaces| seen.interfaces != interfaces;
        let known = self.guests.get(&guest);
        let known = known.filter(|row| row.gone_at.is_none());
        if !known.is_some_and(|row| row.interfaces.as_ref().is_none_or(is_new)) {
            return false;
        }
        if let Some(row) = self.guests.row(&guest) {
            row.interfaces = Some(SeenInterfaces {
                interfaces: interfaces.to_vec(),
                since: now,
            });
        }
        true
    }

    pub(crate) fn interfaces(&self, guest: GuestId) -> Option<SeenInterfaces> {
        self.guests.get(&guest)?.interfaces.clone()
    }
}
