//! Who asks, and what they may ask.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_store::Reader;
use proximity_store::records::{Actor, TokenRecord};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::layers::request_id;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Longest token that is looked up, bytes.
const LONGEST_TOKEN_BYTES: usize = 512;

/// What a token may be used for. Stored by label; `*` stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Look at everything that is no secret.
    Read,
    /// Deploy, start, stop, restart, retry, cancel, abandon; look into containers by commands that only look.
    Operate,
    /// Run any program inside a container, as root.
    Exec,
    /// Remove apps.
    Destroy,
    /// Add and remove host entries; end the rest of ports, which is everybody's.
    Hosts,
    /// Read the figures of everybody's work, and nothing else.
    Metrics,
}

impl Scope {
    /// Stable label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Exec => "exec",
            Self::Destroy => "destroy",
            Self::Hosts => "hosts",
            Self::Metrics => "metrics",
        }
    }
}

/// What is stored of a token: the SHA-256 of its text.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The account and token behind a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    actor: Actor,
    scopes: Vec<String>,
}

impl Caller {
    fn of(token: TokenRecord) -> Self {
        Self {
            actor: Actor {
                account: token.account,
                token: Some(token.id),
                request: None,
            },
            scopes: token.scopes,
        }
    }

    /// Who acts, for the records.
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether the token has the scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|s| s == "*" || s == scope.label())
    }

    /// Refuses unless the token has the scope.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.may(scope) {
            return Ok(());
        }
        Err(self.lacks(scope))
    }

    /// That this right is lacking.
    pub(crate) fn lacks(&self, scope: Scope) -> Refusal {
        let account = &self.actor.account;
        let scope = scope.label();
        Refusal::new(
            ErrorKind::Forbidden,
            ErrorBody::new(
                "forbidden",
                format!("this token of account {account} lacks the scope `{scope}`"),
                format!("use a token that has the scope `{scope}`"),
            ),
        )
    }

    /// The account whose apps it sees; `None` = all.
    pub(crate) fn sees_only(&self) -> Option<&str> {
        let all = self.scopes.iter().any(|s| s == "*");
        (!all).then_some(self.actor.account.as_str())
    }
}

/// Lets a request through if its token is known, and hangs the [`Caller`] on it.
pub(crate) async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let token = bearer(request.headers())?;
    let mut caller = find(&state.reader(), token).await?.ok_or_else(unknown)?;
    caller.actor.request = request_id(request.headers());
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// The caller of a public path: `None` when no token, or none that is known, was sent.
pub(crate) async fn optional(reader: &Reader, headers: &HeaderMap) -> Option<Caller> {
    let token = bearer(headers).ok()?;
    find(reader, token).await.ok().flatten()
}

async fn find(reader: &Reader, token: &str) -> Result<Option<Caller>, Refusal> {
    let hash = token_hash(token);
    let found = reader.token_by_hash(&hash).await?;
    // The index compares bytes as it likes; what decides is compared in constant time.
    Ok(found
        .filter(|record| bool::from(record.secret_sha256.ct_eq(&hash)))
        .map(Caller::of))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let missing = || {
        Refusal::new(
            ErrorKind::Unauthorized,
            ErrorBody::new(
                "unauthorized",
                "this path needs a token",
                "send the header `Authorization: Bearer TOKEN`; the first token is in the file `admin.token` \
                 of the data directory",
            ),
        )
    };
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err(unknown());
    }
    Ok(token)
}

fn unknown() -> Refusal {
    Refusal::new(
        ErrorKind::Unauthorized,
        ErrorBody::new(
            "unauthorized",
            "the token is not known here",
            "check that it belongs to this server; the first one is in the file `admin.token` of the data \
             directory",
        ),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            actor: Actor {
                account: "robot".to_owned(),
                token: None,
                request: None,
            },
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    #[test]
    fn a_scope_is_had_by_name_or_by_star() {
        assert!(caller(&["*"]).may(Scope::Destroy));
        assert!(caller(&["read", "destroy"]).may(Scope::Destroy));
        assert!(!caller(&["read", "operate"]).may(Scope::Destroy));
        let refusal = caller(&["read"]).require(Scope::Operate).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Forbidden);
        assert!(refusal.body.message.contains("`operate`"));
    }

    #[test]
    fn only_an_all_scoped_token_sees_the_apps_of_others() {
        assert_eq!(caller(&["*"]).sees_only(), None);
        assert_eq!(caller(&["read"]).sees_only(), Some("robot"));
    }

    #[test]
    fn a_bearer_token_is_read_in_the_forms_clients_send() {
        let with = |text: &'static str| {
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(text))])
        };
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(&with(good)).unwrap(), "abc", "{good}");
        }
        for bad in ["", "abc", "Basic abc", "Bearer", "Bearer "] {
            assert!(bearer(&with(bad)).is_err(), "{bad:?}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn the_hash_is_plain_sha256_of_the_text() {
        let hex: String = token_hash("abc")
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
