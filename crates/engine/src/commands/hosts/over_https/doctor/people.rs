//! A host that was added with a token of a person's: who does what is told loses nothing of that person's.

use super::repairs::follow;
use super::*;

const ALICE: &str = "alice@pve";
const TOKEN: &str = "alice@pve!prox";
const OTHER: &str = "alice@pve!other";

/// What an account may do, wherever it may do anything: of an administrator the same everywhere.
async fn may(world: &World, id: &str) -> BTreeSet<String> {
    let params = [("userid", id)];
    let answer = call(world, Method::Get, "/access/permissions", &params).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let all = body["data"].as_object().unwrap().values();
    all.map(ToString::to_string).collect()
}

/// Alice is an administrator, by a group or herself; one token of hers is recorded here, another serves somebody else.
async fn with_hers(by_group: bool, separated: bool) -> World {
    let world = World::start().await;
    done(&world, Method::Post, "/pools", &[("poolid", "apps")]).await;
    done(
        &world,
        Method::Post,
        "/access/groups",
        &[("groupid", "admins")],
    )
    .await;
    let user = [("userid", ALICE), ("groups", "admins")];
    done(&world, Method::Post, "/access/users", &user).await;
    let holder = match by_group {
        true => ("groups", "admins"),
        false => ("users", ALICE),
    };
    let all = [("path", "/"), ("roles", "Administrator"), holder];
    done(&world, Method::Put, "/access/acl", &all).await;
    let privsep = match separated {
        true => "1",
        false => "0",
    };
    let path = "/access/users/alice@pve/token/prox";
    let made = call(&world, Method::Post, path, &[("privsep", privsep)]).await;
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let path = "/access/users/alice@pve/token/other";
    done(&world, Method::Post, path, &[("privsep", "0")]).await;
    if separated {
        let all = [("path", "/"), ("roles", "Administrator"), ("tokens", TOKEN)];
        done(&world, Method::Put, "/access/acl", &all).await;
    }
    let request = AddHost {
        pool: Some("apps".to_owned()),
        token_id: TOKEN.to_owned(),
        token_secret: made["data"]["value"].as_str().unwrap().to_owned().into(),
        ..world.request()
    };
    world.engine.add_host(&admin(), request).await.unwrap();
    same_time(&world).await;
    world
}

#[tokio::test]
async fn a_persons_token_is_made_narrow_and_the_person_keeps_all_rights() {
    for (by_group, separated) in [(true, true), (true, false), (false, true), (false, false)] {
        let world = with_hers(by_group, separated).await;
        let before = (may(&world, ALICE).await, may(&world, OTHER).await);
        assert_eq!((before.0.len(), &before.0), (1, &before.1));
        let findings = doctor(&world).await;
        assert_eq!(bad(&findings), [Code::TokenTooWide], "{findings:#?}");
        follow(&world, &findings, &[Code::TokenTooWide]).await;
        assert_eq!((may(&world, ALICE).await, may(&world, OTHER).await), before);
        let findings = doctor(&world).await;
        assert_eq!(bad(&findings), [], "{findings:#?}");
        // And what its token lacks is given to the token alone.
        let short = |role: &str| role.contains("WholeBridge");
        let roles = rights::roles(&world).await;
        let (role, _) = roles.iter().find(|(role, _)| short(role)).unwrap();
        let path = "/sdn/zones/localnetwork/vmbr0";
        let gone = [
            ("path", path),
            ("roles", role.as_str()),
            ("tokens", TOKEN),
            ("delete", "1"),
        ];
        done(&world, Method::Put, "/access/acl", &gone).await;
        let findings = doctor(&world).await;
        assert_eq!(bad(&findings), [Code::TokenTooNarrow], "{findings:#?}");
        follow(&world, &findings, &[Code::TokenTooNarrow]).await;
        assert_eq!((may(&world, ALICE).await, may(&world, OTHER).await), before);
        assert_eq!(bad(&doctor(&world).await), []);
    }
}

/// Somebody disabled the account; it is not for Proximity to tell how that is undone.
#[tokio::test]
async fn a_person_who_was_disabled_is_not_told_to_be_enabled() {
    let world = with_hers(true, true).await;
    // The token that looks is hers too, so nothing can be read.
    done(
        &world,
        Method::Put,
        "/access/users/alice@pve",
        &[("enable", "0")],
    )
    .await;
    let findings = doctor(&world).await;
    let refused = one(&findings, Code::TokenRefused);
    assert!(!refused.next.join(" ").contains("--enable"), "{refused:?}");
}
