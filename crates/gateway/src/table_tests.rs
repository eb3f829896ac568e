use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::route::Endpoint;

const BINDS: DefaultBinds = DefaultBinds {
    public: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    internal: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

fn endpoint(port: u16) -> Endpoint {
    Endpoint::on_default(NonZeroU16::new(port).unwrap())
}

fn route(app: &str, generation: u64, public: u16, internal: u16) -> Route {
    Route {
        app_id: app.parse().unwrap(),
        owner: None,
        generation: Generation(generation),
        public: endpoint(public),
        internal: endpoint(internal),
        target: Some("10.0.0.7:8080".parse().unwrap()),
    }
}

fn with(table: &RouteTable, route: Route) -> Result<RouteTable, RefusalCode> {
    let next = table
        .with(route, BINDS, 3)
        .map_err(|refusal| refusal.code)?;
    Ok(next.unwrap_or_else(|| table.clone()))
}

fn one() -> RouteTable {
    with(&RouteTable::default(), route("a", 5, 8100, 9100)).unwrap()
}

#[test]
fn an_older_or_equal_generation_is_refused_but_a_repetition_is_not() {
    let table = one();
    assert_eq!(table.with(route("a", 5, 8100, 9100), BINDS, 3), Ok(None));
    for generation in [4, 5] {
        let refused = with(&table, route("a", generation, 8101, 9101));
        assert_eq!(refused, Err(RefusalCode::StaleGeneration));
    }
    let newer = with(&table, route("a", 6, 8101, 9101)).unwrap();
    assert_eq!(
        newer.get(&"a".parse().unwrap()).unwrap().public,
        endpoint(8101)
    );
}

#[test]
fn a_removed_route_is_not_brought_back_by_a_delayed_request() {
    let app = "a".parse().unwrap();
    let refused = one().without(&app, Generation(4)).unwrap_err();
    assert_eq!(refused.code, RefusalCode::StaleGeneration);
    let (table, had_route) = one().without(&app, Generation(5)).unwrap();
    assert!(had_route);
    assert_eq!(
        with(&table, route("a", 5, 8100, 9100)),
        Err(RefusalCode::StaleGeneration)
    );
    let (again, had_route) = table.without(&app, Generation(5)).unwrap();
    assert!(!had_route);
    assert_eq!(again, table, "repeating a removal changes nothing");
    let back = with(&table, route("a", 6, 8100, 9100)).unwrap();
    assert_eq!(back.removed(), &[]);
}

#[test]
fn removing_an_unknown_route_fences_it_all_the_same() {
    let app = "a".parse().unwrap();
    let (table, had_route) = RouteTable::default().without(&app, Generation(7)).unwrap();
    assert!(!had_route);
    assert_eq!(
        with(&table, route("a", 7, 8100, 9100)),
        Err(RefusalCode::StaleGeneration)
    );
}

#[test]
fn a_port_has_one_holder() {
    let table = one();
    for (public, internal) in [
        (8100, 9101),
        (8101, 9100),
        (9100, 9101),
        (8101, 8100),
        (7000, 7000),
    ] {
        let refused = with(&table, route("b", 1, public, internal));
        assert_eq!(
            refused,
            Err(RefusalCode::PortConflict),
            "{public} {internal}"
        );
    }
    let mut elsewhere = route("b", 1, 8101, 9101);
    elsewhere.internal.bind = Some("127.0.0.9".parse().unwrap());
    elsewhere.internal.port = NonZeroU16::new(9100).unwrap();
    assert!(
        with(&table, elsewhere).is_ok(),
        "the same port on two different addresses"
    );
}

#[test]
fn a_pair_may_swap_its_own_ports() {
    assert!(with(&one(), route("a", 6, 9100, 8100)).is_ok());
}

#[test]
fn a_target_inside_the_gateway_is_refused_from_both_ends() {
    let mut circle = route("b", 1, 8101, 9101);
    for own in [
        "127.0.0.1:8100",
        "127.0.0.1:9100",
        "127.0.0.1:8101",
        "0.0.0.0:8101",
    ] {
        circle.target = Some(own.parse().unwrap());
        assert_eq!(
            with(&one(), circle.clone()),
            Err(RefusalCode::TargetIsGateway),
            "{own}"
        );
    }
    circle.target = Some("127.0.0.1:8102".parse().unwrap());
    let table = with(&one(), circle).unwrap();
    let refused = with(&table, route("c", 1, 8102, 9102));
    assert_eq!(refused, Err(RefusalCode::TargetIsGateway));
}

#[test]
fn the_table_is_bounded() {
    let mut table = one();
    table = with(&table, route("b", 1, 8101, 9101)).unwrap();
    table = with(&table, route("c", 1, 8102, 9102)).unwrap();
    let refused = with(&table, route("d", 1, 8103, 9103));
    assert_eq!(refused, Err(RefusalCode::TooManyRoutes));
    assert!(
        with(&table, route("c", 2, 8103, 9103)).is_ok(),
        "a change is no addition"
    );
}

#[test]
fn fences_are_bounded_and_the_oldest_go_first() {
    let mut table = RouteTable::default();
    for n in 0..=MAX_REMOVED {
        table = table
            .without(&format!("a{n}").parse().unwrap(), Generation(1))
            .unwrap()
            .0;
    }
    assert_eq!(table.removed().len(), MAX_REMOVED);
    assert_eq!(table.removed()[0].app_id.as_str(), "a1");
}

#[test]
fn a_table_that_contradicts_itself_is_not_accepted() {
    let fence = Removed {
        app_id: "a".parse().unwrap(),
        generation: Generation(9),
    };
    let twice = vec![route("a", 1, 8100, 9100), route("a", 2, 8101, 9101)];
    assert!(RouteTable::from_parts(twice, Vec::new()).is_err());
    assert!(RouteTable::from_parts(vec![route("a", 1, 8100, 9100)], vec![fence]).is_err());
}

#[derive(Debug, Clone)]
enum Act {
    Set(u8, u64, u16, u16, Option<u16>),
    Remove(u8, u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let set = (
        0..4_u8,
        0..8_u64,
        1..7_u16,
        1..7_u16,
        proptest::option::of(1..7_u16),
    )
        .prop_map(|(app, generation, public, internal, target)| {
            Act::Set(app, generation, public, internal, target)
        });
    let remove = (0..4_u8, 0..8_u64).prop_map(|(app, generation)| Act::Remove(app, generation));
    proptest::collection::vec(prop_oneof![3 => set, 1 => remove], 0..40)
}

fn perform(table: &RouteTable, act: &Act) -> Option<RouteTable> {
    match act {
        Act::Set(app, generation, public, internal, target) => {
            let mut route = route(&app.to_string(), *generation, *public, *internal);
            route.target = target.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            table.with(route, BINDS, 3).ok().flatten()
        }
        Act::Remove(app, generation) => {
            let app = app.to_string().parse().unwrap();
            table
                .without(&app, Generation(*generation))
                .ok()
                .map(|(next, _)| next)
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_the_rules_hold(acts in acts()) {
        let mut table = RouteTable::default();
        for act in &acts {
            let Some(next) = perform(&table, act) else { continue };
            let apps: Vec<AppId> = (0..4).map(|n| n.to_string().parse().unwrap()).collect();
            for app in &apps {
                prop_assert!(next.known_generation(app) >= table.known_generation(app));
            }
            let listened: Vec<SocketAddr> =
                next.routes().flat_map(|route| BINDS.addresses(route)).collect();
            for (n, one) in listened.iter().enumerate() {
                prop_assert!(listened[n + 1..].iter().all(|other| !overlap(*one, *other)));
                for target in next.routes().filter_map(|route| route.target) {
                    prop_assert!(!reaches(*one, target));
                }
            }
            let parts = (next.routes().cloned().collect(), next.removed().to_vec());
            prop_assert_eq!(RouteTable::from_parts(parts.0, parts.1), Ok(next.clone()));
            table = next;
        }
    }
}
