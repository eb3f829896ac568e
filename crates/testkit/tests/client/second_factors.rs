//! Users who need a code beside their password.

use std::collections::BTreeSet;
use std::sync::Arc;

use proximity_domain::time::Clock;
use proximity_pve::accounts::AccountClient;
use proximity_pve::transport::Method;
use proximity_pve::transport::https::Login;
use proximity_pve::{Error, ReadClient, Warrant};
use proximity_testkit::sources::RealClock;
use sha1::{Digest, Sha1};

use crate::lab::{Lab, PASSWORD, USER, call, host, login};

/// What the authenticator and the emulator share, and the same in base 32.
const KEY: &[u8] = b"12345678901234567890";
const KEY_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The code an authenticator shows now (RFC 6238).
fn code_now() -> String {
    let counter = u64::try_from(RealClock.now().0).unwrap() / 30_000;
    let mut block = [0_u8; 64];
    block[..KEY.len()].copy_from_slice(KEY);
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let hash = |first: [u8; 64], then: &[u8]| {
        let both = Sha1::new().chain_update(first).chain_update(then);
        <[u8; 20]>::from(both.finalize())
    };
    let digest = hash(pad(0x5c), &hash(pad(0x36), &counter.to_be_bytes()));
    let at = usize::from(digest[19] & 15);
    let word: [u8; 4] = digest[at..at + 4].try_into().unwrap();
    let number = (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000;
    format!("{number:06}")
}

/// A lab whose user has an authenticator.
async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.add_user().await;
    let uri = format!("otpauth://totp/{USER}?secret={KEY_BASE32}&digits=6&period=30");
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
