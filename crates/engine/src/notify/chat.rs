//! Chats and push services whose message is a small JSON body: Discord, Slack, Telegram, Gotify. Each text is escaped as
//! that service reads it, so that nothing in it is markup, a link of its own, or calls somebody.

use async_trait::async_trait;
use proximity_domain::notify::{Message, Severity};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::channel::{Delivery, Notifier, SendError};
use super::http::{Headers, Place};
use super::webhook;

/// Room of one message at each of them, bytes; the narrowest takes 4,096 characters.
const LONGEST_BYTES: usize = 3_500;

/// The beginning of a text, at most `bytes` long, cut between characters.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// A webhook of Discord (<https://discord.com/developers/docs/resources/webhook#execute-webhook>).
#[derive(Debug, Clone)]
pub struct Discord {
    /// The webhook's URL.
    pub place: Place,
}

#[async_trait]
impl Notifier for Discord {
    fn kind(&self) -> &'static str {
        "discord"
    }

    async fn send(&self, message: &Message, _: &Delivery) -> Result<String, SendError> {
        let color = match message.severity {
            Severity::Info => 0x0034_98db,
            Severity::Warning => 0x00f3_9c12,
            Severity::Critical => 0x00e7_4c3c,
        };
        let body = webhook::json(&json!({
            "embeds": [{
                "title": cut(&markdown(&message.subject()), 250),
                "description": cut(&markdown(&message.text()), LONGEST_BYTES),
                "color": color,
            }],
            "allowed_mentions": {"parse": []},
        }))?;
        self.place.post(Headers::json(), body).await
    }
}

/// Text that Markdown shows as it is: each sign that could mean something has a backslash before it.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '\\' | '`'
                | '*'
                | '_'
                | '{'
                | '}'
                | '['
                | ']'
                | '('
                | ')'
                | '<'
                | '>'
                | '#'
                | '+'
                | '-'
                | '|'
                | '~'
                | '@'
                | ':'
                | '!'
        ) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// An incoming webhook of Slack (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).
#[derive(Debug, Clone)]
pub struct Slack {
    /// The webhook's URL.
    pub place: Place,
}

#[async_trait]
impl Notifier for Slack {
    fn kind(&self) -> &'static str {
        "slack"
    }

    async fn send(&self, message: &Message, _: &Delivery) -> Result<String, SendError> {
        // Plain text is not read for markup; `text` is what is shown where there is no room for blocks.
        let plain = |text: String| json!({"type": "plain_text", "text": text, "emoji": false});
        let body = webhook::json(&json!({
            "text": entities(&message.subject()),
            "mrkdwn": false,
            "blocks": [
                {"type": "header", "text": plain(cut(&message.subject(), 150))},
                {"type": "section", "text": plain(cut(&message.text(), 2_900))},
            ],
        }))?;
        self.place.post(Headers::json(), body).await
    }
}

/// Text without the three signs that mean something to Slack, and to HTML.
pub(super) fn entities(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A bot of Telegram (<https://core.telegram.org/bots/api#sendmessage>).
#[derive(Debug, Clone)]
pub struct Telegram {
    /// The bot's own place, token and all: `https://api.telegram.org/botTOKEN`.
    pub place: Place,
    /// The chat.
    pub chat: String,
}

#[async_trait]
impl Notifier for Telegram {
    fn kind(&self) -> &'static str {
        "telegram"
    }

    async fn send(&self, message: &Message, _: &Delivery) -> Result<String, SendError> {
        let text = format!("{}\n{}", message.subject(), message.text());
        // Without `parse_mode` nothing in the text is markup.
        let body = webhook::json(&json!({
            "chat_id": self.chat,
            "text": cut(&text, LONGEST_BYTES),
            "link_preview_options": {"is_disabled": true},
        }))?;
        self.place
            .below("sendMessage")
            .post(Headers::json(), body)
            .await
    }
}

/// An application of a Gotify server (<https://gotify.net/api-docs>).
#[derive(Debug, Clone)]
pub struct Gotify {
    /// The server.
    pub place: Place,
    /// The application's token.
    pub token: SecretString,
}

#[async_trait]
impl Notifier for Gotify {
    fn kind(&self) -> &'static str {
        "gotify"
    }

    async fn send(&self, message: &Message, _: &Delivery) -> Result<String, SendError> {
        let priority = match message.severity {
            Severity::Info => 2,
            Severity::Warning => 5,
            Severity::Critical => 8,
        };
        let body = webhook::json(&json!({
            "title": message.subject(),
            "message": cut(&message.text(), LONGEST_BYTES),
            "priority": priority,
            "extras": {"client::display": {"contentType": "text/plain"}},
        }))?;
        let headers = Headers::json().with("x-gotify-key", self.token.expose_secret())?;
        self.place.below("message").post(headers, body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äöü€€", 9), "äöü…");
    }

    #[test]
    fn nothing_is_markup() {
        let evil = "[x](https://evil) @everyone <@1> **b** `c` # d\n> e\n- f ||g|| <https://evil>";
        let shown = markdown(evil);
        for sign in ["[", "](", "**", "`", "<", "||", "@", "\n>", "\n-", "://"] {
            let bare = shown.match_indices(sign).any(|(at, _)| {
                let first = at + sign.find(|c| c != '\n').unwrap_or_default();
                !shown[..first].ends_with('\\')
            });
            assert!(!bare, "{sign:?} in {shown}");
        }
        assert_eq!(
            entities("<!channel> & <a|b>"),
            "&lt;!channel&gt; &amp; &lt;a|b&gt;"
        );
    }
}
