//! Which routes are kept, and where they lead.

use proximity_domain::ports::PortPair;

use super::*;

fn ours() -> Mac {
    "BC:24:11:00:00:01".parse().unwrap()
}

/// What is used of a device of ours with these addresses.
fn used(addresses: &[&str], on_this_machine: bool) -> Option<String> {
    let device = Interface {
        name: "eth0".to_owned(),
        mac: Some(ours()),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    };
    let address = usable_address(&[device], ours(), on_this_machine);
    address.map(|a| a.to_string())
}

#[test]
fn an_app_that_is_updated_is_led_to_and_no_other_that_is_worked_on() {
    let needs = |status| {
        let app = RoutedApp {
            id: AppId(uuid::Uuid::from_u128(1)),
            host: HostId(uuid::Uuid::from_u128(2)),
            node: "pve1".parse().unwrap(),
            status,
            guest_port: 8080,
            exposed: true,
            has_url: true,
            site: None,
            worked_on: true,
        };
        need(&app, None, None)
    };
    assert_eq!(needs(StatusLabel::Updating), Some(Need::Mend));
    for status in [
        StatusLabel::Running,
        StatusLabel::Stopped,
        StatusLabel::Deploying,
        StatusLabel::Removing,
    ] {
        assert_eq!(needs(status), None, "{status:?}");
    }
}

/// How long it is waited for the next sweep, and whether that looks at everything.
async fn waited(commits: &watch::Sender<u64>, rest: Option<&Rest>) -> (Duration, bool) {
    let begun = Instant::now();
    let is_whole = pause(commits.subscribe(), rest).await;
    (begun.elapsed(), is_whole)
}

#[tokio::test(start_paused = true)]
async fn the_gateway_is_asked_once_a_minute_while_it_leads_nowhere_and_nothing_is_written() {
    let (commits, _) = watch::channel(7);
    let mut rest = Rest {
        commit: 7,
        routes: Vec::new(),
    };
    let whole = (WHOLE_EVERY * EVERY, true);
    assert_eq!(waited(&commits, None).await, (EVERY, false));
    assert_eq!(waited(&commits, Some(&rest)).await, whole);
    let writes = async {
        sleep(EVERY * 5 / 2).await;
        commits.send_replace(8);
    };
    let (waited_for, ()) = tokio::join!(waited(&commits, Some(&rest)), writes);
    assert_eq!(waited_for, (3 * EVERY, false));
    assert_eq!(waited(&commits, Some(&rest)).await, (EVERY, false));
    rest.commit = 8;
    assert_eq!(waited(&commits, Some(&rest)).await, whole);
    rest.routes.push(RouteView {
        app: AppId(uuid::Uuid::from_u128(1)),
        installation: None,
        ports: PortPair {
            public: 10_000,
            internal: 21_000,
        },
        target: None,
        listening: true,
        trouble: None,
        dial_failures: 0,
        name: LedName::Nobody,
    });
    assert_eq!(waited(&commits, Some(&rest)).await, (EVERY, false));
}

#[test]
fn no_loopback_address_is_used_whatever_it_is_written_as() {
    for address in [
        "127.0.0.1",
        "127.64.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:127.64.0.1",
        "0.0.0.0",
        "::ffff:0.0.0.0",
        "::",
        "169.254.1.1",
        "::ffff:169.254.1.1",
        "fe80::1",
    ] {
        assert_eq!(used(&[address], false), None, "{address}");
    }
}

#[test]
fn a_cluster_on_this_machine_gives_its_guests_a_part_of_the_loopback_network() {
    for (address, usable) in [
        ("127.64.0.1", true),
        ("127.127.255.254", true),
        ("::ffff:127.64.0.1", true),
        ("127.63.255.255", false),
        ("127.128.0.1", false),
        ("127.0.0.1", false),
        ("::ffff:127.0.0.1", false),
        ("::1", false),
    ] {
        assert_eq!(used(&[address], true).is_some(), usable, "{address}");
    }
}

#[test]
fn the_address_is_ipv4_first_and_of_our_device() {
    let both = ["fd00::5", "fe80::1", "10.1.0.5"];
    assert_eq!(used(&both, false).as_deref(), Some("10.1.0.5"));
    assert_eq!(used(&both[..2], false).as_deref(), Some("fd00::5"));
    let mapped = used(&["::ffff:10.1.0.6"], false);
    assert_eq!(mapped.as_deref(), Some("10.1.0.6"));
    let other = Interface {
        name: "eth1".to_owned(),
        mac: Some("BC:24:11:00:00:02".parse().unwrap()),
        addresses: vec!["10.1.0.7".parse().unwrap()],
    };
    assert_eq!(usable_address(&[other], ours(), false), None);
}
