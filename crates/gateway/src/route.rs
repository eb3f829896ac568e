//! A route: an app's port pair and where it leads.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names the app a route belongs to: 1 to 64 ASCII letters, digits, `-` or `_`.
///
/// The control plane gives its app ids here; the gateway only compares them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId(String);

impl AppId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be an [`AppId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an app id has 1 to 64 ASCII letters, digits, '-' or '_'")]
pub struct InvalidAppId;

impl FromStr for AppId {
    type Err = InvalidAppId;

    fn from_str(text: &str) -> Result<Self, InvalidAppId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(InvalidAppId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for AppId {
    type Error = InvalidAppId;

    fn try_from(text: String) -> Result<Self, InvalidAppId> {
        text.parse()
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.0
    }
}

impl std::fmt::Display for AppId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the control plane that set a route; of the same form as an [`AppId`]. Several may use one gateway, and each
/// takes away only what it set itself.
pub type OwnerId = AppId;

/// Orders the versions of one app's route: the control plane counts it up with every change, so that
/// a delayed request of an older decision cannot undo a newer one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The address; without it, the gateway's default for public or internal ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<IpAddr>,
    /// The TCP port.
    pub port: NonZeroU16,
}

impl Endpoint {
    /// A port on the gateway's default address.
    #[must_use]
    pub fn on_default(port: NonZeroU16) -> Self {
        Self { bind: None, port }
    }

    pub(crate) fn address(self, default_bind: IpAddr) -> SocketAddr {
        SocketAddr::new(self.bind.unwrap_or(default_bind), self.port.get())
    }
}

/// An app's port pair and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Whose route it is; a second route of the same app replaces the first.
    pub app_id: AppId,
    /// Who set it, as far as that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerId>,
    /// The version of this route.
    pub generation: Generation,
    /// The port for everybody.
    pub public: Endpoint,
    /// The port for the management side: the same app, reached from this machine only by default.
    pub internal: Endpoint,
    /// The guest's address and port. Without one nothing listens: clients are refused at once
    /// instead of being left waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SocketAddr>,
}
