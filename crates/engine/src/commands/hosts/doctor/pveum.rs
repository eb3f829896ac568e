//! PVE's own commands for rights, as a person types them on a node.
//!
//! They are `pveum role …`, `pveum acl …` and `pveum user token …` of pve-access-control's CLI/pveum.pm, which take the parameters
//! of the API's methods. An id of a token is quoted, for a shell takes `!` for something else.

use std::collections::BTreeSet;
use std::fmt;

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
        write!(f, "{} --roles {}", self.path, self.role)?;
        if let Some(user) = &self.user {
            write!(f, " --users {user}")?;
        }
        if let Some(token) = &self.token {
            write!(f, " --tokens '{token}'")?;
        }
        Ok(())
    }
}

impl fmt::Display for Pveum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        match self {
            Self::Separate { user, token } => {
                write!(f, "pveum user token modify {user} {token} --privsep 1")
            }
            Self::KeepToken { user, token } => {
                write!(f, "pveum user token modify {user} {token} --expire 0")
            }
            Self::KeepUser(user) => write!(f, "pveum user modify {user} --enable 1 --expire 0"),
            Self::AddRole { role, privileges } => {
                write!(
                    f,
                    "pveum role add {role} --privs \"{}\"",
                    joined(privileges)
                )
            }
            Self::SetRole { role, privileges } => {
                write!(
                    f,
                    "pveum role modify {role} --privs \"{}\"",
                    joined(privileges)
                )
            }
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
