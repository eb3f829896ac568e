//! How a call gets to the world: what a test put in its way, the node that answers, the token it is sent with.

use std::time::Duration;

use bytes::Bytes;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Input, RequestId};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::requests::api_request;
use super::{Pve, now};

impl Pve {
    /// Sends it as the troubles of the test let it.
    pub(super) async fn send_in_turn(
        &self,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        if request
            .send_before
            .is_some_and(|limit| Instant::now() >= limit)
        {
            return Err(TransportError::NotSent("too late".to_owned()));
        }
        if self.is_lost(&request) {
            return Err(TransportError::NotSent("lost by the test".to_owned()));
        }
        if let Some(refusal) = self.refusal(&request) {
            return Ok(refusal);
        }
        self.let_arrive(&request).await;
        if self.with(|inner| inner.restores) && request.path.contains("/tasks") {
            return self.send_about_restores(request).await;
        }
        if self.with(|inner| inner.machines) && request.path == "/cluster/resources" {
            let mut answer = self.send_as_it_is(request).await?;
            let body = String::from_utf8_lossy(&answer.body).replace("lxc", "qemu");
            answer.body = body.into_bytes().into();
            return Ok(answer);
        }
        if let Some(console) = self.with(|inner| inner.console.clone())
            && request.path == format!("/nodes/{}/tasks", console.0)
            && request
                .params
                .contains(&("source".to_owned(), "active".to_owned()))
            && request
                .params
                .contains(&("vmid".to_owned(), console.1.to_string()))
        {
            return self.send_about_console(request, console).await;
        }
        if self.is_delayed(&request) {
            return Err(TransportError::MaybeApplied(
                "delayed by the test".to_owned(),
            ));
        }
        self.pass_hold(&request).await;
        let first = self.with(|inner| {
            let found = inner.before.iter().position(|(method, end, _)| {
                *method == request.method && request.path.ends_with(end.as_str())
            });
            found.map(|at| inner.before.remove(at).2)
        });
        if let Some(first) = first {
            let before = self.changes();
            let _ = self.send_as_it_is(first).await;
            self.with(|inner| inner.changes = before);
        }
        self.send_as_it_is(request).await
    }

    /// The number that the answer to this call lacks when this node gives it.
    fn lacked_by(&self, via: Option<&str>, path: &str) -> Option<u32> {
        let (node, vmid) = self.with(|inner| inner.old_list.clone())?;
        let is_it = path == "/cluster/resources" && via == Some(node.as_str());
        is_it.then_some(vmid)
    }

    async fn send_about_restores(
        &self,
        mut request: Request,
    ) -> Result<RawResponse, TransportError> {
        request.path = request.path.replace("vzrestore", "vzcreate");
        let mut answer = self.send_as_it_is(request).await?;
        let body = String::from_utf8_lossy(&answer.body).replace("vzcreate", "vzrestore");
        answer.body = body.into_bytes().into();
        Ok(answer)
    }

    /// A list of what runs on its number, with the console among it that somebody keeps open.
    async fn send_about_console(
        &self,
        request: Request,
        (node, vmid): (String, u32),
    ) -> Result<RawResponse, TransportError> {
        let mut answer = self.send_as_it_is(request).await?;
        let at_s = now() / 1_000;
        let row = format!(
            r#"{{"upid":"UPID:{node}:0000FFFF:0000FFFF:{at_s:08X}:vncproxy:{vmid}:root@pam:","node":"{node}","pid":65535,"pstart":65535,"starttime":{at_s},"type":"vncproxy","id":"{vmid}","user":"root@pam","status":"RUNNING"}}"#
        );
        let body = String::from_utf8_lossy(&answer.body);
        let body = body.replacen(r#""data":["#, &format!(r#""data":[{row},"#), 1);
        answer.body = body.replacen("},]", "}]", 1).into_bytes().into();
        Ok(answer)
    }

    /// As a client does that goes on to the next endpoint when one does not answer.
    pub(super) async fn send_as_it_is(
        &self,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        self.send_via(self.first_that_serves(), request).await
    }

    pub(super) fn first_that_serves(&self) -> Option<String> {
        self.with(|inner| {
            let nodes = inner.world.nodes().iter();
            let after = nodes.clone().skip(inner.preferred);
            let mut in_order = after.chain(nodes.take(inner.preferred));
            in_order
                .find(|n| inner.world.serves(&n.name))
                .map(|n| n.name.clone())
        })
    }

    /// Sends it through this node, by the token that is for it.
    pub(super) async fn send_via(
        &self,
        via: Option<String>,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        let token = self.tokens.choose(&request)?;
        self.send_by(via, request, token).await
    }

    /// Sends it through this node by this token.
    pub(super) async fn send_by(
        &self,
        via: Option<String>,
        request: Request,
        token: &str,
    ) -> Result<RawResponse, TransportError> {
        let (sender, receiver) = oneshot::channel();
        let lacks = self.lacked_by(via.as_deref(), &request.path);
        let sent = self.with(|inner| {
            inner.next += 1;
            let id = RequestId(inner.next);
            inner.waiting.insert(id, sender);
            if !request.method.is_read() {
                inner
                    .changes
                    .push(format!("{} {}", request.method.as_str(), request.path));
            }
            let cut = inner.cut_after.take_if(|(method, end)| {
                *method == request.method && request.path.ends_with(end.as_str())
            });
            Some((api_request(id, &request, token, via?), cut.is_some()))
        });
        let Some((api, cut)) = sent else {
            let why = "no node answers".to_owned();
            return Err(TransportError::NotSent(why));
        };
        // Who stops waiting, for whatever reason, is told to the world as a closed connection is.
        let _asking = Asking(self, api.id);
        self.calls.send_modify(|count| *count += 1);
        self.feed(Input::Request(api));
        let answered = tokio::time::timeout(Duration::from_secs(30), receiver).await;
        if cut {
            return Err(TransportError::MaybeApplied(
                "connection cut by the test".to_owned(),
            ));
        }
        match answered {
            Ok(Ok(response)) if response.cut => Err(TransportError::MaybeApplied(
                "connection cut by a fault".to_owned(),
            )),
            Ok(Ok(response)) => Ok(RawResponse {
                status: response.status,
                reason: response.reason,
                body: match lacks {
                    Some(vmid) => list_without(&response.body, vmid),
                    None => response.body,
                },
            }),
            Ok(Err(_)) | Err(_) => Err(TransportError::MaybeApplied("no answer".to_owned())),
        }
    }
}

/// A list of guests without this number.
fn list_without(body: &Bytes, vmid: u32) -> Bytes {
    let Ok(mut list) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    if let Some(rows) = list["data"].as_array_mut() {
        rows.retain(|row| row["vmid"] != vmid);
    }
    list.to_string().into()
}

/// A call somebody waits for.
struct Asking<'a>(&'a Pve, RequestId);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.with(|inner| {
            inner.waiting.remove(&self.1);
            inner.world.forget_caller(self.1);
        });
    }
}
