//! A request on its connection, and what becomes of it when nobody waits for its answer any longer.
//!
//! One that was written goes on at PVE, whoever hangs up: so the connection is kept, and tells when the call is over and its
//! turn free ([`super::turns`]). One that an endpoint carries out itself tells for a while whether anybody is there.

use std::future::pending;
use std::mem;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::{Answering, Connection, Message};
use super::turns::{KEPT, SILENT, Turn, Way};
use crate::transport::{RawResponse, TransportError};

/// How it ended to send one copy of a call to one endpoint.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Result<RawResponse, TransportError>,
    /// Its turn; none if the call has it still, for it may be under way.
    pub(super) turn: Option<Turn>,
}

impl Ended {
    /// The call is over at this endpoint, or never got there.
    pub(super) fn over(outcome: Result<RawResponse, TransportError>, turn: Turn) -> Self {
        turn.is_back();
        Self {
            outcome,
            turn: Some(turn),
        }
    }
}

/// A request that was handed to its connection. Who drops it gives it up: nothing more of it is written, and what was written
/// keeps its turn.
pub(super) struct UnderWay {
    /// None when the call is over.
    connection: Option<Connection>,
    answering: Answering,
    turn: Turn,
    way: Way,
    begun: Instant,
}

impl UnderWay {
    /// Hands it over; no byte of it is written from `send_before` on.
    pub(super) fn begin(
        mut connection: Connection,
        message: Message,
        send_before: Option<Instant>,
        turn: Turn,
        way: Way,
    ) -> Self {
        let answering = connection.send(message, send_before, way.hearing());
        Self {
            connection: Some(connection),
            answering,
            turn,
            way,
            begun: Instant::now(),
        }
    }

    /// Waits for the answer, until `end` at most; with it comes the connection, which can be used again.
    pub(super) async fn end(mut self, end: Instant) -> (Ended, Option<Connection>) {
        match timeout_at(end, &mut self.answering).await {
            Ok(Ok(answer)) => {
                self.turn.note(&answer);
                self.way.spoke();
                let ended = Ended::over(Ok(answer), mem::take(&mut self.turn));
                (ended, self.connection.take())
            }
            Ok(Err(why)) => (self.broke(why).await, None),
            Err(_) => (self.is_late("no answer in time".to_owned()).await, None),
        }
    }

    /// The connection has ended, and the call with it.
    async fn broke(&mut self, why: String) -> Ended {
        let was_written = match self.connection.take() {
            Some(mut connection) => connection.hang_up().await,
            None => true,
        };
        let failure = if was_written {
            TransportError::MaybeApplied(why)
        } else {
            TransportError::NotSent(why)
        };
        Ended::over(Err(failure), mem::take(&mut self.turn))
    }

    /// Its time is over.
    async fn is_late(&mut self, why: String) -> Ended {
        let connection = self.connection.as_ref();
        if !connection.is_some_and(Connection::stop_writing)
            && let Some(mut connection) = self.connection.take()
        {
            if !connection.hang_up().await {
                let not_sent = Err(TransportError::NotSent(why));
                return Ended::over(not_sent, mem::take(&mut self.turn));
            }
            // The driver was just writing it.
            self.leave(None, true);
        }
        Ended {
            outcome: Err(TransportError::MaybeApplied(why)),
            turn: None,
        }
    }

    /// From now on it is waited for by itself, if at all.
    fn leave(&mut self, connection: Option<Connection>, was_written: bool) {
        let nothing = Box::pin(pending::<Result<RawResponse, String>>());
        let left = Left {
            connection,
            answering: mem::replace(&mut self.answering, nothing),
            turn: mem::take(&mut self.turn),
            way: self.way.clone(),
            begun: self.begun,
        };
        // Without a runtime the process is about to end.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(left.wait(was_written));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let was_written = connection.stop_writing();
            self.leave(Some(connection), was_written);
        }
    }
}

/// A request that was given up.
struct Left {
    /// None if that was hung up.
    connection: Option<Connection>,
    answering: Answering,
    turn: Turn,
    way: Way,
    begun: Instant,
}

impl Left {
    /// Until the call is over, or nobody can be at work on it any more.
    async fn wait(mut self, was_written: bool) {
        if !was_written {
            let Some(mut connection) = self.connection.take() else {
                return;
            };
            if !connection.hang_up().await {
                return;
            }
        }
        self.turn.give_up();
        let is_of_a_node = self.turn.is_of_a_node();
        let until = self.begun + if is_of_a_node { KEPT } else { SILENT };
        if self.connection.is_none() {
            // Nobody tells when it is over.
            return sleep_until(until).await;
        }
        match timeout_at(until, &mut self.answering).await {
            Ok(Ok(answer)) => {
                self.turn.note(&answer);
                self.way.spoke();
            }
            Ok(Err(why)) => tracing::debug!(%why, "a call that was given up ended"),
            Err(_) if is_of_a_node => {}
            Err(_) => self.way.left_unanswered(self.begun),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::transport::https::turns::Turns;

    const PATH: &str = "/nodes/a/lxc";
    /// How long callers wait.
    const PATIENCE: Duration = Duration::from_secs(3);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    /// Two ways to a cluster.
    struct Bench {
        turns: Arc<Turns>,
        begun: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                turns: Arc::new(Turns::new(2)),
                begun: Instant::now(),
            }
        }

        fn way(&self) -> Way {
            Way::new(Arc::clone(&self.turns), 0, None)
        }

        /// A call by the first way, and the other side of its connection.
        async fn call(&self, path: &str, send_before: Option<Instant>) -> (UnderWay, DuplexStream) {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let connection = Connection::over(near).await.unwrap();
            let turn = self.turn_by(path, Instant::now()).await.unwrap();
            assert!(turn.goes_by(0));
            let message = http::Request::get(path)
                .body(Full::new(Bytes::new()))
                .unwrap();
            let call = UnderWay::begin(connection, message, send_before, turn, self.way());
            (call, far)
        }

        /// A call that somebody has waited for as long as callers wait.
        async fn given_up(&self, path: &str) -> DuplexStream {
            let (call, far) = self.call(path, None).await;
            let answer = timeout(PATIENCE, call.end(Instant::now() + KEPT)).await;
            assert!(answer.is_err(), "it hangs");
            far
        }

        async fn turn_by(&self, path: &str, limit: Instant) -> Result<Turn, TransportError> {
            self.turns.at_node(path, limit, None).await
        }

        /// When there is a turn at the node again.
        async fn free_after(&self) -> Duration {
            let turn = self.turn_by(PATH, self.begun + 2 * KEPT).await;
            assert!(turn.is_ok(), "{turn:?}");
            self.begun.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_given_up_has_its_turn_until_the_proxies_give_it_up() {
        let bench = Bench::new();
        let _far = [bench.given_up(PATH).await, bench.given_up(PATH).await];
        let elsewhere = bench.turn_by("/nodes/b/lxc", Instant::now()).await;
        assert!(elsewhere.is_ok(), "{elsewhere:?}");
        assert_eq!(bench.free_after().await, KEPT);
        assert_eq!(bench.turns.heard("a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_gives_the_turn_back_and_the_node_is_heard() {
        let bench = Bench::new();
        let mut far = [bench.given_up(PATH).await, bench.given_up(PATH).await];
        advance(PATIENCE).await;
        far[1].write_all(ANSWER).await.unwrap();
        assert_eq!(bench.free_after().await, 3 * PATIENCE);
        assert_eq!(bench.turns.heard("a"), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_gives_the_turn_back() {
        let bench = Bench::new();
        let far = [bench.given_up(PATH).await, bench.given_up(PATH).await];
        drop(far);
        assert_eq!(bench.free_after().await, 2 * PATIENCE);
        assert_eq!(bench.turns.heard("a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_own_time_is_over_keeps_its_turn_too() {
        let bench = Bench::new();
        let mut far = Vec::new();
        for _ in 0..2 {
            let (call, other_side) = bench.call(PATH, None).await;
            far.push(other_side);
            let (ended, connection) = call.end(Instant::now() + PATIENCE).await;
            let doubt = TransportError::MaybeApplied("no answer in time".to_owned());
            assert_eq!(ended.outcome, Err(doubt));
            assert!(ended.turn.is_none() && connection.is_none());
        }
        assert_eq!(bench.free_after().await, KEPT);
    }

    /// The driver had no time to write yet, and gets none.
    #[tokio::test(start_paused = true)]
    async fn what_was_not_written_is_not_written_later_and_keeps_no_turn() {
        let bench = Bench::new();
        for _ in 0..3 {
            let (call, mut far) = bench.call(PATH, None).await;
            drop(call);
            let mut written = Vec::new();
            far.read_to_end(&mut written).await.unwrap();
            assert!(written.is_empty(), "{written:?}");
            assert_eq!(bench.free_after().await, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_too_late_to_be_written_was_not_sent_and_gives_its_turn_back() {
        let bench = Bench::new();
        let (call, _far) = bench.call(PATH, Some(Instant::now())).await;
        let (ended, connection) = call.end(Instant::now() + PATIENCE).await;
        let not_sent = matches!(ended.outcome, Err(TransportError::NotSent(_)));
        assert!(not_sent, "{ended:?}");
        assert!(ended.turn.is_some_and(|turn| turn.is_good()));
        assert!(connection.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_only_a_part_has_come_is_heard() {
        let bench = Bench::new();
        let (call, mut far) = bench.call(PATH, None).await;
        let hearing = call.way.hearing();
        assert_eq!(hearing.last(), None);
        far.write_all(&ANSWER[..10]).await.unwrap();
        let answer = timeout(PATIENCE, call.end(Instant::now() + KEPT)).await;
        assert!(answer.is_err(), "it is not whole");
        assert_eq!(hearing.last(), Some(bench.begun));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_comes_with_the_turn_and_the_connection() {
        let bench = Bench::new();
        let (call, mut far) = bench.call(PATH, None).await;
        let mut asked = [0; 4];
        far.read_exact(&mut asked).await.unwrap();
        far.write_all(ANSWER).await.unwrap();
        let (ended, connection) = call.end(Instant::now() + PATIENCE).await;
        assert_eq!(ended.outcome.unwrap().status, 200);
        assert!(ended.turn.is_some_and(|turn| turn.is_good()));
        assert!(connection.is_some());
        assert_eq!(bench.turns.heard("a"), Some(bench.begun));
    }

    /// It is asked for something of its own, too, and does not answer that either.
    #[tokio::test(start_paused = true)]
    async fn calls_by_way_of_an_endpoint_that_says_nothing_hold_up_no_node() {
        let bench = Bench::new();
        let _far = [bench.given_up(PATH).await, bench.given_up(PATH).await];
        let _version = bench.given_up("/version").await;
        assert_eq!(bench.free_after().await, 2 * PATIENCE + SILENT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_answers_for_itself_is_believed_that_the_node_is_silent() {
        let bench = Bench::new();
        let _far = [bench.given_up(PATH).await, bench.given_up(PATH).await];
        let mut version = bench.given_up("/version").await;
        version.write_all(ANSWER).await.unwrap();
        assert_eq!(bench.free_after().await, KEPT);
    }
}
