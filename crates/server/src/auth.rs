//! Who asks, by a token or by the cookie of a session, and what they may ask: as [`proximity_domain::access`] decides.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use proximity_api::error::{ErrorBody, ErrorKind};
pub use proximity_domain::access::Right as Scope;
use proximity_domain::access::{Grant, Reach, Role, Subject, Verdict, decide, reach};
use proximity_domain::session::{is_over, is_to_be_noted};
use proximity_store::Reader;
use proximity_store::records::{Actor, TokenRecord};
use proximity_store::sessions::{SessionRecord, SignedIn};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::cookies;
use crate::layers::request_id;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Longest token that is looked up, bytes.
const LONGEST_TOKEN_BYTES: usize = 512;

/// What is stored of a token: the SHA-256 of its text.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Who is behind a request: an account, with a token of it or signed in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    actor: Actor,
    grant: Grant,
    session: Option<SessionRecord>,
    /// SHA-256 of what it came with.
    shown_sha256: [u8; 32],
}

impl Caller {
    fn of(token: TokenRecord) -> Self {
        Self {
            shown_sha256: token.secret_sha256,
            actor: Actor {
                account: token.account,
                token: Some(token.id),
                request: None,
            },
            grant: Grant::Scopes(token.scopes),
            session: None,
        }
    }

    pub(crate) fn signed_in(found: SignedIn) -> Self {
        Self {
            actor: Actor {
                account: found.session.account.to_string(),
                token: None,
                request: None,
            },
            grant: Grant::Role(found.role),
            session: Some(found.session),
            shown_sha256: found.secret_sha256,
        }
    }

    /// Who acts, for the records.
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The session it comes by.
    ///
    /// # Errors
    /// It comes by a token.
    pub(crate) fn session(&self) -> Result<&SessionRecord, Refusal> {
        self.session.as_ref().ok_or_else(|| {
            forbidden(
                "this is about the session that a request comes by, and it came with a token"
                    .to_owned(),
                "sign in, and send the cookie of the session instead".to_owned(),
            )
        })
    }

    /// The role, of who signed in.
    pub(crate) fn role(&self) -> Option<Role> {
        match &self.grant {
            Grant::Role(role) => Some(*role),
            Grant::Scopes(_) => None,
        }
    }

    /// The scopes of the token; none of who signed in.
    pub(crate) fn scopes(&self) -> &[String] {
        match &self.grant {
            Grant::Role(_) => &[],
            Grant::Scopes(scopes) => scopes,
        }
    }

    /// Whether it has the right at all.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.decide(scope, Subject::Shared) == Verdict::Allowed
    }

    /// What is decided of a request about something.
    pub(crate) fn decide(&self, scope: Scope, subject: Subject<'_>) -> Verdict {
        decide(&self.actor.account, &self.grant, scope, subject)
    }

    /// Refuses unless it has the right at all.
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
        match self.role() {
            None => forbidden(
                format!("this token of account {account} lacks the scope `{scope}`"),
                format!("use a token that has the scope `{scope}`"),
            ),
            Some(role) => {
                let role = role.label();
                forbidden(
                    format!("account {account} has the role {role}, which may not `{scope}`"),
                    "ask an admin to do it, or to give the account another role".to_owned(),
                )
            }
        }
    }

    /// That the thing is another account's.
    pub(crate) fn not_own(&self, owner: &str) -> Refusal {
        let account = &self.actor.account;
        forbidden(
            format!("it is of account {owner}, and account {account} changes its own alone"),
            format!("ask {owner} or an admin to do it"),
        )
    }

    /// The account whose apps it sees; `None` = all.
    pub(crate) fn sees_only(&self) -> Option<&str> {
        self.own_unless_all(Scope::Read)
    }

    /// The account whose apps it may change, if it may change any; `None` = all.
    pub(crate) fn changes_only(&self) -> Option<&str> {
        self.own_unless_all(Scope::Operate)
    }

    fn own_unless_all(&self, scope: Scope) -> Option<&str> {
        match reach(&self.grant, scope) {
            Reach::All => None,
            Reach::OwnAlone | Reach::OwnAmongSeen => Some(&self.actor.account),
        }
    }
}

fn forbidden(message: String, hint: String) -> Refusal {
    let body = ErrorBody::new("forbidden", message, hint);
    Refusal::new(ErrorKind::Forbidden, body)
}

/// Lets a request through if it is known who asks, and hangs the [`Caller`] on it.
pub(crate) async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let mut caller = who(&state, request.method(), request.headers()).await?;
    caller.actor.request = request_id(request.headers());
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// The caller of a public path: `None` when nothing was sent by which it is known.
pub(crate) async fn optional(state: &AppState, headers: &HeaderMap) -> Option<Caller> {
    who(state, &Method::GET, headers).await.ok()
}

/// Who asks. A token goes before a cookie: it is sent by nobody who does not mean it.
async fn who(state: &AppState, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
    if headers.contains_key(AUTHORIZATION) {
        let token = bearer(headers)?;
        let found = find(&state.reader(), &token_hash(token)).await?;
        return found.ok_or_else(unknown);
    }
    let secret = cookies::sent(headers).ok_or_else(missing)?;
    let found = session(state, &secret).await?.ok_or_else(over)?;
    if !method.is_safe() {
        cookies::check(headers, &secret)?;
    }
    note(state, &found.session).await;
    Ok(Caller::signed_in(found))
}

async fn find(reader: &Reader, hash: &[u8; 32]) -> Result<Option<Caller>, Refusal> {
    let found = reader.token_by_hash(hash).await?;
    // The index compares bytes as it likes; what decides is compared in constant time.
    Ok(found
        .filter(|record| bool::from(record.secret_sha256.ct_eq(hash)))
        .map(Caller::of))
}

/// Who is signed in by this secret, unless the session is over.
pub(crate) async fn session(
    state: &AppState,
    secret: &SecretString,
) -> Result<Option<SignedIn>, Refusal> {
    session_by(state, &token_hash(secret.expose_secret())).await
}

async fn session_by(state: &AppState, hash: &[u8; 32]) -> Result<Option<SignedIn>, Refusal> {
    let found = state.reader().signed_in(hash).await?;
    let now = state.clock().now();
    Ok(found
        .filter(|found| bool::from(found.secret_sha256.ct_eq(hash)))
        .filter(|found| !is_over(found.session.begun_at, found.session.seen_at, now)))
}

/// Looks now and then whether whoever an answer is for is still let in, with the rights of then: for answers that go on for long.
#[derive(Debug)]
pub(crate) struct Watch {
    state: AppState,
    caller: Caller,
    due: Instant,
}

impl Watch {
    /// Whoever asks was let in just now.
    pub(crate) fn new(state: &AppState, caller: &Caller) -> Self {
        Self {
            due: Instant::now() + state.recheck(),
            state: state.clone(),
            caller: caller.clone(),
        }
    }

    /// When it is time to look.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whether the answer goes on; looks if it is time. What cannot be read now is taken to be as it was.
    pub(crate) async fn holds(&mut self) -> bool {
        if Instant::now() < self.due {
            return true;
        }
        let is_let_in = match self.found().await {
            Ok(found) => found.is_some_and(|found| found.grant == self.caller.grant),
            Err(refusal) => {
                let why = refusal.body.message;
                tracing::warn!(why, "cannot see whether a stream's client is still let in");
                true
            }
        };
        self.due = Instant::now() + self.state.recheck();
        is_let_in
    }

    async fn found(&self) -> Result<Option<Caller>, Refusal> {
        let hash = &self.caller.shown_sha256;
        match self.caller.session {
            Some(_) => Ok(session_by(&self.state, hash).await?.map(Caller::signed_in)),
            None => find(&self.state.reader(), hash).await,
        }
    }
}

/// Writes down now and then that a session is used. Where that cannot be written it ends too early, and nothing worse.
async fn note(state: &AppState, session: &SessionRecord) {
    if is_to_be_noted(session.seen_at, state.clock().now())
        && let Err(error) = state.engine().note_session(session.id).await
    {
        tracing::warn!(%error, "cannot write down that a session is used");
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
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

fn missing() -> Refusal {
    Refusal::new(
        ErrorKind::Unauthorized,
        ErrorBody::new(
            "unauthorized",
            "this path needs a token, or the cookie of a session",
            "send the header `Authorization: Bearer TOKEN`; the first token is in the file `admin.token` \
             of the data directory",
        ),
    )
}

fn over() -> Refusal {
    Refusal::new(
        ErrorKind::Unauthorized,
        ErrorBody::new(
            "unauthorized",
            "the session is over, or was never there",
            "sign in again",
        ),
    )
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
            grant: Grant::Scopes(scopes.iter().map(|s| (*s).to_owned()).collect()),
            session: None,
            shown_sha256: [0; 32],
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
        assert_eq!(caller(&["*"]).changes_only(), None);
        assert_eq!(caller(&["read"]).sees_only(), Some("robot"));
        assert_eq!(caller(&["operate"]).changes_only(), Some("robot"));
    }

    #[test]
    fn a_role_sees_all_and_changes_what_is_its_own() {
        let signed_in = |role| Caller {
            grant: Grant::Role(role),
            ..caller(&[])
        };
        for (role, changes_only) in [
            (Role::Admin, None),
            (Role::Operator, Some("robot")),
            (Role::Viewer, Some("robot")),
        ] {
            let caller = signed_in(role);
            assert_eq!(caller.sees_only(), None, "{role:?}");
            assert_eq!(caller.changes_only(), changes_only, "{role:?}");
            assert!(caller.scopes().is_empty());
        }
        let refusal = signed_in(Role::Viewer).require(Scope::Operate).unwrap_err();
        assert!(refusal.body.message.contains("viewer"), "{refusal:?}");
        let refusal = signed_in(Role::Operator).not_own("ann");
        assert_eq!(refusal.body.code, "forbidden");
        assert!(refusal.body.hint.contains("ann"));
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
