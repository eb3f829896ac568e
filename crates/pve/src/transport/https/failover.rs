//! Which endpoint is asked, and when the next one.

use std::pin::pin;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::{Endpoint, HttpsTransport, Times};
use crate::transport::{RawResponse, Request, TransportError};

impl HttpsTransport {
    /// The endpoints, the preferred one first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let count = self.endpoints.len();
        (0..count).filter_map(move |i| {
            let index = (first + i) % count;
            self.endpoints.get(index).map(|endpoint| (index, endpoint))
        })
    }

    /// From now on another one is asked first, if this one is.
    fn move_on_from(&self, index: usize) {
        let next = (index + 1) % self.endpoints.len().max(1);
        let moved =
            self.preferred
                .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        if let (Ok(_), Some(silent)) = (moved, self.endpoints.get(index)) {
            tracing::debug!(endpoint = %silent.address, "another endpoint is asked first from now on");
        }
    }

    /// Sends something that changes nothing: to the next endpoint as well when one fails or is silent for its share.
    ///
    /// The first one is not hung up on for its silence: what PVE passes on to another node is answered only when PVE gives
    /// that node up, whichever endpoint is asked, and that answer is worth having.
    pub(super) async fn read(
        &self,
        request: &Request,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let mut left = self.in_order().peekable();
        let mut asked = FuturesUnordered::new();
        let mut failures = Failures::default();
        while let Some((index, endpoint)) = left.next() {
            let share_end = times.share_end();
            let to_the_end = asked.is_empty() || left.peek().is_none();
            let until = if asked.is_empty() {
                share_end
            } else {
                times.end
            };
            let times = Times {
                end: if to_the_end { times.end } else { share_end },
                ..*times
            };
            asked.push(async move {
                let outcome = endpoint.exchange(request, &self.authorization, &times);
                (index, outcome.await)
            });
            match timeout_at(until, asked.next()).await {
                Ok(Some((_, Ok(answer)))) => return Ok(answer),
                Ok(Some((index, Err(failure)))) => {
                    self.failed(index, request, failure, &mut failures)
                }
                Ok(None) | Err(_) => self.move_on_from(index),
            }
            if Instant::now() >= times.end {
                break;
            }
        }
        while let Some((index, outcome)) = asked.next().await {
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.failed(index, request, failure, &mut failures),
            }
        }
        Err(failures.summary())
    }

    /// Sends something that changes something: to the next endpoint only when nothing was sent to the one before.
    pub(super) async fn change(
        &self,
        request: &Request,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let mut failures = Failures::default();
        for (index, endpoint) in self.in_order() {
            let mut exchange = pin!(endpoint.exchange(request, &self.authorization, times));
            let outcome = match timeout_at(times.share_end(), &mut exchange).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    // Its answer is waited for, but not by the calls that follow.
                    self.move_on_from(index);
                    exchange.await
                }
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    let goes_on = failure.is_not_sent();
                    self.failed(index, request, failure, &mut failures);
                    if !goes_on {
                        break;
                    }
                }
            }
            if Instant::now() >= times.end {
                break;
            }
        }
        Err(failures.summary())
    }

    fn failed(
        &self,
        index: usize,
        request: &Request,
        failure: TransportError,
        failures: &mut Failures,
    ) {
        self.move_on_from(index);
        if let Some(endpoint) = self.endpoints.get(index) {
            tracing::debug!(endpoint = %endpoint.address, call = %request.path, %failure, "no answer");
            failures.add(&endpoint.address, failure);
        }
    }
}

/// What went wrong at each endpoint that was tried.
#[derive(Default)]
struct Failures(Vec<(String, TransportError)>);

impl Failures {
    fn add(&mut self, address: &Address, failure: TransportError) {
        self.0.push((address.to_string(), failure));
    }

    /// One failure for all: in doubt if any is, untrusted if any is, else not sent.
    fn summary(self) -> TransportError {
        let texts: Vec<String> = self
            .0
            .iter()
            .map(|(url, f)| format!("{url}: {f}"))
            .collect();
        let text = texts.join("; ");
        let mut sum = TransportError::NotSent(text.clone());
        for (_, failure) in self.0 {
            match failure {
                TransportError::MaybeApplied(_) => return TransportError::MaybeApplied(text),
                TransportError::Untrusted { seen, .. } => {
                    sum = TransportError::Untrusted {
                        why: text.clone(),
                        seen,
                    }
                }
                TransportError::NotSent(_) => {}
            }
        }
        sum
    }
}
