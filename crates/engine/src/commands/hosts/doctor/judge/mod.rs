//! From facts to findings, purely.

mod cluster;
mod endpoints;
mod ends;
mod guests;
mod hidden;
mod nodes;
mod places;
mod repair;
mod rights;
mod ways;

use std::collections::BTreeSet;

use proximity_domain::token_purpose::TokenPurpose;

use super::due::Due;
use super::facts::{Facts, Held, TokenRights};
use super::finding::{Code, Finding};
use super::pveum::word;

/// What ends sooner is warned of.
const SOON_S: i64 = 30 * 86_400;

/// All that is to be said of a host.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut judge = Judge {
        host: facts.record.label.to_string(),
        findings: Vec::new(),
    };
    endpoints::judge(facts, &mut judge);
    cluster::judge(facts, &mut judge);
    nodes::judge(facts, &mut judge);
    rights::judge(facts, &mut judge);
    places::judge(facts, &mut judge);
    ways::judge(facts, &mut judge);
    guests::judge(facts, &mut judge);
    judge.findings
}

/// Findings of one host.
struct Judge {
    host: String,
    findings: Vec<Finding>,
}

impl Judge {
    fn say(
        &mut self,
        code: Code,
        subject: impl Into<String>,
        what: impl Into<String>,
        next: impl IntoIterator<Item = String>,
    ) {
        let (subject, what) = (subject.into(), what.into());
        let host = Some(self.host.as_str());
        self.findings
            .push(Finding::new(code, host, &subject, &what, next));
    }

    fn len(&self) -> usize {
        self.findings.len()
    }
}

/// Whole days, rounded down.
fn days_to(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

/// Why lists of PVE may leave things out, if they may: it shows nobody what it may not see, and says nothing of that.
fn blind(facts: &Facts) -> Option<String> {
    let looks = |t: &&super::facts::TokenFacts| t.purposes.contains(&TokenPurpose::Observe);
    let token = facts.tokens.iter().find(looks)?;
    let due = Due::of(&token.purposes, &facts.record, facts.mark);
    // One that does everything may lack what a change needs, and see all.
    let looks = BTreeSet::from([TokenPurpose::Observe]);
    let looks = Due::of(&looks, &facts.record, facts.mark);
    let needs = |p: &&str| {
        looks
            .grants
            .iter()
            .any(|grant| grant.privileges.contains(p))
    };
    let sees = |held: &Held| {
        let missing = rights::missing(&due, held);
        !missing.iter().any(|(_, lacks)| lacks.iter().any(&needs))
    };
    let hidden = |seen| hidden::hidden(seen, &token.id, &looks).into_iter().next();
    if let Some(hidden) = facts.directory.as_ref().ok().and_then(hidden) {
        return Some(format!(
            "token {} does not see all on {}, and PVE leaves out of its lists what a token may not see",
            token.id, hidden.path
        ));
    }
    match &token.rights {
        TokenRights::Told(held) if sees(held) => None,
        TokenRights::Told(_) => Some(format!(
            "token {} lacks rights, and PVE leaves out of its lists what a token may not see",
            token.id
        )),
        TokenRights::Refused(why) | TokenRights::Unread(why) => Some(format!(
            "what token {} may see is not known: {why}",
            token.id
        )),
    }
}

/// How a host that was added by hand is set up with pool and tokens of its own.
fn anew(facts: &Facts) -> Vec<String> {
    let label = &facts.record.label;
    vec![
        format!("while no apps are on it: proximity hosts remove {label}"),
        format!("and then: proximity init {label} {}", url(facts)),
    ]
}

/// An endpoint's URL as a word of a command.
fn url(facts: &Facts) -> String {
    let first = facts.record.endpoints.first();
    first.map_or_else(|| "URL".to_owned(), |e| word(&e.url))
}

/// Names with commas.
fn names<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|name| name.to_string()).collect();
    all.join(", ")
}
