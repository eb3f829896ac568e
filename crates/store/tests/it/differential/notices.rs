//! What channels are told.

use proximity_domain::notify::{ChannelName, Severity, Waiting};
use proximity_domain::time::Timestamp;
use proximity_store::notices::{NewNotice, TakeUp};

use super::calls::Call;
use super::pair::{Pair, both};
use super::play::Play;

/// Names there may be.
fn names() -> [ChannelName; 3] {
    ["mail", "ntfy", "phone"].map(|name| name.parse().unwrap())
}

/// Where every channel stands, and what waits for it.
pub async fn look(pair: &Pair) {
    both!(pair, store => store.notice_channels()).unwrap();
    for name in names() {
        both!(pair, store => store.waiting_notices(&name)).unwrap();
    }
}

impl Play {
    pub async fn notices(&mut self, call: &Call) -> bool {
        let refused = match *call {
            Call::KeepChannels(n) => {
                let kept = names().into_iter().enumerate();
                let kept = kept.filter(|(bit, _)| n >> bit & 1 == 1);
                let kept: Vec<ChannelName> = kept.map(|(_, name)| name).collect();
                both!(self.pair, store => store.keep_notice_channels(&kept)).is_err()
            }
            Call::Notices { channel, act } => {
                let name = names()[usize::from(channel % 3)].clone();
                self.of_channel(&name, act).await
            }
            _ => unreachable!("only what channels are told comes here"),
        };
        look(&self.pair).await;
        refused
    }

    async fn of_channel(&mut self, name: &ChannelName, act: u8) -> bool {
        let at = self.at();
        let waiting = both!(self.pair, store => store.waiting_notices(name)).unwrap();
        let waiting: Vec<i64> = waiting.iter().map(|w| w.seq).collect();
        let some = waiting.get(..usize::from(act) / 8 % 4).unwrap_or(&waiting);
        match act % 8 {
            0 => both!(self.pair, store => store.notices_failed(name, "no answer", Timestamp(at.0 + 5_000)))
                .is_err(),
            1 => both!(self.pair, store => store.give_notices_up(name, some, "too large")).is_err(),
            2 | 3 => {
                both!(self.pair, store => store.notices_delivered(name, some, u64::from(act % 3), at)).is_err()
            }
            _ => self.take_up(name, act).await,
        }
    }

    async fn take_up(&mut self, name: &ChannelName, act: u8) -> bool {
        let at = self.at();
        let channels = both!(self.pair, store => store.notice_channels()).unwrap();
        let stands = channels.iter().find(|c| c.channel == *name);
        let from = stands.map_or(0, |c| c.seq) + i64::from(act.is_multiple_of(11));
        let seqs = from + 1..from + 1 + i64::from(act % 5);
        let notice = |seq: i64| NewNotice {
            waiting: Waiting {
                seq,
                severity: Severity::ALL[seq as usize % 3],
                held: seq % 2 == 0,
            },
            subject: (seq % 3 == 0).then(|| format!("subject {}", seq % 7)),
        };
        let take = TakeUp {
            from,
            to: seqs.end - 1,
            notices: seqs.map(notice).collect(),
        };
        both!(self.pair, store => store.take_up_notices(name, &take, at)).is_err()
    }
}
