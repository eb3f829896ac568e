//! Telling people what happened: channels, routes, quiet hours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use confique::Config;
use proximity_domain::notify::{ChannelName, QuietHours, Severity};
use serde::{Deserialize, Serialize};

use super::check::{Wrong, wrong};

/// Channels, at most.
const CHANNELS: usize = 20;

/// Telling people what happened.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct NotifySettings {
    /// Channels by name; what each needs is in docs/reference/notices.md.
    #[config(default = {})]
    pub(crate) channels: BTreeMap<String, ChannelSettings>,
    /// For `info`, `warning` and `critical` the channels that are told. Default: all channels for the latter two, none
    /// for `info`.
    #[config(default = {})]
    pub(crate) routes: BTreeMap<String, Vec<String>>,
    /// Time of day at which only what is critical is told, e.g. `22:00-07:00`; the rest comes afterwards, in one message.
    #[config(env = "PROXIMITY_NOTIFY_QUIET_HOURS")]
    pub(crate) quiet_hours: Option<String>,
    /// Time zone of the quiet hours, e.g. `Europe/Berlin`.
    #[config(default = "UTC", env = "PROXIMITY_NOTIFY_TIME_ZONE")]
    pub(crate) time_zone: String,
}

/// One channel: of exactly one kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp: Option<SmtpSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ntfy: Option<NtfySettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gotify: Option<GotifySettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentry: Option<SentrySettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discord: Option<ChatSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack: Option<ChatSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telegram: Option<TelegramSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<WebhookSettings>,
    /// Quiet hours hold for it.
    #[serde(default = "yes")]
    pub(crate) quiet_hours: bool,
    /// Messages in a minute, at most.
    #[serde(default = "per_minute")]
    pub(crate) per_minute: u32,
}

fn yes() -> bool {
    true
}

fn per_minute() -> u32 {
    20
}

/// Where a secret is: `file:PATH` (its first line) or `env:NAME`. Never the secret itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretPlace(pub(crate) String);

/// How mail is protected on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TlsSettings {
    Implicit,
    #[default]
    Starttls,
    None,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmtpSettings {
    pub(crate) host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    #[serde(default)]
    pub(crate) tls: TlsSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<SecretPlace>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Send without protection to another machine.
    #[serde(default)]
    pub(crate) insecure_smtp: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NtfySettings {
    #[serde(default = "ntfy_url")]
    pub(crate) url: String,
    pub(crate) topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<SecretPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

fn ntfy_url() -> String {
    "https://ntfy.sh".to_owned()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GotifySettings {
    pub(crate) url: String,
    pub(crate) token: SecretPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentrySettings {
    pub(crate) dsn: SecretPlace,
    #[serde(default = "production")]
    pub(crate) environment: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

fn production() -> String {
    "production".to_owned()
}

/// A webhook whose URL is itself the right to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatSettings {
    pub(crate) url: SecretPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TelegramSettings {
    #[serde(default = "telegram_url")]
    pub(crate) url: String,
    pub(crate) token: SecretPlace,
    pub(crate) chat: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

fn telegram_url() -> String {
    "https://api.telegram.org".to_owned()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    pub(crate) url: String,
    pub(crate) secret: SecretPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

impl ChannelSettings {
    /// How many kinds it is of.
    fn kinds(&self) -> usize {
        [
            self.smtp.is_some(),
            self.ntfy.is_some(),
            self.gotify.is_some(),
            self.sentry.is_some(),
            self.discord.is_some(),
            self.slack.is_some(),
            self.telegram.is_some(),
            self.webhook.is_some(),
        ]
        .into_iter()
        .filter(|is| *is)
        .count()
    }

    fn secrets(&self) -> Vec<&SecretPlace> {
        [
            self.smtp.as_ref().and_then(|s| s.password.as_ref()),
            self.ntfy.as_ref().and_then(|s| s.token.as_ref()),
            self.gotify.as_ref().map(|s| &s.token),
            self.sentry.as_ref().map(|s| &s.dsn),
            self.discord.as_ref().map(|s| &s.url),
            self.slack.as_ref().map(|s| &s.url),
            self.telegram.as_ref().map(|s| &s.token),
            self.webhook.as_ref().map(|s| &s.secret),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The first rule that is broken. No text repeats what may be a secret.
pub(super) fn check(settings: &NotifySettings) -> Result<(), Wrong> {
    if settings.channels.len() > CHANNELS {
        let message = format!("notify.channels has more than {CHANNELS} channels");
        return Err(wrong(message, "let one channel serve several purposes"));
    }
    for (name, channel) in &settings.channels {
        of_channel(name, channel)?;
    }
    for (severity, channels) in &settings.routes {
        if Severity::parse(severity).is_none() {
            let message = format!("notify.routes names {severity:?}, which is no severity");
            return Err(wrong(message, "use info, warning or critical"));
        }
        if let Some(unknown) = channels
            .iter()
            .find(|c| !settings.channels.contains_key(*c))
        {
            let message =
                format!("notify.routes.{severity} names {unknown:?}, which is no channel");
            return Err(wrong(message, "name channels of notify.channels"));
        }
    }
    match settings
        .quiet_hours
        .as_deref()
        .map(str::parse::<QuietHours>)
    {
        Some(Err(error)) => Err(wrong(
            format!("notify.quiet_hours cannot be used: {error}"),
            "correct it, or remove it to be told at any time",
        )),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn of_channel(name: &str, channel: &ChannelSettings) -> Result<(), Wrong> {
    let key = format!("notify.channels.{name}");
    if name.parse::<ChannelName>().is_err() {
        let message = format!("notify.channels has a channel named {name:?}");
        return Err(wrong(
            message,
            "use 1 to 40 lower-case letters, digits and dashes",
        ));
    }
    if channel.kinds() != 1 {
        let hint = "give it exactly one of smtp, ntfy, gotify, sentry, discord, slack, telegram and webhook";
        return Err(wrong(
            format!("{key} is of {} kinds", channel.kinds()),
            hint,
        ));
    }
    if !(1..=600).contains(&channel.per_minute) {
        let message = format!("{key}.per_minute is {}", channel.per_minute);
        return Err(wrong(message, "choose 1 to 600"));
    }
    if channel
        .secrets()
        .iter()
        .any(|secret| secret.parts().is_none())
    {
        let message = format!("{key} has a secret that is written out, or named in no known way");
        let hint = "put it on the first line of a file and write file:/PATH/OF/THE/FILE, or write env:NAME for a variable of the server's environment";
        return Err(wrong(message, hint));
    }
    if let Some(smtp) = &channel.smtp {
        of_smtp(&key, smtp)?;
    }
    let topic = channel.ntfy.as_ref().map(|ntfy| ntfy.topic.as_str());
    if topic.is_some_and(|topic| !is_topic(topic)) {
        let hint = "use 1 to 64 letters, digits, dashes and underscores";
        return Err(wrong(format!("{key}.ntfy.topic is no topic of ntfy"), hint));
    }
    Ok(())
}

fn of_smtp(key: &str, smtp: &SmtpSettings) -> Result<(), Wrong> {
    let own = matches!(smtp.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    if smtp.tls == TlsSettings::None && !own && !smtp.insecure_smtp {
        return Err(wrong(
            format!(
                "{key}.smtp.tls is none: mail and password would cross the network unprotected"
            ),
            "use starttls or implicit, or accept the risk with insecure_smtp: true",
        ));
    }
    if smtp.user.is_some() != smtp.password.is_some() {
        return Err(wrong(
            format!("{key}.smtp has only one of user and password"),
            "set both, or neither",
        ));
    }
    Ok(())
}

fn is_topic(topic: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&topic.len()) && topic.bytes().all(allowed)
}

impl SecretPlace {
    /// The scheme and what follows it.
    pub(crate) fn parts(&self) -> Option<(SecretScheme, &str)> {
        let (scheme, rest) = self.0.split_once(':')?;
        let scheme = match scheme {
            "file" => SecretScheme::File,
            "env" => SecretScheme::Variable,
            _ => return None,
        };
        (!rest.is_empty()).then_some((scheme, rest))
    }
}

/// Where a secret can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretScheme {
    /// On the first line of a file.
    File,
    /// In a variable of the environment.
    Variable,
}
