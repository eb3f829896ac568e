//! One call in the table, and how a request finds it.

use proximity_domain::token_purpose::TokenPurpose;

use super::privilege::Privilege;
use super::scope::Scope;
use super::table::TABLE;
use crate::transport::{Method, Request};

/// Who sends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The host's token for this purpose.
    Token(TokenPurpose),
    /// Whoever sets a host up or takes it down: a login, or the one token of a host that has no other.
    SetUp,
}

/// Why it is known that a privilege is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// PVE's schema declares it.
    Declared,
    /// PVE's code refuses the call without it; the text says where.
    Checked(&'static str),
    /// Without it PVE answers, and leaves out what may not be seen; the text says what.
    Shown(&'static str),
}

/// One privilege that a call needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The privilege our tokens have for it.
    pub privilege: Privilege,
    /// Others that PVE takes in its place.
    pub or: &'static [Privilege],
    /// Where it has to be held: on one of these; our tokens have it on the first.
    pub on: &'static [Scope],
    /// Only if one of these parameters is given; always if there are none.
    pub given: &'static [&'static str],
    /// No token of ours is given it for this: a person gives it to the token for adopted guests, for one guest.
    pub by_hand: bool,
    /// How that is known.
    pub basis: Basis,
}

impl Need {
    pub(super) const fn of(privilege: Privilege, on: &'static [Scope]) -> Self {
        Self {
            privilege,
            or: &[],
            on,
            given: &[],
            by_hand: false,
            basis: Basis::Declared,
        }
    }

    pub(super) const fn or(self, or: &'static [Privilege]) -> Self {
        Self { or, ..self }
    }

    pub(super) const fn given(self, given: &'static [&'static str]) -> Self {
        Self { given, ..self }
    }

    pub(super) const fn by_hand(self) -> Self {
        Self {
            by_hand: true,
            ..self
        }
    }

    pub(super) const fn checked(self, at: &'static str) -> Self {
        Self {
            basis: Basis::Checked(at),
            ..self
        }
    }

    pub(super) const fn shown(self, what: &'static str) -> Self {
        Self {
            basis: Basis::Shown(what),
            ..self
        }
    }
}

/// One call the client can send.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Method.
    pub method: Method,
    /// Path below `/api2/json`, what varies in braces, as in PVE's schema.
    pub path: &'static str,
    /// Only calls with this parameter, and this value if there is one.
    pub with: Option<(&'static str, Option<&'static str>)>,
    /// Who sends it.
    pub sender: Sender,
    /// For an adopted guest the token of [`TokenPurpose::Adopted`] sends it.
    pub for_adopted: bool,
    /// What is done with it.
    pub does: &'static str,
    /// What it needs, each of them.
    pub needs: &'static [Need],
}

impl Entry {
    pub(super) const fn of(
        method: Method,
        path: &'static str,
        sender: Sender,
        does: &'static str,
        needs: &'static [Need],
    ) -> Self {
        Self {
            method,
            path,
            with: None,
            sender,
            for_adopted: false,
            does,
            needs,
        }
    }

    pub(super) const fn with(self, name: &'static str, value: Option<&'static str>) -> Self {
        Self {
            with: Some((name, value)),
            ..self
        }
    }

    pub(super) const fn for_adopted_too(self) -> Self {
        Self {
            for_adopted: true,
            ..self
        }
    }

    /// Whether this is the entry of such calls, as far as method and path say.
    pub(super) fn is_of(&self, method: Method, path: &str) -> bool {
        self.method == method && is_like(self.path, path)
    }

    fn has_parameter(&self, params: &[(String, String)]) -> bool {
        let Some((name, value)) = self.with else {
            return true;
        };
        params
            .iter()
            .any(|(n, v)| n == name && value.is_none_or(|value| v == value))
    }

    /// The token of a host that has one for each purpose; none where no token sends it.
    #[must_use]
    pub fn purpose(&self, of_adopted: bool) -> Option<TokenPurpose> {
        match self.sender {
            Sender::Token(_) if of_adopted && self.for_adopted => Some(TokenPurpose::Adopted),
            Sender::Token(purpose) => Some(purpose),
            Sender::SetUp => None,
        }
    }
}

/// Whether a path has the segments of a pattern; what is in braces takes any one.
fn is_like(pattern: &str, path: &str) -> bool {
    // What is before the first brace is compared whole: that tells most patterns from most paths.
    let Some(fixed) = pattern.find("/{").map(|at| at + 1) else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(&pattern[..fixed]) else {
        return false;
    };
    let mut parts = rest.split('/');
    pattern[fixed..].split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
    }) && parts.next().is_none()
}

/// The entry of a request; none if the table knows no such call. Of several the first one counts.
#[must_use]
pub fn entry_of(request: &Request) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| {
        entry.is_of(request.method, &request.path) && entry.has_parameter(&request.params)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_braces_is_one_segment() {
        let pattern = "/nodes/{node}/lxc/{vmid}/config";
        assert!(is_like(pattern, "/nodes/pve1/lxc/100/config"));
        for other in [
            "/nodes/pve1/lxc/100",
            "/nodes/pve1/lxc/100/config/more",
            "/nodes//lxc/100/config",
            "/nodes/pve1/qemu/100/config",
            "/nodes",
            "/nodes/",
            "/node/pve1/lxc/100/config",
            "nodes/pve1/lxc/100/config",
        ] {
            assert!(!is_like(pattern, other), "{other}");
        }
        assert!(is_like("/pools", "/pools") && !is_like("/pools", "/pool"));
        assert!(!is_like("/pools", "/pools/") && !is_like("/pools", "/pools/a"));
        assert!(is_like("/pools/{poolid}", "/pools/a") && !is_like("/pools/{poolid}", "/pools/"));
    }
}
