//! How long one node of several is waited for.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Waits for what a node tells; `None` if it is given up.
///
/// It is given up only for others, and only when it is silent towards everybody: another node has told what it has, and this
/// one has answered none of the calls to it, whoever's, for as long as `patience`. A node at which the calls wait for the
/// answers to calls before them is busy, not silent. The answer to a call that was sent has limits of its own.
pub(crate) async fn unless_silent<T>(
    telling: impl Future<Output = T>,
    patience: Duration,
    heard: impl Fn() -> Option<Instant>,
    mut another_told: watch::Receiver<bool>,
) -> Option<T> {
    let asked_at = Instant::now();
    let silent = async {
        if another_told.wait_for(|told| *told).await.is_err() {
            // Nobody is left who could tell.
            std::future::pending::<()>().await;
        }
        loop {
            let last = heard().map_or(asked_at, |at| at.max(asked_at));
            if last.elapsed() >= patience {
                return;
            }
            sleep_until(last + patience).await;
        }
    };
    let (telling, silent) = (pin!(telling), pin!(silent));
    tokio::select! {
        biased;
        told = telling => Some(told),
        () = silent => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::oneshot;
    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A node whose look waits for its turn.
    struct Node {
        heard: Mutex<Option<Instant>>,
        another: watch::Sender<bool>,
    }

    impl Node {
        fn new(another_told: bool) -> Self {
            Self {
                heard: Mutex::new(None),
                another: watch::Sender::new(another_told),
            }
        }

        async fn wait(&self, answer: oneshot::Receiver<u8>) -> Option<u8> {
            let telling = async { answer.await.unwrap() };
            let heard = || *self.heard.lock().unwrap();
            unless_silent(telling, PATIENCE, heard, self.another.subscribe()).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_nobody_is_given_up_when_another_has_told() {
        let (node, begin) = (Node::new(true), Instant::now());
        let (_never, answer) = oneshot::channel();
        assert_eq!(node.wait(answer).await, None);
        assert_eq!(begin.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_one_is_waited_for() {
        let node = Node::new(false);
        let (tell, answer) = oneshot::channel();
        let mut waiting = pin!(node.wait(answer));
        assert!(timeout(6 * PATIENCE, &mut waiting).await.is_err());
        tell.send(1).unwrap();
        assert_eq!(waiting.await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_when_another_tells_late_is_given_up_at_once() {
        let node = Node::new(false);
        let (_never, answer) = oneshot::channel();
        let mut waiting = pin!(node.wait(answer));
        assert!(timeout(2 * PATIENCE, &mut waiting).await.is_err());
        node.another.send_replace(true);
        let begin = Instant::now();
        assert_eq!(waiting.await, None);
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_the_calls_before_is_waited_for() {
        let node = Node::new(true);
        let (tell, answer) = oneshot::channel();
        let mut waiting = pin!(node.wait(answer));
        for _ in 0..3 {
            assert!(timeout(PATIENCE * 4 / 5, &mut waiting).await.is_err());
            *node.heard.lock().unwrap() = Some(Instant::now());
        }
        advance(PATIENCE / 2).await;
        tell.send(1).unwrap();
        assert_eq!(waiting.await, Some(1));
    }
}
