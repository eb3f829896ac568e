//! What channels are told: how far each has come in the log of events, and what it still has to be told.

use proximity_domain::notify::{ChannelName, Severity, Waiting};
use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::row::{Columns, each};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// Notices that wait for one channel, at most. Beyond, the least grave are given up, of these the oldest first.
pub const NOTICES_PER_CHANNEL: usize = 1_000;

/// How long a subject is remembered, milliseconds: 90 days.
pub(crate) const SUBJECTS_KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// Longest text of a problem, characters.
pub(crate) const PROBLEM_CHARS: usize = 500;

/// Where a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeChannel {
    /// Its name in the configuration.
    pub channel: ChannelName,
    /// Every event up to this number was looked at.
    pub seq: i64,
    /// Failures in a row.
    pub failures: u32,
    /// Not before then the next attempt; `None` = no failure.
    pub retry_at: Option<Timestamp>,
    /// What the last failure was.
    pub problem: Option<String>,
    /// Notices that were given up and not told of yet.
    pub dropped: u64,
    /// When it took a message last.
    pub delivered_at: Option<Timestamp>,
}

impl NoticeChannel {
    /// One that is new, and is told of what happens after event `seq`.
    #[must_use]
    pub fn new(channel: ChannelName, seq: i64) -> Self {
        Self {
            channel,
            seq,
            failures: 0,
            retry_at: None,
            problem: None,
            dropped: 0,
            delivered_at: None,
        }
    }
}

/// A notice that a channel is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// Event, how grave it is, and whether it came while it was quiet.
    pub waiting: Waiting,
    /// What it is about, if that is told only once.
    pub subject: Option<String>,
}

/// How far a channel gets with one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeUp {
    /// Where it must stand.
    pub from: i64,
    /// Where it stands afterwards.
    pub to: i64,
    /// What it is to be told of what lies between, oldest first.
    pub notices: Vec<NewNotice>,
}

impl Reader {
    /// Where all channels stand, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn notice_channels(&self) -> Result<Vec<NoticeChannel>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.notice_channels()));
        }
        // There are as many as the configuration names.
        let rows = query("SELECT * FROM notice_channels ORDER BY channel LIMIT 1000")
            .fetch_all(self.named("notice_channels"))
            .await?;
        each(&rows, channel_row)
    }

    /// What a channel has not been told, oldest first, at most [`NOTICES_PER_CHANNEL`].
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting_notices(&self, channel: &ChannelName) -> Result<Vec<Waiting>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.waiting_notices(channel)));
        }
        let rows = query("SELECT * FROM notices WHERE channel = $1 ORDER BY seq LIMIT $2")
            .bind(channel.as_str())
            .bind(NOTICES_PER_CHANNEL as i64)
            .fetch_all(self.named("waiting_notices"))
            .await?;
        each(&rows, waiting_row)
    }
}

impl Store {
    /// Makes these the channels there are: a new one is told of what happens from now on; one that is no longer there is
    /// forgotten with what waited for it. Gives how many notices that were.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_notice_channels(&self, names: &[ChannelName]) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.keep_notice_channels(names)));
        }
        self.write(async |tx| keep(tx, names).await).await
    }

    /// Moves a channel on, with what it is to be told. `false`: it does not stand at `from`, and nothing was done.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_up_notices(
        &self,
        channel: &ChannelName,
        take: &TakeUp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.take_up_notices(channel, take, now)));
        }
        self.write(async |tx| take_up(tx, channel, take, now).await)
            .await
    }

    /// A channel took a message about these events, which told of `dropped` that were given up.
    ///
    /// # Errors
    /// The database's.
    pub async fn notices_delivered(
        &self,
        channel: &ChannelName,
        seqs: &[i64],
        dropped: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.notices_delivered(channel, seqs, dropped, now);
                Ok(())
            });
        }
        self.write(async |tx| {
            remove(tx, channel, seqs).await?;
            query(
                "UPDATE notice_channels SET failures = 0, retry_at = NULL, problem = NULL, \
                 dropped = CASE WHEN dropped > $1 THEN dropped - $1 ELSE 0 END, delivered_at = $2 WHERE channel = $3",
            )
            .bind(whole(dropped))
            .bind(now.0)
            .bind(channel.as_str())
            .execute(tx)
            .await?;
            Ok(())
        })
        .await
    }

    /// A channel did not take a message; it is left alone until `retry_at`.
    ///
    /// # Errors
    /// The database's.
    pub async fn notices_failed(
        &self,
        channel: &ChannelName,
        problem: &str,
        retry_at: Timestamp,
    ) -> Result<(), StoreError> {
        let problem = short(problem);
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.notices_failed(channel, &problem, retry_at);
                Ok(())
            });
        }
        self.write(async |tx| {
            query(
                "UPDATE notice_channels SET failures = failures + 1, retry_at = $1, problem = $2 WHERE channel = $3",
            )
            .bind(retry_at.0)
            .bind(&problem)
            .bind(channel.as_str())
            .execute(tx)
            .await?;
            Ok(())
        })
        .await
    }

    /// A channel will never take a message about these events: they are given up, and counted until that is told. The
    /// next ones are tried at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_notices_up(
        &self,
        channel: &ChannelName,
        seqs: &[i64],
        problem: &str,
    ) -> Result<(), StoreError> {
        let problem = short(problem);
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.give_notices_up(channel, seqs, &problem);
                Ok(())
            });
        }
        self.write(async |tx| {
            let gone = remove(tx, channel, seqs).await?;
            query("UPDATE notice_channels SET dropped = dropped + $1, problem = $2, failures = 0, retry_at = NULL \
                 WHERE channel = $3")
                .bind(whole(gone))
                .bind(&problem)
                .bind(channel.as_str())
                .execute(tx)
                .await?;
            Ok(())
        })
        .await
    }
}

fn short(problem: &str) -> String {
    let kept = problem.chars().take(PROBLEM_CHARS);
    kept.map(|c| {
        if c == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    })
    .collect()
}

/// As the database counts.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn keep(tx: &mut Tx, names: &[ChannelName]) -> Result<u64, StoreError> {
    let rows = query("SELECT * FROM notice_channels ORDER BY channel LIMIT 1000")
        .fetch_all(&mut *tx)
        .await?;
    let mut forgotten = 0;
    for found in each(&rows, channel_row)? {
        if names.contains(&found.channel) {
            continue;
        }
        let channel = found.channel.as_str();
        let notices = query("DELETE FROM notices WHERE channel = $1").bind(channel);
        forgotten += notices.execute(&mut *tx).await?.rows_affected();
        let subjects = query("DELETE FROM notice_subjects WHERE channel = $1").bind(channel);
        subjects.execute(&mut *tx).await?;
        let row = query("DELETE FROM notice_channels WHERE channel = $1").bind(channel);
        row.execute(&mut *tx).await?;
    }
    for name in names {
        query(
            "INSERT INTO notice_channels (channel, seq) SELECT $1, COALESCE(MAX(seq), 0) FROM events \
             WHERE seq > 0 ON CONFLICT (channel) DO NOTHING",
        )
        .bind(name.as_str())
        .execute(&mut *tx)
        .await?;
    }
    Ok(forgotten)
}

async fn take_up(
    tx: &mut Tx,
    channel: &ChannelName,
    take: &TakeUp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let moved = query("UPDATE notice_channels SET seq = $1 WHERE channel = $2 AND seq = $3")
        .bind(take.to)
        .bind(channel.as_str())
        .bind(take.from)
        .execute(&mut *tx)
        .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    for notice in &take.notices {
        if let Some(subject) = &notice.subject
            && !is_new(tx, channel, subject, now).await?
        {
            continue;
        }
        query("INSERT INTO notices (channel, seq, severity, held) VALUES ($1, $2, $3, $4)")
            .bind(channel.as_str())
            .bind(notice.waiting.seq)
            .bind(notice.waiting.severity.label())
            .bind(i64::from(notice.waiting.held))
            .execute(&mut *tx)
            .await?;
    }
    if !take.notices.is_empty() {
        bound(tx, channel).await?;
    }
    Ok(true)
}

/// Whether the channel has not been told of the subject; from now on it has.
async fn is_new(
    tx: &mut Tx,
    channel: &ChannelName,
    subject: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    query("DELETE FROM notice_subjects WHERE channel = $1 AND told_at < $2")
        .bind(channel.as_str())
        .bind(now.0 - SUBJECTS_KEPT_MS)
        .execute(&mut *tx)
        .await?;
    let added = query(
        "INSERT INTO notice_subjects (channel, subject, told_at) VALUES ($1, $2, $3) \
         ON CONFLICT (channel, subject) DO NOTHING",
    )
    .bind(channel.as_str())
    .bind(subject)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    Ok(added.rows_affected() > 0)
}

/// Gives up what is too much.
async fn bound(tx: &mut Tx, channel: &ChannelName) -> Result<(), StoreError> {
    let count =
        query("SELECT COUNT(*) AS n FROM notices WHERE channel = $1").bind(channel.as_str());
    let count = count.fetch_one(&mut *tx).await?.int("n")?;
    let over = count - NOTICES_PER_CHANNEL as i64;
    if over <= 0 {
        return Ok(());
    }
    query(
        "DELETE FROM notices WHERE channel = $1 AND seq IN (SELECT seq FROM notices WHERE channel = $1 \
         ORDER BY CASE severity WHEN 'info' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, seq LIMIT $2)",
    )
    .bind(channel.as_str())
    .bind(over)
    .execute(&mut *tx)
    .await?;
    query("UPDATE notice_channels SET dropped = dropped + $1 WHERE channel = $2")
        .bind(over)
        .bind(channel.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn remove(tx: &mut Tx, channel: &ChannelName, seqs: &[i64]) -> Result<u64, StoreError> {
    let mut gone = 0;
    for seq in seqs {
        let one = query("DELETE FROM notices WHERE channel = $1 AND seq = $2")
            .bind(channel.as_str())
            .bind(*seq)
            .execute(&mut *tx)
            .await?;
        gone += one.rows_affected();
    }
    Ok(gone)
}

fn channel_row(row: &Row) -> Result<NoticeChannel, StoreError> {
    Ok(NoticeChannel {
        channel: row.parsed("channel")?,
        seq: row.int("seq")?,
        failures: row.number("failures")?,
        retry_at: row.moment_opt("retry_at")?,
        problem: row.text_opt("problem")?,
        dropped: row.number("dropped")?,
        delivered_at: row.moment_opt("delivered_at")?,
    })
}

fn waiting_row(row: &Row) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        seq: row.int("seq")?,
        severity: row.label("severity", Severity::parse)?,
        held: row.int("held")? != 0,
    })
}
