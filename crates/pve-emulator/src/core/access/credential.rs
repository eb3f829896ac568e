//! Who calls: tickets and API tokens in a request's headers.

use serde::{Deserialize, Serialize};

use super::super::decode;
use super::super::request::ApiRequest;
use super::super::world::World;
use super::names::split_token_id;
use super::password::hash_secret;
use super::ticket::Ticket;

/// What a token of a seed may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Every privilege on every path; one of `root@pam` is not privilege-separated, another user
    /// becomes an administrator.
    Full,
    /// No privilege anywhere: empty lists and refusals.
    Empty,
}

/// Who calls; nobody before authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// `user@realm` or `user@realm!name`; empty for calls that need no account.
    pub(crate) id: String,
    /// Came with an API token.
    pub(crate) token: bool,
}

impl Caller {
    /// Who an id names: a user, or a token of one.
    pub(crate) fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            token: split_token_id(id).is_some(),
        }
    }

    /// Root with a ticket.
    pub(crate) fn root() -> Self {
        Self {
            id: "root@pam".into(),
            token: false,
        }
    }

    /// Root itself: what PVE reserves for it no token of root has.
    pub(crate) fn is_root(&self) -> bool {
        self.id == "root@pam"
    }

    /// The user, also of a token.
    pub(crate) fn user(&self) -> &str {
        split_token_id(&self.id).map_or(self.id.as_str(), |(user, _)| user)
    }
}

/// Whether who was let in some time ago would be let in still.
pub(crate) fn is_welcome(world: &World, caller: &Caller, now_ms: u64) -> bool {
    let now_s = now_ms / 1000;
    let accounts = &world.accounts;
    let token = accounts.token(&caller.id);
    let expired = token.is_none_or(|it| it.expire_s != 0 && it.expire_s < now_s);
    let nobody = caller.id.is_empty();
    nobody || accounts.enabled(caller.user(), now_s) && !(caller.token && expired)
}

const FAILED: &str = "Authentication failed!";

/// Finds the caller of a request; PVE's reason when there is none.
pub(crate) fn authenticate(
    world: &World,
    request: &ApiRequest,
    now_ms: u64,
) -> Result<Caller, &'static str> {
    let now_s = now_ms / 1000;
    // A ticket takes precedence over a token.
    let ticket = [&request.cookie, &request.authorization]
        .into_iter()
        .flatten()
        .find_map(|header| credential(header, "PVEAuthCookie"));
    if let Some(ticket) = ticket {
        let Some(Ticket::Full(user)) = world.keys.verify(&ticket, now_s) else {
            return Err(FAILED);
        };
        if !world.accounts.enabled(&user, now_s) {
            return Err(FAILED);
        }
        let csrf = request.csrf.as_deref().unwrap_or_default();
        if request.method != "GET"
            && !super::super::is_upload(&request.method, &request.path)
            && !world.keys.verify_csrf(&user, csrf, now_s)
        {
            return Err("Permission denied - invalid csrf token");
        }
        return Ok(Caller {
            id: user,
            token: false,
        });
    }
    let given = request
        .authorization
        .as_ref()
        .and_then(|header| credential(header, "PVEAPIToken"))
        .ok_or("No ticket")?;
    let (id, secret) = given.rsplit_once('=').ok_or(FAILED)?;
    let (user, _) = split_token_id(id).ok_or(FAILED)?;
    let token = world.accounts.token(id).ok_or(FAILED)?;
    let expired = token.expire_s != 0 && token.expire_s < now_s;
    // Hashes are compared, so timing tells nothing about the secret itself.
    if expired || !world.accounts.enabled(user, now_s) || token.secret_sha256 != hash_secret(secret)
    {
        return Err(FAILED);
    }
    Ok(Caller {
        id: id.to_owned(),
        token: true,
    })
}

/// The value of `name=…` (or `name …`) in a header, percent-decoded, empty ones left out.
fn credential(header: &str, name: &str) -> Option<String> {
    let start = header.find(name)?;
    let bounded = start == 0 || header[..start].ends_with([' ', ';']);
    let rest = header[start + name.len()..].strip_prefix(['=', ' '])?;
    let value = rest.split(';').next().unwrap_or_default().trim();
    (bounded && !value.is_empty()).then(|| decode::unescape(value))
}

#[cfg(test)]
mod tests {
    use super::credential;

    #[test]
    fn credentials_are_found_in_their_headers() {
        let of = |header: &str, name: &str| credential(header, name);
        assert_eq!(
            of("PVEAPIToken=root@pam!t=s", "PVEAPIToken").as_deref(),
            Some("root@pam!t=s")
        );
        assert_eq!(
            of("a=b; PVEAuthCookie=PVE%3Ax", "PVEAuthCookie").as_deref(),
            Some("PVE:x")
        );
        assert_eq!(of("PVEAuthCookie=", "PVEAuthCookie"), None);
        assert_eq!(of("XPVEAuthCookie=1", "PVEAuthCookie"), None);
    }
}
