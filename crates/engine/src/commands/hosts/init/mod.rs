//! Setting a host up and giving it up: least-privileged users, tokens and roles are made on it, and taken away, by a person who
//! logs in once.
//!
//! Flow: certificate → realm → login → what the host has → the person's rights → accounts → plan; and to carry it out: each
//! step audited and sent → accounts looked at again → each token tried → the host recorded with its tokens.
//! Guarantees: the password goes to nobody whose certificate was not judged first, and is kept nowhere; what is not ours is
//! not changed; cut anywhere and run again, it ends in the same state.
//! Assumption: the person sees all of the access control, which its rights have to show before that is believed.

pub(super) mod approach;
mod carry;
pub(super) mod gone;
mod grounds;
mod keep;
mod obstacle;
mod person;
mod plan;
#[cfg(test)]
mod plan_tests;
mod prove;
pub(super) mod roles;
mod same;
mod seen;
mod step;
mod uninit;
mod unplan;
mod wanted;
mod wish;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_store::records::{Actor, HostRecord};

pub(super) use self::obstacle::host_unusable;
pub use self::person::PersonLogin;
pub(super) use self::same::check_word;
pub use self::uninit::{UninitHost, UninitPlan};
pub use self::wish::InitHost;

use self::approach::{Looked, Ready};
use super::{HostProbe, probe};
use crate::engine::Engine;
use crate::error::EngineError;

/// What was found at a host, and what would be done to set it up.
#[derive(Debug, Clone, Default)]
pub struct InitPlan {
    /// The host, as adding it would find it.
    pub found: HostProbe,
    /// The host has an entry already.
    pub known: bool,
    /// Purpose and id of each token it will have.
    pub tokens: Vec<(TokenPurpose, String)>,
    /// Changes on the host, in order; none if all is as it should be.
    pub steps: Vec<String>,
    /// What is worth knowing of the accounts.
    pub notes: Vec<String>,
}

/// A host that is set up.
#[derive(Debug, Clone)]
pub struct InitDone {
    /// Its entry, as stored.
    pub host: HostRecord,
    /// Changes that were made on the host, in order.
    pub steps: Vec<String>,
    /// What is worth knowing of the accounts.
    pub notes: Vec<String>,
}

impl Engine {
    /// Looks at a host as a person who logs in, and says what setting it up would do. Nothing is changed.
    ///
    /// # Errors
    /// [`EngineError`] naming what is wrong: fingerprint, realm, login, the person's rights, version, names; a name that
    /// somebody else's account has.
    pub async fn plan_init(&self, request: &InitHost) -> Result<InitPlan, EngineError> {
        match self.approach(request).await? {
            Looked::Stranger(found) => Ok(InitPlan {
                found: *found,
                ..InitPlan::default()
            }),
            Looked::Ready(ready) => Ok(shown(*ready)),
        }
    }

    /// Sets a host up, and records it with its tokens. What is as it should be is left alone; if all is, nothing is written.
    ///
    ///
    /// # Errors
    /// Those of [`Engine::plan_init`], also when nobody vouches for the certificate; `init_unfinished` when it stopped half
    /// way: run again, it goes on.
    pub async fn init_host(
        &self,
        actor: &Actor,
        request: &InitHost,
    ) -> Result<InitDone, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        let mut ready = match self.approach(request).await? {
            Looked::Stranger(found) => return Err(obstacle::stranger(&request.url, &found)),
            Looked::Ready(ready) => *ready,
        };
        let steps = std::mem::take(&mut ready.plan.steps);
        let done: Vec<String> = steps.iter().map(ToString::to_string).collect();
        let made = self.carry_out(actor, ready.act(), steps).await?;
        let tokens = ready.tokens(&made);
        self.prove(&ready, &tokens).await?;
        let notes = std::mem::take(&mut ready.plan.notes);
        let host = self.keep(actor, ready, tokens).await?;
        Ok(InitDone {
            host,
            steps: done,
            notes,
        })
    }
}

/// The plan as the caller shows it.
fn shown(ready: Ready) -> InitPlan {
    InitPlan {
        known: ready.known.is_some(),
        tokens: listed(&ready),
        steps: ready.plan.steps.iter().map(ToString::to_string).collect(),
        notes: ready.plan.notes,
        found: probe(ready.found),
    }
}

fn listed(ready: &Ready) -> Vec<(TokenPurpose, String)> {
    let tokens = ready.wanted.tokens.iter();
    tokens.map(|t| (t.purpose, t.token.to_string())).collect()
}
