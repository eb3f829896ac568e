//! Users who need a code beside their password.

use std::collections::BTreeSet;
use std::sync::Arc;

use proximity_domain::time::Clock;
use proximity_pve::accounts::AccountClient;
use proximity_pve::transport::Method;
use proximity_pve::transport::https::Login;
use proximity_pve::{Error, ReadClient, Warrant};
use proximity_testkit::sources::RealClock;
use proximity_testkit::totp;

use crate::lab::{Lab, PASSWORD, USER, call, host, login};

/// The code an authenticator shows now.
fn code_now() -> String {
    totp::code(totp::step(RealClock.now().0))
}

/// A lab whose user has an authenticator.
async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.add_user().await;
    let uri = totp::uri(USER);
    let code = code_now();
    let factor = [
        ("type", "totp"),
        ("totp", uri.as_str()),
        ("value", code.as_str()),
        ("password", PASSWORD),
        ("description", "authenticator"),
    ];
    // PVE lets no token do this.
    let user = lab.transport(login(PASSWORD));
    call(&user, Method::Post, &format!("/access/tfa/{USER}"), &factor).await;
    lab
}

#[tokio::test]
async fn a_password_alone_is_not_enough_and_the_error_says_what_is_missing() {
    let lab = lab().await;
    let read = ReadClient::new(Arc::new(lab.transport(login(PASSWORD))));
    let error = read.version().await.unwrap_err();
    assert!(
        matches!(&error, Error::SecondFactor { accepts, .. } if accepts == &["totp"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_code_lets_the_user_in() {
    let lab = lab().await;
    let with_code = Login {
        totp_code: Some(code_now().into()),
        ..login(PASSWORD)
    };
    let read = ReadClient::new(Arc::new(lab.transport(with_code)));
    assert!(!read.nodes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_code_is_refused() {
    let lab = lab().await;
    let wrong = if code_now() == "000000" {
        "1"
    } else {
        "000000"
    };
    let with_code = Login {
        totp_code: Some(wrong.into()),
        ..login(PASSWORD)
    };
    let read = ReadClient::new(Arc::new(lab.transport(with_code)));
    let error = read.version().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}

/// A host is set up so: many calls, one login, one code.
#[tokio::test]
async fn a_person_changes_accounts_with_one_code() {
    let lab = lab().await;
    let with_code = Login {
        totp_code: Some(code_now().into()),
        ..login(PASSWORD)
    };
    let warrant = Warrant {
        send_by: RealClock.monotonic().plus_ms(60_000),
        reference: "test".to_owned(),
    };
    let clock = Arc::new(RealClock);
    let endpoints = vec![lab.endpoint()];
    let person = AccountClient::log_in(endpoints, with_code, clock, host(), warrant).unwrap();
    let role = "Lookers".parse().unwrap();
    let privileges = BTreeSet::from(["VM.Audit".to_owned()]);
    person.create_role(&role, &privileges).await.unwrap();
    assert_eq!(person.role(&role).await.unwrap(), privileges);
    let roles = person.roles().await.unwrap();
    assert!(
        roles
            .iter()
            .any(|row| row.id == "Lookers" && row.privileges == privileges)
    );
    let users = person.users().await.unwrap();
    assert!(users.iter().any(|user| user.id == USER && user.enabled));
    let realms = proximity_pve::accounts::realms(lab.endpoint())
        .await
        .unwrap();
    assert_eq!(realms, ["pam", "pve"]);
}
