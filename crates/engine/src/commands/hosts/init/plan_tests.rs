//! Plans over accounts as they may be found.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::{InstallationId, Vmid};
use proximity_domain::names::ApiTokenName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::{Grant, GrantTo, Holder, RoleRow, TokenRow, UserRow};
use proximity_pve::pool::Pool;
use uuid::Uuid;

use super::plan::{Plan, Taken, plan};
use super::seen::Seen;
use super::step::Step;
use super::unplan::removal;
use super::wanted::{Grounds, Wanted};

fn mark() -> AccountMark {
    AccountMark(InstallationId(Uuid::from_u128(0xfeed_beef)))
}

fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

fn grounds() -> Grounds {
    Grounds {
        pool: "apps".parse().unwrap(),
        storages: BTreeSet::from(["local".parse().unwrap(), "fast".parse().unwrap()]),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        images: true,
        adopts: true,
        adopted: BTreeSet::from([vmid(105)]),
    }
}

fn wanted() -> Wanted {
    Wanted::new(mark(), &grounds()).unwrap()
}

/// Accounts in memory, changed by steps as PVE changes them.
#[derive(Default, Clone)]
struct Accounts {
    seen: Seen,
    held: BTreeSet<ApiTokenName>,
}

impl Accounts {
    fn plan(&self, wanted: &Wanted) -> Result<Plan, Taken> {
        plan(wanted, &self.seen, &self.held, &BTreeSet::new())
    }

    fn token(&mut self, token: &ApiTokenName) -> &mut Vec<TokenRow> {
        let (user, _) = token.as_str().split_once('!').unwrap();
        let user = self.seen.users.iter_mut().find(|u| u.id == user).unwrap();
        &mut user.tokens
    }

    fn make_token(&mut self, token: &ApiTokenName) {
        let name = token.as_str().split_once('!').unwrap().1.to_owned();
        let row = TokenRow {
            name,
            comment: Some(mark().to_string()),
            separated: true,
            expires_s: 0,
        };
        self.token(token).push(row);
        self.held.insert(token.clone());
    }

    fn drop_token(&mut self, token: &ApiTokenName) {
        let name = token.as_str().split_once('!').unwrap().1.to_owned();
        self.token(token).retain(|row| row.name != name);
        let gone = Holder::Token(token.to_string());
        self.seen.grants.retain(|grant| grant.holder != gone);
        self.held.remove(token);
    }

    fn grants_of(grant: &GrantTo) -> Vec<Grant> {
        let user = grant.user.as_ref().map(|u| Holder::User(u.to_string()));
        let token = grant.token.as_ref().map(|t| Holder::Token(t.to_string()));
        let of = |holder| Grant {
            path: grant.path.clone(),
            holder,
            role: grant.role.to_string(),
            propagates: grant.propagates,
        };
        user.into_iter().chain(token).map(of).collect()
    }

    fn act(&mut self, step: &Step) {
        let seen = &mut self.seen;
        match step {
            Step::CreatePool(pool) => {
                let made = Pool {
                    comment: Some(mark().to_string()),
                    guests: Vec::new(),
                    storages: Vec::new(),
                };
                seen.pools.insert(pool.clone(), made);
            }
            Step::CreateRole(role, privileges) => seen.roles.push(RoleRow {
                id: role.to_string(),
                privileges: privileges.clone(),
            }),
            Step::ChangeRole(role, privileges) => {
                let mut rows = seen.roles.iter_mut();
                let row = rows.find(|row| row.id == role.name().as_str()).unwrap();
                row.privileges = privileges.clone();
            }
            Step::CreateUser(user) => seen.users.push(UserRow {
                id: user.to_string(),
                comment: Some(mark().to_string()),
                enabled: true,
                expires_s: 0,
                tokens: Vec::new(),
            }),
            Step::EnableUser(user) => {
                let mut rows = seen.users.iter_mut();
                let row = rows.find(|row| row.id == user.name().as_str()).unwrap();
                (row.enabled, row.expires_s) = (true, 0);
            }
            Step::ReplaceToken(token) => {
                self.drop_token(token.name());
                self.make_token(token.name());
            }
            Step::CreateToken(token) => self.make_token(token),
            Step::Grant(grant) => {
                let grants = Self::grants_of(grant);
                seen.grants.retain(|known| {
                    let same = |g: &Grant| {
                        (&g.path, &g.holder, &g.role) == (&known.path, &known.holder, &known.role)
                    };
                    !grants.iter().any(same)
                });
                seen.grants.extend(grants);
            }
            Step::Revoke(grant) => {
                let grants = Self::grants_of(grant);
                seen.grants.retain(|known| !grants.contains(known));
            }
            Step::DeleteToken(token) => self.drop_token(token.name()),
            Step::DeleteUser(user) => {
                seen.users.retain(|row| row.id != user.name().as_str());
            }
            Step::DeleteRole(role) => seen.roles.retain(|row| row.id != role.name().as_str()),
            Step::DeletePool(pool) => drop(seen.pools.remove(pool.name())),
        }
    }

    fn carry_out(&mut self, steps: &[Step]) {
        for step in steps {
            self.act(step);
        }
    }

    /// All that is wanted, made.
    fn complete() -> Self {
        let mut accounts = Self::default();
        let steps = accounts.plan(&wanted()).unwrap().steps;
        accounts.carry_out(&steps);
        accounts
    }
}

#[test]
fn from_nothing_all_is_made_in_an_order_that_pve_takes() {
    let steps = Accounts::default().plan(&wanted()).unwrap().steps;
    let texts: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], "create pool apps");
    let at = |text: &str| texts.iter().position(|t| t.starts_with(text));
    for purpose in TokenPurpose::ALL {
        let user = at(&format!("create user proximity-{purpose}-feedbeef@pve")).unwrap();
        let token = at(&format!("create token proximity-{purpose}-feedbeef@pve!")).unwrap();
        let to = format!(" to proximity-{purpose}-feedbeef@pve and its token");
        let grant = texts.iter().position(|t| t.ends_with(&to)).unwrap();
        assert!(user < token && token < grant, "{purpose}: {texts:#?}");
    }
    let last_role = texts.iter().rposition(|t| t.starts_with("create role"));
    assert!(last_role < at("create user"), "{texts:#?}");
    let accounts = Accounts::complete();
    assert_eq!(accounts.plan(&wanted()), Ok(Plan::default()));
}

#[test]
fn each_token_and_its_user_hold_the_same_and_nothing_of_another_token() {
    let wanted = wanted();
    let accounts = Accounts::complete();
    for token in &wanted.tokens {
        let of = |holder: Holder| -> BTreeSet<(String, String)> {
            let grants = accounts.seen.grants.iter().filter(|g| g.holder == holder);
            grants.map(|g| (g.path.clone(), g.role.clone())).collect()
        };
        let user = of(Holder::User(token.user.to_string()));
        assert_eq!(user, of(Holder::Token(token.token.to_string())));
        assert_eq!(user.len(), token.grants.len());
    }
    let paths = |purpose: TokenPurpose| -> Vec<&str> {
        let token = wanted.tokens.iter().find(|t| t.purpose == purpose).unwrap();
        token.grants.iter().map(|g| g.path.as_str()).collect()
    };
    assert_eq!(paths(TokenPurpose::Observe), ["/"]);
    let operate = paths(TokenPurpose::Operate);
    for path in ["/pool/apps", "/storage/fast", "/storage/local"] {
        assert!(operate.contains(&path), "{operate:?}");
    }
    assert!(!operate.contains(&"/") && !operate.contains(&"/vms"));
    assert!(paths(TokenPurpose::Adopted).contains(&"/vms/105"));
}

#[test]
fn cut_after_any_step_the_next_run_ends_in_the_same_state() {
    let whole = Accounts::complete();
    let steps = Accounts::default().plan(&wanted()).unwrap().steps;
    for cut in 0..=steps.len() {
        let mut accounts = Accounts::default();
        accounts.carry_out(&steps[..cut]);
        // What was shown once is lost with the process.
        accounts.held.clear();
        let rest = accounts.plan(&wanted()).unwrap().steps;
        accounts.carry_out(&rest);
        let sorted = |mut seen: Seen| {
            seen.roles.sort_by(|a, b| a.id.cmp(&b.id));
            seen.users.sort_by(|a, b| a.id.cmp(&b.id));
            seen.grants.sort();
            seen
        };
        assert_eq!(
            sorted(accounts.seen.clone()),
            sorted(whole.seen.clone()),
            "cut after {cut}"
        );
        assert_eq!(accounts.held, whole.held, "cut after {cut}");
        assert_eq!(accounts.plan(&wanted()), Ok(Plan::default()));
    }
}

#[test]
fn a_token_that_is_not_held_or_is_too_wide_is_made_anew() {
    let operate = wanted().tokens[1].token.clone();
    assert_eq!(wanted().tokens[1].purpose, TokenPurpose::Operate);
    let breaks: [fn(&mut Accounts, &ApiTokenName); 3] = [
        |accounts, token| {
            accounts.held.remove(token);
        },
        |accounts, token| accounts.token(token)[0].separated = false,
        |accounts, token| accounts.token(token)[0].expires_s = 1,
    ];
    for break_it in breaks {
        let mut accounts = Accounts::complete();
        break_it(&mut accounts, &operate);
        let steps = accounts.plan(&wanted()).unwrap().steps;
        let text = steps[0].to_string();
        assert!(
            text.starts_with(&format!("replace token {operate}")),
            "{text}"
        );
        let grants = steps.iter().filter(|s| matches!(s, Step::Grant(_)));
        assert_eq!(grants.count(), wanted().tokens[1].grants.len());
        accounts.carry_out(&steps);
        assert_eq!(accounts.plan(&wanted()), Ok(Plan::default()));
    }
}

#[test]
fn what_is_different_is_set_right_if_it_is_ours() {
    let breaks: [fn(&mut Accounts); 4] = [
        |accounts| {
            accounts.seen.roles[0]
                .privileges
                .insert("Sys.Modify".to_owned());
        },
        |accounts| accounts.seen.users[0].enabled = false,
        |accounts| accounts.seen.grants[0].propagates ^= true,
        |accounts| {
            accounts.seen.grants.pop();
        },
    ];
    for (n, break_it) in breaks.iter().enumerate() {
        let mut accounts = Accounts::complete();
        break_it(&mut accounts);
        let steps = accounts.plan(&wanted()).unwrap().steps;
        assert_eq!(steps.len(), 1, "{n}: {steps:?}");
        accounts.carry_out(&steps);
        assert_eq!(accounts.plan(&wanted()), Ok(Plan::default()), "{n}");
    }
}

#[test]
fn what_somebody_else_made_under_our_names_is_refused() {
    let operate = wanted().tokens[1].clone();
    let mut accounts = Accounts::complete();
    for user in &mut accounts.seen.users {
        if user.id == operate.user.as_str() {
            user.comment = Some("Anna's".to_owned());
        }
    }
    let taken = accounts.plan(&wanted()).unwrap_err();
    assert_eq!(taken, Taken::Account(format!("user {}", operate.user)));
    let mut accounts = Accounts::complete();
    accounts.token(&operate.token)[0].comment = None;
    let taken = accounts.plan(&wanted()).unwrap_err();
    assert_eq!(taken, Taken::Account(format!("token {}", operate.token)));
}

#[test]
fn a_pool_that_is_not_ours_is_used_only_without_guests() {
    let with = |comment: Option<&str>, guests: Vec<Vmid>| {
        let mut accounts = Accounts::default();
        let pool = Pool {
            comment: comment.map(str::to_owned),
            guests,
            storages: Vec::new(),
        };
        accounts.seen.pools.insert("apps".parse().unwrap(), pool);
        accounts
    };
    let plan = with(None, Vec::new()).plan(&wanted()).unwrap();
    assert!(plan.steps.iter().all(|s| !matches!(s, Step::CreatePool(_))));
    assert_eq!(plan.notes.len(), 1);
    let refused = with(Some("web"), vec![vmid(101)]).plan(&wanted());
    assert_eq!(
        refused,
        Err(Taken::PoolInUse("apps".to_owned(), "101".to_owned()))
    );
    let other = with(Some("proximity:another"), Vec::new()).plan(&wanted());
    assert_eq!(other, Err(Taken::PoolOfOthers("apps".to_owned())));
    let own = with(Some(&mark().to_string()), vec![vmid(101)]);
    let told = own.plan(&wanted()).unwrap().notes;
    assert!(told[0].contains("101"), "{told:?}");
    let recorded = BTreeSet::from([vmid(101)]);
    let quiet = plan_with_own(&own, &recorded);
    assert_eq!(quiet.notes, Vec::<String>::new());
}

fn plan_with_own(accounts: &Accounts, own: &BTreeSet<Vmid>) -> Plan {
    plan(&wanted(), &accounts.seen, &accounts.held, own).unwrap()
}

#[test]
fn another_pool_loses_its_grant_while_storages_and_adopted_guests_keep_theirs() {
    let mut accounts = Accounts::complete();
    let other = Grounds {
        pool: "more".parse().unwrap(),
        storages: BTreeSet::from(["local".parse().unwrap()]),
        adopted: BTreeSet::from([vmid(106)]),
        ..grounds()
    };
    let wanted = Wanted::new(mark(), &other).unwrap();
    let steps = accounts.plan(&wanted).unwrap().steps;
    let revoked: BTreeSet<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Revoke(grant) => Some(grant.path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(revoked, BTreeSet::from(["/pool/apps"]));
    accounts.carry_out(&steps);
    assert_eq!(accounts.plan(&wanted).unwrap().steps, []);
    let paths: BTreeSet<&str> = accounts
        .seen
        .grants
        .iter()
        .map(|g| g.path.as_str())
        .collect();
    assert!(
        paths.contains("/storage/fast") && paths.contains("/vms/105"),
        "{paths:?}"
    );
}

#[test]
fn a_token_that_is_made_anew_gets_back_what_was_given_one_by_one() {
    let later = Grounds {
        storages: BTreeSet::from(["local".parse().unwrap()]),
        adopted: BTreeSet::new(),
        ..grounds()
    };
    let later = Wanted::new(mark(), &later).unwrap();
    let breaks: [fn(&mut Accounts, &ApiTokenName); 2] = [
        |accounts, token| {
            accounts.held.remove(token);
        },
        |accounts, token| accounts.drop_token(token),
    ];
    for (token, path) in [(1, "/storage/fast"), (3, "/vms/105")] {
        let token = &wanted().tokens[token].token;
        let is_there = |accounts: &Accounts| {
            let mut grants = accounts.seen.grants.iter();
            grants.any(|g| g.path == path && g.holder.is_token(token))
        };
        for break_it in breaks {
            let mut accounts = Accounts::complete();
            assert_eq!(accounts.plan(&later).unwrap().steps, []);
            break_it(&mut accounts, token);
            let steps = accounts.plan(&later).unwrap().steps;
            for cut in 1..=steps.len() {
                let mut accounts = accounts.clone();
                accounts.carry_out(&steps[..cut]);
                let rest = accounts.plan(&later).unwrap().steps;
                accounts.carry_out(&rest);
                assert!(is_there(&accounts), "{path}, cut after {cut}: {steps:?}");
                assert_eq!(accounts.plan(&later).unwrap().steps, []);
            }
        }
    }
}

#[test]
fn a_grant_of_somebody_else_to_our_account_is_told_and_left() {
    let mut accounts = Accounts::complete();
    let user = wanted().tokens[0].user.to_string();
    accounts.seen.grants.push(Grant {
        path: "/".to_owned(),
        holder: Holder::User(user.clone()),
        role: "Administrator".to_owned(),
        propagates: true,
    });
    let plan = accounts.plan(&wanted()).unwrap();
    assert_eq!(plan.steps, []);
    let command = format!("pveum acl delete / --roles Administrator --users {user}");
    assert!(plan.notes[0].ends_with(&command), "{:?}", plan.notes);

    let mut accounts = Accounts::complete();
    let token = wanted().tokens[0].token.to_string();
    accounts.seen.grants.push(Grant {
        path: "/".to_owned(),
        holder: Holder::Token(token.clone()),
        role: "a;b".to_owned(),
        propagates: true,
    });
    let notes = accounts.plan(&wanted()).unwrap().notes;
    let command = format!("pveum acl delete / --roles 'a;b' --tokens '{token}'");
    assert!(notes[0].ends_with(&command), "{notes:?}");
}

#[test]
fn removal_takes_all_of_ours_and_nothing_else() {
    let mut accounts = Accounts::complete();
    let theirs = UserRow {
        id: "anna@pve".to_owned(),
        comment: None,
        enabled: true,
        expires_s: 0,
        tokens: Vec::new(),
    };
    let grant = Grant {
        path: "/".to_owned(),
        holder: Holder::User(theirs.id.clone()),
        role: "Administrator".to_owned(),
        propagates: true,
    };
    accounts.seen.users.push(theirs.clone());
    accounts.seen.grants.push(grant.clone());
    let whole = removal(mark(), &accounts.seen);
    assert_eq!(whole.stays, Vec::<String>::new());
    for cut in 0..=whole.steps.len() {
        let mut accounts = accounts.clone();
        accounts.carry_out(&whole.steps[..cut]);
        let rest = removal(mark(), &accounts.seen);
        accounts.carry_out(&rest.steps);
        assert_eq!(
            accounts.seen.users,
            std::slice::from_ref(&theirs),
            "cut after {cut}"
        );
        assert_eq!(
            accounts.seen.grants,
            std::slice::from_ref(&grant),
            "cut after {cut}"
        );
        assert_eq!(accounts.seen.roles, [], "cut after {cut}");
        assert_eq!(accounts.seen.pools, BTreeMap::new(), "cut after {cut}");
        assert_eq!(removal(mark(), &accounts.seen).steps, []);
    }
}

#[test]
fn what_somebody_has_put_something_on_stays_with_the_reason() {
    let mut accounts = Accounts::complete();
    let tokens = wanted().tokens;
    let operate = tokens[1].user.to_string();
    let role = tokens[1].grants[0].role.to_string();
    for user in &mut accounts.seen.users {
        if user.id == operate {
            user.tokens.push(TokenRow {
                name: "theirs".to_owned(),
                comment: None,
                separated: true,
                expires_s: 0,
            });
        }
    }
    accounts.seen.grants.push(Grant {
        path: "/pool/other".to_owned(),
        holder: Holder::User("anna@pve".to_owned()),
        role: role.clone(),
        propagates: true,
    });
    let pool = accounts.seen.pools.values_mut().next().unwrap();
    pool.guests.push(vmid(101));
    let plan = removal(mark(), &accounts.seen);
    let told = |of: &str| plan.stays.iter().any(|text| text.starts_with(of));
    assert!(
        told(&format!("user {operate}: somebody made its token theirs")),
        "{plan:?}"
    );
    assert!(told(&format!(
        "role {role}: somebody granted it to user anna@pve"
    )));
    assert!(told("pool apps: the guests 101 are in it"));
    assert_eq!(plan.stays.len(), 3);
    accounts.carry_out(&plan.steps);
    assert_eq!(accounts.seen.users.len(), 1);
    assert_eq!(removal(mark(), &accounts.seen).steps, []);
}
