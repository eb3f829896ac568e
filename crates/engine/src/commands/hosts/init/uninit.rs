//! Giving a host up: what was made for it on the host goes, by a person who logs in, and its entry with it.

use std::time::Duration;

use proximity_domain::accounts::AccountMark;
use proximity_pve::accounts::AccountClient;
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::guest::ssh::{PROGRAM_FOLDER, PROGRAM_NAME};
use proximity_pve::transport::https::{ApiToken, EndpointConfig};
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, HostRecord, SshAccess, SshKind};

use super::carry::Act;
use super::gone::check_gone;
use super::person::{Person, PersonLogin, bad_login};
use super::seen::Seen;
use super::step::Step;
use super::unplan::{Removal, removal, unmarked};
use super::{keep, obstacle, same};
use crate::cluster::endpoints;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::{LOOK_S, refusal};
use crate::engine::Engine;
use crate::error::EngineError;

/// A request to give a host up (or to look at what that would do).
#[derive(Debug, Clone)]
pub struct UninitHost {
    /// Its label or id.
    pub host: String,
    /// Who does it.
    pub login: PersonLogin,
}

/// What goes, and what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UninitPlan {
    /// The host's label.
    pub label: String,
    /// Changes on the host, in order, and of its entry.
    pub steps: Vec<String>,
    /// What stays, each with the reason.
    pub stays: Vec<String>,
}

/// A host that a person who is logged in has looked at.
struct Leaving {
    host: HostRecord,
    client: AccountClient,
    address: Address,
    person: Person,
    ways: Vec<EndpointConfig>,
    removal: Removal,
}

impl Leaving {
    /// Refuses to forget tokens of ours that PVE still takes; those that are seen to stay were told.
    async fn check_gone(&self, mark: AccountMark, left: &Seen) -> Result<(), EngineError> {
        let mut own = tokens_by_init(&self.host, mark);
        let stay = unmarked(mark, left, &own);
        own.retain(|token| !stay.contains(&token.id));
        check_gone(&self.address, &self.ways, &own).await
    }

    fn shown(&self, steps: &[Step]) -> UninitPlan {
        let mut texts: Vec<String> = steps.iter().map(ToString::to_string).collect();
        texts.push(format!("forget host {}", self.host.label));
        UninitPlan {
            label: self.host.label.to_string(),
            steps: texts,
            stays: self.removal.stays.clone(),
        }
    }
}

impl Engine {
    /// Looks at a host as a person who logs in, and says what giving it up would do. Nothing is changed.
    ///
    /// # Errors
    /// No such host; apps are on it; no quorum, or another cluster answers; the person cannot log in, or lacks rights.
    pub async fn plan_uninit(&self, request: &UninitHost) -> Result<UninitPlan, EngineError> {
        let leaving = self.leave(request).await?;
        Ok(leaving.shown(&leaving.removal.steps))
    }

    /// Takes away what was made on the host, as far as nobody else has put anything on it, and then forgets the host. Gives
    /// what was done, and what stays.
    ///
    /// # Errors
    /// Those of [`Engine::plan_uninit`]; `init_unfinished` when it stopped half way, or PVE still takes a token of ours: run
    /// again, it goes on.
    pub async fn uninit_host(
        &self,
        actor: &Actor,
        request: &UninitHost,
    ) -> Result<UninitPlan, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        // No app comes onto the host meanwhile.
        let _no_new_app = self.inner.placing.lock().await;
        let mut leaving = self.leave(request).await?;
        let steps = std::mem::take(&mut leaving.removal.steps);
        let done = leaving.shown(&steps);
        let mark = AccountMark(self.store().installation());
        let act = Act {
            label: &leaving.host.label,
            action: "host.uninit",
            client: &leaving.client,
            mark,
            entry: None,
            wanted: &[],
        };
        self.carry_out(actor, act, steps).await?;
        let (person, read) = (&leaving.person, leaving.client.read());
        person.check_rights(&leaving.address, read, None).await?;
        let left = look(&leaving.client, mark, &leaving.address, person).await?;
        if let Some(left) = removal(mark, &left).steps.first() {
            return Err(obstacle::not_shown(&left.to_string()));
        }
        leaving.check_gone(mark, &left).await?;
        let id = leaving.host.id;
        self.store().remove_host(id, actor, self.now()).await?;
        self.inner.clusters.forget(id).await;
        tracing::info!(host = %leaving.host.label, "host given up");
        Ok(done)
    }

    async fn leave(&self, request: &UninitHost) -> Result<Leaving, EngineError> {
        let host = self.named_host(&request.host).await?;
        let person = Person::read(&request.login)?;
        let apps = self.store().host_users(host.id).await?;
        if apps > 0 {
            let label = host.label.to_string();
            return Err(StoreError::HostInUse { label, apps }.into());
        }
        let unusable = |why: String| obstacle::host_unusable(&host.label, &why);
        let url = host.endpoints.first().map_or("", |e| e.url.as_str());
        let address = Address::from_url(url).map_err(|e| unusable(e.to_owned()))?;
        let ways = endpoints(&host).map_err(unusable)?;
        if let Some(first) = ways.first() {
            person.check_realm(&address, first.clone()).await?;
        }
        let why = format!("uninit of host {}", host.label);
        let client = person.client(self, host.id, ways.clone(), &why);
        let client = client.map_err(|e| bad_login(&e))?;
        let mark = AccountMark(self.store().installation());
        let looked = tokio::time::timeout(
            Duration::from_secs(LOOK_S),
            first_look(&host, &client, mark, &address, &person),
        );
        let seen = looked
            .await
            .unwrap_or_else(|_| Err(refusal::too_slow(&address, LOOK_S)))?;
        let mut removal = removal(mark, &seen);
        let read = client.read();
        person.check_grants(&address, read, &removal.steps).await?;
        removal.stays.extend(more_that_stays(&host, mark));
        let unmarked = unmarked(mark, &seen, &tokens_by_init(&host, mark));
        removal.stays.extend(unmarked.iter().map(|id| {
            format!("token {id}, which PVE goes on to take: somebody changed the comment by which it or its user is known as ours")
        }));
        Ok(Leaving {
            host,
            client,
            address,
            person,
            ways,
            removal,
        })
    }
}

/// The look; first whether it is the entry's cluster that answers, with quorum, and whether the person may see and change all
/// of it.
async fn first_look(
    host: &HostRecord,
    client: &AccountClient,
    mark: AccountMark,
    address: &Address,
    person: &Person,
) -> Result<Seen, EngineError> {
    let is_word = |status: &ClusterStatus| same::check_word(host, status).is_ok();
    let status = client.read().cluster_status_by(is_word).await;
    let status = status.map_err(|e| refusal::question(address, &person.asker(), &e))?;
    same::check_word(host, &status)?;
    let pool = host.pool.as_ref();
    let pool = pool.filter(|_| is_by_init(&host.token_id, mark));
    person.check_rights(address, client.read(), pool).await?;
    look(client, mark, address, person).await
}

/// The look alone.
async fn look(
    client: &AccountClient,
    mark: AccountMark,
    address: &Address,
    person: &Person,
) -> Result<Seen, EngineError> {
    Seen::look(client, mark, None)
        .await
        .map_err(|e| refusal::question(address, &person.asker(), &e))
}

/// Whether it is a token of a user that init makes.
fn is_by_init(token: &str, mark: AccountMark) -> bool {
    let user = token.rsplit_once('!').map_or("", |(user, _)| user);
    user.ends_with(&format!("-{}@pve", mark.short()))
}

/// The recorded tokens of users that init makes.
fn tokens_by_init(host: &HostRecord, mark: AccountMark) -> Vec<ApiToken> {
    let tokens = keep::tokens_of(host).into_values();
    tokens.filter(|token| is_by_init(&token.id, mark)).collect()
}

/// What the helper leaves on the nodes, and what takes it away while the entry is there.
fn helper_that_stays(host: &HostRecord, ssh: &SshAccess) -> [String; 2] {
    let nodes: Vec<&str> = ssh.nodes.iter().map(|at| at.node.as_str()).collect();
    let label = &host.label;
    [
        format!(
            "the helper, {PROGRAM_FOLDER}/{PROGRAM_NAME} on {}: take it and its key's line away first with: proximity hosts \
             remove-helper {label} --ssh-key FILE; once host {label} is forgotten, only root on each node can",
            nodes.join(", ")
        ),
        format!(
            "the helper's folder /var/lib/{PROGRAM_NAME} on each node, with its audit and root's list"
        ),
    ]
}

/// What was never made by init.
fn more_that_stays(host: &HostRecord, mark: AccountMark) -> Vec<String> {
    let mut stays = Vec::new();
    for token in keep::tokens_of(host).into_values() {
        if !is_by_init(&token.id, mark) {
            stays.push(format!("token {}: init did not make it", token.id));
        }
    }
    if let Some(ssh) = &host.ssh {
        if ssh.kind == SshKind::Helper {
            stays.extend(helper_that_stays(host, ssh));
        }
        stays.push(format!(
            "the line of Proximity's key in ~{}/.ssh/authorized_keys of each node: {}",
            ssh.user, ssh.public_key
        ));
    }
    stays
}
