//! `POST /api/apps/`: authorise, look at capacity, ask the domain, commit once.

use std::sync::Arc;

use futures::future::join_all;
use proximity_domain::create::{self, Refusal, ResourceRequest};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_domain::made_with::{MOST_APART, MOST_KEYS, MadeWith};
use proximity_domain::names::{BadName, BridgeName, CatalogId, Hostname, NodeName};
use proximity_domain::network::{Ipv6, Network};
use proximity_domain::operation::OperationKind;
use proximity_domain::place::{self, Lack, Need, NodeCapacity};
use proximity_domain::site::Site;
use proximity_pve::guest::ssh::HostKey;
use proximity_store::records::{Actor, AppRecord, HostRecord, NewApp, NewOperation, RequestKey};
use serde_json::{Map, Value, json};

use crate::catalog::{Base, CatalogEntry, Check, Image, Offered, ResolvedRecipe, root_password};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::nodes::{NodeLook, Promises, Question, look, offer, templates};
use crate::saga::{Cx, StepError, StepResult, pve_failure};

/// A request for a new app.
#[derive(Debug, Clone, Default)]
pub struct CreateApp {
    /// Catalog entry.
    pub catalog_id: String,
    /// Host name, unique among live apps.
    pub hostname: String,
    /// Memory, cores, disk; what is absent comes from the catalog entry.
    pub resources: ResourceRequest,
    /// Settings of the catalog entry.
    pub environment: Map<String, Value>,
    /// An entry that fetches what is held against nothing is taken all the same.
    pub allow_unpinned: bool,
    /// Host label or id; absent = the best node of all hosts.
    pub host: Option<String>,
    /// Node; chosen when absent.
    pub node: Option<String>,
    /// How its container is attached to the network.
    pub network: Network,
    /// Names of apps that it is to be kept apart from: it goes to a node without them where one fits. One that there is not is nowhere.
    pub apart_from: Vec<Hostname>,
    /// Public keys that root of its container logs in with, OpenSSH's form.
    pub root_keys: Vec<String>,
    /// Root gets a password, which is shown once; instead of keys. Without either root has no way in but through the node.
    pub root_password: bool,
    /// The account whose apps may be named to whoever asks; `None` = all.
    pub sees_only: Option<String>,
    /// Under which host name it is led to.
    pub site: Option<Site>,
    /// The same key gives the same app.
    pub key: Option<RequestKey>,
}

impl Engine {
    /// Records a new app with its deploy operation; the answer comes at once, the work follows.
    ///
    /// Flow: names → settings → hosts → their nodes as they are now → placement → one commit (app, port pair, operation,
    /// event, audit). Placement and commit of one request follow those of another, so that each sees what the others were
    /// promised; the questions to PVE come before that and wait for nobody.
    /// Errors: everything that can be known before the commit is refused here and leaves nothing.
    pub async fn create_app(
        &self,
        actor: &Actor,
        request: CreateApp,
    ) -> Result<AppRecord, EngineError> {
        let hostname = request.hostname.parse::<Hostname>();
        let hostname = hostname.map_err(|e| invalid_name(&e))?;
        if request.site.is_some() {
            self.refuse_without_names()?;
        }
        let mut wanted = self.wanted(&request)?;
        let hosts = self.candidate_hosts(request.host.as_deref()).await?;
        if self
            .store()
            .app_by_hostname(hostname.as_str())
            .await?
            .is_some()
        {
            // The store decides; this look only spares a question to PVE.
            if request.key.is_none() {
                return Err(Refusal::HostnameTaken(hostname).into());
            }
        }
        let seen = self.see_all(&hosts, &wanted, request.node.as_deref()).await;
        // Of two that are given one address at the same time the store refuses the later one.
        let mut conflicts = self.address_conflicts(&hostname, &request, &hosts).await?;
        let placing = self.inner.placing.lock().await;
        let promised = Promises::read(self.store()).await?;
        wanted.need.apart_from = self.places_apart(&hostname, &request).await?;
        let seen = Seen::of(&hosts, seen, &promised, &request);
        let (host, node) = choose(seen, &wanted.need, request.node.as_deref())?;
        if let Some(taken) = conflicts.remove(&host.id) {
            return Err(Refusal::AddressTaken(taken).into());
        }
        let key = request.key.clone();
        let place = (host.id, node);
        let (app, op) = self.new_app(actor, hostname, request, wanted, place)?;
        let created = self
            .store()
            .create_app(app, op, actor, key, self.now())
            .await?;
        drop(placing);
        self.inner.bell.notify_one();
        Ok(created)
    }

    /// The record of a new app at the place that was chosen, and its deploy.
    fn new_app(
        &self,
        actor: &Actor,
        hostname: Hostname,
        request: CreateApp,
        wanted: Wanted,
        (host, node): (HostId, NodeName),
    ) -> Result<(NewApp, NewOperation), EngineError> {
        let ids = &self.inner.parts.ids;
        let root_password = match request.root_password {
            true => Some(root_password(&mut || ids.nonce()).ok_or_else(no_chance)?),
            false => None,
        };
        let Wanted {
            offered,
            recipe,
            need,
            root_keys,
        } = wanted;
        let app = NewApp {
            id: AppId(ids.uuid()),
            owner: actor.account.clone(),
            hostname,
            catalog_id: offered.entry.id.clone(),
            catalog_version: offered.entry.version.clone(),
            entry: Some(offered.revision.clone()),
            host,
            node,
            resources: need.resources,
            environment: recipe.open_settings(),
            environment_sealed: recipe.sealed_settings(),
            guest_port: offered.entry.port,
            site: request.site,
            made_with: MadeWith {
                network: request.network,
                root_keys,
                root_password: request.root_password,
                apart_from: request.apart_from,
            },
            root_password,
        };
        let op = NewOperation {
            id: OperationId(ids.uuid()),
            kind: OperationKind::Deploy,
            app: app.id,
            input: json!({}),
            retry_of: None,
            key: None,
        };
        Ok((app, op))
    }

    /// What the request comes to by the catalog.
    ///
    /// # Errors
    /// There is no such entry; a setting or a figure is wrong.
    pub(super) fn wanted(&self, request: &CreateApp) -> Result<Wanted, EngineError> {
        let id: CatalogId = request
            .catalog_id
            .parse()
            .map_err(|e| EngineError::Invalid {
                field: "catalog_id".to_owned(),
                message: format!("{e}"),
            })?;
        let offered = self.catalog().offered(&id).cloned();
        let offered = offered.ok_or(Refusal::UnknownCatalogId(id))?;
        let entry = &offered.entry;
        refuse_unpinned(entry, request.allow_unpinned)?;
        let root_keys = root_keys(&request.root_keys)?;
        if request.root_password && !root_keys.is_empty() {
            return Err(EngineError::Invalid {
                field: "root_password".to_owned(),
                message: "root is let in by keys or by a password, not by both".to_owned(),
            });
        }
        if entry.base.image().is_some() {
            refuse_root(request)?;
            refuse_announced(&request.network)?;
        }
        if request.apart_from.len() > MOST_APART {
            return Err(EngineError::Invalid {
                field: "apart_from".to_owned(),
                message: format!("{MOST_APART} apps at most are kept apart from"),
            });
        }
        let given = request.environment.clone().into_iter().collect();
        let recipe = entry
            .resolve_new(&given, &mut || self.inner.parts.ids.nonce())
            .map_err(EngineError::Settings)?;
        entry
            .refuse_hidden(&request.environment, &recipe)
            .map_err(EngineError::Settings)?;
        let need = Need {
            resources: create::resources(&entry.id, &entry.needs, request.resources)?,
            template: entry.base.to_string(),
            volumes_gib: entry.base.image().map_or(0, Image::volumes_gib),
            inside: !recipe.steps.is_empty() || matches!(recipe.health.check, Check::Exec(_)),
            apart_from: Vec::new(),
        };
        Ok(Wanted {
            offered,
            recipe,
            need,
            root_keys,
        })
    }

    /// The host named (label or id), or all there are; never none.
    pub(crate) async fn candidate_hosts(
        &self,
        host: Option<&str>,
    ) -> Result<Vec<HostRecord>, EngineError> {
        let mut hosts = self.store().hosts().await?;
        if let Some(name) = host {
            hosts.retain(|h| h.label.as_str() == name || h.id.to_string() == name);
            if hosts.is_empty() {
                return Err(EngineError::NotFound {
                    what: "host",
                    name: name.to_owned(),
                });
            }
        }
        if hosts.is_empty() {
            return Err(EngineError::NoHost);
        }
        Ok(hosts)
    }

    /// The host with this label or id.
    pub(crate) async fn named_host(&self, host: &str) -> Result<HostRecord, EngineError> {
        let hosts = self.candidate_hosts(Some(host)).await?;
        hosts.into_iter().next().ok_or(EngineError::NoHost)
    }

    /// The nodes of each of these hosts, or the one that is named, or why it is out of the question.
    pub(super) async fn see_all(
        &self,
        hosts: &[HostRecord],
        wanted: &Wanted,
        node: Option<&str>,
    ) -> Vec<Result<Vec<NodeLook>, EngineError>> {
        let asked = hosts.iter().map(|host| self.see(host, wanted, node));
        join_all(asked).await
    }

    async fn see(
        &self,
        host: &HostRecord,
        wanted: &Wanted,
        node: Option<&str>,
    ) -> Result<Vec<NodeLook>, EngineError> {
        let cluster = self.inner.clusters.get(host.id).await?;
        if wanted.need.inside && cluster.guest_access().is_none() {
            return Err(no_guest_access(
                host,
                ", and this app must be reached inside",
            ));
        }
        let question = Question {
            base: Some(&wanted.offered.entry.base),
            node,
            patience: self.node_patience(),
        };
        look(&cluster, question)
            .await
            .map_err(|e| e.of_host(host.label.as_str()))
    }
}

/// What a request for an app comes to.
pub(super) struct Wanted {
    /// What it is made from.
    pub(super) offered: Arc<Offered>,
    pub(super) recipe: ResolvedRecipe,
    /// What it needs of a node.
    pub(super) need: Need,
    /// Checked, each without its comment.
    pub(super) root_keys: Vec<String>,
}

/// The nodes that are in question, as they are now.
pub(super) struct Seen<'h> {
    /// As placement takes them.
    pub(super) nodes: Vec<NodeCapacity>,
    /// Of each of them its host.
    pub(super) owners: Vec<&'h HostRecord>,
    /// Of each of them the newest template of the name that is wanted.
    pub(super) templates: Vec<Option<String>>,
    /// Of each of them the file that would be downloaded first.
    pub(super) offers: Vec<Option<String>>,
    /// Hosts that could not be asked.
    pub(super) out: Vec<(&'h HostRecord, EngineError)>,
}

impl<'h> Seen<'h> {
    /// Puts what was told beside what is promised. A host that could not be asked is passed over, with a line in the log.
    pub(super) fn of(
        hosts: &'h [HostRecord],
        seen: Vec<Result<Vec<NodeLook>, EngineError>>,
        promised: &Promises,
        request: &CreateApp,
    ) -> Self {
        let wanted = request.node.as_deref();
        let mut all = Self {
            nodes: Vec::new(),
            owners: Vec::new(),
            templates: Vec::new(),
            offers: Vec::new(),
            out: Vec::new(),
        };
        for (host, seen) in hosts.iter().zip(seen) {
            match seen {
                Ok(looks) => {
                    for look in looks
                        .iter()
                        .filter(|l| wanted.is_none_or(|w| l.node.as_str() == w))
                    {
                        let bridge = bridge_of(host, &request.network);
                        all.nodes.push(look.capacity(host, promised, bridge));
                        all.owners.push(host);
                        all.templates.push(look.newest_template());
                        all.offers.push(look.offer());
                    }
                }
                Err(e) => {
                    tracing::warn!(host = %host.label, error = %e, code = e.code(), "a host is passed over");
                    all.out.push((host, e));
                }
            }
        }
        all
    }
}

/// The best node of the hosts that could be asked. Those that could not be are named when nobody else can take the app.
fn choose<'h>(
    seen: Seen<'h>,
    need: &Need,
    wanted: Option<&str>,
) -> Result<(&'h HostRecord, NodeName), EngineError> {
    let Seen {
        nodes, owners, out, ..
    } = seen;
    if nodes.is_empty() {
        let first = out.into_iter().next().map(|(_, e)| e);
        return Err(first.unwrap_or_else(|| no_node(wanted)));
    }
    match place::place(&nodes, need) {
        Ok(best) => match (owners.get(best), nodes.into_iter().nth(best)) {
            (Some(host), Some(node)) => Ok((host, node.node)),
            _ => Err(EngineError::NoHost),
        },
        Err(mut none) => {
            let silent = |(host, e): &(&HostRecord, EngineError)| {
                (host.label.to_string(), vec![Lack::Silent(e.to_string())])
            };
            none.nodes.extend(out.iter().map(silent));
            Err(Refusal::NoPlace(none).into())
        }
    }
}

/// The bridge that is asked for, or the host entry's.
pub(crate) fn bridge_of<'b>(host: &'b HostRecord, network: &'b Network) -> &'b BridgeName {
    network.bridge.as_ref().unwrap_or(&host.bridge)
}

/// An entry that fetches what is held against nothing is for who allows that.
pub(super) fn refuse_unpinned(entry: &CatalogEntry, allowed: bool) -> Result<(), Refusal> {
    if entry.unpinned && !allowed {
        return Err(Refusal::Unpinned(entry.id.clone()));
    }
    Ok(())
}

fn no_chance() -> EngineError {
    EngineError::Invalid {
        field: "root_password".to_owned(),
        message: "none could be made: this machine gives no random numbers".to_owned(),
    }
}

/// Proxmox VE lets root into the systems that it knows, and passes over an image of another one in silence.
fn refuse_root(request: &CreateApp) -> Result<(), EngineError> {
    let field = match (request.root_keys.is_empty(), request.root_password) {
        (false, _) => "root_keys",
        (true, true) => "root_password",
        (true, false) => return Ok(()),
    };
    Err(EngineError::Invalid {
        field: field.to_owned(),
        message: "root is not let into a container that is made of an image".to_owned(),
    })
}

/// Proxmox VE sets up the network of a container of an image itself, and starts none whose address routers announce.
fn refuse_announced(network: &Network) -> Result<(), EngineError> {
    if network.ipv6 != Ipv6::Auto {
        return Ok(());
    }
    Err(EngineError::Invalid {
        field: "network.ipv6".to_owned(),
        message: "a container that is made of an image takes no address that routers announce"
            .to_owned(),
    })
}

/// The keys without their comments. Proxmox VE refuses a create with a text that is none, and says not which one.
///
/// # Errors
/// Which one is none, or that there are too many, as the field `root_keys`.
pub(super) fn root_keys(texts: &[String]) -> Result<Vec<String>, EngineError> {
    let invalid = |message: String| EngineError::Invalid {
        field: "root_keys".to_owned(),
        message,
    };
    if texts.len() > MOST_KEYS {
        return Err(invalid(format!(
            "{MOST_KEYS} keys of root at most are taken"
        )));
    }
    let key = |(at, text): (usize, &String)| {
        let key = text.parse::<HostKey>().map(|key| key.to_string());
        key.map_err(|_| {
            invalid(format!(
                "number {} is no public key of OpenSSH's form",
                at + 1
            ))
        })
    };
    texts.iter().enumerate().map(key).collect()
}

/// No host has this node, or any.
pub(super) fn no_node(wanted: Option<&str>) -> EngineError {
    match wanted {
        Some(name) => EngineError::NotFound {
            what: "node",
            name: name.to_owned(),
        },
        None => EngineError::NoHost,
    }
}

/// A host name that breaks its rule.
pub(super) fn invalid_name(bad: &BadName) -> EngineError {
    EngineError::Invalid {
        field: "hostname".to_owned(),
        message: bad.to_string(),
    }
}

/// The host entry has no plain guest access.
/// `and`: what that means here, behind the sentence that says it.
pub(crate) fn no_guest_access(host: &HostRecord, and: &str) -> EngineError {
    EngineError::Upstream {
        code: "no_guest_access",
        message: format!("host {} has no way into its containers{and}", host.label),
        hint: format!(
            "let Proximity in by a key that root on its nodes takes, which is used once: proximity hosts install-helper {} --ssh-key FILE",
            host.label
        ),
    }
}

/// An error of PVE outside of an operation.
pub(crate) fn upstream(label: &str, error: &proximity_pve::error::Error) -> EngineError {
    of_step(pve_failure(&format!("host {label}"), error))
}

/// What a step would end with, outside of an operation.
pub(super) fn of_step(error: StepError) -> EngineError {
    let internal = |message| EngineError::Upstream {
        code: "internal",
        message,
        hint: "look at the server's log".to_owned(),
    };
    match error {
        StepError::Failed(f)
        | StepError::Transient(f)
        | StepError::Uncertain(f)
        | StepError::Stuck(f) => EngineError::Upstream {
            code: crate::error::upstream_code(&f.code),
            message: f.message,
            hint: f.hint,
        },
        StepError::Cancelled => internal("cancelled".to_owned()),
        StepError::Halt(h) => internal(h.to_string()),
    }
}

/// What a container is made from.
pub(crate) struct FoundTemplate {
    /// The volume, e.g. `local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst`.
    pub(crate) volume: String,
    /// It is not there yet: the file that PVE offers, which becomes it.
    pub(crate) fetch: Option<String>,
    /// It is an image, which is pulled where it is not there, and looked at in any case.
    pub(crate) image: Option<Image>,
}

/// The newest matching template on the app's node; where there is none, the newest that PVE offers, if a deploy may fetch it. Of an image
/// the file that it is pulled into, wherever that is.
pub(crate) async fn find_template(cx: &Cx) -> StepResult<FoundTemplate> {
    let entry = cx.engine.entry_of(&cx.app).await?.ok_or_else(|| {
        StepError::Failed(
            EngineError::from(Refusal::UnknownCatalogId(cx.app.catalog_id.clone())).failure(),
        )
    })?;
    let (read, host) = (cx.cluster.read(), cx.cluster.host());
    let (node, wanted) = (&cx.app.node, &entry.base);
    if let Base::Image(image) = wanted {
        return Ok(FoundTemplate {
            volume: format!("{}:vztmpl/{}", host.template_storage, image.file()),
            fetch: None,
            image: Some(image.clone()),
        });
    }
    let found = templates(read, host, node, wanted)
        .await
        .map_err(|e| pve_failure("listing the templates", &e))?;
    if let Some(volume) = found.into_iter().next_back() {
        return Ok(FoundTemplate {
            volume,
            fetch: None,
            image: None,
        });
    }
    let offered = offer(read, host, node, wanted)
        .await
        .map_err(|e| pve_failure("reading which templates PVE offers", &e))?;
    match offered {
        Some(file) => Ok(FoundTemplate {
            volume: format!("{}:vztmpl/{file}", host.template_storage),
            fetch: Some(file),
            image: None,
        }),
        None => {
            let missing = Refusal::TemplateMissing {
                template: wanted.to_string(),
                node: node.clone(),
            };
            let failure: Failure = EngineError::from(missing).failure();
            Err(StepError::Failed(failure))
        }
    }
}
