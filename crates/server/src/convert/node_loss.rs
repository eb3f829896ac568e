//! A node that is given up.

use proximity_api::node_loss::{LossBrake, LostApp, NodeLoss};
use proximity_domain::observe::Brake;
use proximity_engine::commands::{self, Becomes};

use super::ports;

pub(crate) fn node_loss(loss: commands::NodeLoss) -> NodeLoss {
    NodeLoss {
        lost: loss.lost(),
        brake: match loss.brake {
            Brake::Free => None,
            Brake::Stops { done, limit, .. } => Some(LossBrake { done, limit }),
        },
        host: loss.host.label.into(),
        node: loss.node.into(),
        is_member: loss.is_member,
        unseen_nodes: loss.unseen_nodes.into_iter().map(String::from).collect(),
        apps: loss.apps.into_iter().map(lost_app).collect(),
        done: loss.is_done,
        known_nodes: loss
            .host
            .known_nodes
            .into_iter()
            .map(String::from)
            .collect(),
    }
}

fn lost_app(app: commands::AppLoss) -> LostApp {
    let (becomes, listed, stays_on, why) = match app.becomes {
        Becomes::Archived { listed } => ("archived", listed, None, None),
        Becomes::Stays { on } => ("stays", false, Some(String::from(on)), None),
        Becomes::Undecided { why } => ("undecided", false, None, Some(why)),
    };
    LostApp {
        app_id: app.app.to_string(),
        hostname: app.hostname.into(),
        class: app.class.label().to_owned(),
        status: app.status.label().to_owned(),
        vmids: app.vmids.iter().map(|vmid| vmid.get()).collect(),
        ports: app.ports.map(ports),
        becomes: becomes.to_owned(),
        listed,
        stays_on,
        why,
    }
}
