//! What people see of templates, and may do about them.

use proximity_domain::ids::PreparedId;
use proximity_domain::prepared::{Call, Kept, Seen, Sent, Stage, is_over};
use proximity_store::prepared::TemplateCall;
use proximity_store::records::Actor;
use serde_json::json;

use super::hands::Hands;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::{Halt, StepError};

/// A prepared template as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateView {
    /// It, and what hangs on it.
    pub kept: Kept,
    /// Label of its host entry.
    pub host: String,
    /// What stands in its way now, as a sentence.
    pub trouble: Option<String>,
}

impl Engine {
    /// All prepared templates that are not gone, in the order in which they were begun.
    ///
    /// # Errors
    /// The database's.
    pub async fn templates(&self) -> Result<Vec<TemplateView>, EngineError> {
        let hosts = self.store().hosts().await?;
        let label = |kept: &Kept| {
            let host = hosts.iter().find(|host| host.id == kept.prepared.spot.host);
            host.map(|host| host.label.to_string()).unwrap_or_default()
        };
        let all = self.store().prepared().await?;
        let view = |kept: Kept| TemplateView {
            host: label(&kept),
            trouble: self.inner.shelf.trouble_of(kept.prepared.id),
            kept,
        };
        Ok(all.into_iter().map(view).collect())
    }

    /// Lets a prepared template go: nothing is made of it any more, and it is destroyed as soon as nothing hangs on it. Also has a destroy
    /// that failed tried again. With `forget` its record is ended and nothing is sent, where what has its number is not provably ours.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Invalid`] for `forget` where it is ours, or not there, or something hangs on it; what the
    /// cluster answered where that could not be read.
    pub async fn drop_template(
        &self,
        actor: &Actor,
        id: PreparedId,
        forget: bool,
    ) -> Result<(), EngineError> {
        let (store, now) = (self.store(), self.now());
        let kept = self.template(id).await?;
        let stage = kept.prepared.stage;
        let target = id.to_string();
        let told = TemplateCall {
            action: "drop_template",
            target: &target,
            details: json!({ "forget": forget }),
        };
        store.note_template_act(told, actor, now).await?;
        if stage != Stage::Leaving {
            let leaves = store.advance_prepared(id, stage, Stage::Leaving, now);
            leaves.await?;
        }
        let late_ms = self.inner.parts.limits.proxied_late_ms;
        // No other call needs a person: each is over when it can not arrive any more.
        let has_ended =
            |sent: Sent| sent.call == Call::Destroy && sent.late_for_ms(now, late_ms) == 0;
        if forget {
            self.forget_template(id).await?;
        } else if stage == Stage::Leaving && kept.sent.is_some_and(has_ended) {
            store.settle_template_call(id).await?;
        }
        let of = &kept.prepared;
        self.inner.shelf.unwish(&of.spot, &of.base.key());
        self.inner.shelf.forgive(id);
        self.inner.shelf.ring();
        Ok(())
    }

    async fn forget_template(&self, id: PreparedId) -> Result<(), EngineError> {
        let kept = self.template(id).await?;
        if !is_over(&kept) {
            return Err(not_forgotten("containers that share with it are on record"));
        }
        let looked = async {
            let hands = Hands::of(self, &kept).await?;
            hands.look().await
        };
        let looked = looked.await.map_err(upstream)?;
        match looked.seen {
            Seen::Other(_) => {
                self.store().end_prepared(id, self.now()).await?;
                Ok(())
            }
            Seen::Ours(_) => Err(not_forgotten("it is ours, and is destroyed")),
            Seen::Absent => Err(not_forgotten("it is not there, and goes by itself")),
            Seen::BeingCreated => Err(not_forgotten("it is being created")),
        }
    }

    async fn template(&self, id: PreparedId) -> Result<Kept, EngineError> {
        let all = self.store().prepared().await?;
        let found = all.into_iter().find(|kept| kept.prepared.id == id);
        found.ok_or_else(|| EngineError::NotFound {
            what: "prepared template",
            name: id.to_string(),
        })
    }
}

fn not_forgotten(why: &str) -> EngineError {
    EngineError::Invalid {
        field: "forget".to_owned(),
        message: format!("its record is kept: {why}"),
    }
}

fn upstream(error: StepError) -> EngineError {
    if let StepError::Halt(Halt::Store(error)) = error {
        return error.into();
    }
    let failure = error.into_failure();
    let (code, message, hint) = failure.map_or_else(
        || (String::new(), "it was cut off".to_owned(), String::new()),
        |failure| (failure.code, failure.message, failure.hint),
    );
    EngineError::Upstream {
        code: crate::error::upstream_code(&code),
        message,
        hint,
    }
}
