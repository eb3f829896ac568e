//! Pages of what is on record.

use proximity_domain::app::StatusLabel;
use proximity_domain::operation::OperationKind;
use proximity_store::views::{AppFilter, OperationFilter};

use super::calls::Call;
use super::pair::both;
use super::people::owner;
use super::play::{Play, pick};

impl Play {
    pub async fn list(&mut self, call: &Call) -> bool {
        match *call {
            Call::ListApps {
                filter: n,
                after,
                page,
            } => {
                let filter = AppFilter {
                    status: n.is_multiple_of(4).then_some(StatusLabel::Running),
                    search: search(n),
                    owner: n.is_multiple_of(5).then(|| owner(n)),
                    after: after.and_then(|n| self.app(n)),
                    page: u32::from(page % 3),
                    per_page: u32::from(page / 3 % 3),
                };
                both!(self.pair, store => store.apps(filter.clone())).is_err()
            }
            Call::ListOperations { filter: n, before } => {
                let states = ["running", "failed", "stuck"];
                let filter = OperationFilter {
                    app: n.is_multiple_of(7).then(|| self.app(n)).flatten(),
                    state: n
                        .is_multiple_of(2)
                        .then(|| states[usize::from(n / 2 % 3)].to_owned()),
                    limit: u32::from(n % 6),
                    before: before.and_then(|n| pick(&self.known.operations, n)),
                    kind: n.is_multiple_of(3).then_some(OperationKind::Deploy),
                    search: search(n),
                    owner: n.is_multiple_of(5).then(|| owner(n)),
                };
                both!(self.pair, store => store.operations(filter.clone())).is_err()
            }
            Call::Journals { after, limit } => {
                let (after, limit) = (i64::from(after), u32::from(limit));
                if let Some(app) = self.app(0) {
                    both!(self.pair, store => store.log(app, after, limit)).unwrap();
                    both!(self.pair, store => store.log_tail(app, limit)).unwrap();
                }
                both!(self.pair, store => store.events(after, limit)).is_err()
            }
            _ => unreachable!("only lists come here"),
        }
    }
}

/// Some of these are signs of a pattern elsewhere.
fn search(n: u8) -> Option<String> {
    let texts = ["APP", "p-1", "%", "_", "!", "ngin", ""];
    let text = texts.get(usize::from(n % 16))?;
    Some((*text).to_owned())
}
