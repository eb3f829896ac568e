//! Accounts of ours in Proxmox VE's access control: their names, the mark they carry, and the proof that one is ours.
//!
//! Users, tokens and pools carry the mark in their comment. Roles have no comment: they are known by a name that ends in the
//! installation's short id. What does not show that it is ours is never changed and never deleted.

use std::fmt;

use crate::ids::InstallationId;
use crate::names::{AccountName, ApiTokenName, PoolName, RoleName};

/// Hex digits of an installation's id that names carry: its last ones, which are random.
const SHORT_DIGITS: usize = 8;

/// The comment that says which installation made a user, a token or a pool: `proximity:INSTALLATION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountMark(pub InstallationId);

impl fmt::Display for AccountMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proximity:{}", self.0)
    }
}

impl AccountMark {
    /// Whether a comment is this mark. Proxmox VE may add a newline at its end.
    #[must_use]
    pub fn is(&self, comment: Option<&str>) -> bool {
        comment.is_some_and(|text| text.trim_end() == self.to_string())
    }

    /// The installation's short id, which names of roles and users end in.
    #[must_use]
    pub fn short(&self) -> String {
        let digits = self.0.0.simple().to_string();
        digits[digits.len() - SHORT_DIGITS..].to_owned()
    }

    /// The user as ours, if its comment says so.
    #[must_use]
    pub fn own_user(&self, user: &AccountName, comment: Option<&str>) -> Option<OwnUser> {
        self.is(comment).then(|| OwnUser(user.clone()))
    }

    /// The token as ours, if its comment says so.
    #[must_use]
    pub fn own_token(&self, token: &ApiTokenName, comment: Option<&str>) -> Option<OwnToken> {
        self.is(comment).then(|| OwnToken(token.clone()))
    }

    /// The pool as ours, if its comment says so.
    #[must_use]
    pub fn own_pool(&self, pool: &PoolName, comment: Option<&str>) -> Option<OwnPool> {
        self.is(comment).then(|| OwnPool(pool.clone()))
    }

    /// The role as ours, if its name says so: `Proximity…-SHORT`.
    #[must_use]
    pub fn own_role(&self, role: &RoleName) -> Option<OwnRole> {
        let rest = role.as_str().strip_suffix(&self.short())?;
        let words = rest.strip_suffix('-')?.strip_prefix("Proximity")?;
        (!words.is_empty()).then(|| OwnRole(role.clone()))
    }
}

macro_rules! own {
    ($(#[$doc:meta])* $name:ident($inner:ident)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($inner);

        impl $name {
            /// Its name.
            #[must_use]
            pub fn name(&self) -> &$inner {
                &self.0
            }
        }
    };
}

own!(
    /// A user that was read and carries our mark.
    OwnUser(AccountName)
);
own!(
    /// A token that was read and carries our mark.
    OwnToken(ApiTokenName)
);
own!(
    /// A pool that was read and carries our mark.
    OwnPool(PoolName)
);
own!(
    /// A role with a name of ours.
    OwnRole(RoleName)
);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn mark() -> AccountMark {
        let id = Uuid::try_parse("0197c2a4-0000-7000-8000-0000deadbeef").unwrap();
        AccountMark(InstallationId(id))
    }

    #[test]
    fn a_comment_is_the_mark_as_a_whole_or_not_at_all() {
        let text = mark().to_string();
        assert!(mark().is(Some(&text)) && mark().is(Some(&format!("{text}\n"))));
        for other in ["", "proximity:", &format!("{text}0"), &format!("my {text}")] {
            assert!(!mark().is(Some(other)), "{other}");
        }
        assert!(!mark().is(None));
    }

    #[test]
    fn only_what_carries_the_mark_is_ours() {
        let (ours, other) = (mark().to_string(), Some("somebody's"));
        let ours = Some(ours.as_str());
        let user = "proximity-operate-deadbeef@pve".parse().unwrap();
        assert!(mark().own_user(&user, other).is_none());
        assert_eq!(mark().own_user(&user, ours).unwrap().name(), &user);
        let token = "proximity-operate-deadbeef@pve!proximity".parse().unwrap();
        assert!(mark().own_token(&token, other).is_none());
        assert_eq!(mark().own_token(&token, ours).unwrap().name(), &token);
        let pool = "proximity".parse().unwrap();
        assert!(mark().own_pool(&pool, other).is_none());
        assert_eq!(mark().own_pool(&pool, ours).unwrap().name(), &pool);
    }

    #[test]
    fn roles_are_ours_by_their_whole_name() {
        let own = |name: &str| mark().own_role(&name.parse().unwrap()).is_some();
        assert!(own("ProximityOperate-deadbeef"));
        for other in [
            "ProximityOperate-deadbee0",
            "ProximityOperate",
            "Proximity-deadbeef",
            "Operate-deadbeef",
            "ProximityOperatedeadbeef",
        ] {
            assert!(!own(other), "{other}");
        }
    }
}
