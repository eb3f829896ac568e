//! Where the database is and how connections to it are set.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use crate::sql::DatabaseError;

/// Connections of one process at most. PostgreSQL's own limit is 100 unless set otherwise.
const CONNECTIONS: u32 = 16;
/// How long a caller waits for one.
pub(crate) const TURN: Duration = Duration::from_secs(30);
/// Statements kept prepared per connection.
const STATEMENTS: usize = 256;
/// What each session is set to. When this machine loses its power or its network, the database ends our sessions within
/// half a minute, and with them the lock that keeps other servers away; a kernel's own choice is two hours. Over a Unix
/// socket there is nothing to keep alive.
const SETTINGS: [(&str, &str); 6] = [
    ("lock_timeout", "10000"),
    ("idle_in_transaction_session_timeout", "60000"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    // What was sent and is not acknowledged is sent again for a quarter of an hour otherwise, and no keepalive goes out.
    ("tcp_user_timeout", "25000"),
];

/// URL of a database, with the password beside it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) options: PgConnectOptions,
}

/// Without the password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

impl Target {
    /// # Errors
    /// [`DatabaseError::Misfit`] for a URL that is none of PostgreSQL.
    pub(crate) fn new(
        url: &SecretString,
        password: Option<&SecretString>,
    ) -> Result<Self, DatabaseError> {
        let options = PgConnectOptions::from_str(url.expose_secret());
        // The error could repeat the URL, and with it a password.
        let options = options.map_err(|_| {
            DatabaseError::Misfit("the URL is not of the form postgres://USER@HOST/NAME".to_owned())
        })?;
        let options = match password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let options = options
            .application_name("proximity")
            .statement_cache_capacity(STATEMENTS)
            .options(SETTINGS);
        Ok(Self { options })
    }

    /// Other machines are on the way to the server, and whoever is among them decides whether TLS is used: the driver
    /// asks for it, and goes on in clear text when it is told no.
    fn lets_others_choose_clear_text(&self) -> bool {
        let host = self.options.get_host();
        let own = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        let open = matches!(
            self.options.get_ssl_mode(),
            PgSslMode::Allow | PgSslMode::Prefer
        );
        let over_socket = self.options.get_socket().is_some() || host.starts_with('/');
        open && !own && !over_socket
    }
}

/// Whether the URL of a database leaves it to the network whether what is said is encrypted: it names another machine,
/// and its `sslmode` is neither given nor decides. Never of a URL that cannot be read.
#[must_use]
pub fn leaves_encryption_open(url: &SecretString) -> bool {
    Target::new(url, None).is_ok_and(|target| target.lets_others_choose_clear_text())
}

/// A pool with at least one connection that works.
pub(crate) async fn connect(target: &Target) -> Result<PgPool, DatabaseError> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(TURN);
    Ok(pool.connect_with(target.options.clone()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_printed() {
        let url = SecretString::from("postgres://me:in-the-url@db.example/apps");
        for password in [None, Some(SecretString::from("beside-the-url"))] {
            let target = Target::new(&url, password.as_ref()).unwrap();
            let printed = format!("{target:?}");
            assert!(printed.contains("db.example") && printed.contains("apps"));
            assert!(!printed.contains("the-url"), "{printed}");
        }
    }

    #[test]
    fn only_a_url_to_another_machine_has_to_say_how_it_is_encrypted() {
        let open = |url: &str| leaves_encryption_open(&SecretString::from(url));
        for url in [
            "postgres://me@db.example/apps",
            "postgres://me@192.0.2.7:5433/apps",
            "postgres://me@db.example/apps?sslmode=prefer",
            "postgres://me@db.example/apps?sslmode=allow",
            "postgres://me@localhost/apps?host=db.example",
            "postgres://me@localhost.example/apps",
        ] {
            assert!(open(url), "{url}");
        }
        for url in [
            "postgres://me@db.example/apps?sslmode=verify-full&sslrootcert=/ca.pem",
            "postgres://me@db.example/apps?sslmode=require",
            "postgres://me@db.example/apps?sslmode=disable",
            "postgres://me@localhost/apps",
            "postgres://me@127.0.0.1:5433/apps",
            "postgres://me@[::1]/apps",
            "postgres://me@%2Frun%2Fpostgresql/apps",
            "postgres://me@/apps?host=/run/postgresql",
            "no URL",
        ] {
            assert!(!open(url), "{url}");
        }
    }
}
