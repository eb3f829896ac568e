//! Prepared templates.

use proximity_domain::ids::{GuestId, HostId, PreparedId, Vmid};
use proximity_domain::names::Volid;
use proximity_domain::prepared::{BaseKey, Clones, Kept, Prepared, Sent, Spot, Stage};
use proximity_domain::time::Timestamp;

use super::state::{CloneOf, State, Template};
use crate::error::StoreError;
use crate::prepared::{
    advances, base_there, learns, no_host, no_template, number_held, refuse_begun, refuse_needed,
    same_template,
};

impl State {
    pub(crate) fn count_base(&mut self, spot: &Spot, key: &BaseKey, now: Timestamp) -> u32 {
        let at = (spot.clone(), key.clone());
        let before = self.bases.get(&at).map_or(0, |(deploys, _)| *deploys);
        let deploys = before.saturating_add(1);
        self.bases.put(at, (deploys, now));
        deploys
    }

    pub(crate) fn record_prepared(&mut self, prepared: &Prepared) -> Result<(), StoreError> {
        refuse_begun(prepared)?;
        let spot = &prepared.spot;
        if !self.hosts.contains_key(&spot.host) {
            return Err(no_host(spot.host));
        }
        let is_twin =
            |one: &Prepared| one.id == prepared.id || one.identity.mark == prepared.identity.mark;
        if self.templates.values().any(|one| is_twin(&one.prepared)) {
            return Err(same_template(prepared.id));
        }
        if self.is_held(spot.host, prepared.identity.vmid) {
            return Err(number_held(prepared.identity.vmid));
        }
        let key = prepared.base.key();
        let is_there = |one: &Prepared| {
            one.stage != Stage::Leaving && one.spot == *spot && one.base.key() == key
        };
        if self.templates.values().any(|one| is_there(&one.prepared)) {
            return Err(base_there(&key));
        }
        let fresh = Template {
            prepared: prepared.clone(),
            sent: None,
            gone_at: None,
        };
        self.templates.put(prepared.id, fresh);
        Ok(())
    }

    pub(crate) fn advance_prepared(
        &mut self,
        id: PreparedId,
        from: Stage,
        to: Stage,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let prepared = self.template(id)?;
        if !advances(prepared, from, to)? {
            return Ok(false);
        }
        prepared.stage = to;
        prepared.stage_at = now;
        Ok(true)
    }

    pub(crate) fn learn_prepared(
        &mut self,
        id: PreparedId,
        stage: Stage,
        rootfs_volid: &Volid,
    ) -> Result<bool, StoreError> {
        let prepared = self.template(id)?;
        if !learns(prepared, stage, rootfs_volid)? {
            return Ok(false);
        }
        prepared.identity.rootfs_volid = Some(rootfs_volid.clone());
        Ok(true)
    }

    pub(crate) fn note_clone(
        &mut self,
        template: PreparedId,
        guest: GuestId,
        linked: bool,
        now: Timestamp,
    ) -> bool {
        let known = self.guests.get(&guest);
        let new = known.filter(|one| one.gone_at.is_none() && one.guest.rootfs_volid().is_none());
        let Some(host) = new.map(|one| one.guest.place().host) else {
            return false;
        };
        let wanted = CloneOf { template, linked };
        if let Some(noted) = self.clones.get(&guest) {
            return *noted == wanted;
        }
        let Ok(prepared) = self.template(template) else {
            return false;
        };
        if prepared.stage != Stage::Ready || prepared.spot.host != host {
            return false;
        }
        prepared.used_at = Some(now);
        self.clones.put(guest, wanted);
        true
    }

    pub(crate) fn note_template_call(
        &mut self,
        id: PreparedId,
        sent: Option<Sent>,
    ) -> Result<(), StoreError> {
        let found = self.templates.row(&id).filter(|one| one.gone_at.is_none());
        found.ok_or_else(|| no_template(id))?.sent = sent;
        Ok(())
    }

    pub(crate) fn end_prepared(
        &mut self,
        id: PreparedId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let prepared = self.template(id)?.clone();
        let clones = self.clones_of(id);
        let sent = None;
        refuse_needed(&Kept {
            prepared,
            clones,
            sent,
        })?;
        if let Some(template) = self.templates.row(&id) {
            template.gone_at = Some(now);
        }
        Ok(())
    }

    pub(crate) fn all_prepared(&self) -> Vec<Kept> {
        let there = self.templates.values().filter(|one| one.gone_at.is_none());
        let kept = |one: &Template| Kept {
            prepared: one.prepared.clone(),
            clones: self.clones_of(one.prepared.id),
            sent: one.sent,
        };
        there.map(kept).collect()
    }

    /// Whether a template that is not gone has this number.
    pub(crate) fn is_templates(&self, host: HostId, vmid: Vmid) -> bool {
        let mut there = self.templates.values().filter(|one| one.gone_at.is_none());
        there.any(|one| {
            let prepared = &one.prepared;
            (prepared.spot.host, prepared.identity.vmid) == (host, vmid)
        })
    }

    /// How many templates that are not gone are on a cluster.
    pub(crate) fn templates_of(&self, host: HostId) -> usize {
        let there = self.templates.values().filter(|one| one.gone_at.is_none());
        there.filter(|one| one.prepared.spot.host == host).count()
    }

    /// A template that is not gone, to change.
    fn template(&mut self, id: PreparedId) -> Result<&mut Prepared, StoreError> {
        let found = self.templates.row(&id).filter(|one| one.gone_at.is_none());
        let found = found.ok_or_else(|| no_template(id))?;
        Ok(&mut found.prepared)
    }

    /// What hangs on a template.
    pub(crate) fn clones_of(&self, template: PreparedId) -> Clones {
        let mut clones = Clones::default();
        let of_it = self
            .clones
            .iter()
            .filter(|(_, one)| one.template == template);
        for (guest, one) in of_it {
            let known = self.guests.get(guest).filter(|g| g.gone_at.is_none());
            match known.map(|g| g.guest.rootfs_volid().is_some()) {
                Some(true) if one.linked => clones.linked += 1,
                Some(false) => clones.unconfirmed += 1,
                Some(true) | None => {}
            }
        }
        clones
    }
}
