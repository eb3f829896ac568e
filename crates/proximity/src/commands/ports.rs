//! `proximity ports list` and `proximity ports free`.

use proximity_api::ports::{FreePorts, FreedPorts, PortList, PortQuery, PortRange, UsedPorts};

use crate::cli::{PortsFree, PortsList};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, table};

pub(crate) async fn list(context: &Context, args: PortsList) -> Result<(), Failed> {
    let query = PortQuery { port: args.port };
    let list = context.client()?.ports(&query).await?;
    context.output.result(&list, human)
}

pub(crate) async fn free(context: &Context, args: PortsFree) -> Result<(), Failed> {
    let body = FreePorts { port: args.port };
    let freed = context.client()?.free_ports(&body).await?;
    context.output.result(&freed, freed_ports)
}

fn human(list: &PortList) -> String {
    let mut text = table(
        ["PUBLIC", "INTERNAL", "APP", "TROUBLE"],
        list.used.iter().map(row),
        "no ports in use",
    );
    text.push_str(&format!(
        "\n\npublic   {}\ninternal {}",
        counts(&list.public),
        counts(&list.internal)
    ));
    for port in &list.resting {
        text.push_str(&format!(
            "\n{} rests until {}",
            port.port,
            moment(port.until)
        ));
    }
    if let Some(why) = &list.gateway_error {
        text.push_str(&format!("\nthe gateway could not be asked: {why}"));
    }
    if let Some(asked) = &list.asked {
        let answer = match &asked.reason {
            None => "is available".to_owned(),
            Some(reason) => format!("is not available: {reason}"),
        };
        text.push_str(&format!("\n{} {answer}", asked.port));
    }
    text
}

fn counts(range: &PortRange) -> String {
    format!(
        "{}-{}: {} used, {} resting, {} free",
        range.first, range.last, range.used, range.resting, range.free
    )
}

fn row(used: &UsedPorts) -> [String; 4] {
    [
        used.public.to_string(),
        used.internal.to_string(),
        used.hostname
            .clone()
            .unwrap_or_else(|| "(another account's)".to_owned()),
        used.trouble.clone().unwrap_or_default(),
    ]
}

fn freed_ports(freed: &FreedPorts) -> String {
    match freed.freed.as_slice() {
        [] => "no port rests".to_owned(),
        ports => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!("may be given out now: {}", ports.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proximity_api::ports::{PortAnswer, RestingPort};

    use super::*;

    #[test]
    fn ports_are_a_table_for_people() {
        let range = |first, used| PortRange {
            first,
            last: first + 9,
            used,
            resting: 1,
            free: 9 - used,
        };
        let used = |public, hostname: Option<&str>, trouble: Option<&str>| UsedPorts {
            public,
            internal: public + 1000,
            app_id: None,
            hostname: hostname.map(str::to_owned),
            trouble: trouble.map(str::to_owned),
        };
        let list = PortList {
            public: range(8100, 2),
            internal: range(9100, 2),
            used: vec![
                used(8100, Some("web"), None),
                used(8101, None, Some("Address already in use (os error 98)")),
            ],
            resting: vec![RestingPort {
                port: 8105,
                until: Timestamp::UNIX_EPOCH,
            }],
            asked: Some(PortAnswer {
                port: 8100,
                available: false,
                reason: Some("it is the public port of web".to_owned()),
                hostname: Some("web".to_owned()),
            }),
            gateway_error: None,
        };
        insta::assert_snapshot!(human(&list));
    }
}
