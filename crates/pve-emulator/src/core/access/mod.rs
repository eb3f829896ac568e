//! Accounts and what they may do: users, groups, tokens, roles, access lists; tickets.

mod accounts;
mod credential;
mod grants;
mod names;
mod password;
mod permissions;
mod privileges;
mod ticket;
mod totp;

pub(crate) use accounts::{Accounts, Group, Token, User};
pub use credential::Access;
pub(crate) use credential::{Caller, authenticate, is_welcome};
pub(crate) use grants::Holder;
pub(crate) use names::{is_acl_path, is_user_name, normal_path, realm_of, split_token_id};
pub use password::hash_secret;
pub(crate) use password::{Password, TotpEntry};
pub(crate) use permissions::{Privileges, holds, permissions};
pub(crate) use privileges::{PRIVILEGES, SPECIAL_ROLES};
pub(crate) use ticket::{Keys, Ticket};
pub(crate) use totp::step_of;
