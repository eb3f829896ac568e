//! Task ids: `UPID:node:pid:pstart:starttime:type:id:user:`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A parsed task id; prints back as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Upid {
    /// Node the task runs on.
    pub node: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process in clock ticks (1/100 s) since boot.
    pub pstart: u64,
    /// Start, Unix seconds.
    pub starttime_s: u64,
    /// e.g. `vzcreate`.
    pub kind: String,
    /// What it works on, for containers the vmid.
    pub id: String,
    /// `user@realm` or `user@realm!token`.
    pub user: String,
}

/// The text is no task id.
#[derive(Debug, thiserror::Error)]
#[error("unable to parse worker upid")]
pub struct NoUpid;

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            pid,
            pstart,
            starttime_s,
            kind,
            id,
            user,
        } = self;
        write!(
            f,
            "UPID:{node}:{pid:08X}:{pstart:08X}:{starttime_s:08X}:{kind}:{id}:{user}:"
        )
    }
}

impl From<Upid> for String {
    fn from(upid: Upid) -> Self {
        upid.to_string()
    }
}

impl TryFrom<String> for Upid {
    type Error = NoUpid;

    fn try_from(text: String) -> Result<Self, NoUpid> {
        text.parse()
    }
}

impl FromStr for Upid {
    type Err = NoUpid;

    fn from_str(text: &str) -> Result<Self, NoUpid> {
        let fields: Vec<&str> = text.split(':').collect();
        let ["UPID", node, pid, pstart, starttime, kind, id, user, ""] = fields.as_slice() else {
            return Err(NoUpid);
        };
        let sized = pid.len() == 8 && matches!(pstart.len(), 8 | 9) && starttime.len() == 8;
        let named =
            !node.is_empty() && node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let clean = |text: &str| !text.contains(['/', ' ', '\t', '\n']);
        if !sized
            || !named
            || kind.is_empty()
            || user.is_empty()
            || ![*kind, *id, *user].into_iter().all(clean)
        {
            return Err(NoUpid);
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).map_err(|_| NoUpid);
        Ok(Self {
            node: (*node).to_owned(),
            pid: u32::from_str_radix(pid, 16).map_err(|_| NoUpid)?,
            pstart: hex(pstart)?,
            starttime_s: hex(starttime)?,
            kind: (*kind).to_owned(),
            id: (*id).to_owned(),
            user: (*user).to_owned(),
        })
    }
}

impl Upid {
    /// Account and token name, e.g. (`root@pam`, `gold`).
    pub fn account(&self) -> (&str, Option<&str>) {
        match self.user.split_once('!') {
            Some((user, token)) => (user, Some(token)),
            None => (&self.user, None),
        }
    }

    /// The vmid, if the task is about a guest.
    pub fn vmid(&self) -> Option<u32> {
        self.id.parse().ok()
    }
}
