//! The loops: one follows the log, and each channel has one of its own, so that none waits for another.

use std::collections::BTreeSet;
use std::time::Duration;

use proximity_domain::notify::{
    ChannelName, Failed, Insistence, Message, Pace, Subjects, Turn, Verdict, Waiting, order_key,
    pause_ms,
};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::notices::NoticeChannel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Delivery, SendError};
use super::delivery::delivery_id;
use super::notices::Notices;
use super::take_up::Looked;
use super::words;

/// The log is looked at so often though nobody rang.
const POLL: Duration = Duration::from_secs(30);
/// What happens within this time is taken up together.
const GATHER: Duration = Duration::from_millis(500);
/// Pause after the store did not answer.
const TROUBLE: Duration = Duration::from_secs(5);
/// Events that are read at once for what they are about.
const PAGE: u32 = 64;
/// Why a notice is given up of which nothing else is to be said.
const REFUSED: &str = "it was refused again and again while others were taken";
/// How long a message under way may take at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// What one channel remembers between its turns.
#[derive(Debug)]
struct Course {
    pace: Pace,
    /// Told, but the store does not know yet.
    told: BTreeSet<i64>,
    /// What became of messages that failed.
    known: Insistence,
    /// What the events that wait are about, where that is told in order.
    subjects: Subjects,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    After(Duration),
    WhenRung,
}

impl Notices {
    /// Tells people what happens, until `shutdown`. Without a channel there is nothing to do but to forget those that
    /// were there before.
    pub async fn run(self, shutdown: CancellationToken) {
        let names: Vec<ChannelName> = self.channels().map(|c| c.name.clone()).collect();
        while let Err(error) = self.begin(&names).await {
            tracing::warn!(%error, "cannot read how far the channels for notices have come");
            tokio::select! {
                () = tokio::time::sleep(TROUBLE) => {}
                () = shutdown.cancelled() => return,
            }
        }
        if names.is_empty() {
            shutdown.cancelled().await;
            return;
        }
        let mut channels = JoinSet::new();
        for channel in self.channels().cloned() {
            channels.spawn(self.clone().tell(channel, shutdown.clone()));
        }
        self.follow(&shutdown).await;
        while channels.join_next().await.is_some() {}
    }

    fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.inner.parts.channels.iter()
    }

    async fn begin(&self, names: &[ChannelName]) -> Result<(), StoreError> {
        let forgotten = self.inner.parts.store.keep_notice_channels(names).await?;
        if forgotten > 0 {
            tracing::warn!(
                forgotten,
                "gave up what waited for channels that are no longer configured"
            );
        }
        Ok(())
    }

    async fn follow(&self, shutdown: &CancellationToken) {
        let mut commits = self.inner.parts.store.commits();
        let (mut looked, mut rings) = (Looked::default(), true);
        loop {
            commits.mark_unchanged();
            let mut pause = POLL;
            if let Err(error) = self.take_up(&mut looked).await {
                tracing::warn!(%error, "cannot take up what the channels are to be told");
                pause = TROUBLE;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                rung = commits.changed(), if rings => rings = rung.is_ok(),
                // Nothing was written that more might follow.
                () = tokio::time::sleep(pause) => continue,
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
        }
    }

    async fn tell(self, channel: Channel, shutdown: CancellationToken) {
        let Some(bell) = self.inner.bells.get(&channel.name) else {
            return;
        };
        let now = self.inner.parts.clock.monotonic();
        let mut course = Course {
            pace: Pace::new(channel.per_minute, now),
            told: BTreeSet::new(),
            known: Insistence::default(),
            subjects: Subjects::new(),
        };
        loop {
            let step = self.step(&channel, &mut course);
            let next = match until(&shutdown, step).await {
                None => return,
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    tracing::warn!(channel = %channel.name, %error, "cannot look at what a channel is to be told");
                    Next::After(TROUBLE)
                }
            };
            let pause = match next {
                Next::Now => continue,
                Next::After(pause) => pause,
                Next::WhenRung => POLL,
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                // After a failure or in a pause the bell brings nothing nearer but what is critical.
                () = bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One message, or the time to the next one.
    async fn step(&self, channel: &Channel, course: &mut Course) -> Result<Next, StoreError> {
        let parts = &self.inner.parts;
        if !course.told.is_empty() {
            self.write_down(channel, course, 0).await?;
        }
        let Some(stands) = self.stands(&channel.name).await? else {
            return Ok(Next::After(TROUBLE));
        };
        let now = parts.clock.now();
        let waiting = parts.store.waiting_notices(&channel.name).await?;
        let quiet = parts.rules.is_quiet_for(channel, now);
        if channel.notifier.keeps_order() {
            self.learn_subjects(&mut course.subjects, &waiting).await?;
            if let Some(seq) = course.known.hopeless() {
                return self.give_up(&channel.name, &[seq], REFUSED).await;
            }
        }
        let (next, urgent) = course.known.choose(&waiting, &course.subjects, quiet);
        if let Some(left) = left_alone(&stands, now).filter(|_| !urgent) {
            return Ok(Next::After(left));
        }
        let seqs = match next {
            Turn::Rest => return Ok(Next::WhenRung),
            Turn::One(seq) => vec![seq],
            Turn::Digest(seqs) => seqs,
        };
        if let Err(missing_ms) = course.pace.take(parts.clock.monotonic()) {
            return Ok(Next::After(Duration::from_millis(missing_ms)));
        }
        self.send(channel, course, &stands, seqs).await
    }

    /// Looks up what the events that wait are about, each once.
    async fn learn_subjects(
        &self,
        known: &mut Subjects,
        waiting: &[Waiting],
    ) -> Result<(), StoreError> {
        let waits: BTreeSet<i64> = waiting.iter().map(|w| w.seq).collect();
        known.retain(|seq, _| waits.contains(seq));
        for seq in &waits {
            if known.contains_key(seq) {
                continue;
            }
            let page = self.inner.parts.store.events(seq - 1, PAGE).await?;
            for (at, _, event, app, _) in page.iter().filter(|row| waits.contains(&row.0)) {
                known.insert(*at, order_key(*app, &event.body));
            }
        }
        Ok(())
    }

    async fn give_up(
        &self,
        name: &ChannelName,
        seqs: &[i64],
        problem: &str,
    ) -> Result<Next, StoreError> {
        tracing::error!(channel = %name, %problem, events = ?seqs, "gave up a notice that is refused again and again while others are taken");
        let store = &self.inner.parts.store;
        store.give_notices_up(name, seqs, problem).await?;
        Ok(Next::Now)
    }

    async fn stands(&self, name: &ChannelName) -> Result<Option<NoticeChannel>, StoreError> {
        let all = self.inner.parts.store.notice_channels().await?;
        Ok(all.into_iter().find(|s| s.channel == *name))
    }

    async fn send(
        &self,
        channel: &Channel,
        course: &mut Course,
        stands: &NoticeChannel,
        seqs: Vec<i64>,
    ) -> Result<Next, StoreError> {
        let parts = &self.inner.parts;
        let mut notices = Vec::new();
        for seq in &seqs {
            notices.extend(words::notice(&parts.store, *seq).await?);
        }
        let message = match (notices.len(), notices.pop()) {
            (_, None) => {
                // An older program's event: nothing of it is told.
                course.told.extend(seqs);
                self.write_down(channel, course, 0).await?;
                return Ok(Next::Now);
            }
            (1, Some(only)) => Message::one(only, stands.dropped),
            (_, Some(last)) => {
                notices.push(last);
                Message::digest(notices, stands.dropped)
            }
        };
        let delivery = Delivery {
            id: delivery_id(parts.store.installation(), &channel.name, &seqs),
            at: parts.clock.now(),
        };
        match channel.notifier.send(&message, &delivery).await {
            Ok(answer) => {
                tracing::info!(channel = %channel.name, title = %message.title, %answer, "told");
                course.known.taken(&seqs);
                course.told.extend(seqs);
                self.write_down(channel, course, stands.dropped).await?;
                Ok(Next::Now)
            }
            Err(error) => self.failed(channel, course, stands, seqs, error).await,
        }
    }

    /// Writes down what was told. Until that is done nothing is sent, so that nothing is told twice.
    async fn write_down(
        &self,
        channel: &Channel,
        course: &mut Course,
        dropped: u64,
    ) -> Result<(), StoreError> {
        let parts = &self.inner.parts;
        let told: Vec<i64> = course.told.iter().copied().collect();
        let (name, now) = (&channel.name, parts.clock.now());
        parts
            .store
            .notices_delivered(name, &told, dropped, now)
            .await?;
        course.told.clear();
        Ok(())
    }

    async fn failed(
        &self,
        channel: &Channel,
        course: &mut Course,
        stands: &NoticeChannel,
        seqs: Vec<i64>,
        error: SendError,
    ) -> Result<Next, StoreError> {
        let parts = &self.inner.parts;
        let (name, problem) = (&channel.name, error.to_string());
        let failures = stands.failures.saturating_add(1);
        let (how, asked_ms) = match error {
            SendError::NotTaken { retry_after_ms, .. } => (Failed::NotTaken, retry_after_ms),
            SendError::MaybeTaken { .. } => (Failed::Lost, None),
            SendError::Refused { .. } => (Failed::Refused, None),
        };
        match course.known.failed(&seqs, how) {
            Verdict::Again => {}
            Verdict::GiveUp => return self.give_up(name, &seqs, &problem).await,
            Verdict::Told => {
                tracing::warn!(channel = %name, %problem, events = ?seqs, "the answer to a notice was lost again and again while others were taken; it counts as told");
                course.told.extend(seqs);
                self.write_down(channel, course, 0).await?;
                return Ok(Next::Now);
            }
        }
        let random = u64::try_from(parts.ids.nonce() & u128::from(u64::MAX)).unwrap_or_default();
        let pause = pause_ms(failures, asked_ms, random);
        let retry_at = Timestamp(parts.clock.now().0.saturating_add_unsigned(pause));
        tracing::warn!(channel = %name, %problem, failures, pause_ms = pause, "a notice was not taken");
        parts.store.notices_failed(name, &problem, retry_at).await?;
        Ok(Next::After(Duration::from_millis(pause)))
    }
}

/// How long a channel that failed is still left alone. What lies further ahead than the longest wait was written before the
/// clock was set back, and says nothing.
fn left_alone(stands: &NoticeChannel, now: Timestamp) -> Option<Duration> {
    let left = stands.retry_at?.0.saturating_sub(now.0);
    let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
    let longest = pause_ms(u32::MAX, None, u64::MAX);
    (left <= longest).then_some(Duration::from_millis(left))
}

/// The result, or `None` when the end came and the rest of it took too long.
async fn until<T>(shutdown: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return Some(done),
        () = shutdown.cancelled() => {}
    }
    // What was sent is written down before the end, so that it is not told again.
    let _late = tokio::time::timeout(DRAIN, work).await;
    None
}
