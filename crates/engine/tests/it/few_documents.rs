//! Few documents are planned for with a part of the record and of the cluster: it is decided as among many, where all of both is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proximity_domain::desired::Documents;
use proximity_domain::ids::AppId;
use proximity_domain::manifest::Manifest;
use proximity_domain::mark::Mark;
use proximity_domain::names::Hostname;
use proximity_domain::plan::Plan;
use proximity_engine::commands::{AdoptContainer, CreateApp, MakePlan};
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_testkit::world::TestWorld;
use serde_json::{Value, json};

/// With so many documents beside them the whole record is read, and the whole list.
const MANY: u32 = 40;
/// Numbers of no container.
const ABSENT: u32 = 900;

fn app(name: &str, spec: Value) -> Manifest {
    Manifest::App {
        name: name.parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
    }
}

fn found(name: &str, spec: Value) -> Manifest {
    Manifest::AdoptedApp {
        name: name.parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
    }
}

/// Returns when the list of the cluster says this, and so tells of all as it is by then.
async fn told(w: &TestWorld, text: &str) {
    let is_told = async || {
        w.pve.meddle(|world| world.tell_now());
        let list = w.pve.as_root(Method::Get, "/cluster/resources", &[]).await;
        String::from_utf8_lossy(&list.body).contains(text)
    };
    w.until(is_told).await.unwrap();
}

/// Two apps, a container that was taken over, and one of ours that no record has, called `free`.
struct Stand {
    w: TestWorld,
    web: u32,
    adopted: Hostname,
}

impl Stand {
    async fn new() -> Self {
        let w = TestWorld::start(Access::Full).await.unwrap();
        for hostname in ["web", "mail"] {
            let request = CreateApp {
                catalog_id: "beacon".to_owned(),
                hostname: hostname.to_owned(),
                ..CreateApp::default()
            };
            let app = w.engine.create_app(&w.actor, request).await.unwrap();
            w.settled(app.operation.unwrap()).await.unwrap();
        }
        let web = w.store.app_by_hostname("web").await.unwrap().unwrap();
        let guests = w.store.recorded_guests(web.id).await.unwrap();
        assert_eq!(w.pve.stranger_creates("pve1", 150).await.status, 200);
        w.pve.quiet().await;
        let request = AdoptContainer {
            host: Some("lab".to_owned()),
            node: None,
            vmid: 150,
            suggested_type: None,
            port: None,
            probe: false,
            key: None,
        };
        let adopted = w.engine.adopt(&w.actor, request).await.unwrap();
        w.settled(adopted.operation.unwrap()).await.unwrap();
        assert_eq!(w.pve.stranger_creates("pve1", 151).await.status, 200);
        w.pve.quiet().await;
        let mark = Mark {
            installation: w.store.installation(),
            app: AppId(uuid::Uuid::from_u128(5)),
            nonce: 7,
        };
        let notes = mark.described("mine");
        let named = [("hostname", "free"), ("description", notes.as_str())];
        w.pve.put("/nodes/pve1/lxc/151/config", &named).await;
        told(&w, "\"free\"").await;
        Self {
            w,
            web: guests[0].place().vmid.get(),
            adopted: adopted.hostname,
        }
    }

    async fn plan(&self, documents: Vec<Manifest>, owner: Option<&str>) -> Plan {
        let request = MakePlan {
            order: Documents::of(&documents).order(),
            documents,
            owner: owner.map(str::to_owned),
            passing: true,
            ..MakePlan::default()
        };
        let made = self.w.engine.make_plan(&self.w.actor, request).await;
        made.unwrap().plan
    }

    /// The plan of these documents, which is the same among many.
    async fn both_ways(&self, documents: &[Manifest], owner: Option<&str>) -> Plan {
        let alone = self.plan(documents.to_vec(), owner).await;
        let others = (0..MANY).map(|n| {
            let spec = json!({ "host": "lab", "vmid": ABSENT + n });
            found(&format!("other{n}"), spec)
        });
        let all = documents.iter().cloned().chain(others).collect();
        let mut among = self.plan(all, owner).await;
        let before = among.changes.len();
        among
            .changes
            .retain(|change| !change.name.as_str().starts_with("other"));
        let others = before - among.changes.len();
        assert_eq!(others, MANY as usize, "{documents:?}");
        assert_eq!(among.changes, alone.changes, "{owner:?}: {documents:?}");
        assert_eq!(among.ignored, alone.ignored);
        let counts = |plan: &Plan| (plan.unchanged, plan.uncompared);
        assert_eq!(counts(&among), counts(&alone), "{documents:?}");
        alone
    }

    /// Each name with each way to say what is wanted.
    fn documents(&self) -> Vec<Manifest> {
        let mut all = Vec::new();
        for name in ["web", "mail", self.adopted.as_str(), "free", "fresh"] {
            let specs = [
                json!({ "catalog_id": "beacon" }),
                json!({ "catalog_id": "beacon", "host": "lab", "power": "stopped" }),
                json!({ "catalog_id": "beacon", "node": "pve1", "power": "running" }),
                json!({
                    "catalog_id": "beacon",
                    "resources": { "memory_mib": 128 },
                    "ignore": ["memory"],
                }),
            ];
            all.extend(specs.map(|spec| app(name, spec)));
            for vmid in [self.web, 150, 151, ABSENT - 1] {
                let specs = [
                    json!({ "host": "lab", "vmid": vmid, "guard": true }),
                    json!({ "host": "lab", "vmid": vmid, "port": 5432, "power": "running" }),
                ];
                all.extend(specs.map(|spec| found(name, spec)));
            }
        }
        all
    }

    /// Counts how often the list of a cluster is asked for from now on.
    fn lists(&self) -> Arc<AtomicU32> {
        let count = Arc::new(AtomicU32::new(0));
        let counts = Arc::clone(&count);
        self.w.pve.distort(Some(Arc::new(
            move |request: &Request,
                  answer: Result<RawResponse, TransportError>|
                  -> Result<RawResponse, TransportError> {
                if request.path == "/cluster/resources" {
                    counts.fetch_add(1, Ordering::Relaxed);
                }
                answer
            },
        )));
        count
    }
}

#[tokio::test]
async fn what_is_decided_of_few_documents_is_decided_of_them_among_many() {
    let s = Stand::new().await;
    let documents = s.documents();
    for document in &documents {
        for owner in [None, Some("somebody")] {
            s.both_ways(std::slice::from_ref(document), owner).await;
        }
    }
    let needs = |need: &str| json!({ "catalog_id": "beacon", "depends_on": [need] });
    let stopped = json!({ "catalog_id": "beacon", "power": "stopped" });
    let chain = [
        app("web", stopped),
        app("mail", needs("web")),
        app("fresh", needs("mail")),
    ];
    let plan = s.both_ways(&chain, None).await;
    let fresh = plan.changes.iter().find(|one| one.name.as_str() == "fresh");
    let web: Hostname = "web".parse().unwrap();
    assert_eq!(fresh.unwrap().depends_on, [web]);
}

#[tokio::test]
async fn what_a_hand_changed_is_seen_without_the_list() {
    let s = Stand::new().await;
    let as_it_is = [app("web", json!({ "catalog_id": "beacon" }))];
    let lists = s.lists();
    assert_eq!(s.plan(as_it_is.to_vec(), None).await.unchanged, 1);
    assert_eq!(lists.load(Ordering::Relaxed), 0);
    let config = format!("/nodes/pve1/lxc/{}/config", s.web);
    s.w.pve.put(&config, &[("memory", "128")]).await;
    let changed = s.plan(as_it_is.to_vec(), None).await;
    assert_eq!(lists.load(Ordering::Relaxed), 0);
    assert_eq!(changed.changes[0].fields[0].path, "memory");
    told(&s.w, &(128_u64 << 20).to_string()).await;
    lists.store(0, Ordering::Relaxed);
    assert_eq!(s.both_ways(&as_it_is, None).await.changes, changed.changes);
    assert_eq!(lists.load(Ordering::Relaxed), 1, "that among many");
}

#[tokio::test]
async fn where_a_container_does_not_tell_its_state_the_list_is_read() {
    let s = Stand::new().await;
    let lists = s.lists();
    let path = "/status/current";
    s.w.pve.refuse(Method::Get, path, "no", u32::MAX);
    let as_it_is = [app("web", json!({ "catalog_id": "beacon" }))];
    let plan = s.both_ways(&as_it_is, None).await;
    assert_eq!((plan.unchanged, plan.changes.len()), (1, 0), "{plan:?}");
    assert!(lists.load(Ordering::Relaxed) >= 2);
    let wanted = json!({ "host": "lab", "vmid": 150, "port": 5432, "power": "running" });
    let adopted = [found(s.adopted.as_str(), wanted)];
    let plan = s.both_ways(&adopted, None).await;
    let codes = plan.changes[0].obstacles.iter();
    let codes: Vec<&str> = codes.map(|one| one.code.as_str()).collect();
    assert!(
        matches!(codes.as_slice(), [code] if code.starts_with("pve_")),
        "{codes:?}"
    );
}
