//! `proximity stats`.

use std::collections::BTreeMap;

use proximity_api::stats::Stats;

use crate::context::Context;
use crate::failed::Failed;
use crate::text::details;

pub(crate) async fn run(context: &Context) -> Result<(), Failed> {
    let stats = context.client()?.stats().await?;
    context.output.result(&stats, human)
}

fn human(stats: &Stats) -> String {
    details([
        ("apps", stats.total.to_string()),
        ("by kind", counts(&stats.by_kind)),
        ("by status", counts(&stats.by_status)),
        ("by node", counts(&stats.by_node)),
        ("by type", counts(&stats.by_type)),
    ])
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let each = counts.iter().map(|(name, count)| format!("{name} {count}"));
    each.collect::<Vec<_>>().join(", ")
}
