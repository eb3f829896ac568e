//! `proximity hosts forget-node --containers-lost`: what becomes of the apps of a node that is given up.

use proximity_api::node_loss::{GiveUpNode, LostApp, NodeLoss};

use crate::cli::HostsForgetNode;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: HostsForgetNode) -> Result<(), Failed> {
    let client = context.client()?;
    let body = GiveUpNode {
        confirm_lost: args.confirm_lost,
    };
    let loss = client.give_up_node(&args.host, &args.node, &body).await?;
    context.output.result(&loss, human)
}

fn human(loss: &NodeLoss) -> String {
    let rows = loss.apps.iter().map(row);
    let heads = ["APP", "CLASS", "STATUS", "CONTAINER", "WHAT BECOMES OF IT"];
    let nothing = format!("nothing is recorded on {} of {}", loss.node, loss.host);
    let mut text = table(heads, rows, &nothing);
    let mut say = |line: String| {
        text.push('\n');
        text.push_str(&line);
    };
    let NodeLoss { node, host, .. } = loss;
    if !loss.done {
        reservations(loss).into_iter().for_each(&mut say);
    }
    if loss.done {
        say(format!(
            "the records of {} app(s) are in the archive; nothing was sent to the cluster",
            loss.lost
        ));
    }
    match (loss.done, loss.is_member) {
        (true, true) => say(format!(
            "{node} stays on record, for its cluster still lists it: take it out (pvecm delnode {node}), then: \
             proximity hosts forget-node {host} {node}"
        )),
        (true, false) => say(format!(
            "{node} is no longer expected in the cluster of {host}; expected are {}",
            loss.known_nodes.join(", ")
        )),
        (false, _) => say(next(loss)),
    }
    if !loss.is_member && loss.apps.iter().any(|app| app.listed) {
        say(format!(
            "the cluster keeps the files of {node}, and while its list has containers of a node that is no member nothing is taken \
             for gone: move what is needed of it to a node that lives, then on a member: rm -r /etc/pve/nodes/{node}"
        ));
    }
    text
}

/// What a person has to know before the number is typed.
fn reservations(loss: &NodeLoss) -> Vec<String> {
    let NodeLoss { node, host, .. } = loss;
    let mut lines = Vec::new();
    if loss.is_member && loss.lost > 0 {
        lines.push(format!(
            "{node} is off, and its cluster still lists it: if it comes back its containers come back with it, and are nobody's; those \
             that Proximity made cannot be adopted then: remove them there by hand"
        ));
    }
    if !loss.unseen_nodes.is_empty() {
        lines.push(format!(
            "no answer of the cluster of {host} has {}: whether a container is there nobody can say, and the number covers that",
            loss.unseen_nodes.join(", ")
        ));
    }
    lines
}

/// What a person does who has seen it.
fn next(loss: &NodeLoss) -> String {
    let NodeLoss {
        node, host, lost, ..
    } = loss;
    let command = format!("proximity hosts forget-node {host} {node}");
    if loss.apps.iter().any(|app| app.why.is_some()) {
        return "nothing can be given up as long as that is so of one of them; nothing was changed"
            .to_owned();
    }
    if *lost == 0 {
        return match loss.is_member {
            true => "nothing is lost with it; nothing was changed".to_owned(),
            false => format!("nothing is lost with it; forget it with: {command}"),
        };
    }
    let many = loss.brake.map_or_else(String::new, |brake| {
        format!(
            " They are more than may go in an hour ({}, {} went); the number lets go of them.",
            brake.limit, brake.done
        )
    });
    format!(
        "nothing was changed. Whoever knows that the containers of {lost} app(s) are lost types that number:{many}\n  \
         {command} --containers-lost --confirm-lost {lost}"
    )
}

fn row(app: &LostApp) -> [String; 5] {
    let vmids: Vec<String> = app.vmids.iter().map(ToString::to_string).collect();
    [
        app.hostname.clone(),
        app.class.clone(),
        app.status.clone(),
        vmids.join(", "),
        becomes(app),
    ]
}

fn becomes(app: &LostApp) -> String {
    if let Some(node) = &app.stays_on {
        return format!("stays: its number is on {node}");
    }
    if let Some(why) = &app.why {
        return format!("cannot be told: {why}");
    }
    let kept = match app.class.as_str() {
        "adopted" => "archived with its history and what was read at its adoption",
        _ => "archived with its history",
    };
    match app.ports {
        Some(ports) => format!(
            "{kept}; ports {} and {} rest, then are free",
            ports.public, ports.internal
        ),
        None => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::Ports;
    use proximity_api::node_loss::LossBrake;

    use super::*;

    fn app(hostname: &str, class: &str) -> LostApp {
        LostApp {
            app_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            hostname: hostname.to_owned(),
            class: class.to_owned(),
            status: "running".to_owned(),
            vmids: vec![101],
            ports: Some(Ports {
                public: 8100,
                internal: 9100,
            }),
            becomes: "archived".to_owned(),
            listed: true,
            stays_on: None,
            why: None,
        }
    }

    fn loss() -> NodeLoss {
        let moved = LostApp {
            becomes: "stays".to_owned(),
            listed: false,
            stays_on: Some("pve1".to_owned()),
            ..app("shop", "native")
        };
        NodeLoss {
            host: "home".to_owned(),
            node: "pve3".to_owned(),
            is_member: false,
            unseen_nodes: Vec::new(),
            lost: 2,
            apps: vec![app("web", "native"), app("db", "adopted"), moved],
            brake: None,
            done: false,
            known_nodes: vec!["pve1".to_owned(), "pve3".to_owned()],
        }
    }

    #[test]
    fn what_becomes_of_each_is_shown_with_the_number_to_type() {
        insta::assert_snapshot!(human(&loss()));
    }

    #[test]
    fn what_was_done_is_told_with_what_is_left() {
        let mut done = loss();
        done.done = true;
        done.known_nodes.pop();
        insta::assert_snapshot!(human(&done));
        done.is_member = true;
        let text = human(&done);
        assert!(text.contains("pvecm delnode pve3"), "{text}");
        assert!(!text.contains("rm -r"), "its files are a member's: {text}");
    }

    #[test]
    fn what_may_come_back_and_who_was_not_seen_is_told_before_the_number() {
        let mut off = loss();
        off.is_member = true;
        off.unseen_nodes = vec!["pve4".to_owned()];
        let text = human(&off);
        let back = text.find("if it comes back").unwrap();
        let unseen = text.find("of the cluster of home has pve4").unwrap();
        let number = text.find("--confirm-lost 2").unwrap();
        assert!(back < unseen && unseen < number, "{text}");
        insta::assert_snapshot!(text);
        off.is_member = false;
        off.unseen_nodes.clear();
        assert_eq!(reservations(&off), Vec::<String>::new());
    }

    #[test]
    fn the_number_is_asked_for_only_where_it_is_consent() {
        let mut many = loss();
        many.brake = Some(LossBrake { done: 2, limit: 3 });
        let text = next(&many);
        assert!(text.contains("(3, 2 went)"), "{text}");
        assert!(text.ends_with("--confirm-lost 2"), "{text}");
        many.apps[0].why = Some("an operation is at work on it".to_owned());
        assert!(!next(&many).contains("--confirm-lost"));
        let mut none = loss();
        none.lost = 0;
        let text = next(&none);
        assert!(text.ends_with("proximity hosts forget-node home pve3"));
        none.apps.clear();
        let text = human(&none);
        assert!(text.starts_with("nothing is recorded on pve3 of home"));
    }
}
