//! Containers that the helper must not enter: without our mark, with another app's, another installation's, adopted and not
//! allowed.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Bench;
use super::stand::{ANOTHER, INSTALLATION, Node, line, made, mark};

const ROOMY_KIB: u32 = 64 * 1024;

/// What came of it.
pub(super) struct Refusals {
    /// Requests that had to be refused.
    pub(super) asked: usize,
    /// What went wrong.
    pub(super) wrong: Vec<String>,
}

/// A container, and a request about it that has to be refused.
struct Case {
    what: &'static str,
    vmid: u32,
    /// What the node's configuration says.
    description: String,
    guest: Value,
    /// What the helper has to answer.
    code: &'static str,
}

fn cases() -> Vec<Case> {
    let ours = |app| mark(INSTALLATION, app);
    let theirs = mark(ANOTHER, 7);
    let case = |what, vmid, description: &str, guest, code| Case {
        what,
        vmid,
        description: description.to_owned(),
        guest,
        code,
    };
    let below = format!("{}\nedited by hand", ours(5));
    let adopted = json!({ "vmid": 106, "owner": { "adopted": {} } });
    vec![
        case("no description", 101, "", made(101, &ours(1)), "not_yours"),
        case(
            "no mark",
            102,
            "a web server",
            made(102, &ours(2)),
            "not_yours",
        ),
        case(
            "another app's mark",
            103,
            &ours(30),
            made(103, &ours(3)),
            "not_yours",
        ),
        case(
            "another installation's mark",
            104,
            &theirs,
            made(104, &theirs),
            "not_yours",
        ),
        case(
            "a mark that is not the last line",
            105,
            &below,
            made(105, &ours(5)),
            "not_yours",
        ),
        case(
            "adopted and not allowed",
            106,
            "somebody's",
            adopted,
            "not_allowed",
        ),
    ]
}

/// Asks for all that has to be refused, and for one thing that has not. In the control every container shows the mark that is
/// asked for.
pub(super) fn refused(bench: &Bench<'_>, helper: &Path) -> Result<Refusals> {
    let mut node = Node::new(bench.folder("node-helper-refusals")?, helper)?;
    let cases = cases();
    for case in &cases {
        let asked = case.guest["owner"]["made"]["mark"].as_str();
        match asked.filter(|_| bench.mode.sabotage) {
            Some(mark) => node.add(case.vmid, mark)?,
            None => node.add(case.vmid, &case.description)?,
        }
    }
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in &cases {
        for (name, verb) in verbs(&case.guest) {
            asked += 1;
            let said = node.session(ROOMY_KIB, &line(&verb))?;
            let code = said.ends.first().map(|end| end["refused"]["code"].clone());
            if said.ends.len() != 1 || code.as_ref().is_none_or(|code| code != case.code) {
                wrong.push(format!(
                    "{}: {name} was answered {:?}",
                    case.what, said.ends
                ));
            }
        }
    }
    if node.entered() > 0 {
        wrong.push(format!("containers were entered {} times", node.entered()));
    }
    wrong.extend(own_is_entered(&mut node)?);
    Ok(Refusals { asked, wrong })
}

/// A helper that refuses everything would pass otherwise.
fn own_is_entered(node: &mut Node) -> Result<Option<String>> {
    let own = mark(INSTALLATION, 9);
    node.add(109, &format!("web\n{own}"))?;
    let before = node.entered();
    let exec = json!({
        "guest": made(109, &own), "argv": ["true"], "timeout_ms": 10_000, "max_output_bytes": 0,
    });
    let said = node.session(ROOMY_KIB, &line(&json!({ "exec": exec })))?;
    let ran = said
        .ends
        .first()
        .is_some_and(|end| end["ended"]["exit_code"] == 0);
    let once = node.entered() == before + 1;
    Ok((!ran || !once).then(|| format!("our own container was not entered: {:?}", said.ends)))
}

/// All that can be asked for about a container.
fn verbs(guest: &Value) -> [(&'static str, Value); 4] {
    let file = json!({ "file": { "mode": 0o644, "owner": "root:root" } });
    let probe = json!({ "guest": guest });
    let exec = json!({
        "guest": guest, "argv": ["true"], "timeout_ms": 10_000, "max_output_bytes": 0,
    });
    let push = json!({
        "guest": guest, "path": "/x", "what": file, "content_bytes": 0, "timeout_ms": 10_000,
    });
    let pull = json!({ "guest": guest, "path": "/x", "max_bytes": 1, "timeout_ms": 10_000 });
    [
        ("probe", probe),
        ("exec", exec),
        ("push", push),
        ("pull", pull),
    ]
    .map(|(name, asked)| (name, json!({ name: asked })))
}
