//! Rights that are too narrow or too wide, and tokens that are not taken.

use proximity_domain::token_purpose::TokenPurpose;

use super::repairs::follow;
use super::*;

/// The roles of this installation at the host, with their privileges.
pub(super) async fn roles(world: &World) -> Vec<(String, Vec<String>)> {
    let answer = call(world, Method::Get, "/access/roles", &[]).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let rows = body["data"].as_array().unwrap().iter();
    let ours = rows.filter(|row| row["roleid"].as_str().unwrap().starts_with("Proximity"));
    ours.map(|row| {
        let privileges = row["privs"].as_str().unwrap().split(',').map(str::to_owned);
        (
            row["roleid"].as_str().unwrap().to_owned(),
            privileges.collect(),
        )
    })
    .collect()
}

async fn set_role(world: &World, role: &str, privileges: &[String]) {
    let params = [("privs", privileges.join(" "))];
    let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
    done(
        world,
        Method::Put,
        &format!("/access/roles/{role}"),
        &params,
    )
    .await;
}

const NARROW: [Code; 2] = [Code::TokenTooNarrow, Code::TokenLacksSpare];

#[tokio::test]
async fn each_privilege_that_is_dropped_is_named_and_given_back_by_what_is_told() {
    let world = World::start().await;
    guest(&world, "105").await;
    let request = InitHost {
        images: true,
        adopted: vec![105],
        ..init(&world)
    };
    world.engine.init_host(&admin(), &request).await.unwrap();
    same_time(&world).await;
    assert_eq!(bad(&doctor(&world).await), []);
    let whole = access(&world).await;
    let mut dropped = 0;
    for (role, privileges) in roles(&world).await {
        for privilege in &privileges {
            let rest: Vec<String> = privileges
                .iter()
                .filter(|p| *p != privilege)
                .cloned()
                .collect();
            set_role(&world, &role, &rest).await;
            let findings = doctor(&world).await;
            let told = findings.iter().find(|f| NARROW.contains(&f.code));
            let told = told.unwrap_or_else(|| panic!("{privilege} of {role}: {findings:#?}"));
            assert!(
                told.what.contains(privilege.as_str()),
                "{privilege}: {}",
                told.what
            );
            // Without the right to see who may do what there is no exact repair, and that is said.
            if findings.iter().any(|f| f.code == Code::AccessUnread) {
                assert_eq!(privilege, "Sys.Audit");
                set_role(&world, &role, &privileges).await;
            } else {
                follow(&world, &findings, &NARROW).await;
            }
            assert_eq!(access(&world).await, whole, "{privilege} of {role}");
            dropped += 1;
        }
    }
    assert!(dropped > 20, "{dropped}");
    assert_eq!(bad(&doctor(&world).await), []);
}

#[tokio::test]
async fn grants_that_were_taken_from_user_or_token_are_given_back_by_what_is_told() {
    let world = set_up().await;
    let whole = access(&world).await;
    let host = world.engine.named_host("home").await.unwrap();
    let (user, _) = host.token_id.split_once('!').unwrap();
    let short = user.split(['-', '@']).nth(2).unwrap();
    let role = format!("ProximityOperatePool-{short}");
    for holder in [("users", user), ("tokens", host.token_id.as_str())] {
        let params = [
            ("path", "/pool/proximity"),
            ("roles", role.as_str()),
            holder,
            ("delete", "1"),
        ];
        done(&world, Method::Put, "/access/acl", &params).await;
        let findings = doctor(&world).await;
        assert_eq!(
            bad(&findings),
            [Code::TokenTooNarrow],
            "{holder:?}: {findings:#?}"
        );
        let next = &one(&findings, Code::TokenTooNarrow).next;
        assert_eq!(next.len(), 1, "{next:?}");
        follow(&world, &findings, &NARROW).await;
        assert_eq!(access(&world).await, whole, "{holder:?}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_taken_back_by_what_is_told() {
    let world = set_up().await;
    let whole = access(&world).await;
    let host = world.engine.named_host("home").await.unwrap();
    let (user, _) = host.token_id.split_once('!').unwrap();
    for (path, role) in [
        ("/", "Administrator"),
        ("/vms", "PVEVMAdmin"),
        ("/pool/proximity", "PVEPoolAdmin"),
    ] {
        let params = [
            ("path", path),
            ("roles", role),
            ("users", user),
            ("tokens", host.token_id.as_str()),
        ];
        done(&world, Method::Put, "/access/acl", &params).await;
        let findings = doctor(&world).await;
        assert_eq!(
            bad(&findings),
            [Code::TokenTooWide],
            "{path}: {findings:#?}"
        );
        let wide = one(&findings, Code::TokenTooWide);
        assert_eq!(
            wide.next,
            [format!(
                "pveum acl delete {path} --roles {role} --users {user} --tokens '{}'",
                host.token_id
            )]
        );
        follow(&world, &findings, &[Code::TokenTooWide]).await;
        assert_eq!(access(&world).await, whole, "{path}");
    }
    let (role, mut privileges) = roles(&world)
        .await
        .into_iter()
        .find(|(role, _)| role.contains("OperatePool"))
        .unwrap();
    privileges.push("VM.Console".to_owned());
    set_role(&world, &role, &privileges).await;
    let findings = doctor(&world).await;
    let wide = one(&findings, Code::TokenTooWide);
    assert!(
        wide.what.contains("VM.Console on /pool/proximity"),
        "{}",
        wide.what
    );
    follow(&world, &findings, &[Code::TokenTooWide]).await;
    assert_eq!(access(&world).await, whole);
}

#[tokio::test]
async fn a_token_that_is_not_separated_is_told_and_separated() {
    let world = set_up().await;
    let whole = access(&world).await;
    let host = world.engine.named_host("home").await.unwrap();
    let (user, name) = host.token_id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    done(&world, Method::Put, &path, &[("privsep", "0")]).await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [Code::TokenNotSeparated], "{findings:#?}");
    follow(&world, &findings, &[Code::TokenNotSeparated]).await;
    assert_eq!(access(&world).await, whole);
}

/// The token of an administrator, added by hand, can be made narrow by hand, too.
#[tokio::test]
async fn one_token_for_all_with_all_rights_is_made_narrow_by_what_is_told() {
    let world = World::start().await;
    done(&world, Method::Post, "/pools", &[("poolid", "apps")]).await;
    let request = AddHost {
        pool: Some("apps".to_owned()),
        ..world.request()
    };
    world.engine.add_host(&admin(), request).await.unwrap();
    same_time(&world).await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [Code::TokenTooWide], "{findings:#?}");
    one(&findings, Code::TokenForAll);
    let wide = one(&findings, Code::TokenTooWide);
    assert!(
        wide.what.contains("not separated from its user root@pam"),
        "{}",
        wide.what
    );
    // It has its own grants before it loses those of its user: nothing that is under way is refused meanwhile.
    assert_eq!(
        wide.next.last().unwrap(),
        "pveum user token modify root@pam proximity --privsep 1"
    );
    assert!(wide.next.len() > 5, "{wide:#?}");
    follow(&world, &findings, &[Code::TokenTooWide]).await;
    assert_eq!(bad(&doctor(&world).await), []);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_told_with_why() {
    let world = set_up().await;
    let host = world.engine.named_host("home").await.unwrap();
    let (user, name) = host.token_id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    let now_s = world.clock.0.load(Ordering::Relaxed) / 1000;
    for (end_s, code) in [
        (now_s - 10, Code::TokenRefused),
        (now_s + 86_400, Code::TokenEndsSoon),
    ] {
        done(
            &world,
            Method::Put,
            &path,
            &[("expire", &end_s.to_string())],
        )
        .await;
        let findings = doctor(&world).await;
        assert_eq!(bad(&findings), [code], "{findings:#?}");
        follow(&world, &findings, &[code]).await;
        assert_eq!(bad(&doctor(&world).await), []);
    }
    let later = (now_s + 90 * 86_400).to_string();
    done(&world, Method::Put, &path, &[("expire", &later)]).await;
    one(&doctor(&world).await, Code::TokenEnds);
    done(&world, Method::Put, &path, &[("expire", "0")]).await;

    let of_user = format!("/access/users/{user}");
    done(&world, Method::Put, &of_user, &[("enable", "0")]).await;
    let findings = doctor(&world).await;
    assert!(
        one(&findings, Code::TokenRefused).what.contains("disabled"),
        "{findings:#?}"
    );
    follow(&world, &findings, &[Code::TokenRefused]).await;
    assert_eq!(bad(&doctor(&world).await), []);

    done(&world, Method::Delete, &path, &[]).await;
    let findings = doctor(&world).await;
    let refused = one(&findings, Code::TokenRefused);
    assert!(refused.what.contains("deleted"), "{}", refused.what);
    assert!(
        refused.next[0].contains("proximity init home https://"),
        "{:?}",
        refused.next
    );
    world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    assert_eq!(bad(&doctor(&world).await), []);
}

/// Nothing is said of what the token that looks may not see.
#[tokio::test]
async fn without_the_token_that_looks_all_it_would_see_is_unknown() {
    let world = set_up().await;
    let host = world.engine.named_host("home").await.unwrap();
    let observe = host
        .purpose_tokens
        .iter()
        .find(|(p, _)| *p == TokenPurpose::Observe)
        .unwrap()
        .1;
    let (user, name) = observe.id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    done(&world, Method::Delete, &path, &[]).await;
    let findings = doctor(&world).await;
    one(&findings, Code::TokenRefused);
    for code in [Code::ClusterUnread, Code::AccessUnread, Code::PoolUnread] {
        one(&findings, code);
    }
    let said_well = [
        Code::Quorum,
        Code::StorageUsable,
        Code::BridgeThere,
        Code::PoolOurs,
    ];
    assert!(
        !findings.iter().any(|f| said_well.contains(&f.code)),
        "{findings:#?}"
    );
}
