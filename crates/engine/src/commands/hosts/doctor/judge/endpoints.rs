//! Endpoints: whether they answer, how fast, and with which certificate.

use proximity_pve::transport::https::{Fingerprint, ShownCertificate};
use proximity_store::records::TlsTrust;

use super::super::facts::{Answer, EndpointFacts, Facts};
use super::super::finding::Code;
use super::super::pveum::word;
use super::{Judge, SOON_S, days_to};

const LOOK: &str = "see that the node is up and runs pveproxy (systemctl status pveproxy), and that no firewall is in between";
const FAILS: &str =
    "see what pveproxy and pvedaemon say on that node: journalctl -u pveproxy -u pvedaemon";
const STANDS_STILL: &str = "see on that node whether its copy of the cluster's files stands still, and its clock: \
                            journalctl -u pve-cluster, timedatectl";
const RENEW: &str = "renew it on the node: pvecm updatecerts --force && systemctl reload pveproxy (or by ACME, if it came that way)";
const COMPARE: &str = "on the node: pvenode cert info; if it does not name the fingerprint that is shown, somebody else answers there, and nothing is to be done here";

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let takes_token = |e: &EndpointFacts| matches!(e.answer, Answer::After(_));
    let answers =
        |e: &EndpointFacts| takes_token(e) || matches!(e.answer, Answer::RefusesToken(..));
    let any_takes_it = facts.endpoints.iter().any(takes_token);
    let any = facts.endpoints.iter().any(answers);
    for endpoint in &facts.endpoints {
        let subject = subject(endpoint);
        match &endpoint.answer {
            Answer::RefusesToken(_, why) if any_takes_it => {
                let what = format!(
                    "it is reached, and does not take a token that others take: {}",
                    bare(endpoint, why)
                );
                judge.say(
                    Code::EndpointFails,
                    subject,
                    what,
                    [STANDS_STILL.to_owned()],
                );
            }
            // Where nobody takes the token, that is told of the token.
            Answer::After(us) | Answer::RefusesToken(us, _) => {
                let what = format!("it answers, in {} ms", thousandths(*us));
                judge.say(Code::EndpointAnswers, subject, what, []);
            }
            Answer::Fails(why) if any => {
                let what = format!(
                    "it is reached, and fails, while others answer: {}",
                    bare(endpoint, why)
                );
                judge.say(Code::EndpointFails, subject, what, [FAILS.to_owned()]);
            }
            Answer::None(why) if any => {
                let what = format!("it does not answer, others do: {}", bare(endpoint, why));
                judge.say(Code::EndpointSilent, subject, what, [LOOK.to_owned()]);
            }
            // What is wrong is told of its certificate.
            Answer::Untrusted(_) | Answer::Fails(_) | Answer::None(_) => {}
        }
        certificate(facts, endpoint, any, judge);
    }
    if !any {
        let whys = facts.endpoints.iter().map(|e| match &e.answer {
            Answer::After(_) | Answer::RefusesToken(..) => String::new(),
            Answer::Untrusted(why) | Answer::Fails(why) | Answer::None(why) => {
                format!("{}: {}", e.endpoint.url, bare(e, why))
            }
        });
        let whys: Vec<String> = whys.collect();
        let what = format!("no endpoint answers a call of ours ({})", whys.join("; "));
        judge.say(Code::HostUnreachable, "host", what, [LOOK.to_owned()]);
    }
}

fn subject(endpoint: &EndpointFacts) -> String {
    format!("endpoint {}", endpoint.endpoint.url)
}

/// The reason without the endpoint's name, which the client puts before it.
fn bare<'a>(endpoint: &EndpointFacts, why: &'a str) -> &'a str {
    let name = format!("{}: ", endpoint.endpoint.url);
    why.split_once(&name).map_or(why, |(_, why)| why)
}

/// Microseconds as milliseconds with one digit.
fn thousandths(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

fn certificate(facts: &Facts, endpoint: &EndpointFacts, others: bool, judge: &mut Judge) {
    let subject = format!("certificate of {}", endpoint.endpoint.url);
    let shown = match &endpoint.certificate {
        Ok(shown) => shown,
        Err(why) => {
            let what = format!("it was not seen: {}", bare(endpoint, why));
            return judge.say(Code::CertificateUnread, subject, what, []);
        }
    };
    if let Some(pinned) = pin(&endpoint.endpoint.trust)
        && pinned != shown.fingerprint
    {
        let what = format!(
            "another one is shown ({}) than is recorded ({pinned})",
            shown.fingerprint
        );
        let next = renewed(facts, others, shown);
        return judge.say(Code::CertificateOther, subject, what, next);
    }
    if let Answer::Untrusted(why) = &endpoint.answer {
        let what = format!(
            "{} is shown, and not accepted: {}",
            shown.fingerprint,
            bare(endpoint, why)
        );
        let next = again(facts, endpoint);
        return judge.say(Code::CertificateUntrusted, subject, what, next);
    }
    age(facts, endpoint, shown, subject, judge);
}

fn pin(trust: &TlsTrust) -> Option<Fingerprint> {
    match trust {
        TlsTrust::Fingerprint { sha256 } => sha256.parse().ok(),
        TlsTrust::Ca { .. } | TlsTrust::System => None,
    }
}

/// What to do about a certificate that is not the recorded one.
fn renewed(facts: &Facts, others: bool, shown: &ShownCertificate) -> Vec<String> {
    if others {
        return vec![
            COMPARE.to_owned(),
            "if it does, wait a minute: it is recorded by itself, by the word of the endpoints that answer".to_owned(),
        ];
    }
    vec![
        COMPARE.to_owned(),
        format!(
            "if it does: proximity hosts trust {} --fingerprint {}",
            facts.record.label, shown.fingerprint
        ),
    ]
}

/// What to do where no authority vouches for what is shown. It may be anybody's, so its fingerprint stands in no command: whoever
/// sets the host up with it would send a password there.
fn again(facts: &Facts, endpoint: &EndpointFacts) -> Vec<String> {
    let label = &facts.record.label;
    let url = word(&endpoint.endpoint.url);
    vec![
        COMPARE.to_owned(),
        format!("if it does, and has ended or is not an authority's any more: {RENEW}"),
        "if it is right as it is: set the host up by a fingerprint that you read on the node"
            .to_owned(),
        format!("then, while no apps are on it: proximity hosts remove {label}"),
        format!("and: proximity init {label} {url} --fingerprint FINGERPRINT-READ-ON-THE-NODE"),
    ]
}

fn age(
    facts: &Facts,
    endpoint: &EndpointFacts,
    shown: &ShownCertificate,
    subject: String,
    judge: &mut Judge,
) {
    let Some(until_s) = shown.good_until_s else {
        let what = "it is the right one, and until when it is good could not be read";
        return judge.say(Code::CertificateUnread, subject, what, []);
    };
    let left_s = until_s - facts.now_ms.div_euclid(1000);
    let days = days_to(left_s);
    if left_s < 0 {
        let what = format!("it ended {} days ago", days_to(-left_s));
        judge.say(
            Code::CertificateEnded,
            subject,
            what,
            renew(facts, endpoint),
        );
    } else if left_s < SOON_S {
        let what = format!("it ends in {days} days");
        judge.say(
            Code::CertificateEndsSoon,
            subject,
            what,
            renew(facts, endpoint),
        );
    } else {
        let what = format!("it is the right one, and good for {days} days");
        judge.say(Code::CertificateGood, subject, what, []);
    }
}

/// How a certificate is renewed. Where it is known by its fingerprint and no other endpoint can vouch for the new one, a person
/// has to.
fn renew(facts: &Facts, endpoint: &EndpointFacts) -> Vec<String> {
    let others = facts.endpoints.iter().any(|other| {
        other.endpoint.url != endpoint.endpoint.url && matches!(other.answer, Answer::After(_))
    });
    let mut steps = vec![RENEW.to_owned()];
    if !others && pin(&endpoint.endpoint.trust).is_some() {
        steps.push(format!(
            "then read its fingerprint on the node (pvenode cert info), for nobody else can vouch for it: proximity hosts trust {} --fingerprint FINGERPRINT-READ-ON-THE-NODE",
            facts.record.label
        ));
    }
    steps
}
