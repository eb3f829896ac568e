//! The page docs/reference/privileges.md.

use proximity_domain::token_purpose::TokenPurpose;

use super::entry::{Basis, Entry, Need, Sender};
use super::grants::{Reason, grants};
use super::table::TABLE;

const HEAD: &str = "\
# Privileges

<!-- Printed by `proximity reference privileges`; the table is in crates/pve/src/privileges/table.rs. Do not edit. -->

What Proximity's API tokens on a Proxmox VE cluster may do, and which call needs what. A host has one token for everything, or a
main token, which is the one that operates, and others beside it; a purpose without a token of its own is served by the main
one. Which token a call is sent with is decided by the second table alone, and a call that is not in it is never sent.

Of a token with privilege separation Proxmox VE takes what both the token and its user hold: **the user needs the same grants**.
The calls that log a user in or renew a ticket (`/access/ticket`) are not listed; they need no privilege.

## What each token holds

| token | path | privilege | for |
|---|---|---|---|
";

const CALLS: &str = "
## What each call needs

*declared*: Proxmox VE's schema says so. *checked*: its code refuses the call otherwise, at the place that is named. *shown*:
without it the call succeeds, and its answer lacks what is named. `+adopted`: for an adopted guest the adopted token sends it.

| call | does | sent by | needs | because |
|---|---|---|---|---|
";

/// The whole page, in Markdown.
#[must_use]
pub fn privileges_markdown() -> String {
    let mut page = HEAD.to_owned();
    for purpose in TokenPurpose::ALL {
        for grant in grants(purpose) {
            let why = match grant.reason {
                Reason::Calls(calls) => calls.join("; "),
                Reason::Also(why) => format!("*{why}*"),
            };
            let (path, privilege) = (grant.on.pattern(), grant.privilege);
            page.push_str(&format!(
                "| {purpose} | `{path}` | `{privilege}` | {why} |\n"
            ));
        }
    }
    page.push_str(CALLS);
    for entry in TABLE {
        page.push_str(&row(entry));
    }
    page.truncate(page.trim_end().len());
    page
}

fn row(entry: &Entry) -> String {
    let with = match entry.with {
        None => String::new(),
        Some((name, None)) => format!(" with `{name}`"),
        Some((name, Some(value))) => format!(" with `{name}={value}`"),
    };
    let sender = match entry.sender {
        Sender::Token(purpose) => purpose.label(),
        Sender::SetUp => "set-up",
    };
    let adopted = if entry.for_adopted { " +adopted" } else { "" };
    let of = |tell: fn(&Need) -> String| -> String {
        let all: Vec<String> = entry.needs.iter().map(tell).collect();
        if all.is_empty() {
            "nothing".to_owned()
        } else {
            all.join("<br>")
        }
    };
    format!(
        "| `{} {}`{with} | {} | {sender}{adopted} | {} | {} |\n",
        entry.method,
        entry.path,
        entry.does,
        of(need),
        of(basis),
    )
}

fn need(need: &Need) -> String {
    let mut text = format!("`{}`", need.privilege);
    for other in need.or {
        text.push_str(&format!(" or `{other}`"));
    }
    let paths: Vec<String> = need
        .on
        .iter()
        .map(|scope| format!("`{}`", scope.pattern()))
        .collect();
    text.push_str(&format!(" on {}", paths.join(" or ")));
    if !need.given.is_empty() {
        text.push_str(&format!(" for {}", need.given.join(", ")));
    }
    if need.by_hand {
        text.push_str(" (given by hand)");
    }
    text
}

fn basis(need: &Need) -> String {
    match need.basis {
        Basis::Declared => "declared".to_owned(),
        Basis::Checked(at) => format!("checked: {at}"),
        Basis::Shown(what) => format!("shown: {what}"),
    }
}
