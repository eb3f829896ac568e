//! Who may do what: what somebody was given, what a request asks for, and whose the thing is that it is about. One function
//! decides, for tokens and for people who signed in alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::BadName;

/// Longest name of an account, characters.
pub const LONGEST_NAME: usize = 32;
/// Accounts there may be.
pub const MOST_ACCOUNTS: usize = 200;
/// Whom the records name for what nobody asked for.
const NOBODYS: &str = "system";

/// The name by which somebody signs in, and by which the records know them: whose an app is, who did what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = BadName;

    fn try_from(value: String) -> Result<Self, BadName> {
        let is_sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let begins = value.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = value.len() <= LONGEST_NAME && value.bytes().all(is_sign);
        if begins && fits && value != NOBODYS {
            return Ok(Self(value));
        }
        Err(BadName {
            what: "account",
            value,
            rule: "must be 1 to 32 characters: lower-case letters, digits, '-', '_' and '.', a letter first; 'system' is taken",
        })
    }
}

impl FromStr for UserName {
    type Err = BadName;

    fn from_str(s: &str) -> Result<Self, BadName> {
        Self::try_from(s.to_owned())
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything, accounts included.
    Admin,
    /// Looks at everything that is no secret and nobody's alone; deploys apps, and changes and removes those of its own.
    Operator,
    /// Looks, and changes nothing.
    Viewer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Operator, Self::Viewer];

    /// Stable label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The role with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.label() == label)
    }

    fn has(self, right: Right) -> bool {
        match (self, right) {
            (Self::Admin, _)
            | (Self::Operator, Right::Read | Right::Operate | Right::Exec | Right::Destroy)
            | (Self::Viewer, Right::Read) => true,
            (Self::Operator, Right::Hosts | Right::Metrics | Right::Accounts)
            | (
                Self::Viewer,
                Right::Operate
                | Right::Exec
                | Right::Destroy
                | Right::Hosts
                | Right::Metrics
                | Right::Accounts,
            ) => false,
        }
    }
}

/// What a request asks for. Tokens have them by label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Look at everything that is no secret.
    Read,
    /// Deploy, start, stop, restart, retry, cancel, abandon; look into containers by commands that only look.
    Operate,
    /// Run any program inside a container, as root.
    Exec,
    /// Remove apps.
    Destroy,
    /// Add and remove host entries; end the rest of ports, which is everybody's.
    Hosts,
    /// Read the figures of everybody's work, and nothing else.
    Metrics,
    /// Add, change and remove accounts, and end the sessions of others.
    Accounts,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Operate,
        Self::Exec,
        Self::Destroy,
        Self::Hosts,
        Self::Metrics,
        Self::Accounts,
    ];

    /// Stable label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Exec => "exec",
            Self::Destroy => "destroy",
            Self::Hosts => "hosts",
            Self::Metrics => "metrics",
            Self::Accounts => "accounts",
        }
    }
}

/// The scope that stands for all, and for the things of all accounts.
const ALL_SCOPES: &str = "*";

/// What somebody was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A token: scopes by label, `*` for all.
    Scopes(Vec<String>),
    /// Who signed in: the role of the account, as it is at this moment.
    Role(Role),
}

/// Whose the thing is that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Nobody's in particular.
    Shared,
    /// This account's.
    Of(&'a str),
}

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Allowed,
    /// It is not told that there is such a thing.
    Unseen,
    /// The thing may be looked at, and not this.
    NotOwn,
    /// The right is lacking, whatever it is about.
    Lacking,
}

/// Whose things a right is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's.
    All,
    /// Those of the own account; of others nothing is told.
    OwnAlone,
    /// Those of the own account; others may be looked at.
    OwnAmongSeen,
}

/// Decides about one request of `account`. This is the only place where it is decided.
#[must_use]
pub fn decide(account: &str, grant: &Grant, right: Right, subject: Subject<'_>) -> Verdict {
    if !has(grant, right) {
        return Verdict::Lacking;
    }
    match (subject, reach(grant, right)) {
        (Subject::Shared, _) | (Subject::Of(_), Reach::All) => Verdict::Allowed,
        (Subject::Of(owner), Reach::OwnAlone | Reach::OwnAmongSeen) if owner == account => {
            Verdict::Allowed
        }
        (Subject::Of(_), Reach::OwnAlone) => Verdict::Unseen,
        (Subject::Of(_), Reach::OwnAmongSeen) => Verdict::NotOwn,
    }
}

/// Whose things a right would be good for: what [`decide`] stands on, for lists.
#[must_use]
pub fn reach(grant: &Grant, right: Right) -> Reach {
    match grant {
        Grant::Scopes(scopes) if scopes.iter().any(|scope| scope == ALL_SCOPES) => Reach::All,
        Grant::Scopes(_) => Reach::OwnAlone,
        Grant::Role(Role::Admin) => Reach::All,
        Grant::Role(Role::Operator | Role::Viewer) => match right {
            Right::Read => Reach::All,
            Right::Operate
            | Right::Exec
            | Right::Destroy
            | Right::Hosts
            | Right::Metrics
            | Right::Accounts => Reach::OwnAmongSeen,
        },
    }
}

fn has(grant: &Grant, right: Right) -> bool {
    match grant {
        Grant::Scopes(scopes) => scopes
            .iter()
            .any(|scope| scope == ALL_SCOPES || scope == right.label()),
        Grant::Role(role) => role.has(right),
    }
}

/// An account, as far as it counts for who is left to administer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: Role,
    /// It has a password: somebody can sign in.
    pub can_sign_in: bool,
}

/// Whether the last admin would go, were `name` given this role, or removed (`None`): the last one at all, or the last one who can
/// sign in.
#[must_use]
pub fn ends_last_admin(all: &[Holder], name: &UserName, becomes: Option<Role>) -> bool {
    if becomes == Some(Role::Admin) {
        return false;
    }
    let is_admin = |holder: &&Holder| holder.role == Role::Admin;
    let ends = |counts: fn(&Holder) -> bool| {
        let mut admins = all.iter().filter(is_admin).filter(|one| counts(one));
        let is_one = admins.clone().any(|one| one.name == *name);
        is_one && admins.all(|one| one.name == *name)
    };
    ends(|_| true) || ends(|one| one.can_sign_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(scopes: &[&str]) -> Grant {
        Grant::Scopes(scopes.iter().map(|scope| (*scope).to_owned()).collect())
    }

    /// Each grant, with what it gets of an own thing, one of another account, and one that is shared: `+` allowed, `?` unseen, `o` not
    /// its own, `-` lacking. By right, in the order of [`Right::ALL`].
    #[test]
    fn what_a_grant_is_good_for() {
        let table = [
            (Grant::Role(Role::Admin), "+++ +++ +++ +++ +++ +++ +++"),
            (Grant::Role(Role::Operator), "+++ +o+ +o+ +o+ --- --- ---"),
            (Grant::Role(Role::Viewer), "+++ --- --- --- --- --- ---"),
            (scopes(&["*"]), "+++ +++ +++ +++ +++ +++ +++"),
            (scopes(&["read"]), "+?+ --- --- --- --- --- ---"),
            (scopes(&["read", "operate"]), "+?+ +?+ --- --- --- --- ---"),
            (scopes(&["exec"]), "--- --- +?+ --- --- --- ---"),
            (scopes(&["destroy", "hosts"]), "--- --- --- +?+ +?+ --- ---"),
            (scopes(&["accounts"]), "--- --- --- --- --- --- +?+"),
            (scopes(&[]), "--- --- --- --- --- --- ---"),
            (scopes(&["admin", "Read"]), "--- --- --- --- --- --- ---"),
        ];
        let subjects = [Subject::Of("me"), Subject::Of("other"), Subject::Shared];
        for (grant, rights) in table {
            for (right, wanted) in Right::ALL.into_iter().zip(rights.split(' ')) {
                let told: String = subjects
                    .iter()
                    .map(|subject| match decide("me", &grant, right, *subject) {
                        Verdict::Allowed => '+',
                        Verdict::Unseen => '?',
                        Verdict::NotOwn => 'o',
                        Verdict::Lacking => '-',
                    })
                    .collect();
                assert_eq!(told, wanted, "{grant:?} {right:?}");
            }
        }
    }

    #[test]
    fn names_are_short_and_plain_and_nobodys() {
        let longest = "a".repeat(32);
        for good in ["a", "admin", "a.b-c_d9", &longest] {
            assert!(good.parse::<UserName>().is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "A", "9a", "-a", "a b", "a/b", "ä", "system", &long] {
            assert!(bad.parse::<UserName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_lead_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.label()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn the_last_admin_stays() {
        let holder = |name: &str, role, can_sign_in| Holder {
            name: name.parse().unwrap(),
            role,
            can_sign_in,
        };
        let ends = |all: &[Holder], name: &str, becomes| {
            ends_last_admin(all, &name.parse().unwrap(), becomes)
        };
        let alone = [
            holder("ann", Role::Admin, true),
            holder("bob", Role::Operator, true),
        ];
        assert!(ends(&alone, "ann", None));
        assert!(ends(&alone, "ann", Some(Role::Viewer)));
        assert!(!ends(&alone, "ann", Some(Role::Admin)));
        assert!(!ends(&alone, "bob", None));
        assert!(!ends(&alone, "eve", None));
        // One who was never here is no admin that could take over.
        let invited = [
            holder("ann", Role::Admin, true),
            holder("cid", Role::Admin, false),
        ];
        assert!(ends(&invited, "ann", None));
        assert!(!ends(&invited, "cid", None));
        let first = [holder("ann", Role::Admin, false)];
        assert!(ends(&first, "ann", None));
        let two = [
            holder("ann", Role::Admin, true),
            holder("cid", Role::Admin, true),
        ];
        assert!(!ends(&two, "ann", Some(Role::Operator)));
    }
}
