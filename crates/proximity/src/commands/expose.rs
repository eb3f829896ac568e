//! `proximity expose` and `proximity unexpose`.

use proximity_api::adoption::{ExposeApp, ExposedApp};
use proximity_api::apps::CertificateFiles;

use crate::cli::{ExposeArgs, ShowArgs};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn open(context: &Context, args: ExposeArgs) -> Result<(), Failed> {
    let files = args.cert_file.zip(args.key_file);
    let body = ExposeApp {
        port: args.port,
        host_name: args.host_name,
        certificate: files.map(|(cert_file, key_file)| CertificateFiles {
            cert_file,
            key_file,
        }),
    };
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
    if let Some(site) = &done.app.site {
        text.push_str(&match &site.url {
            Some(url) => format!("\n{app}: {url} was fetched"),
            None => format!("\n{app}: nothing was fetched by {} yet", site.host_name),
        });
    }
    if let Some(trouble) = &done.trouble {
        text.push_str(&format!("\n{trouble}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::{App, AppSite, HostName, Ports, Resources};

    use super::*;

    fn app() -> App {
        App {
            id: "1".to_owned(),
            hostname: "db".to_owned(),
            class: "adopted".to_owned(),
            catalog_id: "postgres".to_owned(),
            catalog_version: "adopted".to_owned(),
            newer_entry: None,
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
            site: None,
            network: None,
            root_access: None,
            apart_from: Vec::new(),
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

    #[test]
    fn a_host_name_is_told_with_what_was_fetched_by_it() {
        let mut done = ExposedApp {
            app: app(),
            exposed: true,
            target: Some("10.0.0.5:5432".to_owned()),
            listening: true,
            trouble: Some("no certificate yet".to_owned()),
        };
        let mut site = AppSite {
            host_name: "blog.example.org".to_owned(),
            certificate: None,
            url: None,
            trouble: None,
        };
        done.app.site = Some(site.clone());
        assert_eq!(
            human(&done),
            "db: port 8100 leads to 10.0.0.5:5432\ndb: nothing was fetched by blog.example.org yet\nno certificate yet"
        );
        site.url = Some("https://blog.example.org/".to_owned());
        (done.app.site, done.trouble) = (Some(site), None);
        assert_eq!(
            human(&done),
            "db: port 8100 leads to 10.0.0.5:5432\ndb: https://blog.example.org/ was fetched"
        );
    }
}
