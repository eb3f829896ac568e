//! Turns without a wire, on a clock that is set.

use std::pin::pin;

use tokio::time::advance;

use super::*;

const PATH: &str = "/nodes/a/lxc";
const PATIENCE: Duration = Duration::from_secs(3);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

async fn all_of_the_node(turns: &Turns) -> Vec<Turn> {
    let mut held = Vec::new();
    for _ in 0..CALLS_PER_NODE {
        held.push(turns.at_node(PATH, soon(), None).await.unwrap());
    }
    held
}

fn give_up(held: &[Turn]) {
    held.iter().for_each(Turn::give_up);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_holds_up_itself_alone() {
    let turns = Turns::new(1);
    let mut held = all_of_the_node(&turns).await;
    let at = async |path: &'static str| turns.at_node(path, soon(), None).await;
    assert!(at("/nodes/a/tasks").await.is_err());
    assert!(at("/nodes/b/lxc").await.is_ok());
    assert!(at("/cluster/tasks").await.is_ok());
    held.pop();
    assert!(at("/nodes/a/tasks").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_answered_nobody_is_waited_for_as_its_answer_would_be() {
    let turns = Turns::new(1);
    let held = all_of_the_node(&turns).await;
    let limit = Instant::now() + Duration::from_secs(30);
    let mut waiting = pin!(turns.at_node(PATH, limit, Some(PATIENCE)));
    let is_busy = timeout(2 * PATIENCE, &mut waiting).await;
    assert!(is_busy.is_err(), "what is waited for may come");
    give_up(&held[..1]);
    let is_busy = timeout(2 * PATIENCE, &mut waiting).await;
    assert!(is_busy.is_err(), "one is still waited for");
    give_up(&held[1..]);
    let begun = Instant::now();
    let silent = "it has not answered within 3 s".to_owned();
    assert_eq!(waiting.await.unwrap_err(), TransportError::NotSent(silent));
    assert_eq!(begun.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn patience_with_a_node_begins_anew_when_a_call_has_ended() {
    let turns = Turns::new(1);
    let mut held = all_of_the_node(&turns).await;
    give_up(&held);
    let limit = Instant::now() + Duration::from_secs(30);
    let mut waiting = pin!(turns.at_node(PATH, limit, Some(PATIENCE)));
    assert!(timeout(PATIENCE / 2, &mut waiting).await.is_err());
    held.pop();
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_has_no_patience_of_its_own_hears_in_the_end_that_the_node_is_silent() {
    let turns = Turns::new(1);
    let held = all_of_the_node(&turns).await;
    let busy = turns.at_node(PATH, soon(), None).await.unwrap_err();
    assert!(busy.to_string().contains("too many"), "{busy}");
    give_up(&held);
    let silent = turns.at_node(PATH, soon(), None).await.unwrap_err();
    assert!(silent.to_string().contains("node a has not"), "{silent}");
    drop(held);
    assert!(turns.at_node(PATH, soon(), None).await.is_ok());
    let held = all_of_the_node(&turns).await;
    let busy = turns.at_node(PATH, soon(), None).await.unwrap_err();
    assert!(busy.to_string().contains("too many"), "{busy}: {held:?}");
}

/// Two calls for one node that went by way of the first of two endpoints, at which this node is.
async fn by_the_first(its_node: &str) -> (Arc<Turns>, Way, Vec<Turn>) {
    let turns = Arc::new(Turns::new(2));
    let way = Way::new(Arc::clone(&turns), 0, Some(its_node.parse().unwrap()));
    let held = all_of_the_node(&turns).await;
    assert!(held.iter().all(|turn| turn.goes_by(0)));
    (turns, way, held)
}

#[tokio::test(start_paused = true)]
async fn the_silence_of_an_endpoint_is_not_held_against_the_nodes_behind_it() {
    let (turns, way, held) = by_the_first("b").await;
    let asked = Instant::now();
    let sent = [(0, asked)];
    let mut waiting = pin!(turns.further(PATH, &sent, asked + KEPT));
    advance(SILENT / 2).await;
    way.left_unanswered(asked);
    assert!(timeout(SILENT / 2, &mut waiting).await.is_err(), "too soon");
    way.left_unanswered(asked);
    let (third, _in_all) = waiting.await.unwrap();
    assert_eq!(asked.elapsed(), SILENT);
    assert!(!held.iter().any(Turn::is_good) && third.is_good());
    assert!(!third.goes_by(0), "by that way two may be under way");
    assert!(third.goes_by(1));
    drop(held);
    let fourth = turns.at_node(PATH, soon(), None).await.unwrap();
    assert!(fourth.goes_by(0));
    let fifth = turns.at_node(PATH, soon(), None).await;
    assert!(fifth.is_err(), "nothing is given back twice");
}

/// As many as there may be in all, at eight nodes: for a second turn in all each would wait for the others.
#[tokio::test(start_paused = true)]
async fn those_that_have_all_turns_go_on_past_a_silent_endpoint_together() {
    let turns = Arc::new(Turns::new(2));
    let way = Way::new(Arc::clone(&turns), 0, None);
    let of_node = |i: usize| format!("/nodes/n{}/lxc", i / CALLS_PER_NODE);
    let paths: Vec<String> = (0..CALLS_PER_CLUSTER).map(of_node).collect();
    let asked = Instant::now();
    let mut held = Vec::new();
    for path in &paths {
        let turn = turns.at_node(path, soon(), None).await.unwrap();
        assert!(turn.goes_by(0));
        held.push((turn, turns.in_all(soon()).await.unwrap()));
    }
    assert!(turns.in_all(soon()).await.is_err(), "there are no more");
    advance(SILENT).await;
    way.left_unanswered(asked);
    let (found, sent) = (Instant::now(), [(0, asked)]);
    let further = paths
        .iter()
        .map(|path| turns.further(path, &sent, asked + KEPT));
    let copies = futures::future::join_all(further).await;
    for copy in copies {
        let (turn, _in_all) = copy.unwrap();
        assert!(turn.goes_by(1));
    }
    assert!(found.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_has_lost_its_turn_is_sent_nowhere() {
    let (_turns, way, held) = by_the_first("b").await;
    let asked = Instant::now();
    advance(SILENT).await;
    way.left_unanswered(asked);
    assert!(!held[0].goes_by(0) && !held[0].goes_by(1));
    // Also once it has come back from there.
    held[0].is_back();
    assert!(!held[0].is_good() && !held[0].goes_by(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_back_from_an_endpoint_keeps_its_turn_when_that_one_is_found_silent() {
    let (turns, way, held) = by_the_first("b").await;
    let asked = Instant::now();
    held[0].is_back();
    advance(SILENT).await;
    way.left_unanswered(asked);
    assert!(held[0].is_good() && !held[1].is_good());
    assert!(held[0].goes_by(1));
    // By the first way there is one under way, so another one may go.
    let third = turns.at_node(PATH, soon(), None).await.unwrap();
    assert!(third.goes_by(0));
    let fourth = turns.at_node(PATH, soon(), None).await;
    assert!(fourth.is_err(), "two are counted at the node");
}

#[tokio::test(start_paused = true)]
async fn the_node_at_the_endpoint_keeps_its_calls() {
    let (turns, way, held) = by_the_first("a").await;
    let asked = Instant::now();
    advance(SILENT).await;
    way.left_unanswered(asked);
    assert!(held.iter().all(Turn::is_good));
    assert!(turns.at_node(PATH, soon(), None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_says_something_else_is_not_silent() {
    let (_turns, way, held) = by_the_first("b").await;
    let asked = Instant::now();
    advance(SILENT).await;
    way.spoke();
    way.left_unanswered(asked);
    let refused = TransportError::NotSent("cannot connect: refused".to_owned());
    way.was_not_reached(asked, &refused);
    assert!(held.iter().all(Turn::is_good));
    advance(SILENT).await;
    let begun = Instant::now();
    let ours = TransportError::NotSent(crate::transport::OUT_OF_FILES.to_owned());
    way.was_not_reached(begun, &ours);
    assert!(held.iter().all(Turn::is_good), "the want is ours");
    way.was_not_reached(begun, &refused);
    assert!(!held.iter().any(Turn::is_good));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_other_way_nothing_is_gained_by_leaving_one() {
    let turns = Arc::new(Turns::new(1));
    let way = Way::new(Arc::clone(&turns), 0, None);
    let held = all_of_the_node(&turns).await;
    assert!(held.iter().all(|turn| turn.goes_by(0)));
    let asked = Instant::now();
    advance(SILENT).await;
    way.left_unanswered(asked);
    assert!(held.iter().all(Turn::is_good));
}
