//! Servers on a database of PostgreSQL.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use proximity_testkit::postgres::Cluster;
use secrecy::ExposeSecret;

/// A server that runs; it is ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(cluster: &Cluster, database: &str, ports: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "data_dir: {}\napi:\n  listen: {}\ndatabase:\n  url: {}\nports:\n  public: {ports}\n",
            dir.path().join("data").display(),
            free.local_addr().unwrap(),
            cluster.url(database).expose_secret(),
        );
        std::fs::write(dir.path().join("config.yaml"), text).unwrap();
        Self { dir }
    }

    fn key(&self) -> std::path::PathBuf {
        self.dir.path().join("data/secret.key")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = crate::program::proximity();
        command
            .arg("--config")
            .arg(self.dir.path().join("config.yaml"))
            .args(line.split_whitespace());
        command
    }

    /// Starts a server; returns when it serves.
    fn serve(&self) -> Server {
        let mut child = self
            .command("serve")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let server = Server(child);
        let mut said = Vec::new();
        let serves = lines.by_ref().map_while(Result::ok).any(|line| {
            said.push(line.clone());
            line.contains("serving")
        });
        assert!(serves, "{said:#?}");
        // Somebody has to read on, or the server would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        server
    }

    fn refused(&self) -> Output {
        let ended = self.command("serve --json").output().unwrap();
        assert!(!ended.status.success());
        ended
    }
}

/// What a server writes before it serves, except for the journals, which are numbered in the background.
async fn state(cluster: &Cluster, database: &str) -> Vec<String> {
    let all = "SELECT 'm' || version || ' ' || applied_at AS v FROM migrations \
         UNION ALL SELECT side || first_port || '-' || last_port FROM port_ranges \
         UNION ALL SELECT 'u' || first_port || '-' || last_port FROM unused_ports \
         UNION ALL SELECT id || key_check FROM installation \
         UNION ALL SELECT id || secret_sha256 FROM tokens \
         UNION ALL SELECT 'audit ' || COUNT(*) FROM audit ORDER BY v";
    cluster.texts(database, all).await.unwrap()
}

fn copy_key(from: &Place, to: &Place) {
    let folder = to.key();
    std::fs::create_dir_all(folder.parent().unwrap_or(Path::new("/"))).unwrap();
    std::fs::copy(from.key(), to.key()).unwrap();
}

/// What the refusal says to run ends the session of this database's server, and nobody else's of the same PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_the_hint_ends_the_session_of_this_database_alone() {
    let cluster = Cluster::start();
    let (one, other) = (cluster.database().await, cluster.database().await);
    let first = Place::new(&cluster, &one, "8100-8199");
    let stranger = Place::new(&cluster, &other, "8300-8399");
    let (server, _other_server) = (first.serve(), stranger.serve());
    let second = Place::new(&cluster, &one, "8500-8599");
    let refused = second.refused();
    let said = String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr);
    let told = said.find("SELECT").map(|at| &said[at..]).unwrap();
    let statement = told.split('"').next().unwrap();
    assert_eq!(
        cluster.execute(&one, statement).await.unwrap(),
        1,
        "{statement}"
    );
    // PostgreSQL ends a session a moment after it was told to.
    let ended = async { while cluster.execute(&one, statement).await.unwrap() != 0 {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    ended.expect("the session that was ended is still there");
    assert_eq!(cluster.execute(&other, statement).await.unwrap(), 1);
    drop(server);
}

/// With a key of its own to make, or with the right one: the second server is told that it is the second, and neither the
/// database nor its folder shows that it was there. When the first has ended, it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_a_second_server_is_refused_before_it_changes_anything() {
    let cluster = Cluster::start();
    let database = cluster.database().await;
    let first = Place::new(&cluster, &database, "8100-8199");
    let second = Place::new(&cluster, &database, "8300-8399");
    let server = first.serve();
    let before = state(&cluster, &database).await;
    assert!(before.len() > 8, "{before:?}");
    for with_key in [false, true] {
        if with_key {
            copy_key(&first, &second);
        }
        let refused = second.refused();
        let said =
            String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("database_in_use"), "{said}");
        assert!(said.contains("pg_terminate_backend"), "{said}");
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert_eq!(state(&cluster, &database).await, before);
        assert_eq!(second.key().exists(), with_key);
    }
    drop(server);
    let _second = second.serve();
    assert_ne!(state(&cluster, &database).await, before);
}
