use std::path::Path;
use std::time::Duration;

use confique::{Config, Layer};
use proximity_domain::retention::Retention;

use super::load::{merged, parse};
use super::{Range, Settings};
use crate::failed::Failed;

fn from_file(text: &str) -> Result<Settings, Failed> {
    let none = <Settings as Config>::Layer::empty();
    merged(none, parse(Path::new("config.yaml"), text)?)
}

fn refused(text: &str) -> String {
    from_file(text).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let settings = from_file("").unwrap().complete();
    insta::assert_snapshot!(serde_saphyr::to_string(&settings).unwrap());
}

#[test]
fn an_empty_file_and_one_with_comments_only_are_fine() {
    for text in ["", "\n", "# nothing\n", "---\n# nothing\n"] {
        assert!(from_file(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_file_is_laid_over_the_defaults() {
    let settings = from_file("data_dir: /srv/p\nports:\n  public: 20000-20099\n").unwrap();
    assert_eq!(settings.database_file(), Path::new("/srv/p/proximity.db"));
    assert_eq!(
        settings.route_file(),
        Path::new("/srv/p/gateway/routes.json")
    );
    assert_eq!(settings.ports.public.to_string(), "20000-20099");
    assert_eq!(settings.ports.internal.to_string(), "9100-9999");
}

#[test]
fn the_janitor_is_given_what_is_set() {
    let settings = from_file("janitor:\n  every_minutes: 5\n  removing_minutes: 90\n").unwrap();
    let limits = settings.janitor.limits();
    assert_eq!(settings.janitor.every(), Duration::from_secs(300));
    assert_eq!(
        (limits.removing_ms, limits.deploying_ms),
        (5_400_000, 3_600_000)
    );
}

#[test]
fn what_is_kept_is_what_is_set_and_0_is_no_bound() {
    let day_ms = 24 * 60 * 60 * 1000;
    let kept = |text: &str| from_file(text).unwrap().retention.kept();
    assert_eq!(kept(""), Retention::default());
    let set = kept("retention: {event_days: 2, events: 0, operation_days: 0, operations: 7}\n");
    assert_eq!(
        (set.events.age_ms, set.events.most),
        (Some(2 * day_ms), None)
    );
    assert_eq!(
        (set.operations.age_ms, set.operations.most),
        (None, Some(7))
    );
    let set = kept("retention: {snapshot_days: 1, snapshots: 0}\n").snapshots;
    assert_eq!((set.age_ms, set.most), (Some(day_ms), None));
    let often = from_file("retention:\n  every_seconds: 5\n").unwrap();
    assert_eq!(often.retention.every(), Duration::from_secs(5));
}

#[test]
fn what_is_written_is_read_back() {
    let settings = from_file("api:\n  listen: 127.0.0.1:7000\n")
        .unwrap()
        .complete();
    let text = serde_saphyr::to_string(&settings).unwrap();
    let again = from_file(&text).unwrap();
    assert_eq!(serde_saphyr::to_string(&again).unwrap(), text);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let texts = [
        "data_dri: /srv\n",
        "api:\n  listen: 7640\n",
        "api:\n  listn: 127.0.0.1:1\n",
        "ports:\n  public: 9000-8000\n",
        "log:\n  format: xml\n",
        "engine:\n  operations: many\n",
        "api: [\n",
    ];
    let mut all = String::new();
    for text in texts {
        let said = refused(text);
        let database = text.starts_with("database");
        assert!(!database || !said.contains("swordfish"), "{said}");
        all.push_str(&format!("--- {text}{said}\n\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let texts = [
        "api:\n  listen: 0.0.0.0:7640\n",
        "api:\n  tls_cert_file: /c.pem\n",
        "ports:\n  public: 8100-9200\n",
        "api:\n  listen: 127.0.0.1:8100\n",
        "engine:\n  operations: 0\n",
        "database:\n  url: mysql://a@b/c\n",
        "database:\n  url: memory\n",
        "database:\n  url: postgres://a:swordfish@b/c\n",
        "database:\n  url: postgres://a@b/c?password=swordfish\n",
        "database:\n  url: postgres://a@corp:swordfish@b/c\n",
        "database:\n  url: postgres://b/c\n",
        "database:\n  url: postgres://a@b\n",
        "database:\n  url: postgres://a@b/c\n",
        "database:\n  password_file: /p\n",
        "janitor:\n  every_minutes: 0\n",
        "janitor:\n  removing_minutes: 10081\n",
        "retention:\n  event_days: 36501\n",
        "retention:\n  events: 99\n",
        "retention:\n  every_seconds: 0\n",
        "log:\n  file: /l/p.log\ngateway:\n  log_file: /l//p.log\n",
        "ingress:\n  driver: caddy\n",
        "ingress:\n  caddy:\n    admin: http://192.0.2.1:2019\n",
        "ingress:\n  caddy:\n    server: a/b\n",
        "ingress:\n  caddy:\n    address: 0.0.0.0:443\n",
    ];
    let mut all = String::new();
    for text in texts {
        let said = refused(text);
        let database = text.starts_with("database");
        assert!(!database || !said.contains("swordfish"), "{said}");
        all.push_str(&format!("--- {text}{said}\n\n"));
    }
    insta::assert_snapshot!(all);
    for text in [
        "api:\n  listen: 0.0.0.0:7640\n  insecure_http: true\n",
        "api:\n  listen: 192.0.2.1:7640\n  tls_cert_file: /c.pem\n  tls_key_file: /k.pem\n",
        "api:\n  listen: '[::1]:7640'\n",
        "database:\n  url: postgres://a@b:5433/c?sslmode=verify-full\n  password_file: /p\n",
        "database:\n  url: sqlite\n",
        "database:\n  url: postgres://a@127.0.0.1/c\n",
        "database:\n  url: postgres://a@b/c?sslmode=disable\n",
    ] {
        assert!(from_file(text).is_ok(), "{text}");
    }
}

/// Two processes must not write to one file.
#[test]
fn the_gateway_logs_beside_the_server() {
    let file = |text: &str| {
        let whole = from_file(text).unwrap().complete();
        whole
            .gateway
            .log_file
            .map(|file| file.display().to_string())
    };
    for (server, gateway) in [
        ("/l/proximity.log", "/l/proximity-gateway.log"),
        ("/l/proximity.json.log", "/l/proximity.json-gateway.log"),
        ("/l/proximity", "/l/proximity-gateway"),
        ("/l/.log", "/l/.log-gateway"),
        ("p.log", "p-gateway.log"),
    ] {
        let text = format!("log:\n  file: {server}\n");
        assert_eq!(file(&text).as_deref(), Some(gateway), "{server}");
    }
    let named = "gateway:\n  log_file: /g.log\n";
    assert_eq!(file(named).as_deref(), Some("/g.log"));
    let both = format!("log:\n  file: /l/p.log\n{named}");
    assert_eq!(file(&both).as_deref(), Some("/g.log"));
    assert_eq!(file(""), None);
}

#[test]
fn the_url_of_the_commands_follows_the_listener() {
    let url = |text: &str| from_file(text).unwrap().url();
    assert_eq!(url(""), "http://127.0.0.1:7640");
    assert_eq!(
        url("api:\n  listen: 0.0.0.0:80\n  insecure_http: true\n"),
        "http://127.0.0.1:80"
    );
    assert_eq!(
        url("api:\n  listen: '[::]:443'\n  tls_cert_file: /c\n  tls_key_file: /k\n"),
        "https://[::1]:443"
    );
    assert_eq!(
        url("client:\n  url: https://p.example\n"),
        "https://p.example"
    );
}

#[test]
fn ranges_are_written_first_to_last() {
    for good in ["1-1", "8100-8999", " 8100 - 8999 "] {
        assert!(good.parse::<Range>().is_ok(), "{good}");
    }
    for bad in ["", "8100", "0-10", "9-8", "a-b", "1-65536", "-1-5"] {
        assert!(bad.parse::<Range>().is_err(), "{bad}");
    }
}

const MAIL: &str = "smtp: {host: mail.example.org, from: a@example.org, to: [b@example.org]";

/// One channel named `mail`, and what follows below `notify`.
fn notify(channel: &str, more: &str) -> String {
    format!("notify:\n  channels:\n    mail: {{{channel}}}\n{more}")
}

#[test]
fn channels_are_read_and_written_back() {
    let text = notify(
        &format!("{MAIL}, user: u, password: 'file:/etc/p'}}, per_minute: 5"),
        "  routes:\n    info: [mail]\n  quiet_hours: 22:00-07:00\n",
    );
    let settings = from_file(&text).unwrap().complete();
    let written = serde_saphyr::to_string(&settings).unwrap();
    let again = from_file(&written).unwrap();
    assert_eq!(serde_saphyr::to_string(&again).unwrap(), written);
    let mail = &again.notify.channels["mail"];
    assert_eq!((mail.per_minute, mail.quiet_hours), (5, true));
}

#[test]
fn mistakes_in_channels_are_named_and_secrets_are_not_repeated() {
    let cases = [
        (
            notify(&format!("{MAIL}, user: u, password: hunter2}}"), ""),
            "mail has a secret that is written out",
        ),
        (
            notify(&format!("{MAIL}, user: u}}"), ""),
            "mail.smtp has only one of user and password",
        ),
        (
            notify(&format!("{MAIL}, tls: none}}"), ""),
            "would cross the network unprotected",
        ),
        (
            notify(
                "ntfy: {topic: ops}, gotify: {url: 'https://x', token: 'env:T'}",
                "",
            ),
            "mail is of 2 kinds",
        ),
        (notify("per_minute: 5", ""), "mail is of 0 kinds"),
        (
            notify("ntfy: {topic: 'a b'}", ""),
            "mail.ntfy.topic is no topic of ntfy",
        ),
        (
            notify("ntfy: {topic: ops}, per_minute: 0", ""),
            "mail.per_minute is 0",
        ),
        (
            notify("sentry: {dsn: 'https://hunter2@sentry.example.org/1'}", ""),
            "mail has a secret that is written out",
        ),
        (
            notify("ntfy: {topic: ops}", "  routes:\n    loud: [mail]\n"),
            "\"loud\", which is no severity",
        ),
        (
            notify("ntfy: {topic: ops}", "  routes:\n    info: [phone]\n"),
            "\"phone\", which is no channel",
        ),
        (
            notify("ntfy: {topic: ops}", "  quiet_hours: 22-7\n"),
            "notify.quiet_hours cannot be used",
        ),
        (
            "notify:\n  channels:\n    Ops Mail: {ntfy: {topic: ops}}\n".to_owned(),
            "a channel named \"Ops Mail\"",
        ),
    ];
    for (text, why) in cases {
        let said = refused(&text);
        assert!(said.contains(why), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn where_traces_go_is_read_and_written_back() {
    let text = "otlp:\n  endpoint: https://traces.example.org\n  headers: {authorization: 'file:/etc/p'}\n  sample_ratio: 0.25\n";
    let settings = from_file(text).unwrap().complete();
    let written = serde_saphyr::to_string(&settings).unwrap();
    let again = from_file(&written).unwrap();
    assert_eq!(serde_saphyr::to_string(&again).unwrap(), written);
    assert!((again.otlp.sample_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(again.otlp.headers["authorization"].0, "file:/etc/p");
}

#[test]
fn mistakes_about_traces_are_named_and_secrets_are_not_repeated() {
    for (text, why) in [
        ("endpoint: 127.0.0.1:4318", "no URL of http or https"),
        ("endpoint: 'http://'", "no URL of http or https"),
        (
            "endpoint: 'https://x.example.org/?key=hunter2'",
            "has more than a path",
        ),
        (
            "endpoint: 'https://me:hunter2@x.example.org'",
            "holds a user or a password",
        ),
        ("headers: {authorization: hunter2}", "is written out"),
        ("headers: {'a b': 'env:A'}", "a header named \"a b\""),
        ("sample_ratio: 1.5", "otlp.sample_ratio is 1.5"),
        ("sample_ratio: -0.1", "otlp.sample_ratio is -0.1"),
    ] {
        let said = refused(&format!("otlp: {{{text}}}\n"));
        assert!(said.contains(why), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(from_file("otlp: {endpoint: 'http://[::1]:4318/otel'}\n").is_ok());
}
