use proximity_domain::create::{Refusal as No, Resources};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, ApplyId, OperationId, PlanId};
use proximity_domain::network::Conflict;
use proximity_domain::place::{Lack, NoPlace};
use proximity_domain::rollback::Impossible;
use proximity_store::DatabaseError;

use super::*;

fn text() -> String {
    "x".to_owned()
}

fn every_error() -> Vec<EngineError> {
    let mut errors = own_errors();
    errors.extend(not_updated());
    errors.extend(source_errors());
    errors.extend(refusals().into_iter().map(EngineError::from));
    errors.extend(store_errors().into_iter().map(EngineError::from));
    errors
}

fn not_updated() -> impl Iterator<Item = EngineError> {
    let codes = [
        "adopted_app",
        "app_stopped",
        "confirmation_needed",
        "needs_replacement",
        "not_repeated",
        "preview_outdated",
    ];
    codes.into_iter().map(|code| EngineError::NotUpdated {
        code,
        message: text(),
    })
}

fn own_errors() -> Vec<EngineError> {
    vec![
        EngineError::NotFound {
            what: "app",
            name: text(),
        },
        EngineError::NotFound {
            what: "operation",
            name: text(),
        },
        EngineError::NotFound {
            what: "host",
            name: text(),
        },
        EngineError::NotFound {
            what: "node",
            name: text(),
        },
        EngineError::Invalid {
            field: "hostname".to_owned(),
            message: text(),
        },
        EngineError::NotInState {
            app: text(),
            status: text(),
            action: text(),
        },
        EngineError::ConfirmationNeeded { hostname: text() },
        EngineError::ClusterKnown { label: text() },
        EngineError::NodeInUse {
            node: text(),
            why: text(),
        },
        EngineError::NodeNotGivenUp {
            node: text(),
            why: text(),
        },
        EngineError::NotAdoptable {
            code: "already_managed",
            message: text(),
        },
        EngineError::NotAdoptable {
            code: "guest_marked",
            message: text(),
        },
        EngineError::NotAdoptable {
            code: "not_adoptable",
            message: text(),
        },
        EngineError::NotBack(Impossible::NothingThen),
        EngineError::NoHost,
        EngineError::TooManyCommands,
        EngineError::DoctorAtWork,
        EngineError::PveUnsupported { version: text() },
        EngineError::TokenTooNarrow {
            token: text(),
            missing: vec![text()],
        },
    ]
}

fn source_errors() -> impl Iterator<Item = EngineError> {
    let codes = [
        "git_missing",
        "branch_not_found",
        "documents_not_found",
        "source_too_large",
        "commit_unsigned",
        "source_unreachable",
    ];
    let trouble = codes.map(|code| EngineError::SourceTrouble(Failure::new(code, text(), text())));
    trouble.into_iter().chain([EngineError::HookRefused])
}

fn no_places() -> impl Iterator<Item = No> {
    let lacks = [
        Lack::Offline,
        Lack::Silent(text()),
        Lack::Excluded,
        Lack::Shut,
        Lack::MemoryInAll { has_mib: 1 },
        Lack::MemoryFree {
            free_mib: 1,
            promised_mib: 0,
        },
        Lack::Cores { has: 1 },
        Lack::Template(text()),
        Lack::TooOld(text()),
        Lack::StorageAbsent,
        Lack::StorageInactive,
        Lack::StorageFull {
            free_gib: 1,
            promised_gib: 0,
        },
        Lack::Bridge,
    ];
    let of = |nodes| {
        No::NoPlace(NoPlace {
            resources: Resources {
                memory_mib: 2,
                cores: 2,
                disk_gib: 2,
            },
            nodes,
        })
    };
    let node = |i: usize, lack: Lack| (format!("lab/pve{i}"), vec![lack]);
    let mixed = of(lacks
        .iter()
        .cloned()
        .enumerate()
        .map(|(i, l)| node(i, l))
        .collect());
    let each = lacks.map(|lack| of(vec![node(1, lack)]));
    each.into_iter().chain([mixed])
}

fn refusals() -> Vec<No> {
    let mut refusals = other_refusals();
    refusals.extend(no_places());
    refusals
}

fn other_refusals() -> Vec<No> {
    vec![
        No::HostnameTaken("web".parse().unwrap()),
        No::UnknownCatalogId("nginx".parse().unwrap()),
        No::Unpinned("gitea".parse().unwrap()),
        No::TooLittleMemory {
            app: "nginx".parse().unwrap(),
            asked: 1,
            needed: 2,
        },
        No::OutOfRange {
            what: "cores",
            asked: 0,
            min: 1,
            max: 2,
        },
        No::TemplateMissing {
            template: text(),
            node: "pve1".parse().unwrap(),
        },
        No::AddressTaken(Conflict {
            address: "192.0.2.10".parse().unwrap(),
            app: Some(text()),
        }),
    ]
}

fn store_errors() -> Vec<StoreError> {
    let app = AppId("018f0000-0000-7000-8000-000000000001".parse().unwrap());
    let operation = OperationId("018f0000-0000-7000-8000-000000000002".parse().unwrap());
    let apply = ApplyId("018f0000-0000-7000-8000-000000000003".parse().unwrap());
    vec![
        StoreError::LeaseLost { operation },
        StoreError::ApplyLost { apply },
        StoreError::PlanApplied {
            plan: PlanId("018f0000-0000-7000-8000-000000000004".parse().unwrap()),
            apply: Some(apply),
        },
        StoreError::ApplyOverlaps { app: text(), apply },
        StoreError::BrakeStops {
            removed: 2,
            done: 2,
            limit: 3,
        },
        StoreError::Rejected {
            rejected: Vec::new(),
        },
        StoreError::SecretInUse {
            secret: text(),
            apps: vec![text()],
        },
        StoreError::HostnameTaken { hostname: text() },
        StoreError::PortsExhausted {
            range: text(),
            held: 1,
            resting: vec![8101],
        },
        StoreError::QueueFull { limit: 1 },
        StoreError::Busy { app, operation },
        StoreError::IllegalTransition { what: text() },
        StoreError::NotFound {
            what: "app",
            id: text(),
        },
        StoreError::Exists {
            what: "host",
            id: text(),
        },
        StoreError::KeyReused { key: text() },
        StoreError::HostInUse {
            label: text(),
            apps: 1,
        },
        StoreError::TooNew { found: 2, known: 1 },
        StoreError::Key {
            path: text(),
            why: text(),
        },
        StoreError::Damaged {
            what: "state",
            why: text(),
        },
        sqlite(FULL),
        sqlite(IO_ERROR_AT_FSYNC),
    ]
}

/// SQLite's result codes.
const FULL: i32 = 13;
const IO_ERROR_AT_FSYNC: i32 = 1034;
const CORRUPT: i32 = 11;

fn sqlite(code: i32) -> StoreError {
    let message = text();
    StoreError::Database(DatabaseError::Sqlite { code, message })
}

#[test]
fn a_full_or_broken_disk_is_no_fault_of_the_program() {
    let told = |code| {
        let refusal = Refusal::from(sqlite(code));
        (
            refusal.body.code.clone(),
            refusal.into_response().status().as_u16(),
        )
    };
    assert_eq!(told(FULL), ("disk_full".to_owned(), 507));
    assert_eq!(
        told(IO_ERROR_AT_FSYNC),
        ("database_unavailable".to_owned(), 503)
    );
}

#[test]
fn what_the_store_refuses_has_codes_of_its_own() {
    let named = store_errors();
    let mut codes: Vec<String> = named
        .into_iter()
        .map(|e| Refusal::from(e).body.code)
        .collect();
    codes.push(Refusal::from(sqlite(CORRUPT)).body.code);
    assert_eq!(
        codes,
        [
            "lease_lost",
            "lease_lost",
            "plan_applied",
            "apply_overlaps",
            "brake_not_released",
            "source_waits",
            "secret_in_use",
            "hostname_taken",
            "ports_exhausted",
            "queue_full",
            "busy",
            "not_in_state",
            "app_not_found",
            "exists",
            "idempotency_conflict",
            "host_in_use",
            "database_too_new",
            "key_file",
            "database_error",
            "disk_full",
            "database_unavailable",
            "database_error",
        ]
    );
}

#[test]
fn every_error_of_the_engine_is_in_the_reference_with_the_same_kind() {
    for error in every_error() {
        let row = lookup(error.code());
        let row = row.unwrap_or_else(|| panic!("{} is not in the table of codes", error.code()));
        assert_eq!(row.kind, kind(error.kind()), "{}", error.code());
    }
}

#[test]
fn every_code_from_outside_is_in_the_reference() {
    for code in proximity_engine::error::UPSTREAM_CODES {
        let row = lookup(code);
        let row = row.unwrap_or_else(|| panic!("{code} is not in the table of codes"));
        // That a host was added without a way into its containers is the record's state, no failure.
        let kind = match *code {
            "no_guest_access" => ErrorKind::Conflict,
            // It is us who have no file for the question.
            "out_of_files" => ErrorKind::Unavailable,
            // Likewise: the build at hand brings no helper.
            "helper_not_shipped" => ErrorKind::Unavailable,
            _ => ErrorKind::Upstream,
        };
        assert_eq!(row.kind, kind, "{code}");
    }
}

#[test]
fn every_error_of_the_engine_says_what_to_do_next() {
    for error in every_error() {
        assert!(!error.hint().is_empty(), "{}: {error}", error.code());
    }
}

#[test]
fn a_host_that_a_request_names_wrongly_is_the_requests_mistake() {
    let unreachable = || EngineError::Upstream {
        code: "token_invalid",
        message: text(),
        hint: text(),
    };
    assert_eq!(Refusal::from(unreachable()).kind, ErrorKind::Upstream);
    let named = Refusal::of_named_host(unreachable());
    assert_eq!(
        (named.kind, named.body.code.as_str()),
        (ErrorKind::Invalid, "token_invalid")
    );
    let internal = StoreError::Damaged {
        what: "state",
        why: text(),
    };
    assert_eq!(
        Refusal::of_named_host(internal.into()).kind,
        ErrorKind::Internal
    );
}

#[test]
fn an_answer_is_the_envelope_with_the_kinds_status() {
    let refusal: Refusal = EngineError::Refused(No::HostnameTaken("web".parse().unwrap())).into();
    assert_eq!(refusal.body.fields.keys().collect::<Vec<_>>(), ["hostname"]);
    let answer = refusal.into_response();
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    let missing = Refusal::new(
        ErrorKind::Unauthorized,
        ErrorBody::new("unauthorized", "m", "h"),
    );
    assert_eq!(
        missing.into_response().headers()[WWW_AUTHENTICATE],
        "Bearer"
    );
}
