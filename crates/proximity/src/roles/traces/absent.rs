//! A build without traces.

use proximity_server::{Metrics, RequestTraces};

use super::TraceLayer;
use crate::config::OtlpSettings;
use crate::failed::Failed;

/// There are none.
#[derive(Debug)]
pub(crate) enum Traces {}

impl Traces {
    pub(crate) fn new(_: &str, _: &OtlpSettings, _: &Metrics) -> Result<Self, Failed> {
        Err(super::missing())
    }

    pub(crate) fn layer(&self) -> TraceLayer {
        match *self {}
    }

    pub(crate) fn of_requests(&self) -> RequestTraces {
        match *self {}
    }

    pub(crate) async fn end(self) {
        match self {}
    }
}
