//! Answers that are not what the cluster would say: how a node fails, and at which question of a look.

use std::collections::BTreeSet;

use bytes::Bytes;
use proximity_engine::saga::Guard;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use serde_json::Value;

/// How a node fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// 595, as the proxy says of a node that it does not reach.
    Unreachable,
    /// No answer.
    Silent,
    /// 500.
    Broken,
    /// 200, with nothing in it.
    Empty,
    /// 200, cut off in the middle.
    Truncated,
    /// 200, as things were before.
    Old,
    /// The others say that it is offline.
    Offline,
}

impl Failure {
    pub(super) const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Silent,
        Self::Broken,
        Self::Empty,
        Self::Truncated,
        Self::Old,
        Self::Offline,
    ];

    /// What keeps its containers' records.
    pub(super) fn guard(self) -> Guard {
        match self {
            Self::Unreachable
            | Self::Silent
            | Self::Broken
            | Self::Empty
            | Self::Truncated
            | Self::Old => Guard::Proof,
            Self::Offline => Guard::Offline,
        }
    }
}

/// The questions of a pass, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Membership,
    Rights,
    List,
    RightsOnGuest,
    Direct,
    /// The configuration and the power of a container that the list says has stopped.
    Follow,
}

impl Question {
    pub(super) const ALL: [Self; 6] = [
        Self::Membership,
        Self::Rights,
        Self::List,
        Self::RightsOnGuest,
        Self::Direct,
        Self::Follow,
    ];

    fn of(request: &Request) -> Option<Self> {
        let on_guest = |(name, value): &(String, String)| name == "path" && value != "/";
        match request.path.as_str() {
            "/cluster/status" => Some(Self::Membership),
            "/cluster/resources" => Some(Self::List),
            "/access/permissions" if request.params.iter().any(on_guest) => {
                Some(Self::RightsOnGuest)
            }
            "/access/permissions" => Some(Self::Rights),
            path if path.ends_with("/config") => Some(Self::Direct),
            path if path.ends_with("/status/current") => Some(Self::Follow),
            _ => None,
        }
    }
}

/// A node that fails. Its containers are missing from the list all the while, whatever else is asked; where what the list
/// hints at is asked, the first of them are there and said to have stopped.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) node: String,
    pub(super) vmids: BTreeSet<u32>,
    pub(super) failure: Failure,
    pub(super) at: Question,
}

/// So many containers have another power by the list.
const HINTED: usize = 5;

type Answer = Result<RawResponse, TransportError>;

impl Trouble {
    /// What arrives in the place of the answer.
    pub(super) fn distort(&self, request: &Request, answer: Answer) -> Answer {
        let Some(question) = Question::of(request) else {
            return answer;
        };
        // Both are asked of the node itself.
        let of_guest = |asked| matches!(asked, Question::Direct | Question::Follow);
        let fails = question == self.at || (of_guest(question) && of_guest(self.at));
        match (question, fails) {
            (Question::Membership, _) if self.failure == Failure::Offline => {
                self.with_rows(answer, |row, is_its| {
                    if is_its {
                        row["online"] = Value::from(0);
                    }
                    true
                })
            }
            (_, true) => self.fail(question, answer),
            (Question::List, false) => self.listed(answer),
            (
                Question::Membership
                | Question::Rights
                | Question::RightsOnGuest
                | Question::Direct
                | Question::Follow,
                false,
            ) => answer,
        }
    }

    fn fail(&self, question: Question, answer: Answer) -> Answer {
        match self.failure {
            Failure::Unreachable => Ok(refusal(595, "Connection refused")),
            Failure::Silent => Err(TransportError::MaybeApplied("no answer".to_owned())),
            Failure::Broken => Ok(refusal(500, "got no worker upid - start worker failed")),
            Failure::Empty => answer.map(|whole| RawResponse {
                body: empty(question),
                ..whole
            }),
            Failure::Truncated => answer.map(|whole| RawResponse {
                body: whole.body.slice(..whole.body.len() / 2),
                ..whole
            }),
            Failure::Old => self.old(question, answer),
            Failure::Offline => self.offline(question, answer),
        }
    }

    /// The list keeps what it knew last of the node's containers; the node itself is not reached.
    fn offline(&self, question: Question, answer: Answer) -> Answer {
        match question {
            Question::List => self.with_rows(answer, |row, is_its| {
                if is_its {
                    row["status"] = Value::from("unknown");
                }
                true
            }),
            Question::Direct | Question::Follow => Ok(refusal(595, "No route to host")),
            Question::Membership | Question::Rights | Question::RightsOnGuest => answer,
        }
    }

    /// The list while another question fails.
    fn listed(&self, answer: Answer) -> Answer {
        let hinted = if self.at == Question::Follow {
            HINTED
        } else {
            0
        };
        let hinted: BTreeSet<u32> = self.vmids.iter().take(hinted).copied().collect();
        self.with_rows(answer, |row, is_its| {
            let is_hinted = number(&row["vmid"]).is_some_and(|vmid| hinted.contains(&vmid));
            if is_hinted {
                row["status"] = Value::from("stopped");
            }
            !is_its || is_hinted || row["type"] == "node"
        })
    }

    /// Before this node joined and its containers were made, before the token had its rights; a container that was read
    /// before is read again.
    fn old(&self, question: Question, answer: Answer) -> Answer {
        match question {
            Question::Membership => self.with_rows(answer, |_, is_its| !is_its),
            Question::List => {
                self.with_rows(answer, |row, is_its| !is_its || row["type"] == "node")
            }
            Question::Rights | Question::RightsOnGuest => answer.map(|whole| RawResponse {
                body: empty(question),
                ..whole
            }),
            Question::Direct | Question::Follow => answer,
        }
    }

    /// Each row as this makes it, which is told whether it is of the node or of one of its containers; without those it says
    /// no to.
    fn with_rows(&self, answer: Answer, each: impl Fn(&mut Value, bool) -> bool) -> Answer {
        let mut answer = answer?;
        let Ok(mut whole) = serde_json::from_slice::<Value>(&answer.body) else {
            return Ok(answer);
        };
        if let Some(rows) = whole["data"].as_array_mut() {
            rows.retain_mut(|row| {
                let of_guest = number(&row["vmid"]).is_some_and(|vmid| self.vmids.contains(&vmid));
                let is_its = of_guest || row["name"] == self.node.as_str();
                each(row, is_its)
            });
        }
        answer.body = whole.to_string().into_bytes().into();
        Ok(answer)
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

fn empty(question: Question) -> Bytes {
    match question {
        Question::Membership | Question::List => Bytes::from_static(br#"{"data":[]}"#),
        Question::Rights | Question::RightsOnGuest | Question::Direct | Question::Follow => {
            Bytes::from_static(br#"{"data":{}}"#)
        }
    }
}

fn refusal(status: u16, message: &str) -> RawResponse {
    RawResponse {
        status,
        reason: message.to_owned(),
        body: format!(r#"{{"data":null,"message":"{message}\n"}}"#).into(),
    }
}
