//! What is counted anew for one answer. It is that answer's own: figures that all share would be half cleared while another
//! one is written.

use std::collections::BTreeMap;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proximity_store::views::AppCount;

use super::PREFIX;
use super::labels::{Apps, Host};

/// Who asks, and what the reconciler says.
#[derive(Debug, Default)]
pub(crate) struct Scrape<'a> {
    /// The account whose apps alone are told of; `None` = everything.
    pub(crate) sees_only: Option<&'a str>,
    /// Clients that follow events.
    pub(crate) streams: usize,
    /// Number of the newest event.
    pub(crate) newest_event: i64,
    /// Whether the newest look saw a cluster whole, by host label.
    pub(crate) seen_whole: Vec<(String, bool)>,
    /// Containers that are on no record, by label of the hosts that were seen whole. Told where everything is.
    pub(crate) unmanaged: BTreeMap<String, u64>,
}

impl Scrape<'_> {
    /// The figures of this answer alone, with these counts of live apps.
    pub(super) fn registry(&self, counts: &[AppCount]) -> Registry {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix(PREFIX);
        registry.register(
            "cluster_seen_whole",
            "1 if the newest look at the cluster saw it whole, 0 if not: what is missing there is found by nobody then",
            seen_whole(&self.seen_whole),
        );
        registry.register(
            "apps",
            "Live apps that the token may see, by kind and status",
            apps(counts),
        );
        if self.sees_only.is_none() {
            registry.register(
                "cluster_unmanaged_containers",
                "Containers that no app has, as the newest look showed that saw the cluster whole",
                unmanaged(&self.unmanaged),
            );
        }
        all
    }
}

fn seen_whole(clusters: &[(String, bool)]) -> Family<Host, Gauge> {
    let figure = Family::<Host, Gauge>::default();
    for (host, whole) in clusters {
        let labels = Host { host: host.clone() };
        figure.get_or_create(&labels).set(i64::from(*whole));
    }
    figure
}

fn unmanaged(counts: &BTreeMap<String, u64>) -> Family<Host, Gauge> {
    let figure = Family::<Host, Gauge>::default();
    for (host, count) in counts {
        let labels = Host { host: host.clone() };
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        figure.get_or_create(&labels).set(count);
    }
    figure
}

fn apps(counts: &[AppCount]) -> Family<Apps, Gauge> {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for count in counts {
        *sums.entry((&count.class, &count.status)).or_default() += count.apps;
    }
    let figure = Family::<Apps, Gauge>::default();
    for ((kind, status), sum) in sums {
        let labels = Apps {
            kind: kind.to_owned(),
            status: status.to_owned(),
        };
        let sum = i64::try_from(sum).unwrap_or(i64::MAX);
        figure.get_or_create(&labels).set(sum);
    }
    figure
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use std::collections::BTreeSet;

    use super::*;

    fn text(scrape: &Scrape<'_>, counts: &[AppCount]) -> String {
        let mut text = String::new();
        encode(&mut text, &scrape.registry(counts)).unwrap();
        text
    }

    fn count(node: &str, status: &str) -> AppCount {
        AppCount {
            class: "adopted".to_owned(),
            status: status.to_owned(),
            host: "lab".to_owned(),
            node: node.to_owned(),
            catalog_id: "generic".to_owned(),
            exposed: false,
            apps: 2,
        }
    }

    #[test]
    fn what_one_answer_counts_is_in_no_other() {
        let both = Scrape {
            seen_whole: vec![("lab".to_owned(), true), ("attic".to_owned(), true)],
            unmanaged: BTreeMap::from([("lab".to_owned(), 7)]),
            ..Scrape::default()
        };
        let counts = [
            count("a", "running"),
            count("b", "running"),
            count("a", "error"),
        ];
        let first = text(&both, &counts);
        for line in [
            "proximity_apps{kind=\"adopted\",status=\"running\"} 4",
            "proximity_apps{kind=\"adopted\",status=\"error\"} 2",
            "proximity_cluster_seen_whole{host=\"attic\"} 1",
            "proximity_cluster_unmanaged_containers{host=\"lab\"} 7",
        ] {
            assert!(first.contains(line), "{line} is not in {first}");
        }
        let one = Scrape {
            seen_whole: vec![("lab".to_owned(), false)],
            ..Scrape::default()
        };
        let second = text(&one, &counts[..2]);
        assert!(second.contains("proximity_cluster_seen_whole{host=\"lab\"} 0"));
        for gone in ["attic", "error", "unmanaged"] {
            assert!(!second.contains(gone), "{gone} is in {second}");
        }
        // The series of a family come in no certain order.
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(lines(&text(&both, &counts)), lines(&first));
    }

    #[test]
    fn who_sees_some_apps_alone_is_not_told_of_containers_of_others() {
        let own = Scrape {
            sees_only: Some("robot"),
            unmanaged: BTreeMap::from([("lab".to_owned(), 7)]),
            ..Scrape::default()
        };
        let text = text(&own, &[count("a", "running")]);
        assert!(!text.contains("unmanaged"), "{text}");
        assert!(text.contains("proximity_apps{"), "{text}");
    }
}
