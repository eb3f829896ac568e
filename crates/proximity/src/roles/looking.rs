//! A thread of its own for what looks at the clusters and at the gateway again and again.
//!
//! Of several threads that share their tasks, each that something wakes wakes another one, which looks whether the first leaves it work: a
//! server with nothing to do but to observe would be woken twice for each answer. And what a pass over a large cluster needs for a moment is
//! kept by the heap of this one thread, whichever answers meanwhile.

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::failed::Failed;

/// The thread. It ends when this is dropped, with whatever runs there still; connections that were opened there end with it.
#[derive(Debug)]
pub(crate) struct LookingThread {
    handle: Handle,
    /// There until the drop.
    runtime: Option<Runtime>,
}

impl LookingThread {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread, or no files to wait with.
    pub(crate) fn start() -> Result<Self, Failed> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("looking")
            .enable_all()
            .build()
            .map_err(|e| {
                Failed::error(
                    "runtime",
                    format!("cannot start: {e}"),
                    "check limits of threads and files",
                )
            })?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Begins a task there.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(task)
    }
}

impl Drop for LookingThread {
    fn drop(&mut self) {
        // Waits for nothing: it is dropped where nothing may.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn all_that_is_begun_there_runs_on_one_thread_that_is_no_other() {
        let looking = LookingThread::start().unwrap();
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(looking.spawn(async {
                tokio::task::yield_now().await;
                thread::current().id()
            }));
        }
        let mut ran_on = Vec::new();
        for one in all {
            ran_on.push(one.await.unwrap());
        }
        ran_on.dedup();
        assert_eq!(ran_on.len(), 1);
        assert_ne!(ran_on, [thread::current().id()]);
    }

    #[tokio::test]
    async fn what_runs_there_still_ends_with_it() {
        let looking = LookingThread::start().unwrap();
        let waits = looking.spawn(std::future::pending::<()>());
        drop(looking);
        assert!(waits.await.unwrap_err().is_cancelled());
    }
}
