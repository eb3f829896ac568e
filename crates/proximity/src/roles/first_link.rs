//! The link of the first admin, where nobody can sign in yet: shown to whoever starts the server by hand, and in no log.

use std::io::IsTerminal;

use proximity_engine::engine::Engine;
use proximity_store::records::Actor;
use secrecy::ExposeSecret;

use crate::commands::page_of_link;
use crate::failed::Failed;
use crate::output::Output;

/// Prints it where a person sees it; else what makes it is said in the log.
///
/// # Errors
/// The database's, or stdout cannot be written.
pub(crate) async fn show(engine: &Engine, url: &str, output: Output) -> Result<(), Failed> {
    let accounts = engine.reader().accounts().await?;
    if accounts.iter().any(|one| one.password_at.is_some()) {
        return Ok(());
    }
    if !std::io::stdout().is_terminal() {
        tracing::info!("nobody can sign in yet; a link for the first admin: proximity setup-link");
        return Ok(());
    }
    let actor = Actor {
        account: "system".to_owned(),
        token: None,
        request: None,
    };
    let Some(link) = engine.first_link(&actor).await? else {
        return Ok(());
    };
    let page = page_of_link(url, link.secret.expose_secret());
    let name = &link.account.name;
    output.line(&format!(
        "Nobody can sign in yet. This sets the password of {name}, once, within a day:\n{page}"
    ))
}
