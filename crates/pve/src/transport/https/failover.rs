//! Which endpoint is asked, and when the next one.

use std::pin::pin;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::proof::Proof;
use super::turns::node_of;
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
        if moved.is_ok() {
            self.moved(index, next);
        }
        if let (Ok(_), Some(silent)) = (moved, self.endpoints.get(index)) {
            tracing::debug!(endpoint = %silent.address, "another endpoint is asked first from now on");
        }
    }

    /// Takes note that `index` was silent for its share.
    ///
    /// What is passed on to a node is answered when that node answers, or when PVE gives it up: the silence may be the
    /// node's, and says nothing about the endpoint. Else a healthy endpoint would be left for the very node that hangs.
    fn was_silent(&self, index: usize, request: &Request) {
        if node_of(&request.path).is_none() {
            self.move_on_from(index);
        }
    }

    /// Sends something that changes nothing: to the next endpoint as well when one fails or is silent for its share. Who
    /// answered first, of several, is asked first from then on.
    ///
    /// The first one is not hung up on for its silence: what PVE passes on to another node is answered only when PVE gives
    /// that node up, whichever endpoint is asked, and that answer is worth having. A further copy of such a call has to have
    /// a turn of its own at its node; without one it is sent when a copy before it has failed.
    pub(super) async fn read(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let mut left = self.in_order().peekable();
        let mut asked = FuturesUnordered::new();
        let mut turns = Vec::new();
        // In the order in which they were asked.
        let mut tried = Vec::new();
        let mut failures = Failures::default();
        while let Some((index, endpoint)) = left.next() {
            if !asked.is_empty() && node_of(&request.path).is_some() {
                match self.turns.take(&request.path, Instant::now()).await {
                    Ok(turn) => turns.push(turn),
                    // Enough calls are under way there: the next copy takes the place of one that failed.
                    Err(_) => match asked.next().await {
                        Some((index, Ok(answer))) => {
                            return Ok(self.answered(&tried, index, answer));
                        }
                        Some((index, Err(failure))) => {
                            self.failed(index, request, failure, &mut failures);
                        }
                        None => {}
                    },
                }
                if Instant::now() >= times.end {
                    break;
                }
            }
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
            tried.push(index);
            asked.push(async move {
                let outcome = endpoint.exchange(request, proof, &times);
                (index, outcome.await)
            });
            match timeout_at(until, asked.next()).await {
                Ok(Some((index, Ok(answer)))) => return Ok(self.answered(&tried, index, answer)),
                Ok(Some((index, Err(failure)))) => {
                    self.failed(index, request, failure, &mut failures)
                }
                Ok(None) | Err(_) => self.was_silent(index, request),
            }
            if Instant::now() >= times.end {
                break;
            }
        }
        while let Some((index, outcome)) = asked.next().await {
            match outcome {
                Ok(answer) => return Ok(self.answered(&tried, index, answer)),
                Err(failure) => self.failed(index, request, failure, &mut failures),
            }
        }
        Err(failures.summary())
    }

    /// Sends something that changes something: to the next endpoint only when nothing was sent to the one before.
    pub(super) async fn change(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let mut failures = Failures::default();
        for (index, endpoint) in self.in_order() {
            let mut exchange = pin!(endpoint.exchange(request, proof, times));
            let outcome = match timeout_at(times.share_end(), &mut exchange).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    // Its answer is waited for, but not by the calls that follow.
                    self.was_silent(index, request);
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

    /// Whoever answers first of those that were `tried` is asked first from now on, if one of the others still is: also
    /// one that was moved on to since, and was slower.
    fn answered(&self, tried: &[usize], index: usize, answer: RawResponse) -> RawResponse {
        let first = self.preferred.load(Ordering::Relaxed);
        if tried.contains(&first) {
            // If it has moved elsewhere meanwhile, that stays as it is.
            let moved =
                self.preferred
                    .compare_exchange(first, index, Ordering::Relaxed, Ordering::Relaxed);
            if moved.is_ok() {
                self.moved(first, index);
            }
        }
        answer
    }

    /// Counts that another endpoint was put first.
    pub(super) fn moved(&self, from: usize, to: usize) {
        if from != to {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
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
                TransportError::NotSent(_)
                | TransportError::LoginRefused(_)
                | TransportError::SecondFactor(_) => {}
            }
        }
        sum
    }
}
