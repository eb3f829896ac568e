//! The look: asks endpoints, nodes and tokens, all with limits of time. Whatever fails becomes a fact that says why.
//!
//! Flow: endpoints, tokens, membership → what the cluster shares → guests of ours → each node. Nothing is changed anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use proximity_domain::accounts::AccountMark;
use proximity_domain::names::NodeName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::ReadClient;
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::error::Error as PveError;
use proximity_pve::pool::Pool;
use proximity_pve::transport::https::ShownCertificate;
use proximity_store::records::{Endpoint, HostRecord, HostToken, PurposeTokens};
use tokio::time::{Instant, timeout};

use super::due::Due;
use super::facts::{
    Answer, Directory, EndpointFacts, Facts, Held, NodeFacts, Read, TokenFacts, TokenRights,
};
use super::node::NodeLook;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reached::Reached;
use crate::view;

mod guests;

/// What one question may take, with all that it waits for.
const PATIENCE: Duration = Duration::from_secs(8);
/// Calls to each endpoint; the time that counts is the one in the middle.
const CALLS: usize = 3;
/// Nodes asked at the same time: PVE's proxy has three workers, and others need them too.
const NODES: usize = 4;

/// An endpoint with the client that asks it alone.
struct Asked {
    facts: EndpointFacts,
    /// None if it did not answer.
    read: Option<ReadClient>,
}

/// The answer in time, or why there is none.
pub(super) async fn asked<T>(question: impl Future<Output = Result<T, PveError>>) -> Read<T> {
    match timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(too_long()),
    }
}

fn too_long() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

impl Engine {
    /// All that can be known of a host.
    ///
    /// # Errors
    /// The store's, and an entry that cannot be used.
    pub(super) async fn facts(&self, record: HostRecord) -> Result<Facts, EngineError> {
        let cluster = self.inner.clusters.get(record.id).await?;
        let mark = AccountMark(self.store().installation());
        let before = self.store().host_guests(record.id).await?;
        let (endpoints, status, tokens) = futures::join!(
            join_all(record.endpoints.iter().map(|e| self.endpoint(&record, e))),
            asked(view::status(&cluster)),
            join_all(
                recorded(&record)
                    .into_iter()
                    .map(|t| self.token(&record, mark, t))
            ),
        );
        let read = cluster.read();
        let (directory, pool, guests) = futures::join!(
            directory(read, &tokens),
            pool(read, &record),
            asked(read.resources_vm()),
        );
        let after = self.store().host_guests(record.id).await?;
        let recorded = before.iter().chain(&after).map(|guest| guest.place.vmid);
        let recorded = recorded.collect();
        let own = guests::found(&cluster, &before, &after, &guests, &pool).await;
        let nodes = self.each_node(&record, &cluster, &status, &endpoints).await;
        Ok(Facts {
            mark,
            now_ms: self.now().0,
            endpoints: endpoints.into_iter().map(|e| e.facts).collect(),
            status,
            nodes,
            tokens,
            directory,
            pool,
            guests,
            recorded,
            own,
            record,
        })
    }

    async fn endpoint(&self, record: &HostRecord, endpoint: &Endpoint) -> Asked {
        let connect = &self.inner.parts.connect;
        let alone = HostRecord {
            endpoints: vec![endpoint.clone()],
            ssh: None,
            ..record.clone()
        };
        let read = connect
            .connect(&alone)
            .map(|way| ReadClient::new(way.transport));
        let (shown, answer) = futures::join!(
            timeout(PATIENCE, connect.certificate(&endpoint.url)),
            async {
                match &read {
                    Ok(read) => timed(read).await,
                    Err(why) => Answer::None(why.clone()),
                }
            },
        );
        let certificate: Read<ShownCertificate> = shown.unwrap_or_else(|_| Err(too_long()));
        let is_there = matches!(answer, Answer::After(_));
        Asked {
            read: read.ok().filter(|_| is_there),
            facts: EndpointFacts {
                endpoint: endpoint.clone(),
                certificate,
                answer,
            },
        }
    }

    async fn token(
        &self,
        record: &HostRecord,
        mark: AccountMark,
        (token, purposes): (HostToken, BTreeSet<TokenPurpose>),
    ) -> TokenFacts {
        let due = Due::of(&purposes, record, mark);
        let alone = HostRecord {
            token_id: token.id.clone(),
            token_secret: token.secret,
            purpose_tokens: PurposeTokens::default(),
            ssh: None,
            ..record.clone()
        };
        let rights = match self.inner.parts.connect.connect(&alone) {
            Err(why) => TokenRights::Unread(why),
            Ok(connection) => rights(&ReadClient::new(connection.transport), &due).await,
        };
        TokenFacts {
            id: token.id,
            purposes,
            rights,
        }
    }

    async fn each_node(
        &self,
        record: &HostRecord,
        cluster: &Cluster,
        status: &Read<ClusterStatus>,
        endpoints: &[Asked],
    ) -> Vec<NodeFacts> {
        let (members, why): (Vec<(NodeName, bool)>, String) = match status {
            Ok(status) => {
                let members = status.nodes.iter().map(|n| (n.name.clone(), n.online));
                (members.collect(), "the node is off".to_owned())
            }
            // Without the list there is the record, and no node that could be asked through the cluster.
            Err(why) => {
                let known = record.known_nodes.iter().map(|name| (name.clone(), false));
                (known.collect(), why.clone())
            }
        };
        let looks = stream::iter(members).map(|(name, is_online)| {
            let own = endpoints.iter().find_map(|asked| {
                let is_its = asked.facts.endpoint.node.as_ref() == Some(&name);
                is_its.then_some(asked.read.as_ref()).flatten()
            });
            let look = NodeLook {
                engine: self,
                record,
                read: own.unwrap_or(cluster.read()),
            };
            let why = why.clone();
            async move {
                match is_online {
                    true => look.online(name).await,
                    false => look.offline(name, &why),
                }
            }
        });
        looks.buffered(NODES).collect().await
    }
}

/// The recorded tokens, each with what it is for here.
fn recorded(record: &HostRecord) -> Vec<(HostToken, BTreeSet<TokenPurpose>)> {
    let mut main = BTreeSet::from([TokenPurpose::Operate]);
    if record.purpose_tokens.observe.is_none() {
        main.insert(TokenPurpose::Observe);
    }
    let others = record.purpose_tokens.iter();
    let others = others.map(|(purpose, token)| (token.clone(), BTreeSet::from([purpose])));
    let token = HostToken {
        id: record.token_id.clone(),
        secret: record.token_secret.clone(),
    };
    [(token, main)].into_iter().chain(others).collect()
}

/// Asks an endpoint a few times; the first call makes the connection, the others use it.
async fn timed(read: &ReadClient) -> Answer {
    let (mut times, mut refused) = (Vec::new(), None);
    for _ in 0..CALLS {
        let begun = Instant::now();
        match timeout(PATIENCE, read.version()).await {
            Err(_) => return Answer::None(too_long()),
            Ok(Err(PveError::Untrusted { why, .. })) => return Answer::Untrusted(why),
            Ok(Err(e)) => match Reached::of(&e) {
                Some(Reached::Errs | Reached::BreaksOff) => return Answer::Fails(e.to_string()),
                // A refusal is an answer: whether the token is good is told of the token, unless others take it.
                Some(Reached::RefusesToken) => {
                    times.push(begun.elapsed());
                    refused = Some(e.to_string());
                }
                Some(Reached::Refuses) => times.push(begun.elapsed()),
                None => return Answer::None(e.to_string()),
            },
            Ok(Ok(_)) => times.push(begun.elapsed()),
        }
    }
    times.sort_unstable();
    let median = times.get(CALLS / 2).copied().unwrap_or_default();
    let us = u64::try_from(median.as_micros()).unwrap_or(u64::MAX);
    match refused {
        Some(why) => Answer::RefusesToken(us, why),
        None => Answer::After(us),
    }
}

/// What a token says of itself: on all paths, and on each where something is due.
async fn rights(read: &ReadClient, due: &Due) -> TokenRights {
    let all = match timeout(PATIENCE, read.permissions(None)).await {
        Ok(Ok(all)) => all,
        Ok(Err(PveError::Unauthorized { reason, .. })) => return TokenRights::Refused(reason),
        Ok(Err(e)) => return TokenRights::Unread(e.to_string()),
        Err(_) => return TokenRights::Unread(too_long()),
    };
    let paths: BTreeSet<&str> = due.grants.iter().map(|grant| grant.path.as_str()).collect();
    let mut held = BTreeMap::new();
    for path in paths {
        match asked(read.permissions(Some(path))).await {
            Ok(mut answer) => held.extend(answer.remove_entry(path)),
            Err(why) => return TokenRights::Unread(why),
        }
    }
    TokenRights::Told(Held { all, due: held })
}

/// Users, roles and grants; PVE leaves out what may not be seen, so the token that looks has to have the right to see all.
async fn directory(read: &ReadClient, tokens: &[TokenFacts]) -> Read<Directory> {
    const PATH: &str = "/access";
    let looks = tokens
        .iter()
        .find(|t| t.purposes.contains(&TokenPurpose::Observe));
    let id = looks.map_or("", |token| token.id.as_str());
    let held = asked(read.permissions(Some(PATH))).await?;
    if !held.get(PATH).is_some_and(|on| on.propagates("Sys.Audit")) {
        return Err(format!("token {id} lacks Sys.Audit on {PATH} and below"));
    }
    Ok(Directory {
        roles: asked(read.roles()).await?,
        users: asked(read.users()).await?,
        grants: asked(read.grants()).await?,
    })
}

async fn pool(read: &ReadClient, record: &HostRecord) -> Read<Option<Pool>> {
    let Some(name) = &record.pool else {
        return Ok(None);
    };
    let pools = asked(read.pools()).await?;
    if pools.iter().all(|row| row.name != *name) {
        return Ok(None);
    }
    asked(read.pool(name)).await.map(Some)
}
