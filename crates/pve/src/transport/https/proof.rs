//! What goes with a call to show who makes it.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::ConfigError;
use super::credentials::{ApiToken, Credentials};
use super::login::{Session, Ticket};
use crate::transport::tokens::Tokens;
use crate::transport::{Method, RawResponse, Request, TransportError};

/// What PVE wants with every change that comes with a ticket.
const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

/// Shows who makes one call.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// Nothing: the call is the login, or one that everybody may make.
    None,
    /// An API token.
    Token(HeaderValue),
    /// A user's ticket.
    Ticket(Arc<Ticket>),
}

impl Proof {
    /// The headers of a call of this method.
    pub(super) fn headers(
        &self,
        method: Method,
    ) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
        let (first, second) = match self {
            Self::None => (None, None),
            Self::Token(token) => (Some((AUTHORIZATION, token)), None),
            Self::Ticket(ticket) => (
                Some((COOKIE, ticket.cookie())),
                (!method.is_read()).then(|| (CSRF, ticket.csrf())),
            ),
        };
        first.into_iter().chain(second)
    }
}

/// Where proofs come from.
#[derive(Debug)]
pub(super) enum Prover {
    /// The one of the host's tokens that the table of calls names.
    Tokens(Tokens<HeaderValue>),
    /// A login.
    Login(Box<Session>),
    /// Nothing.
    Nobody,
}

impl Prover {
    pub(super) fn new(credentials: Credentials) -> Result<Self, ConfigError> {
        match credentials {
            Credentials::Tokens(tokens) => tokens.try_map(ApiToken::header).map(Self::Tokens),
            Credentials::Login(login) => {
                login.check()?;
                Ok(Self::Login(Box::new(Session::new(login))))
            }
            Credentials::Nobody => Ok(Self::Nobody),
        }
    }

    /// A proof for this request that is good now; logs in by `send` if need be, until `limit` at most.
    ///
    /// # Errors
    /// Also [`TransportError::NotSent`] for a request that no token is sent with ([`Tokens::choose`]).
    pub(super) async fn proof<F, S>(
        &self,
        request: &Request,
        limit: Instant,
        send: F,
    ) -> Result<Proof, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        match self {
            Self::Tokens(tokens) => tokens.choose(request).cloned().map(Proof::Token),
            Self::Login(session) => session.ticket(limit, send).await.map(Proof::Ticket),
            Self::Nobody => Ok(Proof::None),
        }
    }

    /// PVE did not accept this proof. Whether another one can be had.
    pub(super) fn forget(&self, proof: &Proof) -> bool {
        match (self, proof) {
            (Self::Login(session), Proof::Ticket(ticket)) => session.forget(ticket),
            (Self::Login(_), Proof::None | Proof::Token(_))
            | (Self::Tokens(_) | Self::Nobody, _) => false,
        }
    }
}
