//! `/cluster/jobs`: what there is beside backups, and when a schedule is due.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::{calendar, dates};

/// Moments that are told, unless it is said how many.
const MOMENTS: u64 = 10;

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    let names = ["schedule-analyze", "realm-sync"];
    let rows = names.iter().map(|name| json!({"subdir": name}));
    Ok(rows.collect::<Value>().into())
}

/// The next moments of a schedule.
pub(super) fn analyze(call: &mut Call<'_>) -> Outcome {
    let schedule = call.text("schedule").unwrap_or_default();
    let count = call.number("iterations").unwrap_or(MOMENTS);
    let from_s = call.number("starttime").unwrap_or_else(|| call.now_s());
    let first_s = calendar::next(&schedule, from_s);
    let moments = std::iter::successors(first_s, |at_s| calendar::next(&schedule, *at_s));
    let moments = moments.take(usize::try_from(count).unwrap_or(usize::MAX));
    let rows = moments.map(|at_s| json!({"timestamp": at_s, "utc": dates::long(at_s)}));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn mapping_index(_: &mut Call<'_>) -> Outcome {
    let names = ["dir", "pci", "usb"];
    let rows = names.iter().map(|name| json!({"name": name}));
    Ok(rows.collect::<Value>().into())
}
