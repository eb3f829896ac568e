//! Which endpoint is asked, and when the next one.

use std::pin::pin;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::hearing::Hearing;
use super::proof::Proof;
use super::turns::{Turn, node_of};
use super::under_way::Ended;
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
    /// None is hung up on for its silence before the call's time is over: what PVE passes on to another node is answered only when PVE gives
    /// that node up, whichever endpoint is asked, and that answer is worth having. A further copy of such a call has to have
    /// a turn of its own at its node; without one it is sent when a copy before it has failed, or an endpoint that has one is
    /// found to say nothing at all. Who sends an answer is not silent, however long that is: a list of very many guests takes
    /// longer than a share, and is not asked for twice.
    pub(super) async fn read(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
        turn: Turn,
    ) -> Result<RawResponse, TransportError> {
        let mut left = self.in_order().peekable();
        let mut asked: Copies<'_> = FuturesUnordered::new();
        let mut reading = Reading::new(self, request, turn);
        while let Some((index, endpoint)) = left.next() {
            let turn = match reading.next_turn(&mut asked, times.end).await {
                Next::Turn(turn) => turn,
                Next::Answer(answer) => return Ok(answer),
                Next::Nothing => break,
            };
            // After the last of several nobody else is to be asked.
            let until = if left.peek().is_none() && !asked.is_empty() {
                times.end
            } else {
                times.share_end()
            };
            let way = self.way(index);
            reading.sends_to(index, way.hearing());
            asked.push(Box::pin(async move {
                let ended = endpoint.exchange(request, proof, times, turn, way);
                (index, ended.await)
            }));
            match next_ended(&mut asked, until, times, &reading.hearings).await {
                Some((index, ended)) => {
                    if let Some(answer) = reading.ended(index, ended) {
                        return Ok(answer);
                    }
                }
                None => self.was_silent(index, request),
            }
            if Instant::now() >= times.end {
                break;
            }
        }
        while let Some((index, ended)) = asked.next().await {
            if let Some(answer) = reading.ended(index, ended) {
                return Ok(answer);
            }
        }
        Err(reading.failures.summary())
    }

    /// Sends something that changes something: to the next endpoint only when nothing was sent to the one before.
    pub(super) async fn change(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
        turn: Turn,
    ) -> Result<RawResponse, TransportError> {
        let mut failures = Failures::default();
        let mut turn = Some(turn);
        for (index, endpoint) in self.in_order() {
            let own = match self.still_good(turn, request, times).await {
                Ok(own) => own,
                Err(failure) => {
                    failures.add(&endpoint.address, failure);
                    break;
                }
            };
            let mut exchange = pin!(endpoint.exchange(request, proof, times, own, self.way(index)));
            let ended = match timeout_at(times.share_end(), &mut exchange).await {
                Ok(ended) => ended,
                Err(_) => {
                    // Its answer is waited for, but not by the calls that follow.
                    self.was_silent(index, request);
                    exchange.await
                }
            };
            turn = ended.turn;
            match ended.outcome {
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

    /// The turn that the call had at the endpoint before, or another one if it has none any longer.
    async fn still_good(
        &self,
        turn: Option<Turn>,
        request: &Request,
        times: &Times,
    ) -> Result<Turn, TransportError> {
        match turn.filter(Turn::is_good) {
            Some(turn) => Ok(turn),
            None => {
                let limit = times.begin_before();
                self.turns.at_node(&request.path, limit, None).await
            }
        }
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

/// The copies of a read, each with its endpoint.
type Copies<'a> = FuturesUnordered<BoxFuture<'a, (usize, Ended)>>;

/// How the next copy ended; `None` when none has by `until`, and nothing of an answer has come for a share either.
async fn next_ended(
    asked: &mut Copies<'_>,
    mut until: Instant,
    times: &Times,
    hearings: &[Hearing],
) -> Option<(usize, Ended)> {
    loop {
        if let Ok(ended) = timeout_at(until, asked.next()).await {
            return ended;
        }
        let heard = hearings.iter().filter_map(Hearing::last).max()?;
        let later = (heard + times.share).min(times.end);
        if later <= until {
            return None;
        }
        until = later;
    }
}

/// What is known of a read and its copies.
struct Reading<'a> {
    transport: &'a HttpsTransport,
    request: &'a Request,
    /// In the order in which they were asked.
    tried: Vec<usize>,
    /// Those whose answer is waited for, and since when.
    under_way: Vec<(usize, Instant)>,
    /// What comes of the answers.
    hearings: Vec<Hearing>,
    /// A turn at the node that no copy has.
    spare: Option<Turn>,
    /// What further copies have of the turns in all.
    in_all: Vec<OwnedSemaphorePermit>,
    failures: Failures,
}

/// What there is for the next copy of a read.
enum Next {
    Turn(Turn),
    /// Nothing, for one before it was answered.
    Answer(RawResponse),
    /// Nothing in time.
    Nothing,
}

impl<'a> Reading<'a> {
    fn new(transport: &'a HttpsTransport, request: &'a Request, turn: Turn) -> Self {
        Self {
            transport,
            request,
            tried: Vec::new(),
            under_way: Vec::new(),
            hearings: Vec::new(),
            spare: Some(turn),
            in_all: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// Waits for a turn for one more copy, until `end` at most, and meanwhile for those that were asked.
    async fn next_turn(&mut self, asked: &mut Copies<'_>, end: Instant) -> Next {
        if node_of(&self.request.path).is_none() {
            return Next::Turn(Turn::default());
        }
        loop {
            if let Some(turn) = self.spare.take().filter(Turn::is_good) {
                return Next::Turn(turn);
            }
            let turns = &self.transport.turns;
            tokio::select! {
                biased;
                Some((index, ended)) = asked.next() => {
                    if let Some(answer) = self.ended(index, ended) {
                        return Next::Answer(answer);
                    }
                }
                further = turns.further(&self.request.path, &self.under_way, end) => {
                    return match further {
                        Ok((turn, in_all)) => {
                            self.in_all.extend(in_all);
                            Next::Turn(turn)
                        }
                        Err(_) => Next::Nothing,
                    };
                }
            }
            if Instant::now() >= end {
                return Next::Nothing;
            }
        }
    }

    fn sends_to(&mut self, index: usize, hearing: Hearing) {
        self.tried.push(index);
        self.under_way.push((index, Instant::now()));
        self.hearings.push(hearing);
    }

    /// Takes in how a copy ended; gives its answer, if that is one.
    fn ended(&mut self, index: usize, ended: Ended) -> Option<RawResponse> {
        self.under_way.retain(|(endpoint, _)| *endpoint != index);
        self.spare = ended.turn.or(self.spare.take());
        match ended.outcome {
            Ok(answer) => Some(self.transport.answered(&self.tried, index, answer)),
            Err(failure) => {
                self.transport
                    .failed(index, self.request, failure, &mut self.failures);
                None
            }
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const SHARE: Duration = Duration::from_secs(1);

    /// For how long an endpoint is waited for whose answer comes in so many parts so far apart, and with the last of them is
    /// whole or not; and whether it came.
    async fn waited(
        (parts, apart): (u32, Duration),
        is_whole: bool,
        end: Duration,
    ) -> (Duration, bool) {
        let begun = Instant::now();
        let times = Times {
            end: begun + end,
            send_before: None,
            share: SHARE,
        };
        let hearing = Hearing::default();
        let told = hearing.clone();
        let mut asked: Copies<'_> = FuturesUnordered::new();
        asked.push(Box::pin(async move {
            for _ in 0..parts {
                sleep(apart).await;
                told.note();
            }
            if !is_whole {
                pending::<()>().await;
            }
            let over = Err(TransportError::NotSent("over".to_owned()));
            (0, Ended::over(over, Turn::default()))
        }));
        let ended = next_ended(&mut asked, begun + SHARE, &times, &[hearing]).await;
        (begun.elapsed(), ended.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_an_answer_is_waited_for_until_nothing_comes_for_a_share() {
        let part = SHARE * 3 / 4;
        let long = 60 * SHARE;
        assert_eq!(waited((9, part), true, long).await, (9 * part, true));
        assert_eq!(waited((0, part), false, long).await, (SHARE, false));
        assert_eq!(waited((1, part), false, long).await, (part + SHARE, false));
        assert_eq!(
            waited((9, part), false, long).await,
            (9 * part + SHARE, false)
        );
        assert_eq!(waited((1, 2 * SHARE), true, long).await, (SHARE, false));
        let end = 5 * SHARE / 2;
        assert_eq!(waited((9, part), true, end).await, (end, false));
    }
}
