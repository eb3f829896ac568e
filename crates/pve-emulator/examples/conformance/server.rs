//! The server a recording is replayed against.

use serde_json::Value;

use crate::support::sim::Request;

/// An answer as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Absent when the connection ended unanswered.
    pub status: Option<u16>,
    pub reason: String,
    pub content_type: Option<String>,
    /// All `Connection` headers in order.
    pub connection: Vec<String>,
    pub body: Vec<u8>,
    pub took_ms: u64,
}

impl Answer {
    /// Parsed JSON, else text, else null.
    pub fn value(&self) -> Value {
        match self.body.as_slice() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        }
    }

    pub fn payload(&self) -> Value {
        self.value()["data"].clone()
    }

    /// For messages about what went wrong.
    pub fn short(&self) -> String {
        let status = self
            .status
            .map_or("no answer".to_owned(), |s| s.to_string());
        let body = String::from_utf8_lossy(&self.body);
        format!("{status} {} {}", self.reason, body.trim_end())
    }
}

/// A PVE, emulated or not.
pub trait Server {
    /// Sends calls at the same time; the answers in their order.
    fn exchange(&mut self, requests: Vec<Request>) -> Vec<Answer>;

    /// Lets time pass.
    fn wait_ms(&mut self, ms: u64);

    /// The time, Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Something that is done outside of the API, e.g. cutting a node's power.
    fn event(&mut self, event: &Value) -> Result<(), String>;

    /// The token of an administrator who has no password to give.
    fn administrator(&self) -> Option<String> {
        None
    }

    /// The password of `root@pam`, if it is known.
    fn root_password(&self) -> Option<String> {
        None
    }

    /// That token, if a recording's token of this name stands for it.
    fn administrator_as(&self, _id: &str) -> Option<String> {
        None
    }

    /// Sends one call.
    fn call(&mut self, request: Request) -> Answer {
        self.exchange(vec![request]).pop().unwrap_or_default()
    }
}
