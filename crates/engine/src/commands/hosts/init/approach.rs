//! The look at a host by a person, up to the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::names::{ApiTokenName, HostLabel};
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::AccountClient;
use proximity_pve::transport::https::{ApiToken, EndpointConfig};
use proximity_store::records::HostRecord;

use super::carry::{Act, Made};
use super::plan::{self, Plan, Taken};
use super::seen::Seen;
use super::wanted::Wanted;
use super::wish::{InitHost, InitWish};
use super::{grounds, keep, obstacle, prove};
use crate::commands::hosts::look::{self, Found, Look};
use crate::commands::hosts::wish::{Wish, invalid};
use crate::commands::hosts::{HostProbe, LOOK_S, refusal};
use crate::engine::Engine;
use crate::error::EngineError;

/// A host that a person who is logged in has looked at.
pub(in crate::commands::hosts) struct Ready {
    pub(super) client: AccountClient,
    pub(super) endpoint: EndpointConfig,
    pub(super) id: HostId,
    pub(super) wish: Wish,
    pub(super) found: Found,
    /// Its entry, if it has one.
    pub(super) known: Option<HostRecord>,
    pub(super) wanted: Wanted,
    /// Tokens that are recorded, and that PVE takes.
    pub(super) held: BTreeMap<ApiTokenName, ApiToken>,
    /// Numbers of guests of ours.
    pub(super) own: BTreeSet<Vmid>,
    pub(in crate::commands::hosts) plan: Plan,
}

impl Ready {
    /// What the steps are carried out for.
    pub(in crate::commands::hosts) fn act(&self) -> Act<'_> {
        Act {
            label: &self.wish.label,
            action: "host.init",
            client: &self.client,
            mark: self.wanted.mark,
            entry: self.known.as_ref().map(|known| known.id),
            wanted: &self.wanted.tokens,
        }
    }

    /// The tokens the host has once the steps are made: the new ones, and those that are good as they are; beside them those
    /// that are recorded for a purpose nobody asked about.
    pub(super) fn tokens(&self, made: &Made) -> BTreeMap<TokenPurpose, ApiToken> {
        let token = |name: &ApiTokenName| match made.get(name) {
            Some(secret) => Some(ApiToken {
                id: name.to_string(),
                secret: secret.clone(),
            }),
            None => self.held.get(name).cloned(),
        };
        let mut tokens = self.known.as_ref().map(keep::tokens_of).unwrap_or_default();
        for wanted in &self.wanted.tokens {
            tokens.remove(&wanted.purpose);
            if let Some(token) = token(&wanted.token) {
                tokens.insert(wanted.purpose, token);
            }
        }
        tokens
    }
}

/// What came of a look.
pub(in crate::commands::hosts) enum Looked {
    /// Nobody vouches for the certificate, so nothing was asked.
    Stranger(Box<HostProbe>),
    Ready(Box<Ready>),
}

/// Something of somebody else's is in the way.
fn taken(label: &HostLabel, taken: &Taken) -> EngineError {
    match taken {
        Taken::Account(what) => obstacle::account_taken(label, what),
        Taken::PoolOfOthers(pool) => {
            obstacle::pool_taken(pool, "it is of another installation of Proximity")
        }
        Taken::PoolInUse(pool, guests) => {
            let why =
                format!("the guests {guests} are in it, and the operate token could change them");
            obstacle::pool_taken(pool, &why)
        }
    }
}

impl Engine {
    /// Looks at a host for a request to set it up.
    pub(in crate::commands::hosts) async fn approach(
        &self,
        request: &InitHost,
    ) -> Result<Looked, EngineError> {
        let wish = InitWish::read(request)?;
        let address = wish.host.address.clone();
        tokio::time::timeout(Duration::from_secs(LOOK_S), self.approach_at_once(wish))
            .await
            .unwrap_or_else(|_| Err(refusal::too_slow(&address, LOOK_S)))
    }

    async fn approach_at_once(&self, wish: InitWish) -> Result<Looked, EngineError> {
        let hosts = self.store().hosts().await?;
        let (mut known, others): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|h| h.label == wish.host.label);
        let known = known.pop();
        let wish = wish.completed(known.as_ref())?;
        let address = &wish.host.address;
        let (seen, trust) = look::certificate(&wish.host).await?;
        let stranger = || {
            let unknown = refusal::certificate_unknown(address, seen);
            let found = HostProbe {
                fingerprint: seen.to_string(),
                warnings: vec![format!("{unknown}; {}", unknown.hint())],
                ..HostProbe::default()
            };
            Looked::Stranger(Box::new(found))
        };
        let endpoint = look::endpoint(&wish.host, trust);
        let id = match &known {
            Some(known) => known.id,
            None => HostId(self.inner.parts.ids.uuid()),
        };
        wish.person.check_realm(address, endpoint.clone()).await?;
        let why = format!("init of host {}", wish.host.label);
        let client = wish.person.client(self, id, vec![endpoint.clone()], &why);
        let Some(client) = look::usable(&wish.host, client)? else {
            return Ok(stranger());
        };
        let found = match look::look_as(client.read(), &wish.host, seen, &others).await? {
            Look::Stranger(_) => return Ok(stranger()),
            Look::Found(found) => *found,
        };
        let ready = self.ready(wish, client, endpoint, id, found, known).await?;
        Ok(Looked::Ready(Box::new(ready)))
    }

    async fn ready(
        &self,
        wish: InitWish,
        client: AccountClient,
        endpoint: EndpointConfig,
        id: HostId,
        found: Found,
        known: Option<HostRecord>,
    ) -> Result<Ready, EngineError> {
        let mark = AccountMark(self.store().installation());
        let own = match &known {
            Some(host) => self.store().host_guests(host.id).await?,
            None => Vec::new(),
        };
        let own = own.into_iter().map(|guest| guest.place.vmid).collect();
        let grounds = grounds::choose(&wish, &client, &found, known.as_ref(), &own).await?;
        let address = &wish.host.address;
        wish.person
            .check_rights(address, client.read(), Some(&grounds.pool))
            .await?;
        let wanted = Wanted::new(mark, &grounds).map_err(|e| invalid("pool", e.to_string()))?;
        let held = match &known {
            Some(known) => {
                keep::check_known(known, &found, &wanted, address)?;
                let kept = keep::tokens_of(known).into_values();
                prove::accepted(&wish.host, &endpoint, kept).await?
            }
            None => BTreeMap::new(),
        };
        let seen = Seen::look(&client, mark, Some(&grounds.pool))
            .await
            .map_err(|e| refusal::question(address, &wish.host.asker, &e))?;
        let names = held.keys().cloned().collect();
        let plan =
            plan::plan(&wanted, &seen, &names, &own).map_err(|t| taken(&wish.host.label, &t))?;
        let (person, read) = (&wish.person, client.read());
        person.check_grants(address, read, &plan.steps).await?;
        Ok(Ready {
            client,
            endpoint,
            id,
            wish: wish.host,
            found,
            known,
            wanted,
            held,
            own,
            plan,
        })
    }
}
