//! `proximity expose` and `proximity unexpose`.

use proximity_api::adoption::{ExposeApp, ExposedApp};

use crate::cli::{ExposeArgs, ShowArgs};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn open(context: &Context, args: ExposeArgs) -> Result<(), Failed> {
    let body = ExposeApp { port: args.port };
    let done = context.client()?.expose(&args.app, &body).await?;
    context.output.result(&done, human)
}

pub(crate) async fn close(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let done = context.client()?.unexpose(&args.app).await?;
    context.output.result(&done, human)
}

fn human(done: &ExposedApp) -> String {
    let app = &done.app.hostname;
    let public = done.app.ports.map_or(0, |ports| ports.public);
    let mut text = match (&done.target, done.exposed, done.listening) {
        (Some(target), true, true) => format!("{app}: port {public} leads to {target}"),
        (_, true, _) => {
            format!("{app}: port {public} is to lead to its container, and does not yet")
        }
        (_, false, false) => format!("{app}: nothing listens on its ports any more"),
        (_, false, true) => format!("{app}: the gateway still listens on port {public}"),
    };
    if let Some(trouble) = &done.trouble {
        text.push_str(&format!("\n{trouble}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::{App, HostName, Ports, Resources};

    use super::*;

    fn app() -> App {
        App {
            id: "1".to_owned(),
            hostname: "db".to_owned(),
            class: "adopted".to_owned(),
            catalog_id: "postgres".to_owned(),
            catalog_version: "adopted".to_owned(),
            status: "running".to_owned(),
            error: None,
            host: HostName {
                id: "2".to_owned(),
                label: "lab".to_owned(),
            },
            node: "pve1".to_owned(),
            vmid: Some(105),
            config: Resources {
                memory: 512,
                cores: 1,
                disk: 4,
            },
            environment: serde_json::json!({}),
            ports: Some(Ports {
                public: 8100,
                internal: 9100,
            }),
            container_port: 5432,
            url: None,
            operation_id: None,
            owner: "admin".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            state_changed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_the_gateway_does_is_told_and_not_what_was_asked_of_it() {
        let mut text = String::new();
        for (exposed, listening) in [(true, true), (true, false), (false, false), (false, true)] {
            let done = ExposedApp {
                app: app(),
                exposed,
                target: listening.then(|| "10.0.0.5:5432".to_owned()),
                listening,
                trouble: (exposed != listening).then(|| "the gateway does not answer".to_owned()),
            };
            text.push_str(&human(&done));
            text.push_str("\n\n");
        }
        insta::assert_snapshot!(text);
    }
}
