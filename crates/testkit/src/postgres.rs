//! A real PostgreSQL for one test process: Debian's, in a directory of its own, ended with the test.
//!
//! Tests that start one are named `real_postgres_…`; where it is not installed they are counted as skipped. The store's
//! own tests have this file as a module of theirs.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;

/// Where Debian keeps the programs, by major version.
const PLACE: &str = "/usr/lib/postgresql";

/// In the name of the socket; PostgreSQL's own choice.
const SOCKET_PORT: u16 = 5432;

/// A running server; each test makes databases of its own in it.
#[derive(Debug)]
pub struct Cluster {
    server: Child,
    listens: Option<SocketAddr>,
    made: AtomicU32,
    folder: TempDir,
}

impl Cluster {
    /// A server that listens on a socket in its folder.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::listening(None)
    }

    /// A server that is reached over TCP as well.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start_on_tcp() -> Self {
        // No other process has this address, so none takes the port meanwhile.
        let own = Ipv4Addr::from_bits(0x7f00_0000 | (std::process::id() & 0x3f_ffff));
        let free = TcpListener::bind((own, 0)).and_then(|l| l.local_addr());
        Self::listening(Some(free.unwrap()))
    }

    fn listening(listens: Option<SocketAddr>) -> Self {
        let programs = newest_in(Path::new(PLACE)).unwrap_or_else(|| {
            panic!(
                "PostgreSQL is not here: apt-get install postgresql, or leave out real_postgres_…"
            )
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let data = folder.path().join("data");
        // PostgreSQL refuses to run as root.
        let root =
            std::fs::metadata("/proc/self").map(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        let root = root.unwrap();
        if root {
            let owned = Command::new("install")
                .args(["-d", "-o", "postgres", "-m", "700"])
                .arg(&data)
                .status();
            assert!(owned.unwrap().success());
        }
        let made = as_user(root, &programs.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args([
                "-A",
                "trust",
                "-U",
                "proximity",
                "--no-sync",
                "--locale=C.UTF-8",
            ])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        let (address, port) = listens.map_or((String::new(), SOCKET_PORT), |at| {
            (at.ip().to_string(), at.port())
        });
        let mut server = as_user(root, &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&data)
            .args(["-c", &format!("listen_addresses={address}")])
            .args(["-c", &format!("port={port}")])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=log"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|l| l.contains("ready to accept connections"));
        assert!(ready, "PostgreSQL did not start");
        // Read on, or the server waits when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            server,
            listens,
            made: AtomicU32::new(0),
            folder,
        }
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where a key file can be.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of a database in it.
    #[must_use]
    pub fn url(&self, database: &str) -> SecretString {
        let socket = self.socket().display().to_string().replace('/', "%2F");
        SecretString::from(format!("postgres://proximity@{socket}/{database}"))
    }

    /// The same over TCP.
    ///
    /// # Panics
    /// For a server that was not started on TCP.
    #[must_use]
    pub fn url_on_tcp(&self, database: &str) -> SecretString {
        let at = self.listens.unwrap();
        SecretString::from(format!(
            "postgres://proximity@{at}/{database}?sslmode=disable"
        ))
    }

    /// A new, empty database; gives its name.
    ///
    /// # Panics
    /// When the server cannot make it.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        name
    }

    /// Runs a statement as the database's owner.
    ///
    /// # Errors
    /// The server's.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<u64, sqlx::Error> {
        let mut connection = self.connect(database).await?;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let done = connection.execute(sql).await?;
        connection.close().await?;
        Ok(done.rows_affected())
    }

    /// The first column of every row, which is text.
    ///
    /// # Errors
    /// The server's.
    pub async fn texts(&self, database: &str, sql: &str) -> Result<Vec<String>, sqlx::Error> {
        let mut connection = self.connect(database).await?;
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        let found = query.fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(found)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .socket(self.socket())
            .port(self.listens.map_or(SOCKET_PORT, |at| at.port()))
            .username("proximity")
            .database(database);
        options.connect().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediate: nothing of it is needed again. The server ends its own children.
        let signal = Command::new("kill")
            .args(["-QUIT", &self.server.id().to_string()])
            .status();
        assert!(signal.unwrap().success());
        self.server.wait().unwrap();
    }
}

/// The programs of the newest server in a place like Debian's. A version of which only the clients are here has none;
/// `cargo xtask test` decides by the same rule whether a server is here.
fn newest_in(place: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(place).ok()?;
    let servers = versions.filter_map(|version| {
        let version = version.ok()?;
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let bin = version.path().join("bin");
        let is_server = bin.join("initdb").is_file() && bin.join("postgres").is_file();
        is_server.then_some((number, bin))
    });
    servers.max().map(|(_, bin)| bin)
}

/// The program as somebody who may run it; it ends when this process does.
fn as_user(root: bool, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if root {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_is_taken_and_clients_are_none() {
        let place = TempDir::new().unwrap();
        let install = |version: &str, programs: &[&str]| {
            let bin = place.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
            newest_in(place.path())
        };
        let of = |version: &str| Some(place.path().join(version).join("bin"));
        assert_eq!(newest_in(&place.path().join("absent")), None);
        assert_eq!(install("17", &["psql"]), None);
        assert_eq!(install("18", &["psql", "initdb"]), None);
        assert_eq!(install("9", &["initdb", "postgres"]), of("9"));
        assert_eq!(install("15", &["psql", "initdb", "postgres"]), of("15"));
        assert_eq!(install("20-old", &["initdb", "postgres"]), of("15"));
    }
}
