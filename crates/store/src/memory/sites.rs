//! Under which host names apps are led to.

use proximity_domain::ids::AppId;
use proximity_domain::site::Site;
use proximity_domain::time::Timestamp;

use super::apps::no_app;
use super::state::State;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::{Actor, AppRecord, AppSite};
use crate::sites::{audited, leads_to, refuse, taken, told};

impl State {
    pub(crate) fn set_site(
        &mut self,
        id: AppId,
        site: Option<Site>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        let live = self.live_app(id).ok_or_else(|| no_app(id))?;
        refuse(&live)?;
        if let Some(site) = &site {
            self.refuse_taken(id, site)?;
        }
        let event = told(&live, site.as_ref());
        let (action, details) = audited(&live, site.as_ref());
        self.live_row(id)?.site = site.map(|site| AppSite {
            site,
            url: None,
            trouble: None,
        });
        let target = id.to_string();
        self.add_event(&event, Some(id), None, now);
        self.add_audit(actor, Act::request(action, &target, details), now);
        self.live_app(id).ok_or_else(|| no_app(id))
    }

    /// Refuses a name that another live app has.
    pub(crate) fn refuse_taken(&self, id: AppId, site: &Site) -> Result<(), StoreError> {
        let mut others = self.apps.values().filter(|app| app.is_live());
        let has_it = others.any(|app| {
            let name = app.site.as_ref().map(|of| &of.site.name);
            app.asked.id != id && name == Some(&site.name)
        });
        match has_it {
            true => Err(taken(site)),
            false => Ok(()),
        }
    }

    pub(crate) fn site_fetched(
        &mut self,
        id: AppId,
        site: &Site,
        url: Option<String>,
        trouble: Option<String>,
    ) -> Result<bool, StoreError> {
        let live = self.live_app(id);
        if !live.is_some_and(|live| leads_to(&live, site)) {
            return Ok(false);
        }
        self.live_row(id)?.site = Some(AppSite {
            site: site.clone(),
            url,
            trouble,
        });
        Ok(true)
    }
}
