//! Targets and matchers of notifications.

use super::{by, get, said};
use crate::support::seed::cluster;
use crate::support::sim::{Request, Sim};
use serde_json::{Value, json};

const BASE: &str = "/cluster/notifications";
const DONE: (u16, String) = (200, String::new());

fn send(sim: &mut Sim, verb: &str, path: &str, body: Value) -> (u16, String) {
    let request = Request {
        content_type: Some("application/json".into()),
        body: body.to_string().into_bytes(),
        ..Request::new(verb, &format!("{BASE}{path}"))
    };
    let answer = sim.call(request);
    (answer.status(), super::told(&answer))
}

fn refused(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

#[test]
fn what_is_always_there_can_be_changed_and_comes_back() {
    let mut sim = Sim::new(cluster());
    let origins = |sim: &mut Sim| {
        let rows = get(sim, &format!("{BASE}/targets"));
        rows[0]["origin"].clone()
    };
    let expected = json!([{
        "name": "mail-to-root", "type": "sendmail", "origin": "builtin",
        "comment": "Send mails to root@pam's email address",
    }]);
    assert_eq!(get(&mut sim, &format!("{BASE}/targets")), expected);
    let path = "/endpoints/sendmail/mail-to-root";
    assert_eq!(send(&mut sim, "PUT", path, json!({"author": "lab"})), DONE);
    assert_eq!(origins(&mut sim), "modified-builtin");
    let delete = said(&mut sim, "DELETE", &format!("{BASE}{path}"), &[]);
    assert_eq!(delete, DONE, "though a matcher uses it");
    assert_eq!(origins(&mut sim), "builtin");
    let matcher = get(&mut sim, &format!("{BASE}/matchers/default-matcher"));
    assert_eq!(matcher["target"], json!(["mail-to-root"]));
    assert_eq!(matcher["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn endpoints_of_each_kind_are_made_read_changed_and_removed() {
    let mut sim = Sim::new(cluster());
    for (kind, body, shown) in [
        (
            "gotify",
            json!({"server": "http://g", "token": "hidden"}),
            json!({"server": "http://g"}),
        ),
        (
            "sendmail",
            json!({"mailto": ["a@b.c"]}),
            json!({"mailto": ["a@b.c"]}),
        ),
        (
            "smtp",
            json!({"server": "m", "from-address": "a@b.c", "mailto": ["x@y.z"], "password": "hidden", "port": 25}),
            json!({"server": "m", "from-address": "a@b.c", "mailto": ["x@y.z"], "port": 25}),
        ),
        (
            "webhook",
            json!({"url": "http://w", "method": "post", "secret": ["name=key,value=aGlkZGVu"]}),
            json!({"url": "http://w", "method": "post", "secret": ["name=key"]}),
        ),
    ] {
        let path = format!("/endpoints/{kind}");
        let mut body = body;
        body["name"] = format!("my-{kind}").into();
        assert_eq!(send(&mut sim, "POST", &path, body.clone()), DONE, "{kind}");
        let text =
            format!("Cannot create 'my-{kind}', an entity with the same name already exists");
        assert_eq!(send(&mut sim, "POST", &path, body), (400, text));
        let one = format!("{path}/my-{kind}");
        let mut found = get(&mut sim, &format!("{BASE}{one}"));
        let digest = found.as_object_mut().unwrap().remove("digest").unwrap();
        let mut shown = shown;
        shown["name"] = format!("my-{kind}").into();
        shown["origin"] = "user-created".into();
        assert_eq!(found, shown);
        let changes = json!({"comment": "c", "disable": 1, "digest": digest});
        assert_eq!(send(&mut sim, "PUT", &one, changes.clone()), DONE);
        let text = "detected modified configuration - file changed by other user? Try again.";
        assert_eq!(send(&mut sim, "PUT", &one, changes), refused(400, text));
        assert_eq!(get(&mut sim, &format!("{BASE}{one}"))["disable"], 1);
        assert_eq!(
            send(&mut sim, "PUT", &one, json!({"delete": ["disable"]})),
            DONE
        );
        let delete = |sim: &mut Sim| said(sim, "DELETE", &format!("{BASE}{one}"), &[]);
        assert_eq!(delete(&mut sim), DONE);
        let text = format!("endpoint 'my-{kind}' not found");
        assert_eq!(delete(&mut sim), (404, text));
    }
    assert!(
        !serde_json::to_string(&sim.world)
            .unwrap()
            .contains("hidden")
    );
}

#[test]
fn mails_need_recipients_and_targets_in_use_stay() {
    let mut sim = Sim::new(cluster());
    let text = "must at least provide one recipient, either in mailto or in mailto-user";
    let lonely = send(
        &mut sim,
        "POST",
        "/endpoints/sendmail",
        json!({"name": "m1"}),
    );
    assert_eq!(lonely, refused(400, text));
    let one = json!({"name": "m1", "mailto": ["a@b.c"]});
    assert_eq!(send(&mut sim, "POST", "/endpoints/sendmail", one), DONE);
    let removed = send(
        &mut sim,
        "PUT",
        "/endpoints/sendmail/m1",
        json!({"delete": ["mailto"]}),
    );
    assert_eq!(removed, refused(400, text));
    let matcher = |target: &str| json!({"name": "to-m1", "target": [target], "match-field": ["exact:type=vzdump"]});
    let missing = send(&mut sim, "POST", "/matchers", matcher("m2"));
    assert_eq!(missing, refused(404, "endpoint 'm2' does not exist"));
    assert_eq!(send(&mut sim, "POST", "/matchers", matcher("m1")), DONE);
    let path = format!("{BASE}/endpoints/sendmail/m1");
    let text = "cannot delete 'm1', referenced by: to-m1";
    assert_eq!(said(&mut sim, "DELETE", &path, &[]), refused(400, text));
    let gone = said(&mut sim, "DELETE", &format!("{BASE}/matchers/none"), &[]);
    assert_eq!(gone, refused(404, "matcher 'none' not found"));
    let odd = send(
        &mut sim,
        "PUT",
        "/matchers/to-m1",
        json!({"match-field": ["type"]}),
    );
    let text = "could not apply filter: invalid match-field statement: type";
    assert_eq!(odd, refused(500, text));
}

#[test]
fn a_test_goes_as_far_as_a_cluster_without_a_network() {
    let mut sim = Sim::new(cluster());
    let hook = json!({"name": "w1", "url": "http://w", "method": "post"});
    assert_eq!(send(&mut sim, "POST", "/endpoints/webhook", hook), DONE);
    let test =
        |sim: &mut Sim, name: &str| said(sim, "POST", &format!("{BASE}/targets/{name}/test"), &[]);
    let (status, text) = test(&mut sim, "w1");
    assert!(
        status == 500 && text.ends_with("Temporary failure in name resolution"),
        "{text}"
    );
    assert_eq!(
        test(&mut sim, "none"),
        refused(404, "endpoint 'none' does not exist")
    );
    assert_eq!(test(&mut sim, "mail-to-root").0, 500, "root has no address");
    let form = [("email", "root@lab")];
    assert_eq!(said(&mut sim, "PUT", "/access/users/root@pam", &form), DONE);
    assert_eq!(test(&mut sim, "mail-to-root"), DONE);
    let foreign = by(
        &mut sim,
        "limited@pve!t1",
        "GET",
        &format!("{BASE}/targets"),
        &[],
    );
    assert_eq!(foreign.0, 403);
    let values = get(&mut sim, &format!("{BASE}/matcher-field-values"));
    assert!(
        values
            .as_array()
            .unwrap()
            .contains(&json!({"field": "hostname", "value": "pve3"}))
    );
}
