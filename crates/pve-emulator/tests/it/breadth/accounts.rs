//! Accounts: what is refused, and how.

use proximity_pve_emulator::core::Access;

use super::{by, said};
use crate::support::seed::{solo, token};
use crate::support::sim::{Request, Sim};

fn refused(text: &str) -> (u16, String) {
    (500, text.into())
}

#[test]
fn what_is_refused_under_the_lock_is_a_text_with_its_code() {
    let mut seed = solo();
    let keeper = "keeper@pve!t1";
    seed.tokens.push(token(keeper, Access::Empty));
    let mut sim = Sim::new(seed);
    for (holder, id) in [("users", "keeper@pve"), ("tokens", keeper)] {
        let form = [("path", "/vms/100"), ("roles", "PVEVMAdmin"), (holder, id)];
        assert_eq!(said(&mut sim, "PUT", "/access/acl", &form).0, 200);
    }
    let mut grant = |role: &str| {
        let form = [
            ("path", "/vms/100"),
            ("roles", role),
            ("users", "keeper@pve"),
        ];
        by(&mut sim, keeper, "PUT", "/access/acl", &form)
    };
    let text = "ACL update failed: 400 Parameter verification failed.\n\
        role: Cannot add role 'Administrator' - requires 'Permissions.Modify' or superset of privileges.";
    assert_eq!(grant("Administrator"), refused(text));
    assert_eq!(
        grant("nosuch"),
        refused("ACL update failed: role 'nosuch' does not exist")
    );
    assert_eq!(grant("PVEVMUser").0, 200);
    let path = "/access/users/keeper@pve/token/t1";
    let text = "updating token info failed: 400 Parameter verification failed.\ndelete: unknown option 'expire'";
    assert_eq!(
        said(&mut sim, "PUT", path, &[("delete", "expire")]),
        refused(text)
    );
}

#[test]
fn a_token_gets_another_secret_and_the_old_one_is_no_good() {
    let mut sim = Sim::new(solo());
    let path = "/access/users/limited@pve/token/t1";
    let form = [("regenerate", "1"), ("privsep", "0"), ("comment", "new")];
    let answer = sim.root("PUT", path, &form).payload();
    assert_eq!(answer["full-tokenid"], "limited@pve!t1");
    assert_eq!(
        (&answer["privsep"], &answer["comment"]),
        (&"0".into(), &"new".into())
    );
    let old = Request::new("GET", "/version").by("limited@pve!t1");
    assert_eq!(sim.call(old).status(), 401);
    let mut new = Request::new("GET", "/version");
    let secret = answer["value"].as_str().unwrap();
    new.authorization = Some(format!("PVEAPIToken=limited@pve!t1={secret}"));
    assert_eq!(sim.call(new).status(), 200);
    let read = sim.root("GET", path, &[]).payload();
    assert_eq!(read["privsep"], 0, "read back it is a number");
}

/// Also of what holds on its path alone (`$compile_acl_path` in pve-access-control's RPCEnvironment.pm).
#[test]
fn a_separated_token_has_nothing_that_its_user_has_not() {
    let mut sim = Sim::new(solo());
    assert_eq!(
        said(&mut sim, "POST", "/access/users", &[("userid", "web@pve")]).0,
        200
    );
    let token = "/access/users/web@pve/token/t1";
    assert_eq!(said(&mut sim, "POST", token, &[("privsep", "1")]).0, 200);
    let held = |sim: &mut Sim| {
        let form = [("userid", "web@pve!t1"), ("path", "/vms/777")];
        sim.root("GET", "/access/permissions", &form).payload()["/vms/777"].clone()
    };
    for (holder, expected) in [
        (("tokens", "web@pve!t1"), serde_json::json!({})),
        (
            ("users", "web@pve"),
            serde_json::json!({"VM.Audit": 0, "VM.GuestAgent.Audit": 0}),
        ),
    ] {
        let role = match holder.0 {
            "users" => "PVEAuditor",
            _ => "PVEVMUser",
        };
        let form = [
            ("path", "/vms/777"),
            ("roles", role),
            ("propagate", "0"),
            holder,
        ];
        assert_eq!(said(&mut sim, "PUT", "/access/acl", &form).0, 200);
        assert_eq!(held(&mut sim), expected, "{holder:?}");
    }
}

#[test]
fn passwords_are_for_who_is_there_and_root_cannot_go() {
    let mut sim = Sim::new(solo());
    let password = ("password", "long-enough");
    let make = |sim: &mut Sim, name: &str| {
        said(sim, "POST", "/access/users", &[("userid", name), password])
    };
    let text = "create user failed: change password failed: user 'web' does not exist";
    assert_eq!(make(&mut sim, "web@pam"), refused(text));
    let text = "create user failed: auth domain 'ldap' does not exist";
    assert_eq!(make(&mut sim, "web@ldap"), refused(text));
    assert_eq!(make(&mut sim, "web@pve").0, 200);
    let form = [("userid", "web@pam")];
    assert_eq!(said(&mut sim, "POST", "/access/users", &form).0, 200);
    assert_eq!(
        said(&mut sim, "DELETE", "/access/users/root@pam", &[]).0,
        200
    );
    let gone = Request::new("GET", "/version");
    assert_eq!(sim.call(gone).status(), 401, "root's tokens went");
    sim.world.set_password("root@pam", "long-enough");
    let mut login =
        Request::new("POST", "/access/ticket").parameters(&[("username", "root@pam"), password]);
    login.authorization = None;
    assert_eq!(sim.call(login).status(), 200, "root did not");
}
