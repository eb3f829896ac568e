//! Logging in with a second factor.

use crate::support::seed::cluster;
use crate::support::sim::{Answer, Request, Sim};

/// Times and codes of RFC 6238, appendix B, SHA-1, Unix seconds; two of steps that follow each other.
const ENROLLED: (u64, &str) = (2_000_000_000, "69279037");
const LATER: (u64, &str) = (20_000_000_000, "65353130");
/// The RFC's key, and the form in which a client gives it.
const URI: &str = "otpauth://totp/ops?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8&period=30";

fn log_in(sim: &mut Sim, more: &[(&str, &str)]) -> Answer {
    let own = [("username", "ops@pve")];
    let form: Vec<_> = own.iter().chain(more).copied().collect();
    let mut call = Request::new("POST", "/access/ticket").parameters(&form);
    call.authorization = None;
    sim.call(call.via("pve1"))
}

/// With password and code.
fn with_code(sim: &mut Sim, code: &str) -> u16 {
    let half = log_in(sim, &[("password", "first-factor")]).payload();
    assert_eq!(half["NeedTFA"], 1);
    let code = format!("totp:{code}");
    let challenge = half["ticket"].as_str().unwrap().to_owned();
    let second = [("password", code.as_str()), ("tfa-challenge", &challenge)];
    log_in(sim, &second).status()
}

/// A user with a second factor, at the time of the first code.
fn with_user() -> Sim {
    let mut sim = Sim::new(cluster());
    sim.now_ms = ENROLLED.0 * 1_000;
    sim.world.set_password("ops@pve", "first-factor");
    let ticket = log_in(&mut sim, &[("password", "first-factor")]).payload();
    let form = [
        ("type", "totp"),
        ("description", "phone"),
        ("totp", URI),
        ("value", ENROLLED.1),
        ("password", "first-factor"),
    ];
    let mut call = Request::new("POST", "/access/tfa/ops@pve").parameters(&form);
    call.authorization = None;
    call.cookie = Some(format!(
        "PVEAuthCookie={}",
        crate::support::sim::escape(ticket["ticket"].as_str().unwrap())
    ));
    call.csrf = ticket["CSRFPreventionToken"].as_str().map(str::to_owned);
    let enrolled = sim.call(call);
    assert_eq!(enrolled.status(), 200, "{}", enrolled.message());
    sim
}

#[test]
fn a_code_is_good_once() {
    let mut sim = with_user();
    assert_eq!(with_code(&mut sim, ENROLLED.1), 200);
    assert_eq!(with_code(&mut sim, ENROLLED.1), 401, "it was used");
    sim.kill_and_restart();
    assert_eq!(with_code(&mut sim, ENROLLED.1), 401);
    sim.now_ms = LATER.0 * 1_000;
    assert_eq!(with_code(&mut sim, LATER.1), 200);
    assert_eq!(with_code(&mut sim, LATER.1), 401);
}

#[test]
fn used_codes_count_as_wrong_ones() {
    let mut sim = with_user();
    assert_eq!(with_code(&mut sim, ENROLLED.1), 200);
    for _ in 0..8 {
        assert_eq!(with_code(&mut sim, ENROLLED.1), 401);
    }
    sim.now_ms = LATER.0 * 1_000;
    assert_eq!(with_code(&mut sim, LATER.1), 401, "it is locked");
    sim.root("PUT", "/access/users/ops@pve/unlock-tfa", &[]);
    assert_eq!(with_code(&mut sim, LATER.1), 200);
}

#[test]
fn without_quorum_no_code_is_taken() {
    let mut sim = with_user();
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms - 60_000);
    assert_eq!(with_code(&mut sim, ENROLLED.1), 401);
    assert_eq!(sim.world.violations(), []);
    sim.world.heal("pve1");
    assert_eq!(with_code(&mut sim, ENROLLED.1), 200);
}
