//! The calls of the client's table: which of them an operation sends, and which one a text is about.

use std::collections::{BTreeMap, BTreeSet};

use proximity_pve::privileges::{Sender, TABLE};
use proximity_pve::transport::Method;
use serde::Serialize;

/// A call of the client's table, by verb and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Call {
    /// `GET` …
    pub verb: &'static str,
    /// As the table has it.
    pub path: &'static str,
}

impl Call {
    /// Every one that a token of ours sends, each once.
    pub(super) fn all() -> Vec<Self> {
        let ours = TABLE
            .iter()
            .filter(|entry| !matches!(entry.sender, Sender::SetUp));
        let all = ours.map(|entry| Self {
            verb: entry.method.as_str(),
            path: entry.path,
        });
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How often each of them is among these, which are named as `VERB path` with some of what varies in braces.
    ///
    /// # Errors
    /// One that is in no table.
    pub(super) fn among(kinds: &BTreeMap<String, u32>) -> Result<BTreeMap<Self, u32>, String> {
        let all = Self::all();
        let mut found = BTreeMap::new();
        for (kind, count) in kinds.iter().filter(|(_, count)| **count > 0) {
            let is_of = |call: &&Self| {
                let path = kind.strip_prefix(call.verb).map(str::trim_start);
                path.is_some_and(|path| call.is_like(path))
            };
            // A literal path comes before one with something that varies.
            let calls = all.iter().filter(is_of);
            let call = calls.min_by_key(|call| call.path.matches('{').count());
            let call = call.ok_or_else(|| format!("the table has no call {kind}"))?;
            *found.entry(*call).or_default() += count;
        }
        Ok(found)
    }

    pub(super) fn is_read(&self) -> bool {
        self.verb == Method::Get.as_str()
    }

    fn is_like(&self, path: &str) -> bool {
        let (mut wanted, mut found) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
                (Some(_) | None, _) => return false,
            }
        }
    }

    /// Whether a text names it: verb and path, whatever the node and the number.
    pub(super) fn is_named_in(&self, text: &str) -> bool {
        let mut after = text.split(self.verb).skip(1);
        after.any(|rest| {
            let path = rest.trim_start().split([':', ' ', '?', ',', ';']).next();
            path.is_some_and(|path| self.is_like(path))
        })
    }

    /// It asks for a task, which is named by its own name.
    pub(super) fn is_about_task(&self) -> bool {
        self.path.contains("{upid}")
    }

    /// How its task is called, if it starts one.
    pub(super) fn task(&self) -> Option<&'static str> {
        match (self.verb, self.path.rsplit('/').next()) {
            ("POST", Some("lxc")) => Some("vzcreate"),
            ("POST", Some("start")) => Some("vzstart"),
            ("POST", Some("shutdown")) => Some("vzshutdown"),
            ("POST", Some("stop")) => Some("vzstop"),
            ("DELETE", Some("{vmid}")) => Some("vzdestroy"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_a_call_by_its_verb_and_path_alone() {
        let config = Call {
            verb: "GET",
            path: "/nodes/{node}/lxc/{vmid}/config",
        };
        assert!(Call::all().contains(&config));
        assert!(config.is_named_in("GET /nodes/pve2/lxc/100/config: no answer"));
        assert!(!config.is_named_in("PUT /nodes/pve2/lxc/100/config: no answer"));
        assert!(!config.is_named_in("GET /nodes/pve2/lxc/100/status/current: no answer"));
        assert!(!config.is_named_in("nothing"));
        // As placement says it of a node that could not be asked.
        let storages = Call {
            verb: "GET",
            path: "/nodes/{node}/storage",
        };
        assert!(storages.is_named_in("could not be read: GET /nodes/pve2/storage: no answer"));
    }

    #[test]
    fn what_was_sent_is_found_in_the_table_or_refused() {
        let sent = |kind: &str| BTreeMap::from([(kind.to_owned(), 2)]);
        let found = Call::among(&sent("DELETE /nodes/{node}/lxc/{vmid}")).unwrap();
        let destroy = Call {
            verb: "DELETE",
            path: "/nodes/{node}/lxc/{vmid}",
        };
        assert_eq!(found, BTreeMap::from([(destroy, 2)]));
        assert_eq!(destroy.task(), Some("vzdestroy"));
        assert!(Call::among(&sent("DELETE /access/users/somebody/else/at/all")).is_err());
    }
}
