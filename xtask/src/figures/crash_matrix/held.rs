//! A call that the lab holds: the moment at which the server is killed.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::calls::{Call, Fate};
use super::look::control;
use super::stand::Order;

/// What the lab was told to hold.
#[derive(Debug)]
pub(super) struct Held<'a> {
    order: &'a Order,
    id: u64,
    fate: Fate,
}

impl<'a> Held<'a> {
    /// Tells the lab to hold the call when it comes; calls are counted from now on.
    pub(super) fn ask_for(order: &'a Order, call: &Call) -> Result<Self> {
        let wish = json!({
            "calls": { "verb": call.verb, "path": call.path }, "nth": call.nth, "times": 1,
            "kind": { "hang": { "after_effect": call.fate == Fate::Done } },
        });
        let answer = control(order, "POST /faults", Some(&wish))?.json()?;
        let id = answer["id"].as_u64().context("the fault has no number")?;
        let fate = call.fate;
        Ok(Self { order, id, fate })
    }

    /// Waits until the call is there. False if it did not come in time.
    pub(super) fn wait(&self, limit: Duration) -> Result<bool> {
        let what = format!("POST /faults/{}/wait", self.id);
        let wish = json!({ "timeout_ms": u64::try_from(limit.as_millis())? });
        let answer = control(self.order, &what, Some(&wish))?;
        match answer.status {
            200 => Ok(true),
            408 => Ok(false),
            _ => bail!("{what}: {}", answer.body),
        }
    }

    /// Lets it go: one that is to be lost never happens. Takes the fault from the lab.
    pub(super) fn let_go(self) -> Result<()> {
        let release = format!("POST /faults/{}/release", self.id);
        let cut = json!({ "cut": self.fate == Fate::Lost });
        control(self.order, &release, Some(&cut))?.json()?;
        let end = format!("DELETE /faults/{}", self.id);
        control(self.order, &end, None)?.json()?;
        Ok(())
    }
}
