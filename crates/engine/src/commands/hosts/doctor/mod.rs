//! Doctor: looks at everything an installation stands on, and says of each thing whether it is as it should be, with the exact
//! repair.
//!
//! Facts are gathered thinly ([`gather`]), findings made of them purely ([`judge`]). Nothing is changed anywhere: Proxmox VE is
//! asked by a client that can only read, and of the nodes a version, or what is there, is read.

mod due;
mod facts;
mod finding;
mod gather;
mod judge;
mod node;
mod own;
mod page;
pub(in crate::commands::hosts) mod pveum;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::join_all;
use proximity_store::records::HostRecord;
use tokio::time::timeout;

pub use self::finding::{Code, Finding, Level};
pub use self::page::doctor_markdown;
use crate::engine::Engine;
use crate::error::EngineError;

/// How long the look at one host may take; the API gives a request 60 s.
const LOOK: Duration = Duration::from_secs(50);

impl Engine {
    /// Looks at this installation and at all its hosts, or at one of them alone; changes nothing. The worst findings of each come
    /// first; what is of the installation itself comes before the hosts, which are sorted by label.
    ///
    /// # Errors
    /// The store's, a host that is not there, and while another look is under way: each one asks all nodes, and enters them. What
    /// is wrong elsewhere is a finding.
    pub async fn doctor(&self, host: Option<&str>) -> Result<Vec<Finding>, EngineError> {
        let at_work = self.inner.doctor.try_lock();
        let _alone = at_work.map_err(|_| EngineError::DoctorAtWork)?;
        let (mut findings, hosts) = match host {
            Some(name) => (Vec::new(), vec![self.named_host(name).await?]),
            None => (self.installation().await, self.store().hosts().await?),
        };
        let looks = join_all(hosts.into_iter().map(|record| self.look_into(record)));
        findings.extend(looks.await.into_iter().flatten());
        // None comes before Some; within a level what was found first stays first.
        findings.sort_by_key(|f| (f.host.clone(), std::cmp::Reverse(f.level())));
        Ok(findings)
    }

    async fn look_into(&self, record: HostRecord) -> Vec<Finding> {
        let label = record.label.to_string();
        let why = match timeout(LOOK, self.facts(record)).await {
            Ok(Ok(facts)) => return judge::judge(&facts),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "not all questions were answered within {} s",
                LOOK.as_secs()
            ),
        };
        let what = format!("it was not looked at: {why}");
        vec![Finding::new(
            Code::HostUnread,
            Some(&label),
            "host",
            &what,
            [],
        )]
    }
}
