//! What keeps a node from being given up, or is told before it is: other parts of the cluster, views that lack something, what
//! changes meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use proximity_pve::transport::Transport;
use proximity_testkit::pve::Distort;
use serde_json::{Value, json};

use super::*;

/// What is undecided of an app, by its name.
fn undecided<'l>(loss: &'l NodeLoss, name: &str) -> &'l str {
    let app = loss.apps.iter().find(|app| app.hostname.as_str() == name);
    match &app.unwrap().becomes {
        Becomes::Undecided { why } => why,
        other @ (Becomes::Archived { .. } | Becomes::Stays { .. }) => panic!("{other:?}"),
    }
}

/// Answers to this path with a change made to each of their rows.
fn rows_of(path: &'static str, change: fn(&mut Value)) -> Arc<Distort> {
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let answer = answer?;
            if request.path != path {
                return Ok(answer);
            }
            let mut read: Value = serde_json::from_slice(&answer.body).unwrap();
            let rows = read["data"].as_array_mut().unwrap();
            rows.iter_mut().for_each(change);
            let body = read.to_string().into();
            Ok(RawResponse { body, ..answer })
        },
    )
}

/// Each node that answers has all others off.
fn alone(row: &mut Value) {
    if row["type"] == "node" && row["local"] != 1 {
        row["online"] = json!(0);
    }
}

/// Two parts of the cluster have quorum, and each has the nodes of the other off. One of them has the container.
#[tokio::test]
async fn a_node_that_another_part_has_online_is_asked_too() {
    let mut w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| {
        world.move_guest(vmid, "pve3");
        world.remove_node("pve2");
    });
    let (statuses, lists) = (
        rows_of("/cluster/status", alone),
        rows_of("/cluster/resources", |row| row["node"] = json!("pve2")),
    );
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            lists(request, statuses(request, answer))
        },
    )));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let on = "pve3".parse().unwrap();
    assert_eq!(shown.apps[0].becomes, Becomes::Stays { on });
    let refused = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(is_live(&w, &web).await);
}

/// Two nodes left together, and only one of them was named. That of the other nobody knows anything is shown with the number.
#[tokio::test]
async fn nodes_that_no_answer_has_are_named() {
    let mut w = world().await;
    deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| world.remove_node("pve2"));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    assert!(shown.unseen_nodes.is_empty());
    w.pve.meddle(|world| world.remove_node("pve3"));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let unseen = shown.unseen_nodes.iter().map(ToString::to_string);
    assert_eq!(unseen.collect::<Vec<_>>(), ["pve3"]);
    assert!(give_up(&w, GiveUp::Lost(1)).await.unwrap().is_done);
}

/// What was consented to is what was shown: the cluster's files of the node go in that moment, and nothing is written.
#[tokio::test]
async fn what_changes_after_it_was_looked_at_is_looked_at_again() {
    let mut w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| world.remove_node("pve2"));
    let pve = w.pve.clone();
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            if request.path.ends_with("/config") {
                pve.meddle(|world| world.delete_files_of("pve2"));
            }
            answer
        },
    )));
    let changed = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    w.pve.distort(None);
    assert_eq!(changed.code(), "state_changed");
    assert!(is_live(&w, &web).await);
    assert_eq!(known_nodes(&w).await, ["pve1", "pve2", "pve3"]);
    assert_eq!(forgotten(&w).await, 0);
    assert!(give_up(&w, GiveUp::Lost(1)).await.unwrap().is_done);
    assert_sound(&w).await;
}

/// The list is no word of the endpoint that said who is in the cluster, as another one is asked first each time.
#[tokio::test]
async fn what_endpoints_say_by_turns_is_no_word() {
    let w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| world.remove_node("pve2"));
    let pve = w.pve.clone();
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            if request.path == "/cluster/resources" {
                pve.prefer(1);
                pve.prefer(0);
            }
            answer
        },
    )));
    let (code, turns) = refused(&w).await;
    w.pve.distort(None);
    assert_eq!(code, "node_in_use");
    assert!(turns.contains("answered by turns"), "{turns}");
    assert!(is_live(&w, &web).await);
}

/// What the token may not see is in no list.
#[tokio::test]
async fn nothing_is_given_up_by_a_view_that_lacks_something() {
    let w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| world.remove_node("pve2"));
    w.pve.distort(Some(Arc::new(
        |request: &Request,
         answer: Result<RawResponse, TransportError>|
         -> Result<RawResponse, TransportError> {
            let answer = answer?;
            if request.path != "/access/permissions" {
                return Ok(answer);
            }
            let body = json!({ "data": { "/": { "Sys.Audit": 1 } } });
            let body = body.to_string().into();
            Ok(RawResponse { body, ..answer })
        },
    )));
    for said in [GiveUp::Show, GiveUp::Lost(1)] {
        let narrow = give_up(&w, said).await.unwrap_err();
        assert_eq!(narrow.code(), "view_incomplete");
    }
    w.pve.distort(None);
    assert!(is_live(&w, &web).await);
}

#[tokio::test]
async fn what_high_availability_manages_is_not_lost() {
    let w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| world.remove_node("pve2"));
    let managed = |row: &mut Value| row["hastate"] = json!("started");
    w.pve.distort(Some(rows_of("/cluster/resources", managed)));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let why = undecided(&shown, "web");
    let step = format!("ha-manager remove ct:{vmid}");
    assert!(why.contains(&step), "{why}");
    let refused = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(refused.code(), "node_in_use");
    assert!(is_live(&w, &web).await);
}

/// A node that answers of one container that it cannot tell is asked for the others all the same.
#[tokio::test]
async fn a_refusal_for_one_container_leaves_the_others_told() {
    let w = world().await;
    let mut first = u32::MAX;
    for name in ["one", "two", "three"] {
        first = first.min(deployed(&w, name, "pve2").await.1);
    }
    w.pve.meddle(|world| world.remove_node("pve2"));
    let config = format!("/nodes/pve3/lxc/{first}/config");
    w.pve.refuse(Method::Get, &config, "got timeout", 1);
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    assert_eq!(shown.lost(), 2, "{:?}", shown.apps);
}

/// It was moved to a member that is off by now: it is followed when that one is back, so the node that left may be forgotten.
#[tokio::test]
async fn what_a_member_has_that_is_off_does_not_keep_a_node_from_being_forgotten() {
    let w = world_of(&["pve1", "pve2", "pve3", "pve4"]).await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.move_guest(vmid, "pve3");
    });
    reach(&w, &["pve3"], Reach::Refused);
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let on = "pve3".parse().unwrap();
    assert_eq!(shown.apps[0].becomes, Becomes::Stays { on });
    w.engine.forget_node(&w.actor, "lab", "pve2").await.unwrap();
    assert_eq!(known_nodes(&w).await, ["pve1", "pve3", "pve4"]);
    reach(&w, &["pve3"], Reach::Up);
    let followed = async || {
        let pass = w.engine.reconciler().pass(&Pass::Work).await.unwrap();
        pass.moved == 1
    };
    w.until(followed).await.unwrap();
    assert!(is_live(&w, &web).await);
    assert_sound(&w).await;
}

/// The node that answers first has stood still since before the container went on to another one, which is off as well: nobody
/// that can be asked has it, and the list of another node names it.
#[tokio::test]
async fn what_any_list_has_elsewhere_is_not_lost_though_the_first_one_lacks_it() {
    let w = world_of(&["pve1", "pve2", "pve3", "pve4"]).await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.move_guest(vmid, "pve3");
    });
    reach(&w, &["pve3"], Reach::Refused);
    w.pve.stand_still("pve1", vmid);
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let on = "pve3".parse().unwrap();
    assert_eq!(shown.apps[0].becomes, Becomes::Stays { on });
    let refused = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(is_live(&w, &web).await);
}

/// Another node may have it elsewhere, and its list cannot be read whole.
#[tokio::test]
async fn nothing_is_given_up_while_a_node_that_answers_gives_no_list() {
    let w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| world.remove_node("pve2"));
    // The first is that of the endpoint which is asked first; those after it are of each endpoint.
    let lists = AtomicUsize::new(0);
    let breaks = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let is_list = request.path == "/cluster/resources";
        if is_list && lists.fetch_add(1, Ordering::Relaxed) > 0 {
            let why = "the connection broke off".to_owned();
            return Err(TransportError::MaybeApplied(why));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(breaks)));
    let unread = give_up(&w, GiveUp::Show).await.unwrap_err();
    w.pve.distort(None);
    assert_eq!(unread.code(), "node_in_use");
    let said = unread.to_string();
    assert!(said.contains("its list was not read"), "{said}");
    assert!(is_live(&w, &web).await);
}

/// The others have it off, and it is reached at its own address all the same: it does not take our token, or answers with an error.
#[tokio::test]
async fn a_node_that_is_reached_is_not_given_up_whatever_it_answers() {
    for (status, told) in [
        (401, "does not take our token"),
        (500, "answers with an error"),
    ] {
        let mut w = world().await;
        let (web, _) = deployed(&w, "web", "pve2").await;
        w.stop_worker().await.unwrap();
        let off = rows_of("/cluster/status", |row| {
            if row["name"] == "pve2" {
                row["online"] = json!(0);
            }
        });
        w.pve.distort(Some(Arc::new(
            move |request: &Request,
                  answer: Result<RawResponse, TransportError>|
                  -> Result<RawResponse, TransportError> {
                let answer = off(request, answer)?;
                if request.path != "/cluster/status" {
                    return Ok(answer);
                }
                let told: Value = serde_json::from_slice(&answer.body).unwrap();
                let mut rows = told["data"].as_array().unwrap().iter();
                if rows.any(|row| row["local"] == 1 && row["name"] == "pve2") {
                    return Ok(RawResponse {
                        status,
                        reason: "in trouble".to_owned(),
                        body: Vec::new().into(),
                    });
                }
                Ok(answer)
            },
        )));
        let (code, said) = refused(&w).await;
        assert_eq!(code, "node_in_use");
        assert!(said.contains(told), "{said}");
        assert!(is_live(&w, &web).await);
    }
}

/// Somebody deleted the cluster's files of a member that is off.
#[tokio::test]
async fn what_no_list_has_of_a_node_that_is_off_is_shown_as_that() {
    let mut w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    reach(&w, &["pve2"], Reach::Refused);
    w.pve.meddle(|world| world.delete_files_of("pve2"));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    assert!(shown.is_member);
    let unlisted = Becomes::Archived { listed: false };
    assert_eq!(shown.apps[0].becomes, unlisted);
    assert!(give_up(&w, GiveUp::Lost(1)).await.unwrap().is_done);
    assert!(!is_live(&w, &web).await);
}

/// It was forgotten while another node had the container; what is recorded there then is given up without forgetting it again.
#[tokio::test]
async fn a_node_that_was_forgotten_before_is_not_forgotten_again() {
    let mut w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.move_guest(vmid, "pve1");
    });
    w.engine.forget_node(&w.actor, "lab", "pve2").await.unwrap();
    w.pve.meddle(|world| world.move_guest(vmid, "pve2"));
    assert!(give_up(&w, GiveUp::Lost(1)).await.unwrap().is_done);
    assert!(!is_live(&w, &web).await);
    assert_eq!(forgotten(&w).await, 1);
    let audit = w.store.audit(1_000, 0).await.unwrap();
    let said = audit.iter().find(|a| a.action == "host.containers_lost");
    assert_eq!(said.unwrap().details["forgotten"], false);
    assert_sound(&w).await;
}

/// A stop was under way when the node died.
#[tokio::test]
async fn nothing_is_given_up_under_an_operation_that_is_at_work() {
    let w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    let go_on = w.pve.hold(Method::Post, "/status/shutdown");
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "web", stop).await.unwrap();
    let is_sent = async || {
        let audit = w.store.audit(1_000, 0).await.unwrap();
        audit.iter().any(|a| a.action.ends_with("/status/shutdown"))
    };
    w.until(is_sent).await.unwrap();
    w.pve.meddle(|world| world.remove_node("pve2"));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let why = undecided(&shown, "web");
    assert!(why.contains("an operation is at work on it"), "{why}");
    let refused = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(refused.code(), "node_in_use");
    let cancel = format!("proximity operations cancel {}", stop.id);
    assert!(refused.to_string().contains(&cancel), "{refused}");
    assert!(is_live(&w, &web).await);
    go_on.send_replace(true);
}
