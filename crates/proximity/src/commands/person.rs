//! Who logs in at Proxmox VE: password and codes, as they are needed.

use proximity_api::client::ClientError;
use proximity_api::init::PersonLogin;
use secrecy::SecretString;

use crate::ask;
use crate::cli::LoginArgs;
use crate::failed::Failed;
use crate::output::is_interactive;
use crate::secret_input;

/// The code of a login without the code that is needed.
const NEEDED: &str = "second_factor_needed";

/// The login; asks for the password if it is not given.
pub(super) fn login(args: &LoginArgs) -> Result<PersonLogin, Failed> {
    Ok(PersonLogin {
        user: args.user.clone(),
        password: password(args)?.into(),
        totp: args
            .totp
            .clone()
            .map(|code| SecretString::from(code).into()),
    })
}

fn password(args: &LoginArgs) -> Result<SecretString, Failed> {
    const WHAT: &str = "the password";
    if args.password_stdin {
        return secret_input::first_line_of_stdin(WHAT);
    }
    if let Some(path) = &args.password_file {
        return secret_input::first_line_of_file(path, WHAT);
    }
    ask::need_a_person(
        "the password has to be typed",
        "give --password-stdin or --password-file FILE",
    )?;
    ask::secret(&format!("Password of {} (kept nowhere):", args.user))
}

/// Sends by `send`; where a code is needed and somebody is there to type it, asks and sends once more. A code that was sent is
/// used up.
pub(super) async fn with_code<T>(
    login: &mut PersonLogin,
    send: impl AsyncFn(&PersonLogin) -> Result<T, ClientError>,
) -> Result<T, Failed> {
    let first = send(login).await;
    let had_one = login.totp.take().is_some();
    let error = match first {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    if had_one || error.body().code != NEEDED || !is_interactive() {
        return Err(error.into());
    }
    let user = &login.user;
    let code = ask::secret(&format!(
        "Code that the authenticator of {user} shows now (each is taken once):"
    ))?;
    login.totp = Some(code.into());
    let again = send(login).await;
    login.totp = None;
    Ok(again?)
}
