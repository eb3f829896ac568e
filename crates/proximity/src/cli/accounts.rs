//! Commands about who may sign in, and who is signed in.

use clap::{Args, Subcommand, ValueEnum};

/// What is about people.
#[derive(Debug, Subcommand)]
pub(crate) enum PeopleCommand {
    /// Print a link by which the first admin sets a password, or another account does; it is good once, for a day
    SetupLink(SetupLinkArgs),
    /// Who may sign in, and with which role
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Who is signed in
    #[command(subcommand)]
    Sessions(SessionsCommand),
}

/// `proximity accounts …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// List accounts, with their roles and whether they have a password
    List,
    /// Add an account, and print the link by which a password is set
    Add(AccountsAdd),
    /// Give an account another role, from its next request on
    Role(AccountRole),
    /// Remove an account and end its sessions; its apps and tokens stay
    Remove(AccountName),
    /// Print a new link for an account whose password is forgotten; once it is used all of its sessions end
    Link(AccountName),
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Admin,
    /// Looks at everything, deploys apps, and changes and removes those of its own
    Operator,
    /// Looks, and changes nothing
    Viewer,
}

impl Role {
    /// Its word.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// `proximity accounts add`.
#[derive(Debug, Args)]
pub(crate) struct AccountsAdd {
    /// What it is to be called; apps that it deploys are this name's
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it may do
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) role: Role,
}

/// `proximity accounts role`.
#[derive(Debug, Args)]
pub(crate) struct AccountRole {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it may do from now on
    #[arg(value_enum, value_name = "ROLE")]
    pub(crate) role: Role,
}

/// `proximity accounts remove`, `proximity accounts link`.
#[derive(Debug, Args)]
pub(crate) struct AccountName {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `proximity setup-link`.
#[derive(Debug, Args)]
#[command(
    after_help = "Where there is no account of this name it is added as an admin. A link takes the place of one that was printed before.\n\
Whoever has the link has the account: what is behind its # is told to nobody else, and in no log."
)]
pub(crate) struct SetupLinkArgs {
    /// The account
    #[arg(value_name = "NAME", default_value = "admin")]
    pub(crate) name: String,
}

/// `proximity sessions …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List who is signed in, from where and since when
    List,
    /// End a session at once
    End(SessionName),
}

/// `proximity sessions end`.
#[derive(Debug, Args)]
pub(crate) struct SessionName {
    /// Its id, as the list shows it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
