use super::*;

fn wish(change: impl FnOnce(&mut NetworkWish)) -> Result<Network, BadNetwork> {
    let mut wish = NetworkWish::default();
    change(&mut wish);
    wish.check()
}

fn v4(address: &str, gateway: Option<&str>) -> Result<Network, BadNetwork> {
    wish(|it| {
        it.ipv4 = Some(address.to_owned());
        it.gateway = gateway.map(str::to_owned);
    })
}

fn v6(address: &str, gateway: Option<&str>) -> Result<Network, BadNetwork> {
    wish(|it| {
        it.ipv6 = Some(address.to_owned());
        it.gateway6 = gateway.map(str::to_owned);
    })
}

#[test]
fn nothing_asked_for_is_dhcp_on_the_hosts_bridge() {
    let network = NetworkWish::default().check().unwrap();
    assert_eq!(network, Network::default());
    assert!(network.given().is_empty());
    let kept = serde_json::to_value(&network).unwrap();
    assert_eq!(kept["ipv4"]["by"], "dhcp");
    assert_eq!(serde_json::from_value::<Network>(kept).unwrap(), network);
    let before: Network = serde_json::from_str("{}").unwrap();
    assert_eq!(before, network);
}

#[test]
fn everything_that_is_given_is_kept() {
    let network = wish(|it| {
        it.bridge = Some("vmbr1".to_owned());
        it.vlan = Some(30);
        it.ipv4 = Some("192.0.2.10/24".to_owned());
        it.gateway = Some("192.0.2.1".to_owned());
        it.ipv6 = Some("2001:db8::10/64".to_owned());
        it.gateway6 = Some("fe80::1".to_owned());
        it.dns = vec!["192.0.2.53".to_owned(), "2001:db8::53".to_owned()];
        it.search = Some("lab.example.org".to_owned());
    })
    .unwrap();
    let given: Vec<IpAddr> = ["192.0.2.10", "2001:db8::10"]
        .map(|text| text.parse::<IpAddr>().unwrap())
        .to_vec();
    assert_eq!(network.given(), given);
    assert_eq!((network.vlan, network.dns.len()), (Some(30), 2));
    let kept = serde_json::to_string(&network).unwrap();
    assert_eq!(serde_json::from_str::<Network>(&kept).unwrap(), network);
}

#[test]
fn addresses_that_no_container_can_have_are_refused() {
    for (address, gateway) in [
        ("192.0.2.10/24", Some("192.0.2.1")),
        ("192.0.2.10/31", Some("198.51.100.1")),
        ("192.0.2.10/32", None),
        ("10.0.0.1/8", Some("10.255.0.1")),
    ] {
        assert!(v4(address, gateway).is_ok(), "{address} {gateway:?}");
    }
    for (address, gateway, field) in [
        ("192.0.2.10", None, "ipv4"),
        ("192.0.2.10/33", None, "ipv4"),
        ("192.0.2.10/7", None, "ipv4"),
        ("192.0.2.10/+24", None, "ipv4"),
        ("192.0.2.010/24", None, "ipv4"),
        ("192.0.2.0/24", None, "ipv4"),
        ("192.0.2.255/24", None, "ipv4"),
        ("127.0.0.2/8", None, "ipv4"),
        ("224.0.0.5/24", None, "ipv4"),
        ("169.254.1.1/16", None, "ipv4"),
        ("255.255.255.255/32", None, "ipv4"),
        ("auto", None, "ipv4"),
        ("2001:db8::1/64", None, "ipv4"),
        ("192.0.2.10/24", Some("198.51.100.1"), "gateway"),
        ("192.0.2.10/24", Some("192.0.2.10"), "gateway"),
        ("192.0.2.10/24", Some("router"), "gateway"),
        ("dhcp", Some("192.0.2.1"), "gateway"),
    ] {
        let refused = v4(address, gateway).unwrap_err();
        assert_eq!(refused.field, field, "{address} {gateway:?}: {refused}");
    }
    for good in ["none", "auto", "dhcp", "2001:db8::10/64"] {
        assert!(v6(good, None).is_ok(), "{good}");
    }
    for (address, gateway, field) in [
        ("2001:db8::10", None, "ipv6"),
        ("2001:db8::10/129", None, "ipv6"),
        ("::1/64", None, "ipv6"),
        ("ff02::1/64", None, "ipv6"),
        ("fe80::10/64", None, "ipv6"),
        ("::ffff:192.0.2.10/120", None, "ipv6"),
        ("192.0.2.10/24", None, "ipv6"),
        ("2001:db8::10/64", Some("2001:db8:1::1"), "gateway6"),
        ("auto", Some("2001:db8::1"), "gateway6"),
    ] {
        let refused = v6(address, gateway).unwrap_err();
        assert_eq!(refused.field, field, "{address} {gateway:?}: {refused}");
    }
}

/// One rule of a wish broken.
type Breaks = fn(&mut NetworkWish);

#[test]
fn other_fields_have_their_rules() {
    let cases: [(Breaks, &str); 8] = [
        (|it| it.vlan = Some(0), "vlan"),
        (|it| it.vlan = Some(4095), "vlan"),
        (|it| it.bridge = Some("vm br".to_owned()), "bridge"),
        (|it| it.dns = vec!["dns.example.org".to_owned()], "dns"),
        (|it| it.dns = vec!["192.0.2.1".to_owned(); 4], "dns"),
        (|it| it.search = Some("-a.org".to_owned()), "search"),
        (|it| it.search = Some("a..org".to_owned()), "search"),
        (|it| it.search = Some(String::new()), "search"),
    ];
    for (breaks, field) in cases {
        let refused = wish(breaks).unwrap_err();
        assert_eq!(refused.field, field, "{refused}");
    }
}

#[test]
fn an_address_that_somebody_has_is_named_with_who_has_it() {
    let holder = |app: &str, addresses: &[&str]| Holder {
        app: Some(app.to_owned()),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let holders = [
        holder("web", &["192.0.2.10", "fe80::1"]),
        holder("db", &["192.0.2.11"]),
    ];
    let given = v4("192.0.2.11/24", None).unwrap().given();
    let taken = conflict(&given, &holders).unwrap();
    assert_eq!(taken.to_string(), "the address 192.0.2.11 is that of db");
    let free = v4("192.0.2.12/24", None).unwrap().given();
    assert_eq!(conflict(&free, &holders), None);
    assert_eq!(conflict(&[], &holders), None);
}

#[test]
fn who_has_an_address_is_kept_from_those_who_may_not_see_it() {
    let given = v4("192.0.2.11/24", None).unwrap().given();
    let hidden = Holder {
        app: None,
        addresses: given.clone(),
    };
    let taken = conflict(&given, &[hidden]).unwrap();
    assert_eq!(taken.to_string(), "the address 192.0.2.11 is taken");
}

#[test]
fn a_network_in_words_is_the_one_that_was_asked_for() {
    let usual = Network::default();
    assert!(usual.is_usual());
    assert_eq!(usual.words().check().unwrap(), usual);
    let asked = NetworkWish {
        bridge: Some("vmbr1".to_owned()),
        vlan: Some(30),
        ipv4: Some("192.0.2.10/24".to_owned()),
        gateway: Some("192.0.2.1".to_owned()),
        ipv6: Some("2001:db8::10/64".to_owned()),
        gateway6: Some("fe80::1".to_owned()),
        dns: vec!["192.0.2.53".to_owned()],
        search: Some("lab.example.org".to_owned()),
    };
    let network = asked.check().unwrap();
    assert!(!network.is_usual());
    assert_eq!(network.words(), asked);
    for ipv6 in ["none", "auto", "dhcp"] {
        let wish = NetworkWish {
            ipv6: Some(ipv6.to_owned()),
            ..NetworkWish::default()
        };
        let network = wish.check().unwrap();
        assert_eq!(network.words().check().unwrap(), network);
    }
}

#[test]
fn containers_of_two_host_entries_meet_where_both_say_that_they_share_a_network() {
    let host = |n: u128| HostId(uuid::Uuid::from_u128(n));
    let (home, other): (LanName, LanName) = ("home".parse().unwrap(), "other".parse().unwrap());
    let (vmbr0, vmbr1): (BridgeName, BridgeName) =
        ("vmbr0".parse().unwrap(), "vmbr1".parse().unwrap());
    let one = Segment {
        host: host(1),
        lan: Some(&home),
        bridge: &vmbr0,
        vlan: Some(30),
    };
    let there = Segment {
        host: host(2),
        ..one
    };
    assert!(one.meets(&there) && there.meets(&one));
    for apart in [
        Segment { lan: None, ..there },
        Segment {
            lan: Some(&other),
            ..there
        },
        Segment {
            bridge: &vmbr1,
            ..there
        },
        Segment {
            vlan: None,
            ..there
        },
    ] {
        assert!(!one.meets(&apart) && !apart.meets(&one), "{apart:?}");
    }
    let unnamed = Segment { lan: None, ..one };
    let (here, beside) = (
        Segment {
            vlan: None,
            ..unnamed
        },
        Segment { lan: None, ..there },
    );
    assert!(
        unnamed.meets(&here),
        "of one host entry every address is one app's"
    );
    assert!(
        !unnamed.meets(&beside),
        "two that say nothing share nothing"
    );
}
