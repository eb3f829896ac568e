//! Endpoints, and the certificates they show.

use super::*;

#[test]
fn endpoints_and_certificates() {
    assert_eq!(
        when(|f| f.endpoints[1].answer = Answer::None(no())),
        [Code::EndpointSilent]
    );
    assert_eq!(
        when(|f| f.endpoints[1].answer = Answer::Fails(no())),
        [Code::EndpointFails]
    );
    let one_refuses = |f: &mut Facts| f.endpoints[1].answer = Answer::RefusesToken(3_400, no());
    assert_eq!(when(one_refuses), [Code::EndpointFails]);
    let nobody_takes_it = |f: &mut Facts| {
        f.endpoints
            .iter_mut()
            .for_each(|e| e.answer = Answer::RefusesToken(3_400, no()))
    };
    assert_eq!(when(nobody_takes_it), [], "that is told of the token");
    let all_fail = |f: &mut Facts| {
        f.endpoints
            .iter_mut()
            .for_each(|e| e.answer = Answer::Fails(no()))
    };
    assert_eq!(when(all_fail), [Code::HostUnreachable]);
    let both = |f: &mut Facts| {
        f.endpoints
            .iter_mut()
            .for_each(|e| e.answer = Answer::None(no()))
    };
    assert_eq!(when(both), [Code::HostUnreachable]);
    let until = |days: i64| {
        move |f: &mut Facts| {
            f.endpoints[0].certificate.as_mut().unwrap().good_until_s = Some(NOW_S + days * DAY_S);
        }
    };
    assert_eq!(when(until(30)), []);
    assert_eq!(when(until(29)), [Code::CertificateEndsSoon]);
    assert_eq!(when(until(-1)), [Code::CertificateEnded]);
    let unread = |f: &mut Facts| f.endpoints[0].certificate.as_mut().unwrap().good_until_s = None;
    assert_eq!(when(unread), [Code::CertificateUnread]);
    assert_eq!(
        when(|f| f.endpoints[0].certificate = Err(no())),
        [Code::CertificateUnread]
    );
    let other = |f: &mut Facts| {
        f.endpoints[0].certificate.as_mut().unwrap().fingerprint = Fingerprint([2; 32]);
        f.endpoints[0].answer = Answer::Untrusted(no());
    };
    assert_eq!(when(other), [Code::CertificateOther]);
    let by_authority = |f: &mut Facts| {
        f.endpoints[0].endpoint.trust = TlsTrust::System;
        f.endpoints[0].answer = Answer::Untrusted(no());
    };
    assert_eq!(when(by_authority), [Code::CertificateUntrusted]);
}

#[test]
fn a_renewed_certificate_is_waited_for_where_others_answer_and_else_told_with_the_command() {
    let mut facts = well();
    facts.endpoints[0].certificate.as_mut().unwrap().fingerprint = Fingerprint([2; 32]);
    facts.endpoints[0].answer = Answer::Untrusted(no());
    let next = |facts: &Facts| {
        let found = judge(facts);
        found
            .into_iter()
            .find(|f| f.code == Code::CertificateOther)
            .unwrap()
            .next
            .join("\n")
    };
    assert!(next(&facts).contains("wait a minute"));
    facts.endpoints[1].answer = Answer::None(no());
    let alone = next(&facts);
    let command = format!(
        "proximity hosts trust home --fingerprint {}",
        Fingerprint([2; 32])
    );
    assert!(alone.contains(&command), "{alone}");
}

/// Whoever stands in between shows a certificate of his own: it must not come into a command that sends a password there.
#[test]
fn a_certificate_that_nobody_vouches_for_is_compared_first_and_stands_in_no_command() {
    let mut facts = well();
    facts.endpoints[0].endpoint.trust = TlsTrust::System;
    facts.endpoints[0].certificate.as_mut().unwrap().fingerprint = Fingerprint([9; 32]);
    facts.endpoints[0].answer = Answer::Untrusted(no());
    let found = judge(&facts);
    let code = Code::CertificateUntrusted;
    let told = found.iter().find(|f| f.code == code).unwrap();
    let shown = Fingerprint([9; 32]).to_string();
    assert!(told.what.contains(&shown), "{told:?}");
    assert!(told.next[0].contains("pvenode cert info"), "{told:?}");
    assert!(told.next[1].contains("renew it"), "{told:?}");
    assert!(!told.next.join(" ").contains(&shown), "{told:?}");
}

#[test]
fn where_nobody_can_vouch_for_a_renewed_certificate_the_way_to_trust_it_is_told() {
    let mut facts = well();
    facts.endpoints[0]
        .certificate
        .as_mut()
        .unwrap()
        .good_until_s = Some(NOW_S + DAY_S);
    let next = |facts: &Facts| {
        let found = judge(facts).into_iter();
        let mut ends = found.filter(|f| f.code == Code::CertificateEndsSoon);
        ends.next().unwrap().next.join("; ")
    };
    assert!(!next(&facts).contains("hosts trust"));
    facts.endpoints[1].answer = Answer::None(no());
    assert!(next(&facts).contains("proximity hosts trust home"));
    // Whom an authority vouches for needs nobody else.
    facts.endpoints[0].endpoint.trust = TlsTrust::System;
    assert!(!next(&facts).contains("hosts trust"));
}
