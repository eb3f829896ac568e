//! `proximity discover`.

use proximity_api::adoption::{DiscoverQuery, DiscoveredContainer, Discovery};

use crate::cli::DiscoverArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: DiscoverArgs) -> Result<(), Failed> {
    let query = DiscoverQuery { host: args.host };
    let found = context.client()?.discover(&query).await?;
    context.output.result(&found, human)
}

fn human(found: &Discovery) -> String {
    let mut text = table(
        [
            "CONTAINER",
            "NODE",
            "NAME",
            "STATUS",
            "TYPE",
            "PORT",
            "ADOPT",
        ],
        found.containers.iter().map(row),
        "no container that no app has",
    );
    if !found.complete {
        text.push_str("\n\nthis list is not complete, there may be more:");
    }
    for gap in &found.gaps {
        text.push_str(&format!("\n{}: {}", gap.host, gap.why));
    }
    text
}

fn row(container: &DiscoveredContainer) -> [String; 7] {
    let adopt = match (&container.why_not, container.mark.as_str()) {
        (Some(why), _) => format!("no: {why}"),
        (None, "unread") => "its configuration could not be read".to_owned(),
        (None, _) => "yes".to_owned(),
    };
    [
        format!("{}/{}", container.host, container.vmid),
        container.node.clone(),
        container.name.clone(),
        container.status.clone(),
        container.suggested_type.clone(),
        container.suggested_port.to_string(),
        adopt,
    ]
}

#[cfg(test)]
mod tests {
    use proximity_api::adoption::DiscoveryGap;

    use super::*;

    #[test]
    fn what_was_found_is_a_table_that_says_what_it_lacks() {
        let container = |vmid, name: &str, mark: &str, why_not: Option<&str>| DiscoveredContainer {
            host: "lab".to_owned(),
            node: "pve1".to_owned(),
            vmid,
            name: name.to_owned(),
            status: "running".to_owned(),
            adoptable: why_not.is_none(),
            why_not: why_not.map(str::to_owned),
            mark: mark.to_owned(),
            template: false,
            ha_managed: false,
            tags: Vec::new(),
            pool: None,
            cpus: None,
            memory_bytes: None,
            disk_bytes: None,
            uptime_seconds: None,
            suggested_type: "custom".to_owned(),
            suggested_port: 80,
        };
        let found = Discovery {
            complete: false,
            containers: vec![
                container(105, "db", "none", None),
                container(106, "tpl", "none", Some("it is a template")),
                container(107, "far", "unread", None),
            ],
            gaps: vec![DiscoveryGap {
                host: "lab".to_owned(),
                why: "the cluster has no quorum".to_owned(),
            }],
        };
        insta::assert_snapshot!(human(&found));
    }
}
