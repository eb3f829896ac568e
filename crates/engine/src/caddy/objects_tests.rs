//! What is sent to Caddy, played against a configuration that takes it as Caddy does.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const OURS: InstallationId =
    InstallationId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const APP: AppId = AppId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));

fn site(name: &str, with_files: bool) -> Site {
    Site {
        name: name.parse().unwrap(),
        certificate: with_files.then(|| CertificateFiles {
            cert_file: "/tls/cert.pem".to_owned(),
            key_file: "/tls/key.pem".to_owned(),
        }),
    }
}

fn target() -> SocketAddr {
    "10.0.0.5:80".parse().unwrap()
}

fn wanted(site: Option<&Site>) -> Wanted<'_> {
    Wanted {
        installation: OURS,
        app: APP,
        server: "srv0",
        site: site.map(|site| (site, target())),
    }
}

/// Somebody's configuration: one route for a name of theirs, and one that takes every request.
fn theirs() -> Value {
    json!({
        "admin": { "listen": "localhost:2019" },
        "apps": { "http": { "servers": { "srv0": {
            "listen": [":443"],
            "routes": [
                { "match": [{ "host": ["wiki.example.org"] }], "handle": [{ "handler": "static_response", "body": "theirs" }] },
                { "handle": [{ "handler": "static_response", "status_code": 404 }] },
            ],
        } } } },
    })
}

/// As Caddy does it (`unsyncedConfigAccess` in its admin.go); panics at what it would refuse.
fn take(config: &mut Value, change: &Change) {
    if let Some(id) = change.path.strip_prefix("/id/") {
        let place = place_of(config, id, String::new()).unwrap();
        let (list, index) = place.rsplit_once('/').unwrap();
        let index: usize = index.parse().unwrap();
        let list = config.pointer_mut(list).unwrap().as_array_mut().unwrap();
        match change.verb {
            Verb::Patch => list[index] = change.body.clone().unwrap(),
            Verb::Delete => drop(list.remove(index)),
            Verb::Post | Verb::Put => panic!("{change:?}"),
        }
        return;
    }
    let path = change.path.strip_prefix("/config/").unwrap();
    let body = change.body.clone().unwrap();
    let (parents, last) = path.rsplit_once('/').unwrap();
    let mut at = config;
    for part in parents.split('/') {
        if at.get(part).is_none() {
            assert_eq!(
                change.verb,
                Verb::Put,
                "nothing else makes what is around it"
            );
            at[part] = json!({});
        }
        at = &mut at[part];
    }
    match (change.verb, at) {
        (Verb::Put, Value::Array(list)) => list.insert(last.parse().unwrap(), body),
        (Verb::Put, Value::Object(map)) => {
            assert!(!map.contains_key(last), "key already exists");
            map.insert(last.to_owned(), body);
        }
        (Verb::Post, Value::Object(map)) => match map.get_mut(last) {
            Some(Value::Array(list)) => list.push(body),
            _ => drop(map.insert(last.to_owned(), body)),
        },
        (verb, at) => panic!("{verb:?} at {at}"),
    }
}

fn place_of(value: &Value, id: &str, at: String) -> Option<String> {
    if id_of(value) == Some(id) {
        return Some(at);
    }
    match value {
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| place_of(value, id, format!("{at}/{key}"))),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, value)| place_of(value, id, format!("{at}/{index}"))),
        _ => None,
    }
}

/// Makes all changes, and gives what was made of the configuration with how many there were.
fn bring(config: Value, wanted: &Wanted<'_>) -> (Value, usize) {
    let mut seen = Seen(config);
    for count in 0..10 {
        match next(&seen, wanted).unwrap() {
            Some(change) => take(&mut seen.0, &change),
            None => return (seen.0, count),
        }
    }
    panic!("it comes to no end: {}", seen.0);
}

/// Everything that is not ours, in its order.
fn foreign(config: &Value) -> Value {
    match config {
        Value::Array(list) => list
            .iter()
            .filter(|value| !id_of(value).is_some_and(|id| id.starts_with("proximity-")))
            .map(foreign)
            .collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| *key != "tls");
            Value::Object(
                kept.map(|(key, value)| (key.clone(), foreign(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

#[test]
fn what_is_sent_is_this() {
    let blog = site("blog.example.org", true);
    let mut seen = Seen(theirs());
    let first = next(&seen, &wanted(Some(&blog))).unwrap().unwrap();
    let id = "proximity-01900000-0000-7000-8000-000000000001-01900000-0000-7000-8000-000000000002";
    assert_eq!((first.verb, first.path.as_str()), (Verb::Put, FILES));
    let certificate = format!("{id}-certificate");
    let file = json!({
        "@id": certificate,
        "certificate": "/tls/cert.pem",
        "key": "/tls/key.pem",
        "tags": [certificate],
    });
    assert_eq!(first.body, Some(json!([file])));
    take(&mut seen.0, &first);
    let second = next(&seen, &wanted(Some(&blog))).unwrap().unwrap();
    let path = "/config/apps/http/servers/srv0/routes/0";
    assert_eq!((second.verb, second.path.as_str()), (Verb::Put, path));
    let route = json!({
        "@id": id,
        "match": [{ "host": ["blog.example.org"] }],
        "handle": [{ "handler": "reverse_proxy", "upstreams": [{ "dial": "10.0.0.5:80" }] }],
        "terminal": true,
    });
    assert_eq!(second.body, Some(route));
    take(&mut seen.0, &second);
    assert_eq!(
        next(&seen, &wanted(Some(&blog))),
        Ok(None),
        "it is as wanted"
    );
    let led = names(&seen, OURS, "srv0");
    let (site, target) = (blog, target());
    assert_eq!(led, BTreeMap::from([(APP, LedName::As { site, target })]));
    assert!(names(&seen, InstallationId(Uuid::from_u128(9)), "srv0").is_empty());
}

#[test]
fn what_others_have_is_as_it_was_whatever_is_changed() {
    let mut config = theirs();
    let wishes = [
        Some(site("blog.example.org", false)),
        Some(site("blog.example.org", true)),
        Some(site("other.example.org", true)),
        Some(site("other.example.org", false)),
        None,
    ];
    for wish in wishes.iter().chain(wishes.iter().rev()) {
        let (next, _) = bring(config, &wanted(wish.as_ref()));
        assert_eq!(foreign(&next), foreign(&theirs()));
        let led = names(&Seen(next.clone()), OURS, "srv0");
        match wish {
            Some(site) => {
                let (site, target) = (site.clone(), target());
                assert_eq!(led.get(&APP), Some(&LedName::As { site, target }));
            }
            None => assert!(led.is_empty(), "{led:?}"),
        }
        config = next;
    }
}

#[test]
fn a_server_without_routes_gets_a_list_of_them_and_one_that_is_not_there_none() {
    let blog = site("blog.example.org", false);
    let mut config = theirs();
    config["apps"]["http"]["servers"]["srv0"] = json!({ "listen": [":443"] });
    let (made, changes) = bring(config, &wanted(Some(&blog)));
    assert_eq!(changes, 1);
    assert_eq!(
        made["apps"]["http"]["servers"]["srv0"]["routes"][0]["terminal"],
        true
    );
    let other = Wanted {
        server: "srv1",
        ..wanted(Some(&blog))
    };
    let refused = next(&Seen(theirs()), &other).unwrap_err();
    assert_eq!(refused, "it has no server \"srv1\"; it has: srv0");
    let refused = next(&Seen(Value::Null), &other).unwrap_err();
    assert_eq!(refused, "it has no server \"srv1\", nor any other");
    // Nothing is there, and nothing is wanted.
    let none = Wanted {
        site: None,
        ..other
    };
    assert_eq!(next(&Seen(Value::Null), &none), Ok(None));
}

#[test]
fn a_name_that_somebody_else_has_there_is_not_taken() {
    for (name, whose) in [
        ("wiki.example.org", "the route with index 0"),
        ("blog.example.org", "the route mine"),
    ] {
        let mut config = theirs();
        let routes = &mut config["apps"]["http"]["servers"]["srv0"]["routes"];
        routes[1] = json!({ "@id": "mine", "match": [{ "path": ["/"] }, { "host": ["a.b", "Blog.Example.org"] }] });
        let refused = next(&Seen(config), &wanted(Some(&site(name, true)))).unwrap_err();
        assert_eq!(
            refused,
            format!("{whose} of its server srv0 has the host name {name}")
        );
    }
}

#[test]
fn what_was_changed_or_is_there_twice_is_put_right() {
    let blog = site("blog.example.org", true);
    let (whole, _) = bring(theirs(), &wanted(Some(&blog)));
    let route = "/apps/http/servers/srv0/routes";
    let files = "/apps/tls/certificates/load_files";
    let meddle: [&dyn Fn(&mut Value); 6] = [
        &|config| config.pointer_mut(route).unwrap()[0]["handle"] = json!([]),
        &|config| config.pointer_mut(route).unwrap()[0]["terminal"] = json!(false),
        &|config| {
            drop(
                config
                    .pointer_mut(files)
                    .unwrap()
                    .as_array_mut()
                    .unwrap()
                    .pop(),
            )
        },
        &|config| config.pointer_mut(files).unwrap()[0]["key"] = json!("/other"),
        &|config| {
            let routes = config.pointer_mut(route).unwrap().as_array_mut().unwrap();
            routes.push(routes[0].clone());
        },
        &|config| {
            let ours = config
                .pointer_mut(route)
                .unwrap()
                .as_array_mut()
                .unwrap()
                .remove(0);
            config["apps"]["http"]["servers"]["other"] = json!({ "routes": [ours] });
        },
    ];
    for (index, meddle) in meddle.iter().enumerate() {
        let mut config = whole.clone();
        meddle(&mut config);
        let led = names(&Seen(config.clone()), OURS, "srv0");
        let (site, target) = (blog.clone(), target());
        let right = LedName::As { site, target };
        assert_ne!(led.get(&APP), Some(&right), "{index}");
        let (mended, changes) = bring(config, &wanted(Some(&blog)));
        assert!((1..=2).contains(&changes), "{index}: {changes}");
        assert_eq!(
            names(&Seen(mended.clone()), OURS, "srv0").get(&APP),
            Some(&right)
        );
        let other = mended.pointer("/apps/http/servers/other/routes");
        assert!(other.is_none_or(|routes| routes == &json!([])));
    }
}

#[test]
fn only_whole_ids_of_this_installation_are_ours() {
    let id = route_id(OURS, APP);
    assert_eq!(app_of(OURS, &id), Some(APP));
    assert_eq!(app_of(OURS, &format!("{id}-certificate")), Some(APP));
    for other in [
        id.to_uppercase(),
        format!("{id}-x"),
        format!("{id}-certificate-certificate"),
        format!("proximity-{OURS}-"),
        format!("proximity-{OURS}-{}", APP.0.simple()),
        route_id(InstallationId(Uuid::from_u128(9)), APP),
        "mine".to_owned(),
    ] {
        assert_eq!(app_of(OURS, &other), None, "{other}");
    }
}

proptest! {
    /// Whatever is in the configuration, nothing panics, and a change is of ours alone.
    #[test]
    fn any_configuration_is_read(text in "[\\[\\]{}:,\"a@id0-9 ]{0,80}", wrap in 0_usize..3) {
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let config = match wrap {
            0 => value,
            1 => json!({ "apps": { "http": { "servers": { "srv0": { "routes": value } } } } }),
            _ => json!({ "apps": { "http": { "servers": { "srv0": { "routes": [value] } } }, "tls": { "certificates": null } } }),
        };
        let seen = Seen(config);
        prop_assert!(names(&seen, OURS, "srv0").is_empty());
        let blog = site("blog.example.org", true);
        if let Ok(Some(change)) = next(&seen, &wanted(Some(&blog))) {
            prop_assert!(matches!(change.verb, Verb::Put | Verb::Post));
            prop_assert!(change.path == FILES || change.path.starts_with("/config/apps/http/servers/srv0/routes"));
        }
    }
}
