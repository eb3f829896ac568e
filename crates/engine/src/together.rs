//! One question for all who ask at the same time.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::timeout;

/// How long a question is waited for before the next one is put beside it: one that hangs must not hold up a crowd.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shares answers among those who asked before the question was put: nobody gets an answer older than their asking, and
/// however many ask at once, two questions answer them. While answers take long, one more is put every five seconds at
/// most.
#[derive(Debug)]
pub(crate) struct Together<T: Clone> {
    newest: Mutex<Option<Question<T>>>,
}

/// A question, and whether it was put; until then others may join those who wait for its answer.
#[derive(Debug, Clone)]
struct Question<T: Clone> {
    answer: Shared<BoxFuture<'static, T>>,
    was_put: Arc<AtomicBool>,
}

impl<T: Clone> Default for Together<T> {
    fn default() -> Self {
        Self {
            newest: Mutex::new(None),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    /// Puts the question when the one before is answered or takes long, or joins those who wait for that.
    ///
    /// Whoever goes away while it is put leaves it to the others who wait for it.
    pub(crate) async fn ask<Q>(&self, question: impl FnOnce() -> Q) -> T
    where
        Q: Future<Output = T> + Send + 'static,
    {
        let joined = {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let open = newest.take_if(|it| !it.was_put.load(Ordering::SeqCst));
            let next = match open {
                Some(open) => open,
                None => after(newest.take(), question()),
            };
            newest.insert(next).answer.clone()
        };
        joined.await
    }
}

/// The question that is put after that one.
fn after<T, Q>(before: Option<Question<T>>, question: Q) -> Question<T>
where
    T: Clone + Send + Sync + 'static,
    Q: Future<Output = T> + Send + 'static,
{
    let was_put = Arc::new(AtomicBool::new(false));
    let put = Arc::clone(&was_put);
    let answer = async move {
        if let Some(before) = before {
            // Answered or not, or torn down by a fault of the program: the one before is not what is waited for here.
            let before = AssertUnwindSafe(before.answer).catch_unwind();
            drop(timeout(PATIENCE, before).await);
        }
        put.store(true, Ordering::SeqCst);
        question.await
    };
    Question {
        answer: answer.boxed().shared(),
        was_put,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll, Waker};

    use tokio::sync::Notify;

    use super::*;

    /// Counts the questions; each is answered when somebody says so.
    #[derive(Default)]
    struct World {
        together: Together<u64>,
        put: Arc<AtomicU64>,
        answer: Arc<Notify>,
    }

    impl World {
        async fn ask(&self) -> u64 {
            let (put, answer) = (Arc::clone(&self.put), Arc::clone(&self.answer));
            let question = || async move {
                let number = put.fetch_add(1, Ordering::SeqCst) + 1;
                answer.notified().await;
                number
            };
            self.together.ask(question).await
        }

        fn put(&self) -> u64 {
            self.put.load(Ordering::SeqCst)
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
        assert_eq!(world.put(), 1);
        world.answer.notify_one();
        assert_eq!(poll(first.as_mut()), Poll::Ready(1));
        assert_eq!(poll(second.as_mut()), Poll::Pending);
        assert_eq!(world.put(), 2);
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
        let mut first = Box::pin(world.ask());
        assert_eq!(poll(first.as_mut()), Poll::Pending);
        let mut gone = Box::pin(world.ask());
        let mut next = pin!(world.ask());
        assert_eq!(poll(gone.as_mut()), Poll::Pending);
        assert_eq!(poll(next.as_mut()), Poll::Pending);
        drop((first, gone));
        assert_eq!(poll(next.as_mut()), Poll::Pending);
        world.answer.notify_one();
        assert_eq!(poll(next.as_mut()), Poll::Pending, "the first was answered");
        world.answer.notify_one();
        assert_eq!(poll(next.as_mut()), Poll::Ready(2));
    }

    /// A fault of the program in one question is the trouble of those who wait for it, and of nobody after them.
    #[tokio::test(start_paused = true)]
    async fn a_question_that_panics_does_not_spoil_the_next() {
        let together = Together::<u64>::default();
        let faulty = AssertUnwindSafe(together.ask(|| async { panic!("a fault") }));
        assert!(faulty.catch_unwind().await.is_err());
        assert_eq!(together.ask(|| async { 7 }).await, 7);
        assert_eq!(together.ask(|| async { 8 }).await, 8);
    }

    /// However many wait, one question is put beside one that hangs.
    #[tokio::test(start_paused = true)]
    async fn a_crowd_puts_one_question_beside_one_that_hangs() {
        let world = World::default();
        let mut hangs = pin!(world.ask());
        assert_eq!(poll(hangs.as_mut()), Poll::Pending);
        let mut crowd: Vec<_> = (0..20).map(|_| Box::pin(world.ask())).collect();
        for one in &mut crowd {
            assert_eq!(poll(one.as_mut()), Poll::Pending);
        }
        tokio::time::advance(PATIENCE + Duration::from_millis(1)).await;
        for one in &mut crowd {
            assert_eq!(poll(one.as_mut()), Poll::Pending);
        }
        assert_eq!(world.put(), 2);
    }
}
