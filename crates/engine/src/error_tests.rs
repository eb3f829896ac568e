//! Words of errors in which they would mislead.

use proximity_domain::create::Resources;
use proximity_pve::transport::OUT_OF_FILES;

use super::*;

fn silent(why: &str) -> EngineError {
    let lack = Lack::Silent(format!("GET /nodes/pve1/status: not sent: {why}"));
    let resources = Resources {
        memory_mib: 64,
        cores: 1,
        disk_gib: 1,
    };
    let nodes = vec![("lab/pve1".to_owned(), vec![lack])];
    EngineError::from(Refusal::NoPlace(NoPlace { resources, nodes }))
}

/// A command that finds nothing to end would be no help.
#[test]
fn the_rest_of_ports_is_spoken_of_only_where_some_rest() {
    let hint = |resting: Vec<u16>| {
        let range = "8100-8999".to_owned();
        let held = 900 - resting.len();
        let error = StoreError::PortsExhausted {
            range,
            held,
            resting,
        };
        EngineError::from(error).hint()
    };
    assert!(!hint(vec![]).contains("ports free"));
    assert!(hint(vec![8101]).contains("ports free"));
}

#[test]
fn a_node_that_was_not_looked_at_for_want_of_files_here_is_not_offline() {
    let short = silent(OUT_OF_FILES);
    assert_eq!(
        (short.code(), short.kind()),
        ("out_of_files", ErrorKind::Unavailable)
    );
    assert!(short.hint().contains("ulimit -n"), "{}", short.hint());
    let down = silent("cannot connect: Connection refused");
    assert_eq!(
        (down.code(), down.kind()),
        ("no_node_online", ErrorKind::Resources)
    );
}

#[test]
fn what_keeps_an_apply_or_a_secret_back_has_a_code_of_its_own() {
    let (apply, plan) = (uuid::Uuid::nil().into(), uuid::Uuid::nil().into());
    let text = || "web".to_owned();
    let code = |error: StoreError| EngineError::from(error).code();
    assert_eq!(code(StoreError::ApplyLost { apply }), "lease_lost");
    let applied = StoreError::PlanApplied { plan, apply: None };
    assert_eq!(code(applied), "plan_applied");
    let overlaps = StoreError::ApplyOverlaps { app: text(), apply };
    assert_eq!(code(overlaps), "apply_overlaps");
    let (secret, apps) = (text(), vec![text()]);
    let in_use = StoreError::SecretInUse { secret, apps };
    assert_eq!(code(in_use), "secret_in_use");
    let none = StoreError::NotFound {
        what: "secret",
        id: text(),
    };
    assert_eq!(code(none), "secret_not_found");
}

#[test]
fn what_keeps_an_app_from_going_back_says_where_to_look() {
    let error = EngineError::NotBack(proximity_domain::rollback::Impossible::NothingThen);
    assert_eq!(
        (error.code(), error.kind()),
        ("rollback_impossible", ErrorKind::Conflict)
    );
    assert!(error.hint().contains("proximity history"));
    let gone = EngineError::NotFound {
        what: "revision",
        name: "9 of web".to_owned(),
    };
    assert!(gone.hint().contains("proximity history"));
}
