//! Carrying steps out, one after the other, each audited before it is sent.

use std::collections::BTreeMap;

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::HostId;
use proximity_domain::names::{ApiTokenName, HostLabel};
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::AccountClient;
use proximity_store::records::Actor;
use secrecy::SecretString;

use super::obstacle;
use super::step::Step;
use super::wanted::WantedToken;
use crate::engine::Engine;
use crate::error::EngineError;

/// What steps are carried out for.
pub(in crate::commands::hosts) struct Act<'a> {
    pub(super) label: &'a HostLabel,
    /// As the audit has it, e.g. `host.init`.
    pub(super) action: &'a str,
    pub(super) client: &'a AccountClient,
    pub(super) mark: AccountMark,
    /// The entry, if the host has one.
    pub(super) entry: Option<HostId>,
    /// What the tokens that are made are for.
    pub(super) wanted: &'a [WantedToken],
}

impl Act<'_> {
    /// The entry and the purpose of a token that is made for a host which has an entry.
    fn place(&self, token: &ApiTokenName) -> Option<(HostId, TokenPurpose)> {
        let wanted = self.wanted.iter().find(|w| w.token == *token)?;
        Some((self.entry?, wanted.purpose))
    }
}

/// Secrets of tokens that were made.
pub(in crate::commands::hosts) type Made = BTreeMap<ApiTokenName, SecretString>;

impl Engine {
    /// Carries the steps out, up to the first that fails. A token that takes the place of a recorded one is recorded at once.
    ///
    /// # Errors
    /// `init_unfinished`, naming the step; what was made before stays, and the next plan finds it.
    pub(in crate::commands::hosts) async fn carry_out(
        &self,
        actor: &Actor,
        act: Act<'_>,
        steps: Vec<Step>,
    ) -> Result<Made, EngineError> {
        let (mut made, all) = (Made::new(), steps.len());
        for (done, step) in steps.into_iter().enumerate() {
            let text = step.to_string();
            let label = act.label.as_str();
            self.store()
                .note_host_act(label, act.action, &text, actor, self.now())
                .await?;
            match step.act(act.client, act.mark).await {
                Ok(None) => {}
                Ok(Some((token, secret))) => {
                    if let Some((host, purpose)) = act.place(&token) {
                        self.keep_secret(actor, host, purpose, (&token, &secret))
                            .await?;
                    }
                    made.insert(token, secret);
                }
                Err(error) => return Err(obstacle::unfinished(done, all, &text, &error)),
            }
            tracing::info!(host = label, step = text, "accounts changed");
        }
        Ok(made)
    }
}
