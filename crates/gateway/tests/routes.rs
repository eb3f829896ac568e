//! Routes come, change and go; the file and the ports follow.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use proximity_gateway::client::ClientError;
use proximity_gateway::protocol::ListenerState;
use proximity_gateway::{Generation, RefusalCode};
use support::{
    Guest, World, assert_echoes, assert_refused, assert_reset, eventually, free_port, greeted_by,
    internal, next, public, route_to, within,
};
use tokio::net::TcpStream;

fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> RefusalCode {
    match outcome.unwrap_err() {
        ClientError::Refused { code, .. } => code,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn a_removed_route_refuses_at_once_and_lets_open_connections_finish() {
    let drain = Duration::from_millis(1500);
    let world = World::start_with(|options| options.limits.drain = drain).await;
    let guest = Guest::echo("blue").await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = greeted_by(public(&route), "blue").await;
    let removed = world
        .client
        .remove_route(route.app_id.clone(), Generation(1))
        .await
        .unwrap();
    assert!(removed.had_route);
    assert_refused(public(&route)).await;
    assert_refused(internal(&route)).await;
    assert_echoes(&mut stream).await;
    assert_eq!(world.client.hello().await.unwrap().open_connections, 1);
    assert_reset(&mut stream).await;
    eventually(|| async { world.client.hello().await.unwrap().open_connections == 0 }).await;
    world.end().await;
}

#[tokio::test]
async fn the_ports_of_a_removed_route_are_free_for_another_while_it_drains() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut old = greeted_by(public(&route), "blue").await;
    world
        .client
        .remove_route(route.app_id.clone(), Generation(1))
        .await
        .unwrap();
    let mut other = route.clone();
    other.app_id = "b".parse().unwrap();
    let report = world.client.set_route(other).await.unwrap();
    assert_eq!(report.public_listener.state, ListenerState::Listening);
    greeted_by(public(&route), "blue").await;
    assert_echoes(&mut old).await;
    drop(old);
    world.end().await;
}

#[tokio::test]
async fn without_a_target_nothing_listens() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, None);
    let report = world.client.set_route(route.clone()).await.unwrap();
    assert_eq!(report.public_listener.state, ListenerState::NoTarget);
    assert_eq!(report.internal_listener.state, ListenerState::NoTarget);
    assert_refused(public(&route)).await;
    let up = next(&route, Some(guest.address));
    let report = world.client.set_route(up.clone()).await.unwrap();
    assert_eq!(report.public_listener.state, ListenerState::Listening);
    greeted_by(public(&route), "blue").await;
    world.client.set_route(next(&up, None)).await.unwrap();
    assert_refused(public(&route)).await;
    assert_refused(internal(&route)).await;
    world.end().await;
}

#[tokio::test]
async fn changed_ports_move_and_swapped_ports_swap() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut moved = next(&route, route.target);
    moved.public.port = free_port();
    world.client.set_route(moved.clone()).await.unwrap();
    assert_refused(public(&route)).await;
    greeted_by(public(&moved), "blue").await;
    let mut swapped = next(&moved, route.target);
    std::mem::swap(&mut swapped.public, &mut swapped.internal);
    let report = world.client.set_route(swapped.clone()).await.unwrap();
    assert_eq!(report.public_listener.state, ListenerState::Listening);
    assert_eq!(report.internal_listener.state, ListenerState::Listening);
    greeted_by(public(&swapped), "blue").await;
    world.end().await;
}

#[tokio::test]
async fn a_taken_port_is_said_and_used_once_it_is_free() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    let foreign = std::net::TcpListener::bind(public(&route)).unwrap();
    let report = world.client.set_route(route.clone()).await.unwrap();
    let ListenerState::PortTaken { error } = report.public_listener.state else {
        panic!("{:?}", report.public_listener);
    };
    assert!(error.contains("in use"), "{error}");
    assert_eq!(report.public_listener.address, public(&route));
    assert_eq!(report.internal_listener.state, ListenerState::Listening);
    greeted_by(internal(&route), "blue").await;
    drop(foreign);
    eventually(|| async {
        let list = world.client.list_routes().await.unwrap();
        list.routes[0].public_listener.state == ListenerState::Listening
    })
    .await;
    greeted_by(public(&route), "blue").await;
    world.end().await;
}

#[tokio::test]
async fn a_route_waiting_for_its_port_can_be_removed() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    let foreign = std::net::TcpListener::bind(public(&route)).unwrap();
    world.client.set_route(route.clone()).await.unwrap();
    within(
        world
            .client
            .remove_route(route.app_id.clone(), Generation(1)),
    )
    .await
    .unwrap();
    drop(foreign);
    assert_refused(public(&route)).await;
    world.end().await;
}

#[tokio::test]
async fn an_address_the_machine_has_not_is_said() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let mut route = route_to("a", 1, Some(guest.address));
    route.public.bind = Some("192.0.2.1".parse().unwrap());
    let report = world.client.set_route(route).await.unwrap();
    let state = report.public_listener.state;
    assert!(
        matches!(state, ListenerState::CannotListen { .. }),
        "{state:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn stale_generations_are_refused_and_change_nothing() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 5, Some(guest.address));
    let report = world.client.set_route(route.clone()).await.unwrap();
    assert_eq!(
        world.client.set_route(route.clone()).await.unwrap().route,
        report.route
    );
    let mut old = route_to("a", 4, None);
    assert_eq!(
        code(world.client.set_route(old.clone()).await),
        RefusalCode::StaleGeneration
    );
    old.generation = Generation(5);
    assert_eq!(
        code(world.client.set_route(old).await),
        RefusalCode::StaleGeneration
    );
    let removal = world
        .client
        .remove_route(route.app_id.clone(), Generation(4))
        .await;
    assert_eq!(code(removal), RefusalCode::StaleGeneration);
    greeted_by(public(&route), "blue").await;
    world
        .client
        .remove_route(route.app_id.clone(), Generation(5))
        .await
        .unwrap();
    assert_eq!(
        code(world.client.set_route(route.clone()).await),
        RefusalCode::StaleGeneration
    );
    let again = world
        .client
        .remove_route(route.app_id.clone(), Generation(5))
        .await
        .unwrap();
    assert!(!again.had_route);
    assert_refused(public(&route)).await;
    world.end().await;
}

#[tokio::test]
async fn the_known_generation_is_told_also_after_a_removal() {
    let world = World::start().await;
    let app = || "a".parse().unwrap();
    assert_eq!(world.client.known_generation(app()).await.unwrap(), None);
    world
        .client
        .set_route(route_to("a", 3, None))
        .await
        .unwrap();
    assert_eq!(
        world.client.known_generation(app()).await.unwrap(),
        Some(Generation(3))
    );
    world
        .client
        .remove_route(app(), Generation(7))
        .await
        .unwrap();
    assert_eq!(
        world.client.known_generation(app()).await.unwrap(),
        Some(Generation(7))
    );
    world.end().await;
}

#[tokio::test]
async fn a_port_of_another_route_is_refused() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut thief = route_to("b", 1, Some(guest.address));
    thief.internal.port = route.public.port;
    assert_eq!(
        code(world.client.set_route(thief).await),
        RefusalCode::PortConflict
    );
    let mut circle = route_to("b", 1, None);
    circle.target = Some(public(&circle));
    assert_eq!(
        code(world.client.set_route(circle).await),
        RefusalCode::TargetIsGateway
    );
    assert_eq!(world.client.list_routes().await.unwrap().routes.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_file() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let (kept, gone) = (
        route_to("a", 3, Some(guest.address)),
        route_to("b", 7, None),
    );
    world.client.set_route(kept.clone()).await.unwrap();
    world.client.set_route(gone.clone()).await.unwrap();
    world
        .client
        .remove_route(gone.app_id.clone(), Generation(8))
        .await
        .unwrap();
    let folder = world.end().await;
    assert_refused(public(&kept)).await;
    let world = World::start_in(folder, |_| {}).await.unwrap();
    greeted_by(public(&kept), "blue").await;
    let list = world.client.list_routes().await.unwrap();
    assert_eq!(list.routes.len(), 1);
    assert_eq!(list.routes[0].route, kept);
    let fenced = next(&gone, None);
    assert_eq!(
        code(world.client.set_route(fenced).await),
        RefusalCode::StaleGeneration
    );
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_done() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    std::fs::create_dir(world.route_file()).unwrap();
    assert_eq!(
        code(world.client.set_route(route.clone()).await),
        RefusalCode::RouteFile
    );
    assert_refused(public(&route)).await;
    assert_eq!(world.client.list_routes().await.unwrap().routes, Vec::new());
    std::fs::remove_dir(world.route_file()).unwrap();
    world.client.set_route(route.clone()).await.unwrap();
    greeted_by(public(&route), "blue").await;
    world.end().await;
}

#[tokio::test]
async fn a_damaged_file_is_kept_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    std::fs::write(&path, "{\"format\":1,").unwrap();
    let world = World::start_in(folder, |_| {}).await.unwrap();
    let hello = world.client.hello().await.unwrap();
    assert_eq!(hello.routes, 0);
    assert_eq!(hello.damaged_route_files.len(), 1);
    let kept = std::fs::read_to_string(&hello.damaged_route_files[0]).unwrap();
    assert_eq!(kept, "{\"format\":1,");
    world.end().await;
}

#[tokio::test]
async fn connections_beyond_a_routes_limit_are_reset_and_places_come_back() {
    let world = World::start_with(|options| options.limits.connections_per_route = 2).await;
    let guest = Guest::echo("blue").await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let one = greeted_by(public(&route), "blue").await;
    let two = greeted_by(internal(&route), "blue").await;
    let mut three = within(TcpStream::connect(public(&route))).await.unwrap();
    assert_reset(&mut three).await;
    let report = world.client.list_routes().await.unwrap().routes.remove(0);
    assert_eq!(
        (report.open_connections, report.totals.refused_at_limit),
        (2, 1)
    );
    drop(one);
    eventually(|| async {
        world.client.list_routes().await.unwrap().routes[0].open_connections == 1
    })
    .await;
    greeted_by(public(&route), "blue").await;
    drop(two);
    world.end().await;
}

#[tokio::test]
async fn the_limit_of_the_whole_gateway_counts_all_routes() {
    let world = World::start_with(|options| options.limits.connections = 1).await;
    let guest = Guest::echo("blue").await;
    let routes = [
        route_to("a", 1, Some(guest.address)),
        route_to("b", 1, Some(guest.address)),
    ];
    for route in &routes {
        world.client.set_route(route.clone()).await.unwrap();
    }
    let _one = greeted_by(public(&routes[0]), "blue").await;
    let mut two = within(TcpStream::connect(public(&routes[1])))
        .await
        .unwrap();
    assert_reset(&mut two).await;
    let hello = world.client.hello().await.unwrap();
    assert_eq!((hello.open_connections, hello.max_connections), (1, 1));
    drop(_one);
    world.end().await;
}

#[tokio::test]
async fn the_table_has_a_limit() {
    let world = World::start_with(|options| options.limits.routes = 1).await;
    world
        .client
        .set_route(route_to("a", 1, None))
        .await
        .unwrap();
    let beyond = world.client.set_route(route_to("b", 1, None)).await;
    assert_eq!(code(beyond), RefusalCode::TooManyRoutes);
    world.end().await;
}
