//! The error answers of an operation, made from the codes it declares.

use std::collections::BTreeMap;

use proximity_api::error::{CODES, Code, ErrorKind};
use serde_json::{Value, json};

/// The sets whose codes are answered as *invalid*, whatever they are elsewhere.
const HOST: &str = "@host";
const PERSON: &str = "@person";

/// A code as an operation answers it.
pub(super) struct Declared {
    row: &'static Code,
    status: u16,
}

/// Codes that come together. A declaration names them by the word with the `@`.
const SETS: &[(&str, &[&str])] = &[
    // A cluster was asked something.
    (
        "@cluster",
        &[
            "out_of_files",
            "pve_unreachable",
            "pve_node_unreachable",
            "pve_outcome_unknown",
            "pve_unreadable",
            "pve_refused",
            "pve_permission_denied",
            "pve_task_failed",
            "fingerprint_mismatch",
            "certificate_untrusted",
            "token_invalid",
            "host_unusable",
            "upstream_failed",
        ],
    ),
    // The host named in the request was looked at; all of them are its mistakes.
    (
        HOST,
        &[
            "host_unreachable",
            "host_too_slow",
            "certificate_unknown",
            "certificate_untrusted",
            "fingerprint_mismatch",
            "token_invalid",
            "pve_unreadable",
            "pve_permission_denied",
            "pve_node_unreachable",
            "pve_refused",
            "ssh_unreachable",
            "ssh_host_key_mismatch",
            "ssh_no_pct",
            "no_randomness",
        ],
    ),
    // The same, by a person who logs in.
    (
        PERSON,
        &[
            "realm_unknown",
            "login_refused",
            "second_factor_needed",
            "login_too_narrow",
            "account_taken",
            "pool_taken",
            "label_taken",
            "host_not_by_init",
            "host_unusable",
            "init_unfinished",
        ],
    ),
];

/// The codes declared, in the order of the table; sets are resolved, each code is there once.
pub(super) fn rows<'a>(declared: impl IntoIterator<Item = &'a str>) -> Vec<Declared> {
    let mut names: Vec<(&str, Option<ErrorKind>)> = Vec::new();
    for name in declared {
        let kind = [HOST, PERSON].contains(&name).then_some(ErrorKind::Invalid);
        match SETS.iter().find(|(set, _)| *set == name) {
            Some((_, set)) => names.extend(set.iter().map(|name| (*name, kind))),
            None => names.push((name, None)),
        }
    }
    let known = CODES.iter().filter_map(|row| {
        let (_, kind) = names.iter().find(|(name, _)| *name == row.code)?;
        let status = kind.unwrap_or(row.kind).status().as_u16();
        Some(Declared { row, status })
    });
    known.collect()
}

/// One error answer of an operation.
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: String,
    /// Its codes, in the order of the table.
    pub(super) codes: Vec<&'static str>,
    /// The response object.
    pub(super) answer: Value,
}

/// One answer for each HTTP status.
pub(super) fn responses(declared: &[Declared]) -> Vec<Refused> {
    let mut by_status: BTreeMap<u16, Vec<&'static Code>> = BTreeMap::new();
    for code in declared {
        by_status.entry(code.status).or_default().push(code.row);
    }
    by_status
        .into_iter()
        .map(|(status, rows)| Refused {
            status: status.to_string(),
            codes: rows.iter().map(|row| row.code).collect(),
            answer: answer(&rows),
        })
        .collect()
}

fn answer(rows: &[&Code]) -> Value {
    let told: Vec<String> = rows
        .iter()
        .map(|row| format!("`{}`: {}", row.code, row.when))
        .collect();
    let codes: Vec<&str> = rows.iter().map(|row| row.code).collect();
    let one_of_these =
        json!({ "properties": { "error": { "properties": { "code": { "enum": codes } } } } });
    let schema =
        json!({ "allOf": [{ "$ref": "#/components/schemas/ErrorEnvelope" }, one_of_these] });
    json!({
        "description": told.join("\n\n"),
        "content": { "application/json": { "schema": schema } },
    })
}
