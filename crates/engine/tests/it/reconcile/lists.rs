//! Lists of other nodes: what one that stood still lacks they have, and what is gone they lack too.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

impl Looked {
    /// By whose word the newest orphan was proven.
    async fn evidence(&self) -> String {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        let mut orphans = events.into_iter().map(|event| event.2);
        let found = orphans.rfind(|event| event.kind == EventKind::AnomalousOrphanDetected);
        let told = found.unwrap().body["evidence"].clone();
        told.as_str().unwrap().to_owned()
    }

    /// Counts the lists that are read from now on.
    fn count_lists(&self) -> Arc<AtomicU64> {
        let lists = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lists);
        let count = move |request: &Request, answer: Result<RawResponse, TransportError>| {
            let is_list = request.path == "/cluster/resources";
            counted.fetch_add(u64::from(is_list), Ordering::Relaxed);
            answer
        };
        self.w.pve.distort(Some(Arc::new(count)));
        lists
    }
}

/// The node that lists the guests has stood still since before the container was made, and the one it was moved to is off: no
/// node that is online has it, and one that is knows of it.
#[tokio::test]
async fn what_is_on_a_node_that_is_off_is_not_missing_though_an_old_list_lacks_it() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    let pve3_is = |reach| {
        l.w.pve
            .meddle(|world| world.node_mut("pve3").unwrap().reach = reach);
    };
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    pve3_is(Reach::Refused);
    l.w.pve.stand_still("pve1", vmid);
    let report = l.looks(5).await;
    assert_eq!((report.suspected, report.result.orphans_found), (1, 0));
    let said = report.result.errors.join("\n");
    let contradicts = "the list of the node pve2 does not say so, and that of the node pve1 does";
    assert!(said.contains(contradicts), "{said}");
    pve3_is(Reach::Up);
    let said = l.pass().await.result.errors.join("\n");
    assert!(said.contains("its configuration is there"), "{said}");
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

/// Three that are gone need as many lists as one, and none is read before their looks are enough.
#[tokio::test]
async fn the_lists_of_other_nodes_are_read_once_however_many_are_missing() {
    let l = Looked::new().await;
    let mut vmids = Vec::new();
    for name in ["one", "two", "three"] {
        vmids.push(l.deployed(name).await.1);
    }
    for vmid in vmids {
        l.delete_by_hand(vmid).await;
    }
    let lists = l.count_lists();
    assert_eq!(l.looks(2).await.suspected, 3);
    assert_eq!(lists.swap(0, Ordering::Relaxed), 2, "one for each look");
    assert_eq!(l.pass().await.result.orphans_purged, 3);
    assert_eq!(lists.load(Ordering::Relaxed), 3, "one of each node");
    let told = l.evidence().await;
    assert!(
        told.starts_with("the lists of pve1, pve2, pve3 lack it;"),
        "{told}"
    );
    l.assert_sound().await;
}

/// Its own node is online and says nothing of it, as one does whose proxy is down: no list helps, so none is read for it.
#[tokio::test]
async fn no_other_list_is_read_while_its_own_node_has_not_said_that_it_is_gone() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    l.w.pve
        .refuse(Method::Get, &config, "got timeout", u32::MAX);
    let lists = l.count_lists();
    let said = l.looks(4).await.result.errors.join("\n");
    let not_said = "the node pve2 is online and did not say that it does not have it";
    assert!(said.contains(not_said), "{said}");
    assert_eq!(lists.swap(0, Ordering::Relaxed), 4, "one for each look");
    l.w.pve.refuse(Method::Get, &config, "got timeout", 0);
    assert_eq!(l.pass().await.result.orphans_purged, 1);
    assert_eq!(lists.load(Ordering::Relaxed), 3, "one of each node");
    assert!(!l.is_live(&app).await);
    l.assert_sound().await;
}

/// What a list contradicts it will hardly agree to ten seconds later: the lists are read anew after a minute.
#[tokio::test]
async fn a_list_that_contradicts_is_not_read_again_at_once() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.w.pve.meddle(|world| {
        world.move_guest(vmid, "pve3");
        world.node_mut("pve3").unwrap().reach = Reach::Refused;
    });
    l.w.pve.stand_still("pve1", vmid);
    l.looks(2).await;
    let lists = l.count_lists();
    for (read, later_ms) in [(2, 10_000), (1, 20_000), (1, 30_000), (2, 0)] {
        let said = l.pass().await.result.errors.join("\n");
        assert!(said.contains("the list of the node pve2"), "{said}");
        assert_eq!(lists.swap(0, Ordering::Relaxed), read);
        l.clock.pass(later_ms);
    }
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

/// It answers nothing for as long as it hangs. Another node's container is proven gone all the same; its own is not.
#[tokio::test]
async fn a_node_that_hangs_keeps_what_was_on_another_one_from_nothing() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    let own = l.w.pve.hold_node("pve2");
    let report = l.looks(4).await.result;
    assert_eq!(report.orphans_found, 0);
    let said = report.errors.join("\n");
    let silent = "the node pve2 is online and did not say that it does not have it";
    assert!(said.contains(silent), "{said}");
    assert!(l.is_live(&app).await);
    own.send_replace(true);
    let _other = l.w.pve.hold_node("pve3");
    l.clock.pass(60_000);
    let found = l.pass().await.result;
    assert_eq!((found.anomalous_orphans, found.orphans_purged), (1, 1));
    let told = l.evidence().await;
    assert!(told.ends_with("but for pve3, not heard"), "{told}");
    assert!(!l.is_live(&app).await);
    l.assert_sound().await;
}

/// What was not answered is told as that, and not as a right that the token lacks.
#[tokio::test]
async fn rights_that_were_not_read_are_not_told_as_lacking() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    let of_it = ("path".to_owned(), format!("/vms/{vmid}"));
    let breaks = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.path == "/access/permissions" && request.params.contains(&of_it) {
            let why = "the connection broke off".to_owned();
            return Err(TransportError::MaybeApplied(why));
        }
        answer
    };
    l.w.pve.distort(Some(Arc::new(breaks)));
    let said = l.looks(4).await.result.errors.join("\n");
    let unread = "whether the token that looks may see it was not read";
    assert!(said.contains(unread), "{said}");
    assert!(said.contains("the connection broke off"), "{said}");
    assert!(l.is_live(&app).await);
    l.w.pve.distort(None);
    assert_eq!(l.pass().await.result.orphans_purged, 1);
    assert!(!l.is_live(&app).await);
    l.assert_sound().await;
}

/// What comes of asking this node itself who is in its cluster, in the place of its word; the others' words are as they are.
fn at_node(node: &'static str, says: Result<RawResponse, TransportError>) -> Arc<Distort> {
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            if request.path != "/cluster/status" {
                return answer;
            }
            let told: Value = serde_json::from_slice(&answer.as_ref().unwrap().body).unwrap();
            let mut rows = told["data"].as_array().unwrap().iter();
            let is_its = rows.any(|row| row["local"] == 1 && row["name"] == node);
            if is_its { says.clone() } else { answer }
        },
    )
}

/// Its own node is reached, and does not take our token, answers with an error, or breaks off: it may have what the others lack.
#[tokio::test]
async fn nothing_is_gone_while_a_node_that_is_reached_does_not_say_who_is_in_its_cluster() {
    let answer = |status, reason: &str| {
        Ok(RawResponse {
            status,
            reason: reason.to_owned(),
            body: r#"{"data":null}"#.into(),
        })
    };
    let broke_off = TransportError::MaybeApplied("the connection broke off".to_owned());
    for (says, told) in [
        (
            answer(401, "authentication failure"),
            "does not take our token",
        ),
        (answer(500, "ipcc_send_rec failed"), "answers with an error"),
        (Err(broke_off), "gives no answer"),
    ] {
        let l = Looked::new().await;
        let (app, vmid) = l.deployed("web").await;
        l.delete_by_hand(vmid).await;
        l.w.pve.distort(Some(at_node("pve2", says)));
        let report = l.looks(4).await.result;
        assert_eq!((report.orphans_found, report.orphans_purged), (0, 0));
        let said = report.errors.join("\n");
        let named = format!("the list of the node pve2 was not read (it is reached, and {told}: ");
        assert!(said.contains(&named), "{said}");
        assert!(l.is_live(&app).await);
        l.w.pve.distort(None);
        l.clock.pass(60_000);
        assert_eq!(l.pass().await.result.orphans_purged, 1, "{told}");
        assert!(!l.is_live(&app).await);
        l.assert_sound().await;
    }
}

/// Two lists that are read stand in for it, as for one that hangs.
#[tokio::test]
async fn a_node_that_is_reached_in_vain_keeps_what_was_on_another_one_from_nothing() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    let refused = RawResponse {
        status: 401,
        reason: "authentication failure".to_owned(),
        body: Vec::new().into(),
    };
    l.w.pve.distort(Some(at_node("pve3", Ok(refused))));
    assert_eq!(l.looks(3).await.result.orphans_purged, 1);
    let told = l.evidence().await;
    let lists = "the lists of pve1, pve2 lack it, that of pve3 was not read;";
    assert!(told.starts_with(lists), "{told}");
    assert!(!l.is_live(&app).await);
    l.assert_sound().await;
}
