//! In which order changes come, and what each waits for.

use super::*;

fn named(names: &[&str]) -> Vec<Hostname> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn wish(name: &str, layer: u32, needs: &[&str]) -> Wanted {
    Wanted {
        depends_on: named(needs),
        ..app(name, layer)
    }
}

fn before(name: &str, number: u32, needed: &[&str]) -> Recorded {
    Recorded {
        depends_on: named(needed),
        ..recorded(name, number, AppClass::Native)
    }
}

fn told(plan: &Plan) -> Vec<(&str, u32, Vec<&str>)> {
    let each = plan.changes.iter().map(|change| {
        let needs = change.depends_on.iter().map(Hostname::as_str);
        (change.name.as_str(), change.layer, needs.collect())
    });
    each.collect()
}

#[test]
fn a_change_waits_for_what_its_app_depends_on_also_through_one_that_stays_as_it_is() {
    let wanted = [
        wish("web", 2, &["api", "mail"]),
        wish("api", 1, &["dbs", "log"]),
        wish("mail", 0, &[]),
        wish("dbs", 0, &[]),
        wish("log", 0, &[]),
    ];
    let known = state(vec![recorded("api", 105, AppClass::Native)]);
    let plan = decide(&wanted, &known, false).plan;
    let expected = [
        ("dbs", 0, vec![]),
        ("log", 0, vec![]),
        ("mail", 0, vec![]),
        ("web", 2, vec!["dbs", "log", "mail"]),
    ];
    assert_eq!(told(&plan), expected);
}

#[test]
fn what_depended_on_an_app_ends_before_it_or_is_changed_before_it_ends() {
    let known = state(vec![
        before("dbs", 105, &[]),
        before("api", 106, &["dbs"]),
        before("web", 107, &["api", "dbs"]),
        before("wiki", 108, &["dbs"]),
        before("mail", 109, &["dbs"]),
    ]);
    // One that goes on and is changed, and one that goes on as it is.
    let mut wiki = wish("wiki", 0, &[]);
    spec(&mut wiki).resources = resources(1024, 2, 8);
    let plan = decide(&[wiki, wish("mail", 0, &[])], &known, true).plan;
    let expected = [
        ("wiki", 0, vec![]),
        ("web", 1, vec![]),
        ("api", 2, vec!["web"]),
        ("dbs", 3, vec!["api", "web", "wiki"]),
    ];
    assert_eq!(told(&plan), expected);
}

#[test]
fn what_was_applied_at_different_times_may_go_in_a_circle_and_ends_all_the_same() {
    let known = state(vec![
        before("one", 105, &["two"]),
        before("two", 106, &["one"]),
        before("web", 107, &["two"]),
        before("self", 108, &["self"]),
    ]);
    let plan = decide(&[], &known, true).plan;
    let expected = [
        ("one", 0, vec![]),
        ("self", 0, vec![]),
        ("web", 0, vec![]),
        ("two", 1, vec!["web"]),
    ];
    assert_eq!(told(&plan), expected);
}

#[test]
fn documents_in_another_order_ask_for_the_same() {
    let wanted = [wish("web", 1, &["dbs"]), wish("dbs", 0, &[])];
    let known = state(vec![before("old", 105, &["web"])]);
    let first = decide(&wanted, &known, true).plan;
    let [web, dbs] = wanted;
    let second = decide(&[dbs, web.clone()], &known, true).plan;
    assert_eq!(first, second);
    let other = Wanted {
        depends_on: Vec::new(),
        ..web
    };
    let third = decide(&[wish("dbs", 0, &[]), other], &known, true).plan;
    assert_ne!(first.digest, third.digest, "another thing is asked for");
}
