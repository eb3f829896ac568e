//! The channels of the configuration, ready to send.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proximity_domain::ids::InstallationId;
use proximity_domain::notify::{ChannelName, Routes, Severity};
use proximity_engine::notify::{
    Channel, Discord, Gotify, Notifier, Ntfy, Place, Rules, Sentry, Slack, Smtp, SmtpOptions,
    SmtpTls, Telegram, WallClock, Webhook,
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::env;
use crate::config::notify::{
    ChannelSettings, NotifySettings, SecretPlace, SecretScheme, SmtpSettings, TlsSettings,
};
use crate::failed::Failed;
use crate::secret_input;

/// Channels and rules; nothing is sent.
///
/// # Errors
/// A secret is not where it is said to be, or a channel cannot be used. No text repeats a secret.
pub(crate) fn of(
    settings: &NotifySettings,
    installation: InstallationId,
) -> Result<(Vec<Channel>, Rules), Failed> {
    let mut channels = Vec::new();
    for (name, channel) in &settings.channels {
        let key = format!("notify.channels.{name}");
        let notifier = notifier(channel, installation).map_err(|why| why.failed(&key))?;
        channels.push(Channel {
            name: known(name)?,
            notifier,
            keeps_quiet: channel.quiet_hours,
            per_minute: channel.per_minute,
        });
    }
    Ok((channels, rules(settings)?))
}

fn rules(settings: &NotifySettings) -> Result<Rules, Failed> {
    let wall_clock = WallClock::of_zone(&settings.time_zone)
        .map_err(|e| bad("notify.time_zone", &e.to_string()))?;
    let hours = settings.quiet_hours.as_deref().map(str::parse);
    let quiet = hours.transpose().map_err(|e| {
        let why: proximity_domain::notify::BadQuietHours = e;
        bad("notify.quiet_hours", &why.to_string())
    })?;
    Ok(Rules {
        routes: routes(settings)?,
        quiet,
        wall_clock,
        time_zone: settings.time_zone.clone(),
    })
}

/// Unless said otherwise, all are told of what did not work and of what needs a person.
fn routes(settings: &NotifySettings) -> Result<Routes, Failed> {
    let mut routes = BTreeMap::new();
    for severity in Severity::ALL {
        let channels: Vec<&String> = match settings.routes.get(severity.label()) {
            Some(channels) => channels.iter().collect(),
            None if severity == Severity::Info => Vec::new(),
            None => settings.channels.keys().collect(),
        };
        let channels = channels.into_iter().map(|name| known(name));
        routes.insert(severity, channels.collect::<Result<BTreeSet<_>, _>>()?);
    }
    Ok(Routes(routes))
}

fn known(name: &str) -> Result<ChannelName, Failed> {
    name.parse()
        .map_err(|e: proximity_domain::notify::BadChannelName| {
            bad("notify.channels", &e.to_string())
        })
}

fn bad(key: &str, why: &str) -> Failed {
    Failed::config(
        "bad_config",
        format!("{key} cannot be used: {why}"),
        "correct it in the configuration; nothing was started",
    )
}

/// Why a channel cannot be used.
enum Why {
    /// Its secret or a file of its; told as it is.
    Input(Failed),
    /// Something else, as a sentence.
    Text(String),
}

impl Why {
    fn failed(self, key: &str) -> Failed {
        match self {
            Self::Input(failed) => failed,
            Self::Text(text) => bad(key, &text),
        }
    }
}

impl From<Failed> for Why {
    fn from(failed: Failed) -> Self {
        Self::Input(failed)
    }
}

fn text(error: impl std::fmt::Display) -> Why {
    Why::Text(error.to_string())
}

fn notifier(
    channel: &ChannelSettings,
    installation: InstallationId,
) -> Result<Arc<dyn Notifier>, Why> {
    if let Some(smtp) = &channel.smtp {
        return Ok(Arc::new(mail(smtp)?));
    }
    if let Some(sentry) = &channel.sentry {
        let (dsn, ca) = (
            secret(&sentry.dsn)?,
            authorities(sentry.ca_file.as_deref())?,
        );
        let environment = sentry.environment.clone();
        let (ca, insecure) = (ca.as_deref(), sentry.insecure_http);
        let made = Sentry::new(&dsn, ca, insecure, installation, environment);
        return Ok(Arc::new(made.map_err(text)?));
    }
    if let Some(webhook) = &channel.webhook {
        let url = webhook.url.clone().into();
        return Ok(Arc::new(Webhook {
            place: place(&url, webhook.ca_file.as_deref(), webhook.insecure_http)?,
            secret: secret(&webhook.secret)?,
            installation,
        }));
    }
    push_or_chat(channel)
}

fn push_or_chat(channel: &ChannelSettings) -> Result<Arc<dyn Notifier>, Why> {
    if let Some(ntfy) = &channel.ntfy {
        let url = ntfy.url.clone().into();
        return Ok(Arc::new(Ntfy {
            place: place(&url, ntfy.ca_file.as_deref(), ntfy.insecure_http)?,
            topic: ntfy.topic.clone(),
            token: ntfy.token.as_ref().map(secret).transpose()?,
        }));
    }
    if let Some(gotify) = &channel.gotify {
        let url = gotify.url.clone().into();
        return Ok(Arc::new(Gotify {
            place: place(&url, gotify.ca_file.as_deref(), gotify.insecure_http)?,
            token: secret(&gotify.token)?,
        }));
    }
    if let Some(chat) = &channel.discord {
        let place = place(
            &secret(&chat.url)?,
            chat.ca_file.as_deref(),
            chat.insecure_http,
        )?;
        return Ok(Arc::new(Discord { place }));
    }
    if let Some(chat) = &channel.slack {
        let place = place(
            &secret(&chat.url)?,
            chat.ca_file.as_deref(),
            chat.insecure_http,
        )?;
        return Ok(Arc::new(Slack { place }));
    }
    if let Some(telegram) = &channel.telegram {
        let token = secret(&telegram.token)?;
        let base = telegram.url.trim_end_matches('/');
        let url = format!("{base}/bot{}", token.expose_secret()).into();
        return Ok(Arc::new(Telegram {
            place: place(&url, telegram.ca_file.as_deref(), telegram.insecure_http)?,
            chat: telegram.chat.clone(),
        }));
    }
    Err(Why::Text("it is of no kind".to_owned()))
}

fn mail(smtp: &SmtpSettings) -> Result<Smtp, Why> {
    let login = match (&smtp.user, &smtp.password) {
        (Some(user), Some(password)) => Some((user.clone(), secret(password)?)),
        (Some(_), None) | (None, _) => None,
    };
    Smtp::new(SmtpOptions {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: match smtp.tls {
            TlsSettings::Implicit => SmtpTls::Implicit,
            TlsSettings::Starttls => SmtpTls::Starttls,
            TlsSettings::None => SmtpTls::None,
        },
        ca_pem: authorities(smtp.ca_file.as_deref())?,
        login,
        from: smtp.from.clone(),
        to: smtp.to.clone(),
    })
    .map_err(Why::Text)
}

fn place(url: &SecretString, ca_file: Option<&Path>, insecure_http: bool) -> Result<Place, Why> {
    let ca = authorities(ca_file)?;
    Place::new(url, ca.as_deref(), insecure_http).map_err(text)
}

fn authorities(file: Option<&Path>) -> Result<Option<Vec<u8>>, Why> {
    let Some(file) = file else { return Ok(None) };
    let pem = secret_input::whole_file(file, "the certificates of the authorities")?;
    Ok(Some(pem.expose_secret().as_bytes().to_vec()))
}

fn secret(place: &SecretPlace) -> Result<SecretString, Why> {
    match place.parts() {
        Some((SecretScheme::File, path)) => Ok(secret_input::first_line_of_file(
            Path::new(path),
            "the secret of a channel",
        )?),
        Some((SecretScheme::Variable, name)) => {
            let value = env::variable(name).filter(|value| !value.is_empty());
            let missing = || Why::Text(format!("the variable {name} is not set"));
            Ok(value.ok_or_else(missing)?.into())
        }
        None => Err(Why::Text("its secret is named in no known way".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(kind: &str) -> NotifySettings {
        let channel = serde_saphyr::from_str::<ChannelSettings>(kind).unwrap();
        NotifySettings {
            channels: BTreeMap::from([("mail".to_owned(), channel)]),
            routes: BTreeMap::new(),
            quiet_hours: Some("22:00-07:00".to_owned()),
            time_zone: "Europe/Berlin".to_owned(),
        }
    }

    fn made(kind: &str) -> Result<(Vec<Channel>, Rules), Failed> {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        of(&settings(kind), InstallationId(uuid::Uuid::nil()))
    }

    #[test]
    fn every_kind_can_be_made_and_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let at = file.display();
        for (kind, secret) in [
            (
                format!(
                    "smtp: {{host: mail.example.org, from: a@example.org, to: [b@example.org], user: u, password: 'file:{at}'}}"
                ),
                "hunter2",
            ),
            (
                format!("ntfy: {{topic: ops, token: 'file:{at}'}}"),
                "hunter2",
            ),
            (
                format!("gotify: {{url: 'https://push.example.org', token: 'file:{at}'}}"),
                "hunter2",
            ),
            (
                format!("sentry: {{dsn: 'file:{at}'}}"),
                "https://hunter2@sentry.example.org/1",
            ),
            (
                format!("discord: {{url: 'file:{at}'}}"),
                "https://chat.example.org/hunter2",
            ),
            (
                format!("slack: {{url: 'file:{at}'}}"),
                "https://chat.example.org/hunter2",
            ),
            (
                format!("telegram: {{chat: '-100', token: 'file:{at}'}}"),
                "hunter2",
            ),
            (
                format!("webhook: {{url: 'https://x.example.org/hook', secret: 'file:{at}'}}"),
                "hunter2",
            ),
        ] {
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            let (channels, _) = made(&kind).unwrap();
            assert!(kind.starts_with(channels[0].notifier.kind()));
            let shown = format!("{channels:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_is_told_unless_said_otherwise() {
        let (channels, rules) = made("ntfy: {topic: ops}").unwrap();
        let told = Severity::ALL.map(|s| rules.routes.lead_to(&channels[0].name, s));
        assert_eq!(told, [false, true, true]);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_secret() {
        let refused = |kind: &str| made(kind).unwrap_err().to_string();
        let cases = [
            (
                "gotify: {url: 'http://push.example.org', token: 'env:PATH'}",
                "unprotected",
            ),
            (
                "ntfy: {topic: ops, token: 'env:NO_SUCH_VARIABLE_OF_OURS'}",
                "NO_SUCH_VARIABLE_OF_OURS is not set",
            ),
            (
                "ntfy: {topic: ops, token: 'file:/no/such/file'}",
                "/no/such/file",
            ),
            (
                "smtp: {host: mail.example.org, from: nobody, to: [b@example.org]}",
                "is no mail address",
            ),
            (
                "smtp: {host: mail.example.org, from: a@example.org, to: []}",
                "nobody to send to",
            ),
            ("discord: {url: 'env:PATH'}", "no URL of http or https"),
        ];
        for (kind, why) in cases {
            let said = refused(kind);
            assert!(said.contains(why), "{kind}: {said}");
        }
        let mut nowhere = settings("ntfy: {topic: ops}");
        nowhere.time_zone = "Europe/Atlantis".to_owned();
        let refused = of(&nowhere, InstallationId(uuid::Uuid::nil())).unwrap_err();
        assert!(refused.to_string().contains("Atlantis"));
    }
}
