//! What channels are told.

use proximity_domain::notify::{ChannelName, Waiting};
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::notices::{NOTICES_PER_CHANNEL, NoticeChannel, SUBJECTS_KEPT_MS, TakeUp};

impl State {
    pub(crate) fn notice_channels(&self) -> Vec<NoticeChannel> {
        self.channels.values().cloned().collect()
    }

    pub(crate) fn waiting_notices(&self, channel: &ChannelName) -> Vec<Waiting> {
        let first = (channel.clone(), i64::MIN);
        let rows = self.notices.range(first..);
        let own = rows.take_while(|((of, _), _)| of == channel);
        own.map(|(_, waiting)| *waiting)
            .take(NOTICES_PER_CHANNEL)
            .collect()
    }

    pub(crate) fn keep_notice_channels(&mut self, names: &[ChannelName]) -> u64 {
        let gone: Vec<ChannelName> = self.channels.keys().cloned().collect();
        let mut forgotten = 0;
        for channel in gone.iter().filter(|name| !names.contains(name)) {
            for waiting in self.waiting_notices(channel) {
                self.notices.remove(&(channel.clone(), waiting.seq));
                forgotten += 1;
            }
            let subjects = self.subjects.keys().filter(|(of, _)| of == channel);
            for subject in subjects.cloned().collect::<Vec<_>>() {
                self.subjects.remove(&subject);
            }
            self.channels.remove(channel);
        }
        let newest = self.newest_event();
        for name in names {
            if !self.channels.contains_key(name) {
                let new = NoticeChannel::new(name.clone(), newest);
                self.channels.put(name.clone(), new);
            }
        }
        forgotten
    }

    pub(crate) fn take_up_notices(
        &mut self,
        channel: &ChannelName,
        take: &TakeUp,
        now: Timestamp,
    ) -> bool {
        match self.channels.get(channel) {
            Some(found) if found.seq == take.from => {}
            Some(_) | None => return false,
        }
        if let Some(row) = self.channels.row(channel) {
            row.seq = take.to;
        }
        for notice in &take.notices {
            if let Some(subject) = &notice.subject
                && !self.is_new_subject(channel, subject, now)
            {
                continue;
            }
            let key = (channel.clone(), notice.waiting.seq);
            self.notices.put(key, notice.waiting);
        }
        self.bound_notices(channel);
        true
    }

    fn is_new_subject(&mut self, channel: &ChannelName, subject: &str, now: Timestamp) -> bool {
        let old = now.0 - SUBJECTS_KEPT_MS;
        let past = self.subjects.iter();
        let past = past.filter(|((of, _), told_at)| of == channel && told_at.0 < old);
        for key in past.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.subjects.remove(&key);
        }
        let key = (channel.clone(), subject.to_owned());
        if self.subjects.contains_key(&key) {
            return false;
        }
        self.subjects.put(key, now);
        true
    }

    fn bound_notices(&mut self, channel: &ChannelName) {
        let own = self.notices.values().zip(self.notices.keys());
        let own = own.filter(|(_, (of, _))| of == channel);
        let mut own: Vec<Waiting> = own.map(|(waiting, _)| *waiting).collect();
        let over = own.len().saturating_sub(NOTICES_PER_CHANNEL);
        own.sort_by_key(|w| (w.severity, w.seq));
        for waiting in own.iter().take(over) {
            self.notices.remove(&(channel.clone(), waiting.seq));
        }
        if let (1.., Some(row)) = (over, self.channels.row(channel)) {
            row.dropped += over as u64;
        }
    }

    pub(crate) fn notices_delivered(
        &mut self,
        channel: &ChannelName,
        seqs: &[i64],
        dropped: u64,
        now: Timestamp,
    ) {
        self.remove_notices(channel, seqs);
        if let Some(row) = self.channels.row(channel) {
            row.failures = 0;
            row.retry_at = None;
            row.problem = None;
            row.dropped = row.dropped.saturating_sub(dropped);
            row.delivered_at = Some(now);
        }
    }

    pub(crate) fn notices_failed(
        &mut self,
        channel: &ChannelName,
        problem: &str,
        retry_at: Timestamp,
    ) {
        if let Some(row) = self.channels.row(channel) {
            row.failures += 1;
            row.retry_at = Some(retry_at);
            row.problem = Some(problem.to_owned());
        }
    }

    pub(crate) fn give_notices_up(&mut self, channel: &ChannelName, seqs: &[i64], problem: &str) {
        let gone = self.remove_notices(channel, seqs);
        if let Some(row) = self.channels.row(channel) {
            row.dropped += gone;
            row.failures = 0;
            row.retry_at = None;
            row.problem = Some(problem.to_owned());
        }
    }

    fn remove_notices(&mut self, channel: &ChannelName, seqs: &[i64]) -> u64 {
        let before = self.notices.len();
        for seq in seqs {
            self.notices.remove(&(channel.clone(), *seq));
        }
        (before - self.notices.len()) as u64
    }
}
