//! The page of all figures, made from what is registered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use proximity_store::views::AppCount;

use super::{Metrics, Scrape};

const HEAD: &str = "# Metrics

<!-- Printed by `proximity reference metrics`; the table is in crates/server/src/metrics. Do not edit. -->

`GET /metrics` gives the figures of the running server as OpenMetrics. It asks for a token with the scope `metrics`, which can do
nothing else:

```yaml
scrape_configs:
  - job_name: proximity
    authorization: { credentials_file: /etc/prometheus/proximity-token }
    static_configs: [{ targets: ['127.0.0.1:7640'] }]
```

Counters begin with the process. Labels come from closed lists, route templates, methods of the store, host labels and error codes, so
that their number stays bounded. A figure without samples yet is left out of the answer.

A token with the scope `read` is answered too, as the API answers it elsewhere: `proximity_apps` counts the apps of its own account, and
what tells of everybody's is left out: `proximity_apply_changes_total`, `proximity_cluster_unmanaged_containers`,
`proximity_events_total`, `proximity_journal_…`, `proximity_operation…`, `proximity_snapshot…` and `proximity_step_failures_total`.

| name | type | labels | what |
|---|---|---|---|
";

/// docs/reference/metrics.md.
#[must_use]
pub fn metrics_markdown() -> String {
    let metrics = Metrics::new("");
    metrics.request("", "GET", 200, 0);
    metrics.pve_call("", "GET", "", Duration::ZERO);
    metrics.show_all();
    let scrape = Scrape {
        seen_whole: vec![(String::new(), true)],
        unmanaged: BTreeMap::from([(String::new(), 0)]),
        ..Scrape::default()
    };
    let text = metrics.written(&scrape, &[no_apps()]);
    let mut page = HEAD.to_owned();
    for figure in figures(&text) {
        let labels: Vec<String> = figure.labels.iter().map(|l| format!("`{l}`")).collect();
        // Writing to a String cannot fail; the error is dropped on purpose.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            figure.series(),
            figure.kind,
            labels.join(", "),
            figure.help.trim_end_matches('.')
        );
    }
    page
}

fn no_apps() -> AppCount {
    AppCount {
        class: String::new(),
        status: String::new(),
        host: String::new(),
        node: String::new(),
        catalog_id: String::new(),
        exposed: false,
        apps: 0,
    }
}

struct Figure {
    name: String,
    kind: String,
    labels: Vec<String>,
    help: String,
}

impl Figure {
    /// As it stands in the answer: OpenMetrics lets a counter's and an information's samples end differently.
    fn series(&self) -> String {
        match self.kind.as_str() {
            "counter" => format!("{}_total", self.name),
            "info" => format!("{}_info", self.name),
            _ => self.name.clone(),
        }
    }
}

/// What the text tells, by name.
fn figures(text: &str) -> Vec<Figure> {
    let mut helps = text.lines().filter_map(|line| {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        Some((name.to_owned(), help.to_owned()))
    });
    let kinds = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    });
    let mut figures: Vec<Figure> = kinds
        .filter_map(|(name, kind)| {
            let (_, help) = helps.find(|(of, _)| *of == name)?;
            let labels = labels(text, &name);
            Some(Figure {
                name,
                kind,
                labels,
                help,
            })
        })
        .collect();
    figures.sort_by(|a, b| a.name.cmp(&b.name));
    figures
}

/// The labels of the first sample of a figure, but for the one that names a bucket.
fn labels(text: &str, name: &str) -> Vec<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut own = samples.filter_map(|line| line.strip_prefix(name)?.split_once('{'));
    let Some((_, rest)) = own.next() else {
        return Vec::new();
    };
    let set = rest.split_once('}').map_or(rest, |(set, _)| set);
    set.split(',')
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != "le")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_on_the_page() {
        let page = metrics_markdown();
        for line in [
            "| `proximity_http_requests_total` | counter | `route`, `method`, `status` | Requests by route",
            "| `proximity_http_request_seconds` | histogram | `route` | How",
            "| `proximity_operations_live` | gauge | `kind`, `state` | ",
            "| `proximity_build_info` | info | `version` |",
            "| `proximity_commit_seconds` | histogram |  | ",
            "| `proximity_journal_cleared` | gauge | `journal` | ",
            "| `process_open_fds` | gauge |  | ",
            "| `process_cpu_seconds_total` | counter |  | ",
            "| `proximity_store_calls_seconds` | histogram | `call` | ",
            "| `proximity_store_call_errors_total` | counter | `call`, `error` | ",
            "| `proximity_snapshots_written_total` | counter | `change` | ",
            "| `proximity_snapshot_bytes` | histogram |  | ",
            "| `proximity_reconcile_passes_total` | counter | `result` | ",
        ] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
        let sources = [
            include_str!("mod.rs"),
            include_str!("operations.rs"),
            include_str!("journals.rs"),
            include_str!("scrape.rs"),
            include_str!("store.rs"),
            include_str!("templates.rs"),
            include_str!("traces.rs"),
            include_str!("work.rs"),
        ];
        let registered: usize = sources
            .iter()
            .map(|source| source.matches("registry.register(").count())
            .sum();
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, registered, "{page}");
    }
}
