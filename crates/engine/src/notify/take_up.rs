//! Following the log: what happened becomes what each channel is to be told, in one commit with how far it has come.

use std::collections::BTreeMap;

use proximity_domain::notify::{ChannelName, Waiting, subject_key};
use proximity_store::StoreError;
use proximity_store::notices::{NewNotice, TakeUp};
use proximity_store::views::EventRow;

use super::channel::Channel;
use super::notices::Notices;

/// Rows of one look.
const PAGE: u32 = 256;
/// A channel that is told nothing of so many events has its place written down all the same.
const UNWRITTEN: i64 = 1_000;

/// How far the log was looked at for each channel. What is recorded may lag behind: looking again finds the same.
#[derive(Debug, Default)]
pub(super) struct Looked(BTreeMap<ChannelName, i64>);

impl Notices {
    /// Takes up everything there is.
    pub(super) async fn take_up(&self, looked: &mut Looked) -> Result<(), StoreError> {
        let parts = &self.inner.parts;
        for stands in parts.store.notice_channels().await? {
            let Some(channel) = parts.channels.iter().find(|c| c.name == stands.channel) else {
                continue;
            };
            let mut recorded = stands.seq;
            let mut seen = looked.0.get(&channel.name).copied().unwrap_or_default();
            seen = seen.max(recorded);
            loop {
                let rows = parts.store.events(seen, PAGE).await?;
                let Some(last) = rows.last() else { break };
                let (last, full) = (last.0, rows.len() == PAGE as usize);
                let notices = self.notices_of(channel, &rows);
                if !notices.is_empty() || last - recorded > UNWRITTEN {
                    let take = TakeUp {
                        from: recorded,
                        to: last,
                        notices,
                    };
                    let now = parts.clock.now();
                    if !parts
                        .store
                        .take_up_notices(&channel.name, &take, now)
                        .await?
                    {
                        // It stands elsewhere by now: the next look begins there.
                        looked.0.remove(&channel.name);
                        break;
                    }
                    recorded = last;
                    self.ring(&channel.name);
                }
                seen = last;
                looked.0.insert(channel.name.clone(), seen);
                if !full {
                    break;
                }
            }
        }
        Ok(())
    }

    fn notices_of(&self, channel: &Channel, rows: &[EventRow]) -> Vec<NewNotice> {
        let parts = &self.inner.parts;
        let held = parts.rules.is_quiet_for(channel, parts.clock.now());
        let notice = |row: &EventRow| {
            let (seq, _, event, app, _) = row;
            let severity = event.kind.notice_of(&event.body)?.severity;
            let told = parts.rules.routes.lead_to(&channel.name, severity);
            told.then(|| NewNotice {
                waiting: Waiting {
                    seq: *seq,
                    severity,
                    held,
                },
                subject: subject_key(event.kind, *app, &event.body),
            })
        };
        rows.iter().filter_map(notice).collect()
    }

    fn ring(&self, channel: &ChannelName) {
        if let Some(bell) = self.inner.bells.get(channel) {
            bell.notify_one();
        }
    }
}
