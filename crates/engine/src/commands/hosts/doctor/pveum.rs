//! PVE's own commands for rights, as a person types them on a node.
//!
//! They are `pveum role …`, `pveum acl …` and `pveum user token …` of pve-access-control's CLI/pveum.pm, which take the parameters
//! of the API's methods. Ids, paths and roles are somebody's text: each is one word for the shell that reads it.

use std::collections::BTreeSet;
use std::fmt;

use proximity_pve::guest::quote;

/// One command. Sorted they can be typed one after the other: a role is there before it is granted, and a token has its own grants
/// before those of its user, or others, are taken from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pveum {
    /// Takes the end from a token.
    KeepToken { user: String, token: String },
    /// Switches a user on, without an end.
    KeepUser(String),
    /// Makes a role.
    AddRole {
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Gives a role exactly these privileges.
    SetRole {
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Grants a role.
    Grant { holds: AclLine, reaches_below: bool },
    /// Separates a token from its user.
    Separate { user: String, token: String },
    /// Takes a role back.
    Revoke(AclLine),
    /// Shows what a token may do.
    ShowToken { user: String, token: String },
}

/// The text as one word for a shell, quoted where a shell would read something else in it.
pub(in crate::commands::hosts) fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"@._/:,-".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => quote::sh(text),
    }
}

/// A role on a path for a user, a token or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AclLine {
    pub(super) path: String,
    pub(super) role: String,
    pub(super) user: Option<String>,
    pub(super) token: Option<String>,
}

impl fmt::Display for AclLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --roles {}", word(&self.path), word(&self.role))?;
        if let Some(user) = &self.user {
            write!(f, " --users {}", word(user))?;
        }
        if let Some(token) = &self.token {
            write!(f, " --tokens {}", word(token))?;
        }
        Ok(())
    }
}

/// Words that name a token.
fn named(user: &str, token: &str) -> String {
    format!("{} {}", word(user), word(token))
}

fn role(role: &str, privileges: &BTreeSet<String>) -> String {
    let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
    format!("{} --privs {}", word(role), word(&privileges.join(",")))
}

impl fmt::Display for Pveum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separate { user, token } => {
                write!(
                    f,
                    "pveum user token modify {} --privsep 1",
                    named(user, token)
                )
            }
            Self::KeepToken { user, token } => {
                write!(
                    f,
                    "pveum user token modify {} --expire 0",
                    named(user, token)
                )
            }
            Self::ShowToken { user, token } => {
                write!(f, "pveum user token permissions {}", named(user, token))
            }
            Self::KeepUser(user) => {
                write!(f, "pveum user modify {} --enable 1 --expire 0", word(user))
            }
            Self::AddRole {
                role: name,
                privileges,
            } => write!(f, "pveum role add {}", role(name, privileges)),
            Self::SetRole {
                role: name,
                privileges,
            } => write!(f, "pveum role modify {}", role(name, privileges)),
            Self::Grant {
                holds,
                reaches_below,
            } => write!(
                f,
                "pveum acl modify {holds} --propagate {}",
                u8::from(*reaches_below)
            ),
            Self::Revoke(holds) => write!(f, "pveum acl delete {holds}"),
        }
    }
}
