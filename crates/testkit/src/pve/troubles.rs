//! Calls that are lost, refused, held or made to wait, and connections that fail.

use std::sync::Arc;

use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use tokio::sync::watch;

use super::{Distort, Distortion, Held, Pve};

impl Pve {
    /// The next `times` calls of this method whose path ends so are not sent.
    pub fn lose(&self, method: Method, path_end: &str, times: u32) {
        self.with(|inner| inner.unreachable = Some((method, path_end.to_owned(), times)));
    }

    /// From now on answers arrive as this makes them; as they are, when it is `None`.
    pub fn distort(&self, distort: Option<Arc<Distort>>) {
        self.with(|inner| inner.distortion = distort.map(Distortion));
    }

    pub(super) fn distorted(
        &self,
        request: &Request,
        answer: Result<RawResponse, TransportError>,
    ) -> Result<RawResponse, TransportError> {
        match self.with(|inner| inner.distortion.clone()) {
            Some(Distortion(distort)) => distort(request, answer),
            None => answer,
        }
    }

    /// The next `times` attempts to connect panic, as a fault of the program there would.
    pub fn fault_at_connect(&self, times: u32) {
        self.with(|inner| inner.faults = times);
    }

    /// Whether an attempt to connect is to panic now.
    pub(crate) fn is_faulty(&self) -> bool {
        self.with(|inner| {
            let left = inner.faults.checked_sub(1);
            inner.faults = left.unwrap_or(0);
            left.is_some()
        })
    }

    /// The next `times` calls of this method whose path ends so are refused (500) with this message.
    pub fn refuse(&self, method: Method, path_end: &str, message: &str, times: u32) {
        let refused = (method, path_end.to_owned(), message.to_owned(), times);
        self.with(|inner| inner.refused = Some(refused));
    }

    pub(super) fn refusal(&self, request: &Request) -> Option<RawResponse> {
        self.with(|inner| {
            let (method, end, message, left) = inner.refused.as_mut()?;
            let hit = *left > 0 && *method == request.method && request.path.ends_with(&*end);
            let message = hit.then(|| message.clone())?;
            *left -= 1;
            if !request.method.is_read() {
                let name = format!("{} {}", request.method.as_str(), request.path);
                inner.changes.push(name);
            }
            Some(RawResponse {
                status: 500,
                reason: message.clone(),
                body: format!(r#"{{"data":null,"message":"{message}\n"}}"#).into(),
            })
        })
    }

    /// Calls of this method whose path ends so hang from now on, until `true` is sent.
    #[must_use]
    pub fn hold(&self, method: Method, path_end: &str) -> watch::Sender<bool> {
        let (go_on, held) = watch::channel(false);
        let calls = Held::Calls(method, path_end.to_owned());
        self.with(|inner| inner.held = Some((calls, held)));
        go_on
    }

    /// All calls that are of this node hang from now on, until `true` is sent.
    #[must_use]
    pub fn hold_node(&self, node: &str) -> watch::Sender<bool> {
        let (go_on, held) = watch::channel(false);
        let node = Held::Node(format!("/nodes/{node}/"));
        self.with(|inner| inner.held = Some((node, held)));
        go_on
    }

    /// Calls to this node wait for their turn from now on, until `true` is sent: other calls of ours have the turns there.
    #[must_use]
    pub fn take_turns(&self, node: &str) -> watch::Sender<bool> {
        let (go_on, busy) = watch::channel(false);
        self.with(|inner| inner.busy = Some((format!("/nodes/{node}/"), busy)));
        go_on
    }

    pub(super) async fn wait_for_turn(&self, request: &Request) {
        let busy = self.with(|inner| inner.busy.clone());
        if let Some((node, mut busy)) = busy
            && request.path.starts_with(&node)
        {
            // A sender that is gone holds nothing any more.
            let _ = busy.wait_for(|go_on| *go_on).await;
        }
    }

    pub(super) fn is_lost(&self, request: &Request) -> bool {
        self.with(|inner| match &mut inner.unreachable {
            Some((method, end, left))
                if *left > 0
                    && *method == request.method
                    && request.path.ends_with(end.as_str()) =>
            {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        })
    }

    pub(super) async fn pass_hold(&self, request: &Request) {
        let held = self.with(|inner| inner.held.clone());
        if let Some((what, mut held)) = held
            && what.is(request)
        {
            // A sender that is gone holds nothing any more.
            let _ = held.wait_for(|go_on| *go_on).await;
        }
    }
}
