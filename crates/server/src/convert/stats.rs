//! Apps in numbers.

use proximity_api::stats::Stats;
use proximity_domain::app::AppClass;
use proximity_store::views::AppCount;

/// Adds the counts up, each way.
pub(crate) fn stats(counts: Vec<AppCount>) -> Stats {
    let mut stats = Stats::default();
    for count in counts {
        let apps = count.apps;
        stats.total += apps;
        if count.class == AppClass::Adopted.label() {
            let adoption = &mut stats.adoption;
            adoption.adopted += apps;
            adoption.exposed += if count.exposed { apps } else { 0 };
            *adoption.by_status.entry(count.status.clone()).or_default() += apps;
        }
        *stats.by_kind.entry(count.class).or_default() += apps;
        *stats.by_status.entry(count.status).or_default() += apps;
        let node = format!("{}/{}", count.host, count.node);
        *stats.by_node.entry(node).or_default() += apps;
        *stats.by_type.entry(count.catalog_id).or_default() += apps;
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_app_is_counted_once_each_way() {
        let count = |status: &str, node: &str, apps| AppCount {
            class: if apps == 4 { "adopted" } else { "native" }.to_owned(),
            exposed: node == "b",
            status: status.to_owned(),
            host: "home".to_owned(),
            node: node.to_owned(),
            catalog_id: "nginx".to_owned(),
            apps,
        };
        let stats = stats(vec![
            count("running", "a", 2),
            count("running", "b", 1),
            count("error", "b", 4),
        ]);
        assert_eq!(stats.total, 7);
        assert_eq!((stats.by_kind["native"], stats.by_kind["adopted"]), (3, 4));
        assert_eq!((stats.adoption.adopted, stats.adoption.exposed), (4, 4));
        assert_eq!(stats.adoption.by_status["error"], 4);
        assert_eq!(
            (stats.by_status["running"], stats.by_status["error"]),
            (3, 4)
        );
        assert_eq!((stats.by_node["home/a"], stats.by_node["home/b"]), (2, 5));
        assert_eq!(stats.by_type["nginx"], 7);
    }
}
