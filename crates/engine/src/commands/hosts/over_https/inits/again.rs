//! Hosts that are set up again, with less asked for or after something went wrong.

use secrecy::ExposeSecret;

use super::*;

/// A container that is none of ours.
async fn guest(world: &World, vmid: &str) {
    let params = [
        ("vmid", vmid),
        (
            "ostemplate",
            "local:vztmpl/debian-13-standard_13.0-1_amd64.tar.zst",
        ),
        ("storage", "local"),
    ];
    done(world, Method::Post, "/nodes/pve1/lxc", &params).await;
}

#[tokio::test]
async fn the_token_for_adopted_guests_outlives_a_run_that_names_none() {
    let world = World::start().await;
    guest(&world, "105").await;
    let mut request = init(&world);
    request.adopted = vec![105];
    let made = world.engine.init_host(&admin(), &request).await.unwrap();
    let secret = |host: &HostRecord| {
        let token = host.purpose_tokens.adopted.as_ref();
        token.map(|token| token.secret.expose_secret().to_owned())
    };
    assert!(secret(&made.host).is_some());
    request.adopted = Vec::new();
    request.images = true;
    let again = world.engine.init_host(&admin(), &request).await.unwrap();
    assert!(again.host.purpose_tokens.images.is_some());
    let stored = world.engine.named_host("home").await.unwrap();
    assert_eq!(secret(&stored), secret(&made.host));
}
