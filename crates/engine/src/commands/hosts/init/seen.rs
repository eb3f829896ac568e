//! What there is of accounts: one look.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::{AccountMark, OwnToken, OwnUser};
use proximity_domain::ids::Vmid;
use proximity_domain::names::{AccountName, PoolName};
use proximity_pve::accounts::{AccountClient, Grant, RoleRow, TokenRow, UserRow};
use proximity_pve::error::Error as PveError;
use proximity_pve::pool::Pool;

/// Roles, users, grants and pools, as a person with the rights to change them sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) roles: Vec<RoleRow>,
    pub(super) users: Vec<UserRow>,
    pub(super) grants: Vec<Grant>,
    /// The pool that is wanted, and those of ours.
    pub(super) pools: BTreeMap<PoolName, Pool>,
}

impl Seen {
    /// Looks. `wanted` is the pool that is asked for, if one is.
    ///
    /// # Errors
    /// PVE's.
    pub(super) async fn look(
        client: &AccountClient,
        mark: AccountMark,
        wanted: Option<&PoolName>,
    ) -> Result<Self, PveError> {
        let mut pools = BTreeMap::new();
        for row in client.read().pools().await? {
            if wanted == Some(&row.name) || mark.is(row.comment.as_deref()) {
                let pool = client.read().pool(&row.name).await?;
                pools.insert(row.name, pool);
            }
        }
        Ok(Self {
            roles: client.roles().await?,
            users: client.users().await?,
            grants: client.grants().await?,
            pools,
        })
    }

    pub(super) fn user(&self, name: &AccountName) -> Option<&UserRow> {
        self.users.iter().find(|user| user.id == name.as_str())
    }

    /// Users of ours, each with its row.
    pub(super) fn own_users(&self, mark: AccountMark) -> Vec<(OwnUser, &UserRow)> {
        let own = |row: &UserRow| {
            let name: AccountName = row.id.parse().ok()?;
            mark.own_user(&name, row.comment.as_deref())
        };
        let users = self.users.iter();
        users
            .filter_map(|row| own(row).map(|user| (user, row)))
            .collect()
    }
}

/// The token as ours, if its comment says so.
pub(super) fn own_token(mark: AccountMark, user: &UserRow, row: &TokenRow) -> Option<OwnToken> {
    let id = format!("{}!{}", user.id, row.name).parse().ok()?;
    mark.own_token(&id, row.comment.as_deref())
}

/// Numbers as a sentence has them.
pub(super) fn numbers(guests: &BTreeSet<Vmid>) -> String {
    let texts: Vec<String> = guests.iter().map(Vmid::to_string).collect();
    texts.join(", ")
}
