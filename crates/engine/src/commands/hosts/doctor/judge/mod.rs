//! From facts to findings, purely.

mod cluster;
mod endpoints;
mod ends;
mod guests;
mod nodes;
mod places;
mod repair;
mod rights;
mod ways;

use proximity_domain::token_purpose::TokenPurpose;

use super::due::Due;
use super::facts::{Facts, TokenRights};
use super::finding::{Code, Finding};

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
        self.findings.push(Finding {
            code,
            host: Some(self.host.clone()),
            subject: subject.into(),
            what: what.into(),
            next: next.into_iter().collect(),
        });
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
    match &token.rights {
        TokenRights::Told(held) if rights::missing(&due, held).is_empty() => None,
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

/// Names with commas.
fn names<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|name| name.to_string()).collect();
    all.join(", ")
}
