//! Starting and stopping the whole shell.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock;
use super::conf_files::ConfFiles;
use super::control::{self, Control};
use super::driver::GuestDriver;
use super::error::ShellError;
use super::journal::Journal;
use super::keeper::{Door, Keeper};
use super::listener::{self, NodeListener};
use super::options::ShellOptions;
use super::secrets::{self, Secrets};
use super::tls::{self, Identity};
use crate::core::{ApiRequest, Response, TaskTimes, World};
use crate::persist;

const CONTROL_SOCKET: &str = "control.sock";

/// The emulator's shell.
#[derive(Debug, Clone, Copy)]
pub struct Shell;

/// A running shell. Dropping it stops everything at once, as a kill would; [`stop`](Self::stop)
/// waits for the end.
pub struct RunningShell {
    addresses: Vec<(String, SocketAddr)>,
    fingerprint: String,
    ca_pem_path: PathBuf,
    control_socket: PathBuf,
    secrets: Secrets,
    door: Door,
    journal: Journal,
    /// Gone once its end was reported.
    keeper: Option<JoinHandle<Result<(), ShellError>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shell {
    /// Starts listeners and keeper on a stored world, or on the seed's at the first start.
    ///
    /// **Flow.** State directory, secrets and certificate; world; listeners; then the driver gets
    /// again what it had not answered.
    /// **Guarantees.** When this returns all listeners accept. Nothing listens when it fails.
    ///
    /// # Errors When the state cannot be used, an address cannot be bound, or listeners and nodes
    /// do not match.
    pub async fn start(
        options: ShellOptions,
        driver: Arc<dyn GuestDriver>,
    ) -> Result<RunningShell, ShellError> {
        let directory = options.state_dir.clone();
        make_directory(&directory)?;
        let secrets = secrets::load_or_make(&directory, &options.tokens)?;
        let identity = tls::load_or_make(&directory, &certificate_names(&options))?;
        let (stored, writer) = persist::open(&directory)?;
        let world = prepare(&options, stored, &secrets, &identity)?;
        check_nodes(&options, &world)?;
        let mut listeners = Vec::new();
        for listen in &options.listen {
            let address = listen.address.to_string();
            let failed = |source| ShellError::Listen {
                address: address.clone(),
                source,
            };
            let listener = TcpListener::bind(listen.address).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            listeners.push((listen.node.clone(), bound, listener));
        }
        let control_socket = directory.join(CONTROL_SOCKET);
        let control = control::open(&control_socket)?;
        let stop = CancellationToken::new();
        let journal = Journal::default();
        let (keeper, door) = Keeper::new(
            world,
            writer,
            ConfFiles::new(&directory),
            Arc::clone(&driver),
            journal.clone(),
            stop.clone(),
        );
        let mut running = RunningShell {
            addresses: Vec::new(),
            fingerprint: identity.fingerprint,
            ca_pem_path: identity.ca_pem_path,
            control_socket,
            secrets,
            door: door.clone(),
            journal: journal.clone(),
            keeper: Some(tokio::spawn(keeper.run())),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        };
        let tasks = running.tasks.clone();
        for (node, address, listener) in listeners {
            running.addresses.push((node.clone(), address));
            let tls = TlsAcceptor::from(Arc::clone(&identity.server));
            let at = NodeListener {
                node,
                tls,
                door: door.clone(),
                driver: Arc::clone(&driver),
                tasks: tasks.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(listener::run(listener, at));
        }
        tasks.spawn(control::run(
            control,
            Control {
                door,
                journal,
                driver,
                tasks: tasks.clone(),
                stop,
            },
        ));
        Ok(running)
    }
}

fn make_directory(directory: &std::path::Path) -> Result<(), ShellError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|source| ShellError::File {
        path: directory.to_owned(),
        source,
    })
}

fn certificate_names(options: &ShellOptions) -> Vec<String> {
    let nodes = options.listen.iter().map(|listen| listen.node.clone());
    let addresses = options
        .listen
        .iter()
        .map(|listen| listen.address.ip().to_string());
    let cluster = options.seed.nodes.iter().map(|node| node.address.clone());
    let fixed = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    // The first one becomes the common name.
    let mut names: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for name in nodes
        .chain(fixed)
        .chain(addresses)
        .chain(cluster)
        .chain(options.certificate_names.clone())
    {
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// The stored world or a new one, with what the options say about now.
fn prepare(
    options: &ShellOptions,
    stored: Option<World>,
    secrets: &Secrets,
    identity: &Identity,
) -> Result<World, ShellError> {
    let mut world = match stored {
        Some(world) => world,
        None => {
            let mut seed = options.seed.clone();
            seed.random ^= secrets::random_seed()?;
            let mut world = World::new(seed, clock::now_ms());
            world.set_key(secrets::random_key()?);
            world
        }
    };
    for token in secrets::seeds(&options.tokens, secrets) {
        world.put_token(token);
    }
    // One that was changed since stays.
    if let Some(password) = secrets.get(secrets::ROOT)
        && !world.has_password(secrets::ROOT)
    {
        world.set_password(secrets::ROOT, password);
    }
    world.set_fingerprint(&identity.fingerprint);
    if let Some(templates) = &options.templates {
        world.set_templates(templates.clone());
    }
    if let Some(times) = options.task_times {
        world.set_task_times(times);
    }
    Ok(world)
}

fn check_nodes(options: &ShellOptions, world: &World) -> Result<(), ShellError> {
    let listening: BTreeSet<&str> = options
        .listen
        .iter()
        .map(|listen| listen.node.as_str())
        .collect();
    let known: BTreeSet<&str> = world
        .nodes()
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    match listening.symmetric_difference(&known).next() {
        None => Ok(()),
        Some(node) => Err(ShellError::Node((*node).to_owned())),
    }
}

impl RunningShell {
    /// Listeners by node, in the order of the options.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// SHA-256 of the leaf certificate, `AA:BB:…`; the same for all nodes.
    pub fn fingerprint_sha256(&self) -> &str {
        &self.fingerprint
    }

    /// The CA's certificate.
    pub fn ca_pem_path(&self) -> &std::path::Path {
        &self.ca_pem_path
    }

    /// The Unix socket of the control endpoint.
    pub fn control_socket(&self) -> &std::path::Path {
        &self.control_socket
    }

    /// The first password of `root@pam`.
    #[must_use]
    pub fn root_password(&self) -> &str {
        self.secrets.get(secrets::ROOT).map_or("", String::as_str)
    }

    /// A token's secret.
    pub fn token_secret(&self, id: &str) -> Option<&str> {
        self.secrets.get(id).map(String::as_str)
    }

    /// Which calls arrived.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Looks at the world between two decisions.
    ///
    /// # Errors
    /// When the shell has stopped.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&World) -> T + Send + 'static,
    ) -> Result<T, ShellError> {
        self.door.read(look).await
    }

    /// Changes the world from outside the API, e.g. to break a node; committed when it returns.
    ///
    /// # Errors
    /// When the shell has stopped.
    pub async fn change(
        &self,
        change: impl FnOnce(&mut World) + Send + 'static,
    ) -> Result<(), ShellError> {
        self.door.change(change).await
    }

    /// Changes how long tasks take that start from now on.
    ///
    /// # Errors
    /// When the shell has stopped.
    pub async fn set_task_times(&self, times: TaskTimes) -> Result<(), ShellError> {
        self.change(move |world| world.set_task_times(times)).await
    }

    /// Hands a request in without HTTP around it; nothing when the shell has stopped. The id is
    /// chosen here.
    pub async fn request(&self, mut request: ApiRequest) -> Option<Response> {
        request.id = self.door.next_request();
        self.door.request(request).await
    }

    /// Waits until the keeper ends by itself: only when the state cannot be written any more.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn failed(&mut self) -> Result<(), ShellError> {
        let Some(keeper) = &mut self.keeper else {
            return Err(ShellError::Stopped);
        };
        let result = keeper.await.unwrap_or(Err(ShellError::Stopped));
        self.keeper = None;
        result
    }

    /// Stops: no new connections, open ones are closed, the last commit is on disk. Guest commands
    /// under way are dropped; they are given again at the next start.
    ///
    /// # Errors
    /// When the state could not be written any more and nobody was told yet.
    pub async fn stop(mut self) -> Result<(), ShellError> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let result = match self.keeper.take() {
            Some(keeper) => keeper.await.unwrap_or(Err(ShellError::Stopped)),
            None => Ok(()),
        };
        // A left-over socket is replaced by the next start.
        let _ = std::fs::remove_file(&self.control_socket);
        result
    }
}

impl Drop for RunningShell {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
