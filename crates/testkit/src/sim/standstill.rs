//! A process that stands still for a while, as by SIGSTOP and SIGCONT. In a build without the feature `bug-switches` none does.

use tokio::task::JoinHandle;

/// Whether a process runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Standstill {
    #[cfg(feature = "bug-switches")]
    scheduling: proximity_engine::saga::Scheduling,
}

#[cfg(feature = "bug-switches")]
impl Standstill {
    /// Work of the process begins.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(self.scheduling.clone().of(work))
    }

    /// Nothing of the process runs for so long, milliseconds. Whoever calls this out of the process runs until it waits next.
    pub(super) fn stall(&self, ms: u64) {
        self.scheduling.stop();
        let scheduling = self.scheduling.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
            scheduling.go_on();
        });
    }

    /// It stands still.
    pub(super) fn stands(&self) -> bool {
        self.scheduling.stands_still()
    }

    /// Waits until it runs.
    pub(super) async fn runs(&self) {
        self.scheduling.clone().of(std::future::ready(())).await;
    }
}

#[cfg(not(feature = "bug-switches"))]
impl Standstill {
    /// Work of the process begins.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(work)
    }

    /// Does nothing: what stalls is not played in this build.
    pub(super) fn stall(&self, _ms: u64) {}

    /// It does not.
    pub(super) fn stands(&self) -> bool {
        false
    }

    /// It does.
    pub(super) async fn runs(&self) {}
}
