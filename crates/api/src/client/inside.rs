//! Commands inside containers, and stacks.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::ACCEPT;
use reqwest::{Method, Response};

use super::sse::{Block, Parser};
use super::{Client, ClientError};
use crate::apps::Problem;
use crate::inside::{CommandOutput, ExecEvent, ExecEventKind, ExecRequest, RunCommand};
use crate::stacks::{Stack, StackActionRequest, StackList, StackRun};

/// Longest silence of a stream. The server says something every 5 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// Longest time one stream is read; the server ends the program much earlier.
const LONGEST_STREAM: Duration = Duration::from_secs(2 * 60 * 60);

const NO_QUERY: &[(); 0] = &[];

/// What is told of a program that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecTold {
    /// It printed this on stdout.
    Stdout(Vec<u8>),
    /// It printed this on stderr.
    Stderr(Vec<u8>),
    /// It ended. Nothing follows.
    Ended {
        /// Its exit code.
        exit_code: i32,
        /// Something of what it printed was left out.
        truncated: bool,
    },
    /// Its end is not known, or it was ended. Nothing follows.
    Failed(Problem),
}

/// A program that runs. Dropped before its end, it is ended in the container.
#[derive(Debug)]
pub struct ExecStream {
    client: Client,
    answer: Response,
    parser: Parser,
    ready: VecDeque<Block>,
}

impl Client {
    /// `POST /api/apps/{id}/run`; `app` is an id or a host name.
    pub async fn run_command(
        &self,
        app: &str,
        body: &RunCommand,
    ) -> Result<CommandOutput, ClientError> {
        self.post(&["apps", app, "run"], body).await
    }

    /// `POST /api/apps/{id}/exec`: the program has begun when this returns; `app` is an id or a host name.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn exec(&self, app: &str, body: &ExecRequest) -> Result<ExecStream, ClientError> {
        let request = self
            .request(Method::POST, &["apps", app, "exec"])
            .header(ACCEPT, "text/event-stream")
            .timeout(LONGEST_STREAM)
            .json(body);
        let answer = request.send().await.map_err(|e| self.unsent(&e))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            let body = self.read(answer).await?;
            return Err(self.refusal(status, &body));
        }
        Ok(ExecStream {
            client: self.clone(),
            answer,
            parser: Parser::default(),
            ready: VecDeque::new(),
        })
    }

    /// `GET /api/stacks`.
    pub async fn stacks(&self) -> Result<StackList, ClientError> {
        self.get(&["stacks"], NO_QUERY).await
    }

    /// `GET /api/stacks/{name}`.
    pub async fn stack(&self, name: &str) -> Result<Stack, ClientError> {
        self.get(&["stacks", name], NO_QUERY).await
    }

    /// `POST /api/stacks/{name}/action`.
    pub async fn act_on_stack(
        &self,
        name: &str,
        body: &StackActionRequest,
    ) -> Result<StackRun, ClientError> {
        self.post(&["stacks", name, "action"], body).await
    }
}

impl ExecStream {
    /// What comes next.
    ///
    /// # Errors
    /// The stream broke before the program's end was told: it is ended then.
    pub async fn next(&mut self) -> Result<ExecTold, ClientError> {
        loop {
            while let Some(block) = self.ready.pop_front() {
                if let Some(data) = block.data {
                    return self.told(&data);
                }
            }
            let piece = tokio::time::timeout(LONGEST_SILENCE, self.answer.chunk()).await;
            let piece = match piece {
                Err(_) => return Err(self.client.broken("it was silent for 30 s")),
                Ok(Err(error)) => return Err(self.client.unsent(&error)),
                Ok(Ok(None)) => {
                    let why = "it ended the stream before the program's end was told";
                    return Err(self.client.broken(why));
                }
                Ok(Ok(Some(piece))) => piece,
            };
            match self.parser.push(&piece) {
                Ok(blocks) => self.ready.extend(blocks),
                Err(_) => return Err(self.odd("an event has no end")),
            }
        }
    }

    fn told(&self, data: &str) -> Result<ExecTold, ClientError> {
        let event: ExecEvent = serde_json::from_str(data).map_err(|e| self.odd(&e.to_string()))?;
        Ok(match event.kind {
            ExecEventKind::Stdout => ExecTold::Stdout(self.bytes(event.data)?),
            ExecEventKind::Stderr => ExecTold::Stderr(self.bytes(event.data)?),
            ExecEventKind::Ended => ExecTold::Ended {
                exit_code: event
                    .exit_code
                    .ok_or_else(|| self.odd("an end has no exit code"))?,
                truncated: event.truncated.unwrap_or(false),
            },
            ExecEventKind::Failed => ExecTold::Failed(
                event
                    .problem
                    .ok_or_else(|| self.odd("a failure has no problem"))?,
            ),
        })
    }

    fn bytes(&self, data: Option<String>) -> Result<Vec<u8>, ClientError> {
        let data = data.unwrap_or_default();
        STANDARD
            .decode(data)
            .map_err(|_| self.odd("what was printed is no base64"))
    }

    fn odd(&self, why: &str) -> ClientError {
        self.client
            .bad_answer(200, format!("the stream of a program: {why}"))
    }
}

/// Input of a program, as [`ExecRequest`] takes it.
#[must_use]
pub fn as_input(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
