//! Persons who may do almost all of it.

use super::*;

/// A person with all privileges but these, on this path and below.
async fn person_without(world: &World, path: &str, lacks: &[&str]) -> PersonLogin {
    let (user, password) = ("anna@pve", "hunter2-hunter2");
    let role = format!("Almost{}", path.replace('/', "-"));
    let answer = call(world, Method::Get, "/access/roles/Administrator", &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let all = body["data"].as_object().unwrap().keys().map(String::as_str);
    let held: Vec<&str> = all.filter(|name| !lacks.contains(name)).collect();
    let privs = held.join(" ");
    let params = [("roleid", role.as_str()), ("privs", privs.as_str())];
    done(world, Method::Post, "/access/roles", &params).await;
    let params = [("userid", user), ("password", password)];
    done(world, Method::Post, "/access/users", &params).await;
    grant(world, "/", "Administrator").await;
    grant(world, path, &role).await;
    PersonLogin {
        user: user.to_owned(),
        password: password.to_owned().into(),
        totp_code: None,
    }
}

async fn grant(world: &World, path: &str, role: &str) {
    let params = [("path", path), ("users", "anna@pve"), ("roles", role)];
    done(world, Method::Put, "/access/acl", &params).await;
}

/// Neither setting the host up nor giving it up begins; gives what is said to be missing.
async fn refused_both(world: &World, login: &PersonLogin) -> [String; 2] {
    let mut request = init(world);
    request.login = login.clone();
    let not_set_up = refused(world, request).await;
    assert_eq!(not_set_up.code(), "login_too_narrow", "{not_set_up}");

    world
        .engine
        .init_host(&admin(), &init(world))
        .await
        .unwrap();
    let before = access(world).await;
    let request = UninitHost {
        host: "home".to_owned(),
        login: login.clone(),
    };
    let planned = world.engine.plan_uninit(&request).await.unwrap_err();
    let kept = world
        .engine
        .uninit_host(&admin(), &request)
        .await
        .unwrap_err();
    assert_eq!(kept.code(), "login_too_narrow", "{kept}");
    assert_eq!(planned.to_string(), kept.to_string());
    assert_eq!(access(world).await, before);
    assert_eq!(world.hosts().await, 1);
    [not_set_up.to_string(), kept.to_string()]
}

#[tokio::test]
async fn pools_that_the_person_may_not_see_are_not_taken_for_absent() {
    let world = World::start().await;
    let path = "/pool/proximity";
    let login = person_without(&world, path, &["Pool.Audit"]).await;
    for text in refused_both(&world, &login).await {
        assert!(text.ends_with(": Pool.Audit on /pool/proximity"), "{text}");
    }
}

#[tokio::test]
async fn a_path_where_the_person_may_grant_nothing_is_named_before_the_first_step() {
    let world = World::start().await;
    let path = "/storage/local";
    let login = person_without(&world, path, &["Permissions.Modify"]).await;
    for text in refused_both(&world, &login).await {
        let lack = ": Permissions.Modify on /storage/local";
        assert!(text.ends_with(lack), "{text}");
    }
}
