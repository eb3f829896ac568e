//! Lists of guests that are told as they were before: of before a change, for so long.

use std::collections::BTreeMap;

use proximity_pve::transport::Request;
use proximity_pve_emulator::core::Response;

/// The list of the whole cluster.
const LIST: &str = "/cluster/resources";
/// A round of whoever looks, milliseconds.
const ROUND_MS: u64 = 10_000;

/// The newest lists; and old ones, as long as they are told.
#[derive(Debug, Default)]
pub(super) struct Lists {
    newest: BTreeMap<String, Response>,
    old: Option<Old>,
}

#[derive(Debug)]
struct Old {
    lists: BTreeMap<String, Response>,
    /// Only by this node; else by each.
    node: Option<String>,
    until_ms: u64,
}

impl Lists {
    /// From now on for so many rounds what was told last is told again, by this node or by each.
    pub(super) fn stay(&mut self, node: Option<&str>, rounds: u64, now_ms: u64) {
        self.old = Some(Old {
            lists: self.newest.clone(),
            node: node.map(str::to_owned),
            until_ms: now_ms + rounds * ROUND_MS,
        });
    }

    /// None is told any more.
    pub(super) fn end(&mut self) {
        self.old = None;
    }

    /// How long old ones are still told, milliseconds.
    pub(super) fn left_ms(&self, now_ms: u64) -> u64 {
        let until = self.old.as_ref().map_or(0, |old| old.until_ms);
        until.saturating_sub(now_ms)
    }

    /// The old list that this node tells, if it does.
    pub(super) fn old(&self, request: &Request, via: &str, now_ms: u64) -> Option<Response> {
        let old = self.old.as_ref().filter(|old| now_ms < old.until_ms)?;
        let tells = old.node.as_ref().is_none_or(|node| node == via);
        let key = key(request).filter(|_| tells)?;
        old.lists.get(&key).cloned()
    }

    /// What was told now.
    pub(super) fn note(&mut self, request: &Request, response: &Response) {
        if let Some(key) = key(request).filter(|_| response.status == 200 && !response.cut) {
            self.newest.insert(key, response.clone());
        }
    }
}

/// What tells one list from another; none of what is no list.
fn key(request: &Request) -> Option<String> {
    let is_list = request.method.is_read() && request.path == LIST;
    is_list.then(|| format!("{:?}", request.params))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proximity_pve::transport::Method;
    use proximity_pve_emulator::core::RequestId;

    use super::*;
    use crate::pve::request;

    fn told(body: &str) -> Response {
        Response::plain(RequestId(1), 200, body)
    }

    #[test]
    fn what_was_told_last_is_told_for_so_long_by_one_node() {
        let list = request(Method::Get, LIST, &[("type", "vm")]);
        let other = request(Method::Get, "/cluster/status", &[]);
        let mut lists = Lists::default();
        lists.note(&list, &told("before"));
        lists.note(&other, &told("no list"));
        lists.stay(Some("pve1"), 2, 1_000);
        lists.note(&list, &told("after"));
        let by = |via: &str, at_ms| lists.old(&list, via, at_ms).map(|it| it.body);
        assert_eq!(by("pve1", 20_999), Some(Bytes::from_static(b"before")));
        assert_eq!(by("pve1", 21_000), None);
        assert_eq!(by("pve2", 1_000), None);
        assert!(lists.old(&other, "pve1", 1_000).is_none());
        assert_eq!((lists.left_ms(1_000), lists.left_ms(30_000)), (20_000, 0));
    }
}
