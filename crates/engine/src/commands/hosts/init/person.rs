//! The person who sets a host up: logged in once, never stored.

use std::collections::BTreeSet;

use proximity_domain::ids::HostId;
use proximity_domain::names::{AccountName, PoolName};
use proximity_pve::accounts::{AccountClient, realms};
use proximity_pve::transport::https::{ConfigError, EndpointConfig, Login};
use proximity_pve::{ReadClient, Warrant};
use secrecy::SecretString;

use super::obstacle;
use super::step::Step;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::refusal;
use crate::commands::hosts::rights::{self, Rights};
use crate::commands::hosts::wish::{Asker, invalid, name};
use crate::engine::Engine;
use crate::error::EngineError;

/// How long changes of accounts may be begun, after the look.
const CHANGES_MS: u64 = 120_000;

/// A person's login at PVE. The password may be a ticket of PVE.
#[derive(Debug, Clone)]
pub struct PersonLogin {
    /// `USER@REALM`.
    pub user: String,
    /// The password, or a ticket.
    pub password: SecretString,
    /// The code an authenticator shows now, if the user has one. PVE takes it once.
    pub totp_code: Option<SecretString>,
}

/// Where PVE keeps the rights of those who may make users of its own realm.
const REALM_PATH: &str = "/access/realm/pve";
/// What setting a host up takes, and where.
const NEEDED: [(&str, &str); 6] = [
    ("/", "Sys.Audit"),
    ("/", "Permissions.Modify"),
    ("/access", "Sys.Modify"),
    ("/access", "Sys.Audit"),
    ("/access/groups", "User.Modify"),
    (REALM_PATH, "Realm.AllocateUser"),
];
/// What it takes on the pool: PVE leaves pools out of its list that the person may not see, and they would pass for not there.
const ON_POOL: [&str; 2] = ["Pool.Audit", "Pool.Allocate"];

/// A login that was read.
pub(super) struct Person {
    pub(super) user: AccountName,
    login: Login,
}

impl Person {
    /// # Errors
    /// [`EngineError::Invalid`]; never with the password.
    pub(super) fn read(login: &PersonLogin) -> Result<Self, EngineError> {
        let user: AccountName = name("user", &login.user)?;
        Ok(Self {
            login: Login {
                user: user.to_string(),
                password: login.password.clone(),
                totp_code: login.totp_code.clone(),
            },
            user,
        })
    }

    /// As whom is asked.
    pub(super) fn asker(&self) -> Asker {
        Asker::Person(self.user.to_string())
    }

    /// Refuses a realm that the host does not have. That is read without a login, and a host that does not tell is not
    /// asked twice: then the login shows it.
    pub(super) async fn check_realm(
        &self,
        address: &Address,
        endpoint: EndpointConfig,
    ) -> Result<(), EngineError> {
        let realm = self.user.as_str().rsplit('@').next().unwrap_or_default();
        match realms(endpoint).await {
            Ok(known) if !known.is_empty() && !known.iter().any(|r| r == realm) => {
                Err(obstacle::realm_unknown(address, realm, &known))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The client that changes accounts as this person. Nothing is sent yet.
    ///
    /// # Errors
    /// What of the endpoints or the login cannot be used.
    pub(super) fn client(
        &self,
        engine: &Engine,
        host: HostId,
        endpoints: Vec<EndpointConfig>,
        why: &str,
    ) -> Result<AccountClient, ConfigError> {
        let clock = engine.inner.parts.clock.clone();
        let warrant = Warrant {
            send_by: clock.monotonic().plus_ms(CHANGES_MS),
            reference: why.to_owned(),
        };
        AccountClient::log_in(endpoints, self.login.clone(), clock, host, warrant)
    }

    /// Refuses a person who lacks rights that are needed, before anything is made half.
    ///
    /// # Errors
    /// What is lacking, or that it could not be read.
    pub(super) async fn check_rights(
        &self,
        address: &Address,
        read: &ReadClient,
        pool: Option<&PoolName>,
    ) -> Result<(), EngineError> {
        let pool = pool.map(rights::pool_path);
        let on_pool = pool
            .iter()
            .flat_map(|path| ON_POOL.map(|p| (path.as_str(), p)));
        let needed: Vec<_> = NEEDED.into_iter().chain(on_pool).collect();
        self.check(address, read, &needed).await
    }

    /// Refuses a person who may not grant or take back on one of the paths where these steps do so: on `/` that may be allowed,
    /// and not below.
    ///
    /// # Errors
    /// What is lacking, or that it could not be read.
    pub(super) async fn check_grants(
        &self,
        address: &Address,
        read: &ReadClient,
        steps: &[Step],
    ) -> Result<(), EngineError> {
        let grants = steps.iter().filter_map(|step| match step {
            Step::Grant(grant) | Step::Revoke(grant) => Some(grant),
            _ => None,
        });
        let paths: BTreeSet<&str> = grants.map(|grant| grant.path.as_str()).collect();
        let needed: Vec<_> = paths
            .into_iter()
            .map(|path| (path, "Permissions.Modify"))
            .collect();
        self.check(address, read, &needed).await
    }

    /// Refuses a person who lacks one of these privileges on its path.
    async fn check(
        &self,
        address: &Address,
        read: &ReadClient,
        needed: &[(&str, &str)],
    ) -> Result<(), EngineError> {
        let ask = |e| refusal::question(address, &self.asker(), &e);
        let mut rights = Rights::default();
        let paths: BTreeSet<&str> = needed.iter().map(|(path, _)| *path).collect();
        for path in paths {
            rights.learn(path, read.permissions(Some(path)).await.map_err(ask)?);
        }
        let missing: Vec<String> = needed
            .iter()
            .filter(|(path, privilege)| !rights.holds(path, privilege))
            .map(|(path, privilege)| format!("{privilege} on {path}"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(obstacle::login_too_narrow(self.user.as_str(), &missing))
    }
}

/// A value of a login that cannot be used.
pub(super) fn bad_login(error: &ConfigError) -> EngineError {
    invalid("user", error.to_string())
}
