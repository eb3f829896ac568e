//! Desired state from outside: documents as people write them, the commands as they type them, and what they read then.

mod real;
mod wishes;

use crate::standing::Standing;

/// So often a plan is asked for until the cluster's list tells what was done: it is told anew every ten seconds.
const LOOKS: u32 = 2_000;

/// Returns when a plan of these documents says that nothing is to be done.
fn comes_to_rest(lab: &Standing, documents: &str) {
    let line = format!("plan {documents} --detailed-exitcode");
    let mut last = String::new();
    for _ in 0..LOOKS {
        let (code, said, complaint) = lab.asked(&line);
        match code {
            0 => return,
            6 => last = said,
            code => panic!("{line}: {code}: {complaint}"),
        }
    }
    panic!("{line}: {last}");
}

/// Applies, again where the cluster's list was another one between plan and apply. What was said.
pub(crate) fn applied(lab: &Standing, documents: &str) -> (i32, String, String) {
    let line = format!("apply {documents} --yes --parallel 1");
    for _ in 0..LOOKS {
        let told = lab.asked(&line);
        if told.0 == 0 || !told.2.contains("has changed since") {
            return told;
        }
    }
    panic!("{line}: every plan was another one by the time it was to be applied");
}

#[test]
fn ten_wishes_written_by_the_page_alone_come_true_or_are_told_what_is_wrong() {
    let lab = Standing::up(&["--guests", "simulated"]);
    wishes::come_true(&lab);
}

#[test]
fn real_lxc_five_apps_are_as_their_documents_want_them_also_after_edits_by_hand() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return;
    }
    if let Err(missing) = proximity_pve_emulator::lab::check_programs() {
        println!("SKIPPED: {missing}");
        return;
    }
    let lab = Standing::up(&["--private"]);
    real::five_apps(&lab);
}
