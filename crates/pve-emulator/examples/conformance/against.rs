//! A PVE that is there already, by its URL, in real time.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::arguments::Target;
use crate::server::{Answer, Server};
use crate::support::sim::Request;
use crate::wire::Wire;

pub struct Against {
    runtime: Runtime,
    wire: Wire,
    target: Target,
    /// `PVEAPIToken=…`.
    token: String,
    root_password: Option<String>,
    /// Why the last call that was not answered was not.
    pub trouble: Option<String>,
}

/// The only line of a file.
fn read(file: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| format!("{}: {e}", file.display());
    let text = std::fs::read_to_string(file).map_err(told)?;
    Ok(text.trim().to_owned())
}

impl Against {
    /// Nothing is sent yet.
    pub fn new(target: Target) -> Result<Self, String> {
        let file = &target.token_file;
        let token = read(file)?;
        if !token.contains('!') || !token.contains('=') {
            let file = file.display();
            return Err(format!("{file}: holds no line like USER@REALM!NAME=SECRET"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            wire: Wire::new(target.ca.as_deref(), &target.fingerprints)?,
            runtime,
            root_password: target.password_file.as_deref().map(read).transpose()?,
            token: format!("PVEAPIToken={token}"),
            target,
            trouble: None,
        })
    }

    /// Where calls by way of a node go; the first node's when it is not known.
    fn authority(&self, via: Option<&str>) -> &str {
        let known = via.and_then(|via| self.target.nodes.iter().find(|(name, _)| name == via));
        known.map_or(&self.target.authority, |(_, authority)| authority)
    }

    /// Calls by way of this node can be sent.
    pub fn reaches(&self, node: &str, first: &str) -> bool {
        node == first || self.target.nodes.iter().any(|(name, _)| name == node)
    }

    /// A request with their names.
    fn theirs(&self, mut request: Request) -> Request {
        for (recorded, theirs) in &self.target.renames {
            request.path = request.path.replace(recorded, theirs);
            request.query = request.query.replace(recorded, theirs);
            if let Ok(text) = std::str::from_utf8(&request.body) {
                request.body = text.replace(recorded, theirs).into_bytes();
            }
        }
        request
    }

    /// An answer with the recorded names.
    fn ours(&self, mut answer: Answer) -> Answer {
        for (recorded, theirs) in &self.target.renames {
            answer.reason = answer.reason.replace(theirs, recorded);
            if let Ok(text) = std::str::from_utf8(&answer.body) {
                answer.body = text.replace(theirs, recorded).into_bytes();
            }
        }
        answer
    }
}

impl Server for Against {
    fn exchange(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        let calls = requests.into_iter().map(|request| {
            let authority = self.authority(request.via.as_deref()).to_owned();
            let request = self.theirs(request);
            let wire = &self.wire;
            async move { wire.call(&authority, request).await }
        });
        let calls: Vec<_> = calls.collect();
        let answers = self.runtime.block_on(futures::future::join_all(calls));
        let mut trouble = None;
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(answer) => self.ours(answer),
            Err(why) => {
                trouble = Some(why);
                Answer::default()
            }
        });
        let answers = answers.collect();
        self.trouble = trouble.or(self.trouble.take());
        answers
    }

    fn wait_ms(&mut self, ms: u64) {
        self.runtime
            .block_on(async { tokio::time::sleep(Duration::from_millis(ms)).await });
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the server has the real time, and codes of second factors go by it"
    )]
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn event(&mut self, event: &Value) -> Result<(), String> {
        Err(format!("{} cannot be done over the API", event["action"]))
    }

    fn administrator(&self) -> Option<String> {
        Some(self.token.clone())
    }

    fn root_password(&self) -> Option<String> {
        self.root_password.clone()
    }

    fn administrator_as(&self, id: &str) -> Option<String> {
        let mut id = id.to_owned();
        for (recorded, theirs) in &self.target.renames {
            id = id.replace(recorded, theirs);
        }
        let own = format!("PVEAPIToken={id}=");
        self.token.starts_with(&own).then(|| self.token.clone())
    }
}
