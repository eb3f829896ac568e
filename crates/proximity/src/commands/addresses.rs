//! `proximity addresses`.

use proximity_api::addresses::{AppAddresses, ContainerAddresses, ObservedInterface};

use crate::cli::ShowArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::table;

pub(crate) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let seen = context.client()?.addresses(&args.app).await?;
    context.output.result(&seen, human)
}

fn human(seen: &AppAddresses) -> String {
    let app = &seen.hostname;
    if seen.containers.iter().all(|c| c.since.is_none()) {
        return format!(
            "{app} was not looked at while it ran: running containers are read in turn"
        );
    }
    let rows = seen.containers.iter().flat_map(|container| {
        let interfaces = container.interfaces.iter();
        interfaces.map(|interface| row(container, interface))
    });
    table(
        ["CONTAINER", "DEVICE", "MAC", "ADDRESSES", "SINCE"],
        rows,
        &format!("{app} shows no network device"),
    )
}

fn row(container: &ContainerAddresses, interface: &ObservedInterface) -> [String; 5] {
    let mac = interface.mac.as_deref().unwrap_or("-");
    let known = if interface.known { "" } else { " (not led to)" };
    let addresses = match interface.addresses.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    [
        format!("{} on {}", container.vmid, container.node),
        interface.name.clone(),
        format!("{mac}{known}"),
        addresses,
        container
            .since
            .map_or_else(String::new, |at| at.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, known: bool, addresses: &[&str]) -> ObservedInterface {
        ObservedInterface {
            name: name.to_owned(),
            mac: known.then(|| "BC:24:11:00:00:01".to_owned()),
            known,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        }
    }

    #[test]
    fn each_device_is_a_row_and_what_was_not_read_is_said() {
        let mut seen = AppAddresses {
            app_id: "1".to_owned(),
            hostname: "db".to_owned(),
            containers: vec![ContainerAddresses {
                vmid: 105,
                node: "pve1".to_owned(),
                since: Some(jiff::Timestamp::UNIX_EPOCH),
                interfaces: vec![
                    interface("eth0", true, &["10.0.0.5", "fe80::1"]),
                    interface("tun0", false, &[]),
                ],
            }],
        };
        let rows = human(&seen);
        seen.containers[0].interfaces.clear();
        let none = human(&seen);
        seen.containers[0].since = None;
        insta::assert_snapshot!(format!("{rows}\n\n{none}\n\n{}", human(&seen)));
    }
}
