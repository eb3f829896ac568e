//! One question for all who ask at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long somebody waits for others' answers before asking alone: one that hangs must not hold up a crowd.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shares answers among those who asked before the question was put: nobody gets an answer older than their asking, and
/// however many ask at once, two questions answer them, unless answers take long.
#[derive(Debug)]
pub(crate) struct Together<T> {
    /// How many have asked.
    asked: AtomicU64,
    /// The newest answer, and how many had asked when its question was put.
    newest: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self {
            asked: AtomicU64::new(0),
            newest: Mutex::new(None),
        }
    }
}

impl<T: Clone> Together<T> {
    /// Puts the question, or waits for somebody else's that was put after this call. Who has waited five seconds asks
    /// alone.
    ///
    /// Whoever is dropped while putting the question leaves it to the next one who waits.
    pub(crate) async fn ask(&self, question: impl AsyncFnOnce() -> T) -> T {
        let before_me = self.asked.fetch_add(1, Ordering::SeqCst);
        let Ok(mut newest) = timeout(PATIENCE, self.newest.lock()).await else {
            return question().await;
        };
        if let Some((asked, answer)) = &*newest
            && *asked > before_me
        {
            return answer.clone();
        }
        let asked = self.asked.load(Ordering::SeqCst);
        let answer = question().await;
        *newest = Some((asked, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tokio::sync::Notify;

    use super::*;

    /// Counts the questions; each is answered when somebody says so.
    #[derive(Default)]
    struct World {
        together: Together<u64>,
        put: AtomicU64,
        answer: Notify,
    }

    impl World {
        async fn ask(&self) -> u64 {
            let question = async || {
                let number = self.put.fetch_add(1, Ordering::SeqCst) + 1;
                self.answer.notified().await;
                number
            };
            self.together.ask(question).await
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_while_it_is_put_share_the_next_one() {
        let world = World::default();
        let mut first = pin!(world.ask());
        assert_eq!(poll(first.as_mut()), Poll::Pending);
        let (mut second, mut third) = (pin!(world.ask()), pin!(world.ask()));
        assert_eq!(poll(second.as_mut()), Poll::Pending);
        assert_eq!(poll(third.as_mut()), Poll::Pending);
        world.answer.notify_one();
        assert_eq!(poll(first.as_mut()), Poll::Ready(1));
        assert_eq!(poll(second.as_mut()), Poll::Pending);
        let mut late = pin!(world.ask());
        assert_eq!(poll(late.as_mut()), Poll::Pending);
        world.answer.notify_one();
        assert_eq!(poll(second.as_mut()), Poll::Ready(2));
        assert_eq!(poll(third.as_mut()), Poll::Ready(2), "it asked before");
        assert_eq!(poll(late.as_mut()), Poll::Pending, "it asked after");
        world.answer.notify_one();
        assert_eq!(poll(late.as_mut()), Poll::Ready(3));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_goes_away_leaves_the_question_to_the_next() {
        let world = World::default();
        let mut gone = Box::pin(world.ask());
        assert_eq!(poll(gone.as_mut()), Poll::Pending);
        let mut next = pin!(world.ask());
        assert_eq!(poll(next.as_mut()), Poll::Pending);
        drop(gone);
        assert_eq!(poll(next.as_mut()), Poll::Pending);
        world.answer.notify_one();
        assert_eq!(poll(next.as_mut()), Poll::Ready(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_holds_up_nobody_else() {
        let world = World::default();
        let mut hangs = pin!(world.ask());
        assert_eq!(poll(hangs.as_mut()), Poll::Pending);
        let mut waits = pin!(world.ask());
        assert_eq!(poll(waits.as_mut()), Poll::Pending);
        assert_eq!(world.put.load(Ordering::SeqCst), 1);
        tokio::time::advance(PATIENCE + Duration::from_millis(1)).await;
        assert_eq!(poll(waits.as_mut()), Poll::Pending);
        assert_eq!(world.put.load(Ordering::SeqCst), 2, "it asks alone");
    }
}
