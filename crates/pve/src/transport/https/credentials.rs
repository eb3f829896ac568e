//! As whom calls are made: an API token, or a user who logs in.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::ConfigError;
use crate::transport::tokens::Tokens;

/// An API token of PVE.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// `USER@REALM!NAME`.
    pub id: String,
    /// The secret PVE showed once.
    pub secret: SecretString,
}

/// A user of PVE with a password. What PVE reserves for people (a token gets 403 `need proper ticket`) needs one.
#[derive(Debug, Clone)]
pub struct Login {
    /// `USER@REALM`.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// The code an authenticator shows now, if the user has such a second factor. PVE takes a code once, so it is good for
    /// one login; the ticket is renewed without one.
    pub totp_code: Option<SecretString>,
}

/// As whom calls are made.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// By API tokens, of which every call carries one.
    Tokens(Tokens),
    /// By a ticket, for which the user logs in when it is first needed.
    Login(Login),
    /// By nobody: for what PVE tells everybody.
    Nobody,
}

impl From<ApiToken> for Credentials {
    fn from(token: ApiToken) -> Self {
        Self::Tokens(Tokens::one(token))
    }
}

impl From<Tokens> for Credentials {
    fn from(tokens: Tokens) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Login> for Credentials {
    fn from(login: Login) -> Self {
        Self::Login(login)
    }
}

impl ApiToken {
    /// The header that carries it.
    pub(super) fn header(&self) -> Result<HeaderValue, ConfigError> {
        let (user, name) = self.id.split_once('!').ok_or(ConfigError::BadToken)?;
        let plain =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '=');
        if !plain(user) || !plain(name) || !plain(self.secret.expose_secret()) {
            return Err(ConfigError::BadToken);
        }
        let text = format!("PVEAPIToken={}={}", self.id, self.secret.expose_secret());
        secret_header(&text).ok_or(ConfigError::BadToken)
    }
}

/// PVE's own limit for the name of a user with its realm.
const LONGEST_USER: usize = 64;

impl Login {
    /// # Errors
    /// [`ConfigError::BadLogin`] if PVE could not take it.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let named = self.user.len() <= LONGEST_USER
            && !self
                .user
                .chars()
                .any(|c| c.is_whitespace() || c.is_control())
            && self
                .user
                .rsplit_once('@')
                .is_some_and(|(name, realm)| !name.is_empty() && !realm.is_empty());
        let code = self.totp_code.as_ref().map(ExposeSecret::expose_secret);
        let is_code = |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit());
        if named && !self.password.expose_secret().is_empty() && code.is_none_or(is_code) {
            Ok(())
        } else {
            Err(ConfigError::BadLogin)
        }
    }
}

/// A header that is not shown; `None` if it cannot be sent.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
