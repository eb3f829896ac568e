//! `proximity deploy`.

use std::path::Path;

use proximity_api::apps::{CertificateFiles, CreateApp, NetworkConfig, ResourceConfig};
use proximity_engine::seams::IdSource;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{preflight, show};
use crate::cli::{DeployArgs, NetworkArgs, Setting};
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::roles::ids::SystemIds;
use crate::secret_input;

pub(crate) async fn run(context: &Context, args: DeployArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let (waiting, dry_run) = (args.waiting, args.dry_run);
    let body = body(args)?;
    if dry_run {
        let found = client.preflight(&body).await?;
        return preflight::told(context, &found);
    }
    let key = SystemIds.uuid().to_string();
    let app = client.create_app(&body, &key).await?;
    let operation = match &app.operation_id {
        Some(id) if !waiting.detach => client.operation(id).await?,
        Some(_) | None => return context.output.result(&app, show::human),
    };
    context
        .output
        .note(&format!("deploying {} as {}", app.catalog_id, app.hostname));
    follow::settle(context, &client, operation, waiting).await?;
    let app = client.app(&app.id).await?;
    if body.root_password {
        let line = format!(
            "root's password is shown once, by: proximity root-password {}",
            app.hostname
        );
        context.output.note(&line);
    }
    context.output.result(&app, show::human)
}

fn body(args: DeployArgs) -> Result<CreateApp, Failed> {
    let environment = settings(args.settings, args.setting_files)?;
    let mut root_keys = Vec::new();
    for file in &args.root_keys {
        root_keys.extend(keys_in(file)?);
    }
    let files = args.cert_file.zip(args.key_file);
    Ok(CreateApp {
        catalog_id: args.catalog_id,
        hostname: args.hostname,
        config: ResourceConfig {
            memory: args.memory,
            cores: args.cores,
            disk: args.disk,
        },
        environment,
        allow_unpinned: args.allow_unpinned,
        host: args.host,
        node: args.node,
        network: network(args.network),
        apart_from: args.apart_from,
        root_keys,
        root_password: args.root_password,
        host_name: args.host_name,
        certificate: files.map(|(cert_file, key_file)| CertificateFiles {
            cert_file,
            key_file,
        }),
    })
}

/// The keys in a file as OpenSSH has them: one a line, beside comments and empty lines.
fn keys_in(file: &Path) -> Result<Vec<String>, Failed> {
    let text = secret_input::whole_text(file, "the public key")?;
    let lines = text.lines().map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = keys.map(str::to_owned).collect();
    if keys.is_empty() {
        let message = format!("{} has no public key", file.display());
        return Err(Failed::usage(message, "give the file that ends in .pub"));
    }
    if keys.iter().any(|key| key.starts_with("-----BEGIN")) {
        let message = format!(
            "{} has a private key, which is sent nowhere",
            file.display()
        );
        return Err(Failed::usage(message, "give the file that ends in .pub"));
    }
    Ok(keys)
}

/// `None` where nothing is asked for.
fn network(args: NetworkArgs) -> Option<NetworkConfig> {
    let config = NetworkConfig {
        bridge: args.bridge,
        vlan: args.vlan,
        ipv4: args.ip,
        gateway: args.gateway,
        ipv6: args.ip6,
        gateway6: args.gateway6,
        dns: args.dns,
        search: args.search_domain,
    };
    (config != NetworkConfig::default()).then_some(config)
}

/// Settings as they were typed, and those that are read from files.
pub(crate) fn settings(
    typed: Vec<Setting>,
    in_files: Vec<Setting>,
) -> Result<Map<String, Value>, Failed> {
    let mut environment = Map::new();
    for setting in typed {
        put(&mut environment, setting.key, setting.value)?;
    }
    for setting in in_files {
        let what = format!("the setting {}", setting.key);
        let value = secret_input::first_line_of_file(Path::new(&setting.value), &what)?;
        put(
            &mut environment,
            setting.key,
            value.expose_secret().to_owned(),
        )?;
    }
    Ok(environment)
}

fn put(environment: &mut Map<String, Value>, key: String, value: String) -> Result<(), Failed> {
    if environment.contains_key(&key) {
        let message = format!("the setting {key} is given twice");
        return Err(Failed::usage(message, "give each setting once"));
    }
    environment.insert(key, Value::String(value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_line_by_line_and_private_ones_are_sent_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let file = folder.path().join("key");
            std::fs::write(&file, text).unwrap();
            keys_in(&file)
        };
        let keys = read("# mine\nssh-ed25519 AAAA me\n\nssh-rsa BBBB\n").unwrap();
        assert_eq!(keys, ["ssh-ed25519 AAAA me", "ssh-rsa BBBB"]);
        let none = read("# nothing\n").unwrap_err();
        assert!(none.to_string().contains("has no public key"), "{none}");
        let private = read("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").unwrap_err();
        assert!(private.to_string().contains("private key"), "{private}");
    }
}
