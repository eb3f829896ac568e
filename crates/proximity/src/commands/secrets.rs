//! `proximity secrets …`.

use std::io::IsTerminal;

use proximity_api::secrets::{SecretEntry, SecretList, SetSecret};
use serde::Serialize;

use crate::ask;
use crate::cli::SecretName;
use crate::context::Context;
use crate::failed::Failed;
use crate::secret_input;
use crate::text::{moment, table};

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.secrets().await?;
    context.output.result(&list, human)
}

/// The value comes from stdin, or from a person: arguments are everybody's.
pub(crate) async fn set(context: &Context, args: SecretName) -> Result<(), Failed> {
    let client = context.client()?;
    let value = match std::io::stdin().is_terminal() {
        true => ask::secret(&format!("Value of {}:", args.name))?,
        false => secret_input::first_line_of_stdin("the value")?,
    };
    let body = SetSecret {
        value: value.into(),
    };
    let set = client.set_secret(&args.name, &body).await?;
    context.output.result(&set, said)
}

pub(crate) async fn remove(context: &Context, args: SecretName) -> Result<(), Failed> {
    context.client()?.remove_secret(&args.name).await?;
    let removed = Removed { removed: args.name };
    context
        .output
        .result(&removed, |one| format!("{} is removed", one.removed))
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

fn said(secret: &SecretEntry) -> String {
    match secret.version {
        1 => format!("{} is there", secret.name),
        version => format!(
            "{} has its value no. {version}; apps that have it get that when their documents are applied",
            secret.name
        ),
    }
}

fn human(list: &SecretList) -> String {
    table(
        ["NAME", "VALUES", "CHANGED", "BY"],
        list.secrets.iter().map(row),
        "no secrets",
    )
}

fn row(secret: &SecretEntry) -> [String; 4] {
    [
        secret.name.clone(),
        secret.version.to_string(),
        moment(secret.changed_at),
        secret.changed_by.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_without_its_value() {
        let secret = |version| SecretEntry {
            name: "db".to_owned(),
            version,
            made_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            changed_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            changed_by: "admin".to_owned(),
        };
        assert_eq!(said(&secret(1)), "db is there");
        assert!(said(&secret(2)).contains("value no. 2"));
        let list = SecretList {
            secrets: vec![secret(3)],
        };
        let told = human(&list);
        for part in ["db", "3", "admin"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
