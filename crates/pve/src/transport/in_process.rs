//! A transport made from a closure: for tests and for the simulator.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;

use super::{RawResponse, Request, Transport, TransportError, answered};

type Answer = Pin<Box<dyn Future<Output = Result<RawResponse, TransportError>> + Send>>;

/// Answers requests by calling a closure.
pub struct InProcess {
    answer: Box<dyn Fn(Request) -> Answer + Send + Sync>,
}

impl InProcess {
    /// A transport that answers by the future the closure makes.
    pub fn new<F, A>(answer: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<RawResponse, TransportError>> + Send + 'static,
    {
        Self {
            answer: Box::new(move |request| Box::pin(answer(request))),
        }
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        answered(request.answer_ms, (self.answer)(request)).await
    }
}
