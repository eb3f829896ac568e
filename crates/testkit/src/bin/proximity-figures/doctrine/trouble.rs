//! Answers that are not what the cluster would say: how a node fails, and at which question of a look.

use std::collections::BTreeSet;

use bytes::Bytes;
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
}

impl Failure {
    pub(super) const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::Silent,
        Self::Broken,
        Self::Empty,
        Self::Truncated,
        Self::Old,
    ];
}

/// The questions of a look, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Membership,
    Rights,
    List,
    RightsOnGuest,
    Direct,
}

impl Question {
    pub(super) const ALL: [Self; 5] = [
        Self::Membership,
        Self::Rights,
        Self::List,
        Self::RightsOnGuest,
        Self::Direct,
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
            _ => None,
        }
    }
}

/// A node that fails. Its containers are missing from the list all the while, whatever else is asked.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) node: String,
    pub(super) vmids: BTreeSet<u32>,
    pub(super) failure: Failure,
    pub(super) at: Question,
    /// The control: a failed direct read comes as a container that does not exist.
    pub(super) lies: bool,
}

type Answer = Result<RawResponse, TransportError>;

impl Trouble {
    /// What arrives in the place of the answer.
    pub(super) fn distort(&self, request: &Request, answer: Answer) -> Answer {
        let Some(question) = Question::of(request) else {
            return answer;
        };
        if question != self.at {
            return match question {
                Question::List => self.without(answer, "vmid"),
                Question::Membership
                | Question::Rights
                | Question::RightsOnGuest
                | Question::Direct => answer,
            };
        }
        if self.lies && question == Question::Direct {
            let file = request
                .path
                .trim_start_matches('/')
                .trim_end_matches("/config");
            let gone = format!("Configuration file '{file}.conf' does not exist");
            return Ok(refusal(500, &gone));
        }
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
        }
    }

    /// Before this node joined and its containers were made, before the token had its rights; a container that was read
    /// before is read again.
    fn old(&self, question: Question, answer: Answer) -> Answer {
        match question {
            Question::Membership => self.without(answer, "name"),
            Question::List => self.without(answer, "vmid"),
            Question::Rights | Question::RightsOnGuest => answer.map(|whole| RawResponse {
                body: empty(question),
                ..whole
            }),
            Question::Direct => answer,
        }
    }

    /// Without the rows of the node, or of its containers.
    fn without(&self, answer: Answer, key: &str) -> Answer {
        let mut answer = answer?;
        let Ok(mut whole) = serde_json::from_slice::<Value>(&answer.body) else {
            return Ok(answer);
        };
        if let Some(rows) = whole["data"].as_array_mut() {
            rows.retain(|row| !self.is_its(&row[key]));
        }
        answer.body = whole.to_string().into_bytes().into();
        Ok(answer)
    }

    fn is_its(&self, value: &Value) -> bool {
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        number.is_some_and(|vmid| self.vmids.contains(&vmid)) || value == self.node.as_str()
    }
}

fn empty(question: Question) -> Bytes {
    match question {
        Question::Membership | Question::List => Bytes::from_static(br#"{"data":[]}"#),
        Question::Rights | Question::RightsOnGuest | Question::Direct => {
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
