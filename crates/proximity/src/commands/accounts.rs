//! `proximity setup-link` and `proximity accounts …`.

use proximity_api::accounts::{Account, AccountList, AddAccount, ChangeAccount, SetUpLink};
use proximity_api::client::ClientError;
use serde::Serialize;

use crate::cli::{AccountName, AccountRole, AccountsAdd, SetupLinkArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, or_dash, table};

/// Where the page takes what a link ends in.
const PAGE: &str = "setup";

/// The link of an account, which is added as an admin if it is not there.
pub(crate) async fn setup_link(context: &Context, args: SetupLinkArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let link = match client.give_link(&args.name).await {
        Err(ClientError::Refused { status: 404, .. }) => {
            let body = AddAccount {
                name: args.name,
                role: "admin".to_owned(),
            };
            client.add_account(&body).await?
        }
        given => given?,
    };
    told(context, client.base_url(), link)
}

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.accounts().await?;
    context.output.result(&list, human)
}

pub(crate) async fn add(context: &Context, args: AccountsAdd) -> Result<(), Failed> {
    let client = context.client()?;
    let body = AddAccount {
        name: args.name,
        role: args.role.label().to_owned(),
    };
    let link = client.add_account(&body).await?;
    told(context, client.base_url(), link)
}

pub(crate) async fn role(context: &Context, args: AccountRole) -> Result<(), Failed> {
    let body = ChangeAccount {
        role: args.role.label().to_owned(),
    };
    let client = context.client()?;
    let changed = client.change_account(&args.name, &body).await?;
    context.output.result(&changed, |one| {
        format!("{} has the role {} from now on", one.name, one.role)
    })
}

pub(crate) async fn remove(context: &Context, args: AccountName) -> Result<(), Failed> {
    context.client()?.remove_account(&args.name).await?;
    let removed = Removed { removed: args.name };
    context.output.result(&removed, |one| {
        format!("{} is removed, and signed in nowhere any more", one.removed)
    })
}

pub(crate) async fn link(context: &Context, args: AccountName) -> Result<(), Failed> {
    let client = context.client()?;
    let link = client.give_link(&args.name).await?;
    told(context, client.base_url(), link)
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

/// A link as it is printed.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    link: SetUpLink,
    url: String,
}

fn told(context: &Context, base: &str, link: SetUpLink) -> Result<(), Failed> {
    let url = url(base, &link.token);
    let printed = Printed { link, url };
    context.output.result(&printed, said)
}

fn said(printed: &Printed) -> String {
    let Printed { link, url } = printed;
    let until = moment(link.until);
    format!(
        "{url}\nsets the password of {}, who is {}; good once, until {until}",
        link.account.name, link.account.role
    )
}

/// What a browser is to open. What is behind the `#` is sent by none. Over plain HTTP a machine of one's own is called localhost, for
/// under that name alone somebody signs in.
pub(crate) fn url(base: &str, token: &str) -> String {
    let base = base.trim_end_matches('/');
    let base = match base.strip_prefix("http://127.0.0.1") {
        Some(rest) if rest.is_empty() || rest.starts_with([':', '/']) => {
            format!("http://localhost{rest}")
        }
        Some(_) | None => base.to_owned(),
    };
    format!("{base}/{PAGE}#{token}")
}

fn human(list: &AccountList) -> String {
    table(
        ["NAME", "ROLE", "PASSWORD SET", "LINK UNTIL", "ADDED BY"],
        list.accounts.iter().map(row),
        "no accounts; the first one: proximity setup-link",
    )
}

fn row(account: &Account) -> [String; 5] {
    [
        account.name.clone(),
        account.role.clone(),
        or_dash(account.password_at.map(moment).as_deref()),
        or_dash(account.link_until.map(moment).as_deref()),
        account.made_by.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(password: bool) -> Account {
        let at = || "2026-01-02T03:04:05Z".parse().unwrap();
        Account {
            name: "ann".to_owned(),
            role: "operator".to_owned(),
            password_at: password.then(at),
            link_until: (!password).then(at),
            made_at: at(),
            made_by: "admin".to_owned(),
        }
    }

    #[test]
    fn a_link_is_what_a_browser_opens_and_sends_nobody() {
        for (base, page) in [
            ("http://127.0.0.1:7640/", "http://localhost:7640/setup#t"),
            ("http://127.0.0.1", "http://localhost/setup#t"),
            ("http://127.0.0.100:1", "http://127.0.0.100:1/setup#t"),
            ("https://127.0.0.1:7640", "https://127.0.0.1:7640/setup#t"),
            ("https://p.lan/", "https://p.lan/setup#t"),
        ] {
            assert_eq!(url(base, "t"), page);
        }
        let link = SetUpLink {
            account: account(false),
            token: "pxl_1".to_owned(),
            until: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        let printed = Printed {
            url: url("https://p.lan/", &link.token),
            link,
        };
        let text = said(&printed);
        assert!(text.starts_with("https://p.lan/setup#pxl_1\n"), "{text}");
        assert!(text.contains("ann, who is operator"), "{text}");
        let json = serde_json::to_value(&printed).unwrap();
        assert_eq!(json["token"], "pxl_1");
        assert_eq!(json["account"]["name"], "ann");
    }

    #[test]
    fn who_cannot_sign_in_yet_is_seen() {
        let list = AccountList {
            accounts: vec![account(true), account(false)],
        };
        let told = human(&list);
        assert_eq!(told.matches("2026-01-02 03:04:05 UTC").count(), 2, "{told}");
        let nobody = AccountList {
            accounts: Vec::new(),
        };
        assert!(human(&nobody).contains("proximity setup-link"));
    }
}
