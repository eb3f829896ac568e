//! Logins on virtual time, against a PVE that is played by a closure.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::advance;

use super::*;

const PASSWORD: &str = "correct horse";
const HALF: &str = "PVE:!tfa!{\"totp\"%3Atrue,\"recovery\"%3A[1],\"u2f\"%3Anull}:6B00:SIG";

/// What is played: each login gives the next ticket.
struct Played {
    /// Whether passwords, and tickets as passwords, are accepted.
    passwords: bool,
    renewals: Answer,
    wants_code: bool,
    logins: AtomicUsize,
    /// What was shown as a password, and as a challenge.
    shown: Mutex<Vec<(String, Option<String>)>>,
    /// Rung for each login that arrives, and waited for before it is answered.
    gate: Option<(Notify, Notify)>,
}

#[derive(Clone, Copy)]
enum Answer {
    Accepted,
    Refused,
    Missing,
}

impl Default for Played {
    fn default() -> Self {
        Self {
            passwords: true,
            renewals: Answer::Accepted,
            wants_code: false,
            logins: AtomicUsize::new(0),
            shown: Mutex::default(),
            gate: None,
        }
    }
}

fn answer(status: u16, body: String) -> Result<RawResponse, TransportError> {
    Ok(RawResponse {
        status,
        reason: if status == 200 {
            "OK"
        } else {
            "authentication failure"
        }
        .to_owned(),
        body: Bytes::from(body),
    })
}

impl Played {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        assert_eq!(
            (request.method, request.path.as_str()),
            (Method::Post, "/access/ticket")
        );
        let param = |name: &str| {
            let found = request.params.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(param("username").as_deref(), Some("ops@pve"));
        let password = param("password").unwrap();
        let challenge = param("tfa-challenge");
        self.shown
            .lock()
            .unwrap()
            .push((password.clone(), challenge.clone()));
        if let Some((arrived, go_on)) = &self.gate {
            arrived.notify_one();
            go_on.notified().await;
        }
        let accepted = match (&challenge, password.starts_with("PVE:")) {
            (Some(challenge), _) => challenge == HALF && password == "totp:123456",
            (None, true) => match self.renewals {
                Answer::Accepted => true,
                Answer::Refused => false,
                Answer::Missing => return Err(TransportError::MaybeApplied("cut".to_owned())),
            },
            (None, false) => self.passwords && password == PASSWORD,
        };
        if !accepted {
            return answer(401, r#"{"data":null,"message":"x"}"#.to_owned());
        }
        if self.wants_code && challenge.is_none() && !password.starts_with("PVE:") {
            let half =
                serde_json::json!({"ticket": HALF, "CSRFPreventionToken": "x", "NeedTFA": 1});
            return answer(200, format!(r#"{{"data":{half}}}"#));
        }
        let n = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        answer(
            200,
            format!(r#"{{"data":{{"ticket":"PVE:ops@pve:{n}","CSRFPreventionToken":"csrf{n}"}}}}"#),
        )
    }

    fn shown(&self) -> Vec<String> {
        let shown = self.shown.lock().unwrap();
        shown.iter().map(|(password, _)| password.clone()).collect()
    }
}

fn session(code: Option<&str>) -> Session {
    Session::new(Login {
        user: "ops@pve".to_owned(),
        password: PASSWORD.into(),
        totp_code: code.map(Into::into),
    })
}

async fn ticket(session: &Session, played: &Played) -> Result<String, TransportError> {
    let limit = Instant::now() + Duration::from_secs(30);
    let ticket = session
        .ticket(limit, |request| played.send(request))
        .await?;
    Ok(ticket.cookie().to_str().unwrap().to_owned())
}

fn cookie(n: u32) -> Result<String, TransportError> {
    Ok(format!("PVEAuthCookie=PVE%3Aops%40pve%3A{n}"))
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_ticket_is_used_for_an_hour_and_then_renewed_with_itself() {
    let (session, played) = (session(None), Played::default());
    for _ in 0..60 {
        assert_eq!(ticket(&session, &played).await, cookie(1));
        advance(MINUTE).await;
    }
    assert_eq!(ticket(&session, &played).await, cookie(2));
    assert_eq!(played.shown(), [PASSWORD, "PVE:ops@pve:1"]);
    advance(59 * MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(2));
    advance(MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(3));
    assert_eq!(played.shown()[2..], ["PVE:ops@pve:2"]);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_too_old_to_be_shown_is_followed_by_a_new_login() {
    let (session, played) = (session(None), Played::default());
    ticket(&session, &played).await.unwrap();
    advance(110 * MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(2));
    assert_eq!(played.shown(), [PASSWORD, PASSWORD]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_not_answered_leaves_the_old_ticket_and_is_tried_once_a_minute() {
    let played = Played {
        renewals: Answer::Missing,
        ..Played::default()
    };
    let session = session(None);
    ticket(&session, &played).await.unwrap();
    advance(60 * MINUTE).await;
    for _ in 0..3 {
        assert_eq!(ticket(&session, &played).await, cookie(1));
    }
    assert_eq!(played.shown().len(), 2);
    advance(MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(1));
    assert_eq!(played.shown().len(), 3);
    // When its time is over the password is shown again.
    advance(49 * MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(2));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_refused_is_followed_by_a_new_login() {
    let played = Played {
        renewals: Answer::Refused,
        ..Played::default()
    };
    let session = session(None);
    ticket(&session, &played).await.unwrap();
    advance(60 * MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(2));
    assert_eq!(played.shown(), [PASSWORD, "PVE:ops@pve:1", PASSWORD]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_takes_no_more_than_half_of_what_its_call_has() {
    let played = Played::default();
    let session = session(None);
    ticket(&session, &played).await.unwrap();
    advance(60 * MINUTE).await;
    for (has_s, gets_ms) in [(4, 2_000), (60, 5_000)] {
        let given = Mutex::new(0);
        let limit = Instant::now() + Duration::from_secs(has_s);
        let send = |request: Request| {
            *given.lock().unwrap() = request.timeout_ms;
            async { Err(TransportError::NotSent("cut".to_owned())) }
        };
        assert!(session.ticket(limit, send).await.is_ok());
        assert_eq!(*given.lock().unwrap(), gets_ms);
        advance(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_renewal_is_under_way_and_others_go_on_with_the_old_ticket() {
    let session = Arc::new(session(None));
    ticket(&session, &Played::default()).await.unwrap();
    advance(60 * MINUTE).await;
    let played = Arc::new(Played {
        gate: Some((Notify::new(), Notify::new())),
        logins: AtomicUsize::new(1),
        ..Played::default()
    });
    let renewing = tokio::spawn({
        let (session, played) = (session.clone(), played.clone());
        async move { ticket(&session, &played).await }
    });
    let (arrived, go_on) = played.gate.as_ref().unwrap();
    arrived.notified().await;
    for _ in 0..3 {
        assert_eq!(ticket(&session, &played).await, cookie(1));
    }
    go_on.notify_one();
    assert_eq!(renewing.await.unwrap(), cookie(2));
    assert_eq!(ticket(&session, &played).await, cookie(2));
    assert_eq!(played.shown().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_are_one_login() {
    let (session, played) = (session(None), Played::default());
    let all = (0..20).map(|_| ticket(&session, &played));
    for one in futures::future::join_all(all).await {
        assert_eq!(one, cookie(1));
    }
    assert_eq!(played.shown().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_with_a_wrong_password_are_one_refusal_a_minute() {
    let played = Played {
        passwords: false,
        ..Played::default()
    };
    let session = session(None);
    let refused = TransportError::LoginRefused("authentication failure".to_owned());
    let all = (0..20).map(|_| ticket(&session, &played));
    for one in futures::future::join_all(all).await {
        assert_eq!(one, Err(refused.clone()));
    }
    advance(MINUTE - Duration::from_millis(1)).await;
    assert_eq!(ticket(&session, &played).await, Err(refused.clone()));
    assert_eq!(played.shown().len(), 1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(ticket(&session, &played).await, Err(refused));
    assert_eq!(played.shown().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_was_replaced_meanwhile_is_not_forgotten_twice() {
    let (session, played) = (session(None), Played::default());
    let limit = Instant::now() + MINUTE;
    let send = |request| played.send(request);
    let first = session.ticket(limit, send).await.unwrap();
    assert!(session.forget(&first));
    let second = session.ticket(limit, send).await.unwrap();
    assert!(session.forget(&first), "the second one may be good");
    let third = session.ticket(limit, send).await.unwrap();
    assert!(Arc::ptr_eq(&second, &third));
    assert_eq!(played.shown(), [PASSWORD, PASSWORD]);
}

/// A node whose clock is wrong refuses each; the others take it.
#[tokio::test(start_paused = true)]
async fn a_ticket_that_goes_on_being_refused_is_replaced_once_a_minute() {
    let (session, played) = (session(None), Played::default());
    let limit = Instant::now() + MINUTE * 60;
    let send = |request| played.send(request);
    let first = session.ticket(limit, send).await.unwrap();
    assert!(session.forget(&first));
    let second = session.ticket(limit, send).await.unwrap();
    for _ in 0..59 {
        assert!(!session.forget(&second));
        let held = session.ticket(limit, send).await.unwrap();
        assert!(Arc::ptr_eq(&second, &held), "the others go on with it");
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(played.shown().len(), 2);
    advance(Duration::from_secs(1)).await;
    assert!(session.forget(&second));
    session.ticket(limit, send).await.unwrap();
    assert_eq!(played.shown().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_factor_that_is_missing_is_named() {
    let played = Played {
        wants_code: true,
        ..Played::default()
    };
    let session = session(None);
    let error = ticket(&session, &played).await.unwrap_err();
    let TransportError::SecondFactor(mut accepts) = error else {
        panic!("{error:?}")
    };
    accepts.sort();
    assert_eq!(accepts, ["recovery", "totp"]);
}

#[tokio::test(start_paused = true)]
async fn a_code_completes_one_login_and_renewals_need_none() {
    let played = Played {
        wants_code: true,
        ..Played::default()
    };
    let session = session(Some("123456"));
    assert_eq!(ticket(&session, &played).await, cookie(1));
    {
        let shown = played.shown.lock().unwrap();
        let code = ("totp:123456".to_owned(), Some(HALF.to_owned()));
        assert_eq!(*shown, [(PASSWORD.to_owned(), None), code]);
    }
    advance(60 * MINUTE).await;
    assert_eq!(ticket(&session, &played).await, cookie(2));
    // PVE takes a code once: it is not shown again.
    advance(110 * MINUTE).await;
    let error = ticket(&session, &played).await.unwrap_err();
    assert!(
        matches!(error, TransportError::SecondFactor(_)),
        "{error:?}"
    );
    assert_eq!(played.shown().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_waited_for_too_long_sends_nothing_of_the_call() {
    let played = Played {
        gate: Some((Notify::new(), Notify::new())),
        ..Played::default()
    };
    let session = session(None);
    let first = ticket(&session, &played);
    let second = async {
        played.gate.as_ref().unwrap().0.notified().await;
        let limit = Instant::now() + Duration::from_secs(1);
        session.ticket(limit, |request| played.send(request)).await
    };
    tokio::select! {
        biased;
        _ = first => panic!("nobody answers"),
        error = second => assert!(matches!(error, Err(TransportError::NotSent(_))), "{error:?}"),
    }
}

#[test]
fn what_cannot_be_read_names_the_field_and_nothing_else() {
    let read = |status, body: &str| {
        answer::read(&RawResponse {
            status,
            reason: "Odd".to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
        .unwrap_err()
        .to_string()
    };
    for (status, body, named) in [
        (200, "<html>SECRET", "no JSON"),
        (200, r#"{"message":"SECRET"}"#, "`data`"),
        (
            200,
            r#"{"data":{"CSRFPreventionToken":"SECRET"}}"#,
            "`ticket`",
        ),
        (200, r#"{"data":{"ticket":["SECRET"]}}"#, "`ticket`"),
        (
            200,
            r#"{"data":{"ticket":"SECRET"}}"#,
            "`CSRFPreventionToken`",
        ),
        (
            200,
            r#"{"data":{"ticket":"SECRET","CSRFPreventionToken":"SECRET\n"}}"#,
            "`CSRFPreventionToken`",
        ),
        (595, "SECRET", "595 Odd"),
        (500, "SECRET", "500 Odd"),
    ] {
        let text = read(status, body);
        assert!(text.contains(named) && !text.contains("SECRET"), "{text}");
    }
}

#[test]
fn nothing_shows_a_secret() {
    let papers = Papers {
        ticket: "SECRET".into(),
        cookie: super::super::credentials::secret_header("SECRET").unwrap(),
        csrf: super::super::credentials::secret_header("SECRET").unwrap(),
    };
    let ticket = Ticket {
        papers,
        since: Instant::now(),
    };
    let session = Session::new(Login {
        user: "ops@pve".to_owned(),
        password: "SECRET".into(),
        totp_code: Some("SECRET".into()),
    });
    let shown = format!("{ticket:?} {session:?}");
    assert!(!shown.contains("SECRET"), "{shown}");
}
