//! Accounts and sessions.

use proximity_domain::access::{Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_domain::time::Timestamp;
use proximity_store::accounts::NewLink;
use proximity_store::sessions::NewSession;

use super::pair::{Pair, both};
use super::play::{Play, Told, pick};

fn name(n: u8) -> UserName {
    format!("person-{}", n % 4).parse().unwrap()
}

fn role(n: u8) -> Role {
    Role::ALL[usize::from(n % 3)]
}

/// Of the account's own, so that a link is of one account alone.
fn link_of(n: u8) -> [u8; 32] {
    let mut sha256 = [n / 16; 32];
    sha256[0] = n % 4;
    sha256
}

fn secret_of(n: u8) -> [u8; 32] {
    [n % 16; 32]
}

/// All accounts, what is kept beside them, and who is signed in.
pub async fn look(pair: &Pair, now: Timestamp) {
    both!(pair, store => store.accounts()).unwrap();
    both!(pair, store => store.sessions(None)).unwrap();
    for n in 0..4 {
        both!(pair, store => store.account(&name(n))).unwrap();
        both!(pair, store => store.account_password(&name(n))).unwrap();
        both!(pair, store => store.sessions(Some(&name(n)))).unwrap();
    }
    for n in 0..16 {
        both!(pair, store => store.signed_in(&secret_of(n))).unwrap();
        both!(pair, store => store.account_of_link(&link_of(n), now)).unwrap();
    }
}

impl Play {
    pub async fn accounts(&mut self, n: u8, what: u8) -> Told {
        let (actor, at) = (self.actor(), self.at());
        let (name, role) = (name(n), role(what / 8));
        let link = NewLink {
            sha256: link_of(n),
            until: Timestamp(at.0 + 1_000 * i64::from(what)),
        };
        let password = format!("hash-{n}");
        let all = both!(self.pair, store => store.sessions(None)).unwrap();
        let some = pick(&all, n).map(|session| session.id);
        Some(match what % 8 {
            0 => both!(self.pair, store =>
                store.add_account(&name, role, &link, &actor, at))
            .is_err(),
            1 => both!(self.pair, store => store.set_role(&name, role, &actor, at)).is_err(),
            2 if n >= 128 => {
                both!(self.pair, store => store.remove_account(&name, &actor, at)).is_err()
            }
            2 => both!(self.pair, store => store.give_link(&name, &link, &actor, at)).is_err(),
            3 => both!(self.pair, store =>
                store.use_link(&link.sha256, &password, Some("request"), at))
            .is_err(),
            4 => both!(self.pair, store =>
                store.set_password(&name, &password, some, &actor, at))
            .is_err(),
            5 | 6 => {
                let account = both!(self.pair, store => store.account(&name)).unwrap();
                let new = NewSession {
                    id: SessionId(self.id()),
                    account: name,
                    password_at: account.and_then(|account| account.password_at),
                    secret_sha256: secret_of(n),
                    address: n.is_multiple_of(2).then(|| "192.0.2.7".to_owned()),
                };
                both!(self.pair, store => store.begin_session(&new, None, at)).is_err()
            }
            _ => {
                let id = some.unwrap_or(SessionId(self.id()));
                both!(self.pair, store => store.note_session(id, at)).unwrap();
                if n < 64 {
                    return Some(false);
                }
                both!(self.pair, store => store.end_session(id, &actor, at)).is_err()
            }
        })
    }
}
