//! Mail, over SMTP.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Detail, Response};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use proximity_domain::notify::{Message, one_line};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::channel::{Delivery, Notifier, SendError};

/// One command of the exchange.
const COMMAND: Duration = Duration::from_secs(15);
/// The whole exchange.
const EXCHANGE: Duration = Duration::from_secs(25);
/// Characters of an answer that are told.
const ANSWER_CHARS: usize = 200;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (port 465).
    Implicit,
    /// By STARTTLS, and not at all when the server does not offer it (port 587).
    Starttls,
    /// Not: what is sent, password included, can be read on the way.
    None,
}

/// What a mail channel needs.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Server.
    pub host: String,
    /// Its port; `None`: the one usual for the protection.
    pub port: Option<u16>,
    /// Protection.
    pub tls: SmtpTls,
    /// Authorities to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// User and password, if the server wants them.
    pub login: Option<(String, SecretString)>,
    /// From whom.
    pub from: String,
    /// To whom, at least one.
    pub to: Vec<String>,
}

/// A mail server that takes mail for others.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    shown: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// Who has taken the message under way already: it goes to the others alone when it is sent again.
    under_way: Mutex<(Uuid, Vec<Address>)>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Smtp").field(&self.shown).finish()
    }
}

/// Why one recipient was not sent it.
enum Unsent {
    /// The server does not take it for this one.
    NotWanted(String),
    /// All else.
    Error(SendError),
}

/// Tells programs that answer mail by themselves not to answer this one (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Smtp {
    /// A channel; nothing is sent yet.
    ///
    /// # Errors
    /// An address is none, or the authorities cannot be used; one sentence.
    pub fn new(options: SmtpOptions) -> Result<Self, String> {
        let mailbox = |text: &String| {
            let parsed = text.parse::<Mailbox>();
            parsed.map_err(|e| format!("{text:?} is no mail address: {e}"))
        };
        let from = mailbox(&options.from)?;
        let to = options
            .to
            .iter()
            .map(mailbox)
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("there is nobody to send to".to_owned());
        }
        let tls = protection(&options)?;
        let port = options.port.unwrap_or(match options.tls {
            SmtpTls::Implicit => 465,
            SmtpTls::Starttls => 587,
            SmtpTls::None => 25,
        });
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&options.host)
            .port(port)
            .tls(tls)
            .timeout(Some(COMMAND))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some((user, password)) = options.login {
            let password = password.expose_secret().to_owned();
            transport = transport.credentials(Credentials::new(user, password));
        }
        Ok(Self {
            transport: transport.build(),
            shown: format!("{}:{port}", options.host),
            from,
            to,
            under_way: Mutex::default(),
        })
    }

    fn mail(&self, message: &Message, delivery: &Delivery) -> Result<Mail, lettre::error::Error> {
        let at = Duration::from_millis(u64::try_from(delivery.at.0).unwrap_or_default());
        let domain = self.from.email.domain();
        let mut mail = Mail::builder()
            .from(self.from.clone())
            .subject(one_line(&message.subject(), ANSWER_CHARS))
            .date(UNIX_EPOCH + at)
            .message_id(Some(format!("<{}@{domain}>", delivery.id)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        mail.body(message.text())
    }

    fn locked(&self) -> MutexGuard<'_, (Uuid, Vec<Address>)> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has taken this delivery already.
    fn taken_of(&self, delivery: Uuid) -> Vec<Address> {
        let under_way = self.locked();
        match under_way.0 == delivery {
            true => under_way.1.clone(),
            false => Vec::new(),
        }
    }

    /// One transaction for each: a server ends one at the first recipient whom it does not know.
    async fn to_one(&self, to: &Address, raw: &[u8]) -> Result<String, Unsent> {
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()]);
        let envelope = envelope.map_err(|e| Unsent::NotWanted(e.to_string()))?;
        let sent = tokio::time::timeout(EXCHANGE, self.transport.send_raw(&envelope, raw));
        match sent.await {
            Ok(Ok(response)) => Ok(answer(&response)),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(Unsent::Error(SendError::MaybeTaken {
                message: format!("{} does not come to an end", self.shown),
            })),
        }
    }

    /// The answer, with those who are not told.
    fn told(&self, said: String, refused: &[(&Address, String)]) -> String {
        let mut all = vec![said];
        for (to, why) in refused {
            tracing::warn!(server = %self.shown, %to, %why, "this recipient gets no notices");
            all.push(format!("not to {to}: {why}"));
        }
        one_line(&all.join("; "), ANSWER_CHARS)
    }

    fn failed(&self, error: &lettre::transport::smtp::Error) -> Unsent {
        let mut cause: &dyn std::error::Error = error;
        let mut said = error.to_string();
        while let Some(inner) = cause.source() {
            cause = inner;
            said = format!("{said}: {inner}");
        }
        let message = format!("{}: {}", self.shown, one_line(&said, ANSWER_CHARS));
        // RFC 5321, 4.2.2: 550 no such mailbox, 551 elsewhere, 552 too large, 553 no name, 554 no. All else is about the server
        // or the moment.
        let of_mail = |code: &lettre::transport::smtp::response::Code| {
            let last = matches!(
                code.detail,
                Detail::Zero | Detail::One | Detail::Two | Detail::Three | Detail::Four
            );
            last && code.to_string().starts_with("55")
        };
        if error.is_permanent() && error.status().as_ref().is_some_and(of_mail) {
            return Unsent::NotWanted(message);
        }
        if error.is_timeout() {
            return Unsent::Error(SendError::MaybeTaken { message });
        }
        Unsent::Error(SendError::not_taken(message))
    }
}

fn protection(options: &SmtpOptions) -> Result<Tls, String> {
    if options.tls == SmtpTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(options.host.clone());
    if let Some(pem) = &options.ca_pem {
        let authority = Certificate::from_pem(pem)
            .map_err(|e| format!("the certificates of the authorities cannot be used: {e}"))?;
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authority);
    }
    let parameters = parameters
        .build_rustls()
        .map_err(|e| format!("TLS cannot be prepared: {e}"))?;
    Ok(match options.tls {
        SmtpTls::Implicit => Tls::Wrapper(parameters),
        SmtpTls::Starttls | SmtpTls::None => Tls::Required(parameters),
    })
}

fn answer(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    one_line(
        &format!("{} {}", response.code(), lines.join(" ")),
        ANSWER_CHARS,
    )
}

#[async_trait]
impl Notifier for Smtp {
    fn kind(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &Message, delivery: &Delivery) -> Result<String, SendError> {
        let mail = self
            .mail(message, delivery)
            .map_err(|e| SendError::Refused {
                message: format!("it cannot be written as mail: {e}"),
            })?;
        let raw = mail.formatted();
        let mut taken = self.taken_of(delivery.id);
        let (mut said, mut later, mut refused) = (None, None, Vec::new());
        for to in self.to.iter().map(|to| &to.email) {
            if taken.contains(to) {
                continue;
            }
            match self.to_one(to, &raw).await {
                Ok(answer) => {
                    said = Some(answer);
                    taken.push(to.clone());
                }
                Err(Unsent::NotWanted(why)) => refused.push((to, why)),
                // What is wrong with the server is so for the others too.
                Err(Unsent::Error(error)) => later = Some(error),
            }
            *self.locked() = (delivery.id, taken.clone());
            if later.is_some() {
                break;
            }
        }
        if let Some(error) = later {
            return Err(error);
        }
        match (taken.is_empty(), refused.as_slice()) {
            (true, [(_, why), ..]) => Err(SendError::Refused {
                message: why.clone(),
            }),
            (_, refused) => Ok(self.told(said.unwrap_or_default(), refused)),
        }
    }
}
