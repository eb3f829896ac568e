//! Where new containers would go: what the token may use of what the nodes have, and which of it is taken.

use std::collections::BTreeMap;
use std::fmt::Display;

use proximity_domain::names::{BridgeName, NodeName, PoolName, StorageName};
use proximity_pve::network::Bridge;
use proximity_pve::storage::Content;

use super::choice::{self, Candidate};
use super::inventory::{Holdings, Templates};
use super::rights::Rights;
use super::wish::{Wish, invalid};
use crate::error::EngineError;

/// SDN's own bridges: which zone they belong to, and so who may use them, the list of bridges does not tell.
const VNET: &str = "vnet";

/// What could be taken; only what the token may use.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) roots: Vec<Candidate<StorageName>>,
    pub(super) templates: Vec<Candidate<StorageName>>,
    pub(super) bridges: Vec<Candidate<BridgeName>>,
}

/// What is taken; `None` where there is nothing to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) pool: Option<PoolName>,
    pub(super) storage: Option<StorageName>,
    pub(super) template_storage: Option<StorageName>,
    pub(super) bridge: Option<BridgeName>,
}

/// Reads the request's names against what is there.
///
/// # Errors
/// [`EngineError::Invalid`] for a name that cannot be used, with those that can.
pub(super) fn check_names(wish: &Wish, found: &Holdings) -> Result<(), EngineError> {
    let storage = |field: &str, name: &Option<StorageName>, content: Content| {
        let usable = choice::storages(&found.storages, content);
        match name
            .as_ref()
            .filter(|n| !usable.iter().any(|c| c.name == **n))
        {
            None => Ok(()),
            Some(n) => Err(invalid(
                field,
                choice::why_no_storage(n, &found.storages, content, &usable),
            )),
        }
    };
    storage("storage", &wish.storage, Content::RootDir)?;
    storage(
        "template_storage",
        &wish.template_storage,
        Content::Template,
    )?;
    let bridges = choice::bridges(&found.bridges);
    match wish
        .bridge
        .as_ref()
        .filter(|n| !bridges.iter().any(|c| c.name == **n))
    {
        None => Ok(()),
        Some(n) => Err(invalid(
            "bridge",
            choice::why_no_bridge(n, &found.bridges, &bridges),
        )),
    }
}

/// The options the token may use: the named one, or all.
///
/// # Errors
/// What the token lacks for a named one, or for each one there is, as `privilege on path`.
pub(super) fn options(
    wish: &Wish,
    found: &Holdings,
    rights: &Rights,
) -> Result<Options, Vec<String>> {
    let mut missing = Vec::new();
    let mut roots = named(
        choice::storages(&found.storages, Content::RootDir),
        wish.storage.as_ref(),
    );
    let lacking = permitted(&mut roots, |s| rights.missing_on_storage(s));
    missing.extend(lacking.or_else(|| none_left(&roots, rights.missing_on_any_storage())));
    let mut templates = named(
        choice::storages(&found.storages, Content::Template),
        wish.template_storage.as_ref(),
    );
    missing.extend(permitted(&mut templates, |s| {
        rights.missing_on_template_storage(s)
    }));
    let mut bridges = named(choice::bridges(&found.bridges), wish.bridge.as_ref());
    let lacking = permitted(&mut bridges, |b| match is_vnet(b, found) {
        true => None,
        false => rights.missing_on_bridge(b),
    });
    missing.extend(lacking.or_else(|| none_left(&bridges, rights.missing_on_any_bridge())));
    if missing.is_empty() {
        Ok(Options {
            roots,
            templates,
            bridges,
        })
    } else {
        Err(missing)
    }
}

fn named<N: PartialEq>(all: Vec<Candidate<N>>, name: Option<&N>) -> Vec<Candidate<N>> {
    all.into_iter()
        .filter(|c| name.is_none_or(|n| c.name == *n))
        .collect()
}

/// Keeps what the token may use. If that leaves nothing of something, what is missing for the first is returned.
fn permitted<N>(
    candidates: &mut Vec<Candidate<N>>,
    lacks: impl Fn(&N) -> Option<String>,
) -> Option<String> {
    let first = candidates.first().and_then(|c| lacks(&c.name));
    candidates.retain(|c| lacks(&c.name).is_none());
    first.filter(|_| candidates.is_empty())
}

fn none_left<N>(candidates: &[Candidate<N>], missing: Option<String>) -> Option<String> {
    missing.filter(|_| candidates.is_empty())
}

fn is_vnet(bridge: &BridgeName, found: &Holdings) -> bool {
    let vnet = |b: &Bridge| b.name == *bridge && b.kind.as_deref() == Some(VNET);
    found.bridges.iter().flat_map(|(_, list)| list).any(vnet)
}

/// On which nodes the templates have to be listed: a shared storage shows the same everywhere.
pub(super) fn template_places(options: &Options) -> Vec<(StorageName, NodeName)> {
    let mut places = Vec::new();
    for candidate in &options.templates {
        let nodes = if candidate.shared {
            1
        } else {
            candidate.nodes.len()
        };
        places.extend(
            candidate
                .nodes
                .iter()
                .take(nodes)
                .map(|n| (candidate.name.clone(), n.clone())),
        );
    }
    places
}

/// Takes the named ones, else the best, and says what is worth knowing of them.
pub(super) fn choose(
    wish: &Wish,
    options: &Options,
    found: &Holdings,
    templates: &Templates,
) -> (Places, Vec<String>) {
    let own_bridges: Vec<&Candidate<BridgeName>> = options
        .bridges
        .iter()
        .filter(|c| wish.bridge.is_some() || !is_vnet(&c.name, found))
        .collect();
    let root = choice::best_storage(&options.roots);
    let template = choice::best_template_storage(&options.templates, templates);
    let bridge = choice::best_bridge(own_bridges);
    let nodes = || found.storages.iter().map(|(n, _)| n);
    let mut warnings = Vec::new();
    warnings.extend(gap("storage", "containers", root, nodes()));
    warnings.extend(gap("storage", "templates", template, nodes()));
    warnings.extend(gap("bridge", "containers", bridge, nodes()));
    if let Some(name) = bridge.map(|c| &c.name).filter(|b| is_vnet(b, found)) {
        warnings.push(format!(
            "bridge {name} belongs to an SDN zone; whether the token may use it (SDN.Use) shows only when the \
             first container is created"
        ));
    }
    match template {
        None => warnings.push(no_template_storage()),
        Some(storage) => warnings.extend(template_warnings(storage, templates)),
    }
    warnings.extend(root.is_none().then(no_storage));
    warnings.extend(bridge.is_none().then(no_bridge));
    let places = Places {
        pool: wish.pool.clone(),
        storage: root.map(|c| c.name.clone()),
        template_storage: template.map(|c| c.name.clone()),
        bridge: bridge.map(|c| c.name.clone()),
    };
    (places, warnings)
}

/// Nodes on which the chosen one is missing.
fn gap<'a, N: Display>(
    what: &str,
    of: &str,
    chosen: Option<&Candidate<N>>,
    nodes: impl Iterator<Item = &'a NodeName>,
) -> Option<String> {
    let chosen = chosen?;
    let absent = chosen.absent_on(nodes);
    (!absent.is_empty()).then(|| {
        let name = &chosen.name;
        format!(
            "{what} {name}, taken for {of}, cannot be used on {}; no app can go there",
            absent.join(", ")
        )
    })
}

fn template_warnings(storage: &Candidate<StorageName>, templates: &Templates) -> Vec<String> {
    let name = &storage.name;
    let none = BTreeMap::new();
    let listed = templates.get(name).unwrap_or(&none);
    let download = format!(
        "download one in PVE under CT Templates, or there with: pveam update && pveam download {name} TEMPLATE"
    );
    if listed.values().all(Vec::is_empty) {
        return vec![format!(
            "storage {name} has no container template yet; {download}"
        )];
    }
    let without: Vec<&str> = listed
        .iter()
        .filter(|(_, volids)| volids.is_empty())
        .map(|(n, _)| n.as_str())
        .collect();
    if without.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "storage {name} has no container template on {}; {download}",
        without.join(", ")
    )]
}

/// Nothing takes containers.
pub(super) fn no_storage() -> String {
    "no storage that is active on an online node takes containers; in PVE under Datacenter / Storage, allow one the \
     content Container"
        .to_owned()
}

/// Nothing takes templates.
pub(super) fn no_template_storage() -> String {
    "no storage that is active on an online node takes container templates; in PVE under Datacenter / Storage, allow \
     one the content Container template"
        .to_owned()
}

/// Nothing to attach containers to.
pub(super) fn no_bridge() -> String {
    "no bridge is up on an online node; make one in PVE under Node / System / Network, or name an SDN network"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proximity_store::records::PurposeTokens;
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::super::AddHost;
    use super::*;

    fn wish(storage: Option<&str>, bridge: Option<&str>) -> Wish {
        Wish::read(&AddHost {
            label: "home".to_owned(),
            url: "https://192.0.2.10".to_owned(),
            fingerprint: None,
            ca_pem: None,
            token_id: "root@pam!proximity".to_owned(),
            token_secret: SecretString::from("secret"),
            purpose_tokens: PurposeTokens::default(),
            pool: None,
            storage: storage.map(str::to_owned),
            template_storage: None,
            bridge: bridge.map(str::to_owned),
            ssh: None,
        })
        .unwrap()
    }

    fn holdings(nodes: &[&str]) -> Holdings {
        let storages = json!([
            { "storage": "fast", "type": "zfspool", "content": "rootdir", "active": 1, "enabled": 1, "avail": 900 },
            { "storage": "local", "type": "dir", "content": "vztmpl,rootdir", "active": 1, "enabled": 1, "avail": 10 },
        ]);
        let bridges = json!([
            { "iface": "net1", "type": "vnet", "active": 1 },
            { "iface": "vmbr0", "type": "bridge", "active": 1 },
        ]);
        let mut found = Holdings::default();
        for node in nodes {
            let node: NodeName = node.parse().unwrap();
            found.storages.push((
                node.clone(),
                serde_json::from_value(storages.clone()).unwrap(),
            ));
            found
                .bridges
                .push((node, serde_json::from_value(bridges.clone()).unwrap()));
        }
        found
    }

    fn rights(tree: Value) -> Rights {
        Rights::new(serde_json::from_value(tree).unwrap())
    }

    fn all() -> Rights {
        rights(json!({ "/": { "Datastore.AllocateSpace": 1, "SDN.Use": 1 } }))
    }

    fn templates(nodes: &[(&str, &[&str])]) -> Templates {
        let listed = nodes.iter().map(|(node, volids)| {
            (
                node.parse().unwrap(),
                volids.iter().map(ToString::to_string).collect(),
            )
        });
        Templates::from([("local".parse().unwrap(), listed.collect())])
    }

    #[test]
    fn the_best_is_taken_and_said_so_without_warning() {
        let found = holdings(&["pve1", "pve2"]);
        let wish = wish(None, None);
        let options = options(&wish, &found, &all()).unwrap();
        assert_eq!(template_places(&options).len(), 2);
        let listed = templates(&[("pve1", &["local:vztmpl/a"]), ("pve2", &["local:vztmpl/a"])]);
        let (places, warnings) = choose(&wish, &options, &found, &listed);
        assert_eq!(places.storage, Some("fast".parse().unwrap()));
        assert_eq!(places.template_storage, Some("local".parse().unwrap()));
        assert_eq!(
            places.bridge,
            Some("vmbr0".parse().unwrap()),
            "an SDN network only if named"
        );
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn what_the_token_may_not_use_is_not_taken() {
        let found = holdings(&["pve1"]);
        let narrow = rights(json!({
            "/storage/local": { "Datastore.AllocateSpace": 0 },
            "/sdn/zones/localnetwork/vmbr0": { "SDN.Use": 1 },
        }));
        let free = wish(None, None);
        let few = options(&free, &found, &narrow).unwrap();
        assert_eq!(
            choose(&free, &few, &found, &Templates::new()).0.storage,
            Some("local".parse().unwrap())
        );
        let missing = options(&wish(Some("fast"), None), &found, &narrow).unwrap_err();
        assert_eq!(missing, ["Datastore.AllocateSpace on /storage/fast"]);
        let missing = options(&free, &found, &Rights::default()).unwrap_err();
        assert_eq!(
            missing,
            [
                "Datastore.AllocateSpace on /storage/fast",
                "Datastore.Audit on /storage/local"
            ],
            "the SDN network is left, as its zone is not known"
        );
    }

    #[test]
    fn lists_that_are_empty_for_want_of_rights_are_no_empty_cluster() {
        let empty = Holdings::default();
        let missing = options(&wish(None, None), &empty, &Rights::default()).unwrap_err();
        assert_eq!(
            missing,
            [
                "Datastore.AllocateSpace on /storage/STORAGE",
                "SDN.Use on /sdn/zones/localnetwork/BRIDGE"
            ]
        );
        let free = wish(None, None);
        let nothing = options(&free, &empty, &all()).unwrap();
        let (places, warnings) = choose(&free, &nothing, &empty, &Templates::new());
        assert_eq!(
            (places.storage, places.template_storage, places.bridge),
            (None, None, None)
        );
        assert_eq!(warnings, [no_template_storage(), no_storage(), no_bridge()]);
    }

    #[test]
    fn missing_templates_and_nodes_are_told() {
        let mut found = holdings(&["pve1", "pve2"]);
        found.bridges[1].1.clear();
        let wish = wish(None, None);
        let options = options(&wish, &found, &all()).unwrap();
        let some = templates(&[("pve1", &["local:vztmpl/a"]), ("pve2", &[])]);
        let warnings = choose(&wish, &options, &found, &some).1;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("bridge vmbr0") && warnings[0].contains("pve2"),
            "{warnings:?}"
        );
        assert!(
            warnings[1].contains("no container template on pve2"),
            "{warnings:?}"
        );
        let none = choose(&wish, &options, &found, &templates(&[("pve1", &[])])).1;
        assert!(none[1].contains("pveam download local"), "{none:?}");
    }

    #[test]
    fn named_ones_must_exist() {
        let found = holdings(&["pve1"]);
        let field = |wish: Wish| match check_names(&wish, &found) {
            Err(EngineError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(wish(Some("nosuch"), None)), "storage");
        assert_eq!(field(wish(None, Some("vmbr9"))), "bridge");
        assert!(check_names(&wish(Some("local"), Some("net1")), &found).is_ok());
    }
}
