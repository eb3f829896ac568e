//! A user's login: the ticket it gives, its renewal before it ends, and a new login when it is refused.

mod answer;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use self::answer::{Papers, Said};
use super::credentials::Login;
use crate::transport::{Method, RawResponse, Request, TransportError};

/// From this age on a ticket is renewed. PVE takes it for two hours (`$ticket_lifetime` in pve-access-control's
/// `AccessControl.pm`).
const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);
/// Up to this age a ticket is used. The nodes' clocks may be five minutes apart, and a call takes its time.
const USED_FOR: Duration = Duration::from_secs(110 * 60);
/// A renewal that failed is not tried again for so long; the ticket is still good.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// A login that was refused is not tried again for so long: PVE, and directories behind it, lock users out who fail often.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);
/// How soon after a ticket was given up another one is: a node with a clock of its own refuses every one, and the others go
/// on with the one there is.
const FORGETTING_PAUSE: Duration = Duration::from_secs(60);
/// The most a login may take. PVE holds a refusal back for 3 s.
const LOGIN: Duration = Duration::from_secs(15);
/// The most a renewal may take, and not more than half of what its call has: that one can go on without it.
const RENEWAL: Duration = Duration::from_secs(5);

/// What shows PVE that a user is logged in.
#[derive(Debug)]
pub(super) struct Ticket {
    papers: Papers,
    since: Instant,
}

impl Ticket {
    /// The header with the ticket, for every call.
    pub(super) fn cookie(&self) -> &HeaderValue {
        &self.papers.cookie
    }

    /// What has to come along with a change.
    pub(super) fn csrf(&self) -> &HeaderValue {
        &self.papers.csrf
    }
}

/// A user's login to one cluster. A ticket of one node is good at all of them.
///
/// Guarantees: at most one login or renewal is under way; while it is, calls go on with the ticket there is. A password that
/// was refused is not sent again at once, and a code only once.
pub(super) struct Session {
    user: String,
    password: SecretString,
    totp_code: Mutex<Option<SecretString>>,
    held: Mutex<Held>,
    /// Held by whoever logs in.
    door: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    ticket: Option<Arc<Ticket>>,
    /// No renewal before.
    not_before: Option<Instant>,
    /// Why there is no ticket, and until when that is not asked again.
    refusal: Option<(TransportError, Instant)>,
    /// When a ticket was given up because it was refused.
    forgotten: Option<Instant>,
}

/// What there is to go by.
enum Standing {
    /// A good ticket.
    In(Arc<Ticket>),
    /// A ticket that is still good and should be renewed.
    Ageing(Arc<Ticket>),
    /// None.
    Out,
    /// None, and PVE said no a moment ago.
    Refused(TransportError),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(login: Login) -> Self {
        Self {
            user: login.user,
            password: login.password,
            totp_code: Mutex::new(login.totp_code),
            held: Mutex::default(),
            door: tokio::sync::Mutex::default(),
        }
    }

    /// A ticket that is good now; logs in or renews it by `send` if need be, until `limit` at most.
    ///
    /// # Errors
    /// Why there is none: [`TransportError::LoginRefused`], [`TransportError::SecondFactor`], or that PVE was not reached.
    pub(super) async fn ticket<F, S>(
        &self,
        limit: Instant,
        send: F,
    ) -> Result<Arc<Ticket>, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        match self.standing() {
            Standing::In(ticket) => return Ok(ticket),
            Standing::Refused(error) => return Err(error),
            Standing::Ageing(ticket) => {
                // Whoever comes while another one renews it goes on with the old one.
                if let Ok(_inside) = self.door.try_lock()
                    && let Standing::Ageing(_) = self.standing()
                {
                    return self.renew(ticket, limit, send).await;
                }
                return Ok(ticket);
            }
            Standing::Out => {}
        }
        let Ok(_inside) = timeout_at(limit, self.door.lock()).await else {
            let why = "the login that is under way took too long";
            return Err(TransportError::NotSent(why.to_owned()));
        };
        // Whoever was before us may have done it for us.
        match self.standing() {
            Standing::In(ticket) | Standing::Ageing(ticket) => Ok(ticket),
            Standing::Refused(error) => Err(error),
            Standing::Out => self.log_in(limit, &send).await,
        }
    }

    /// PVE did not accept this ticket: the next call logs in anew, unless somebody did already. Whether the call may be made
    /// again: not if that was tried a moment ago, and another ticket is refused all the same.
    pub(super) fn forget(&self, refused: &Arc<Ticket>) -> bool {
        let now = Instant::now();
        self.look(|held| {
            let is_held = held
                .ticket
                .as_ref()
                .is_some_and(|t| Arc::ptr_eq(t, refused));
            if !is_held {
                return true;
            }
            let again = held.forgotten.map(|at| now.saturating_duration_since(at));
            if again.is_some_and(|passed| passed < FORGETTING_PAUSE) {
                return false;
            }
            held.forgotten = Some(now);
            held.ticket = None;
            true
        })
    }

    fn look<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn standing(&self) -> Standing {
        let now = Instant::now();
        self.look(|held| {
            if let Some(ticket) = &held.ticket {
                let age = now.saturating_duration_since(ticket.since);
                let may_renew = held.not_before.is_none_or(|moment| now >= moment);
                if age < RENEWED_AFTER || (age < USED_FOR && !may_renew) {
                    return Standing::In(ticket.clone());
                }
                if age < USED_FOR {
                    return Standing::Ageing(ticket.clone());
                }
                held.ticket = None;
            }
            match &held.refusal {
                Some((error, until)) if now < *until => Standing::Refused(error.clone()),
                Some(_) | None => Standing::Out,
            }
        })
    }

    fn keep(&self, papers: Papers, since: Instant) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket { papers, since });
        self.look(|held| {
            *held = Held {
                ticket: Some(ticket.clone()),
                forgotten: held.forgotten,
                ..Held::default()
            };
        });
        ticket
    }

    /// Shows the old ticket as a password, for which no second factor is asked. The old one stays if that fails, unless PVE
    /// refuses it: then the user logs in anew.
    async fn renew<F, S>(
        &self,
        old: Arc<Ticket>,
        limit: Instant,
        send: F,
    ) -> Result<Arc<Ticket>, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        let begun = Instant::now();
        self.look(|held| held.not_before = Some(begun + RENEWAL_PAUSE));
        let share = RENEWAL.min(limit.saturating_duration_since(begun) / 2);
        match self
            .show(&old.papers.ticket, None, begun + share, &send)
            .await
        {
            Ok(Said::In(papers)) => Ok(self.keep(papers, begun)),
            Ok(Said::Half { .. }) | Err(TransportError::LoginRefused(_)) => {
                tracing::debug!(user = self.user, "PVE refused to renew a ticket");
                self.forget(&old);
                self.log_in(limit, &send).await
            }
            Err(error) => {
                tracing::debug!(user = self.user, %error, "a ticket was not renewed and is used on");
                Ok(old)
            }
        }
    }

    async fn log_in<F, S>(&self, limit: Instant, send: &F) -> Result<Arc<Ticket>, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        let begun = Instant::now();
        let outcome = match self.show(&self.password, None, limit, send).await {
            Ok(Said::Half { challenge, accepts }) => {
                self.second_step(challenge, accepts, limit, send).await
            }
            Ok(Said::In(papers)) => Ok(papers),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(papers) => {
                tracing::debug!(user = self.user, "logged in");
                Ok(self.keep(papers, begun))
            }
            Err(error) => {
                tracing::debug!(user = self.user, %error, "not logged in");
                if let TransportError::LoginRefused(_) | TransportError::SecondFactor(_) = error {
                    let until = Instant::now() + REFUSAL_PAUSE;
                    self.look(|held| held.refusal = Some((error.clone(), until)));
                }
                Err(error)
            }
        }
    }

    /// Answers the challenge with the code, if there is one that was not used.
    async fn second_step<F, S>(
        &self,
        challenge: SecretString,
        accepts: Vec<String>,
        limit: Instant,
        send: &F,
    ) -> Result<Papers, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        let may_answer = accepts.is_empty() || accepts.iter().any(|kind| kind == "totp");
        let code = may_answer.then(|| self.take_code()).flatten();
        let Some(code) = code else {
            return Err(TransportError::SecondFactor(accepts));
        };
        let response = SecretString::from(format!("totp:{}", code.expose_secret()));
        match self.show(&response, Some(&challenge), limit, send).await? {
            Said::In(papers) => Ok(papers),
            Said::Half { accepts, .. } => Err(TransportError::SecondFactor(accepts)),
        }
    }

    fn take_code(&self) -> Option<SecretString> {
        self.totp_code
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn show<F, S>(
        &self,
        secret: &SecretString,
        challenge: Option<&SecretString>,
        limit: Instant,
        send: &F,
    ) -> Result<Said, TransportError>
    where
        F: Fn(Request) -> S,
        S: Future<Output = Result<RawResponse, TransportError>> + Send,
    {
        let left = limit.saturating_duration_since(Instant::now()).min(LOGIN);
        let given = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut params = vec![
            given("username", &self.user),
            given("password", secret.expose_secret()),
        ];
        if let Some(challenge) = challenge {
            params.push(given("tfa-challenge", challenge.expose_secret()));
        }
        let request = Request {
            method: Method::Post,
            path: "/access/ticket".to_owned(),
            params,
            timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            answer_ms: None,
            send_before: None,
            reference: None,
            of_adopted: false,
        };
        match send(request).await {
            Ok(answer) => answer::read(&answer),
            // Nothing but the login went out: the call it was for did not happen.
            Err(TransportError::MaybeApplied(why)) => Err(TransportError::NotSent(format!(
                "the login was not answered: {why}"
            ))),
            Err(error) => Err(error),
        }
    }
}
