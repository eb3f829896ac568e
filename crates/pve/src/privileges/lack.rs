//! Which privilege a refused call lacked.

use std::fmt;

use super::entry::Need;
use super::table::TABLE;
use crate::error::Error;
use crate::transport::Method;

/// A privilege that was missing on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The privilege, or several of which one is enough, as PVE writes them: `VM.Snapshot|VM.Snapshot.Rollback`.
    pub privilege: String,
    /// The path, e.g. `/vms/100`; a part that is not known is in braces.
    pub path: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.privilege, self.path)
    }
}

/// What a call that PVE refused with 403 lacked: what PVE's message names, or else what the call
/// needs first by the table.
/// Empty for any other error, and where neither says anything (what PVE keeps for root, say).
#[must_use]
pub fn lacks(error: &Error) -> Vec<Lack> {
    let Error::Refused { call, message, .. } = error else {
        return Vec::new();
    };
    if !error.is_permission_denied() {
        return Vec::new();
    }
    match named(message) {
        Some(lack) => vec![lack],
        None if message.contains('(') => Vec::new(),
        // PVE's code refuses the first need of a call without a word about it (`raise_perm_exc` in create_vm).
        None => needs(call).iter().take(1).map(by_table).collect(),
    }
}

/// From `Permission check failed (/vms/100, VM.Audit)`.
fn named(message: &str) -> Option<Lack> {
    let (_, rest) = message.split_once("Permission check failed (")?;
    let (path, rest) = rest.split_once(", ")?;
    let privilege = rest.trim_end().strip_suffix(')')?;
    // The reason may go on: `Sys.Modify for modifying tag 'x'`.
    let privilege = privilege.split(' ').next()?;
    if !path.starts_with('/') || !privilege.contains('.') {
        return None;
    }
    Some(Lack {
        privilege: privilege.to_owned(),
        path: path.to_owned(),
    })
}

/// What a call of this method and path needs. `name` is both, as errors have it.
fn needs(name: &str) -> &'static [Need] {
    let Some((method, path)) = name.split_once(' ') else {
        return &[];
    };
    let methods = [Method::Get, Method::Post, Method::Put, Method::Delete];
    let method = methods.into_iter().find(|m| m.as_str() == method);
    let mut plain = TABLE.iter().filter(|entry| entry.with.is_none());
    let entry = method.and_then(|method| plain.find(|entry| entry.is_of(method, path)));
    entry.map_or(&[], |entry| entry.needs)
}

fn by_table(need: &Need) -> Lack {
    let mut privilege = need.privilege.to_string();
    for other in need.or {
        privilege.push('|');
        privilege.push_str(other.as_str());
    }
    Lack {
        privilege,
        path: need
            .on
            .first()
            .map_or("/", |scope| scope.pattern())
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn refused(call: &str, status: u16, message: &str) -> Vec<String> {
        let error = Error::Refused {
            call: call.to_owned(),
            status,
            reason: message.to_owned(),
            message: message.to_owned(),
            errors: BTreeMap::new(),
        };
        lacks(&error).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn pves_own_words_come_first() {
        let call = "POST /nodes/pve1/lxc/100/status/start";
        let text = "Permission check failed (/vms/100, VM.PowerMgmt)";
        assert_eq!(refused(call, 403, text), ["VM.PowerMgmt on /vms/100"]);
        let several = "Permission check failed (/vms/100, VM.Snapshot|VM.Snapshot.Rollback)";
        assert_eq!(
            refused(call, 403, several),
            ["VM.Snapshot|VM.Snapshot.Rollback on /vms/100"]
        );
        let tag = "Permission check failed (/, Sys.Modify for modifying tag 'x')";
        assert_eq!(refused(call, 403, tag), ["Sys.Modify on /"]);
    }

    #[test]
    fn where_pve_names_nothing_the_table_does() {
        let lacks = refused("POST /nodes/pve1/lxc", 403, "Permission check failed");
        assert_eq!(lacks, ["VM.Allocate on /pool/{pool}"]);
    }

    #[test]
    fn other_refusals_name_no_privilege() {
        let call = "PUT /nodes/pve1/lxc/100/config";
        for (status, text) in [
            (500, "Permission check failed (/vms/100, VM.Audit)"),
            (
                403,
                "Permission check failed (changing the hookscript is only allowed for root@pam)",
            ),
            (403, "Permission check failed (user != root@pam)"),
        ] {
            assert_eq!(refused(call, status, text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(
            refused("PATCH /x", 403, "Permission check failed"),
            Vec::<String>::new()
        );
    }
}
