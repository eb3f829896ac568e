//! A whole lab, from its start to its end.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::announce::{Account, LabFile, NodeAddress, NodeUrl, Token, Tokens};
use super::bin::NodeBin;
use super::book::{self, ShellBook};
use super::cluster::{
    EMPTY_TOKEN, FULL_TOKEN, OsTemplateFile, SNAPSHOT_STORAGE, STORAGE, shell_options,
};
use super::control::Control;
use super::error::LabError;
use super::ground::{BRIDGE_IN_CONFIGURATIONS, Ground, Machine};
use super::identity::Identity;
use super::node;
use super::options::{Guests, LabOptions, NetworkMode};
use super::route::Ipv4Net;
use super::sim_ground::{SimGround, lxc_path};
use super::template::TEMPLATE_NAME;
use super::{images, mounts, private};
use crate::lxc::Place;
use crate::shell::{GuestDriver, RunningShell, Shell, ShellError};
use crate::sim::{Block, SimDriver};
use crate::ssh::NodeSsh;

/// Runs a lab until SIGTERM, SIGINT or (with `die_with_parent`) the end of standard input.
///
/// Flow: the process moves into a mount namespace of its own (it replaces itself once, same arguments, same id); it
/// takes the state directory, makes what the guests need, starts API, SSH and `pct`, and writes `lab.json`. Guarantees:
/// one lab per state directory; a lab that was killed is taken up again with its guests running; at the end guests are
/// killed and network, control groups and kernel settings are as before, unless `keep`. With simulated guests any user
/// may run it, and nothing but the state directory is touched. Assumptions: root for real guests; called by
/// a program that dispatches [`super::PCT_SUBCOMMAND`] to [`super::pct::main`] and starts the same lab when run again
/// with the same arguments.
///
/// # Errors
/// What could not be set up, served or removed; nothing half made is left then.
pub async fn run(mut options: LabOptions) -> Result<(), LabError> {
    options.state_dir = prepare_state(&options)?;
    if options.guests == Guests::Simulated {
        return run_simulated(&options).await;
    }
    mounts::ensure_namespace(&options.state_dir)?;
    let ended = ended_by(&options)?;
    let machine = match options.network {
        NetworkMode::Bridge => Machine::Raise,
        NetworkMode::Private | NetworkMode::Existing => Machine::LeaveAlone,
    };
    let ground = Ground::take(&options.state_dir, &options.template_cache, machine).await?;
    LabFile::remove(&options.state_dir)?;
    let standing = Standing {
        place: ground.place.clone(),
        lxc_path: ground.place.root(),
        net: ground.network.net(),
        machine_bridge: ground.network.bridge.clone(),
        template: OsTemplateFile::of(&ground.template),
        driver: Arc::new(ground.driver.clone()),
        inside: None,
    };
    let served = serve(&options, &standing, ended).await;
    let removed = LabFile::remove(&options.state_dir).and(Control::remove(&options.state_dir));
    if options.keep && served.is_ok() {
        tracing::info!("lab ended; its guests go on running");
        return removed;
    }
    let left = ground.leave().await;
    served.and(removed).and(left)
}

/// The same with simulated guests: nothing but the state directory and loopback addresses is touched.
async fn run_simulated(options: &LabOptions) -> Result<(), LabError> {
    let ended = ended_by(options)?;
    let ground = SimGround::take(&options.state_dir).await?;
    LabFile::remove(&options.state_dir)?;
    let standing = Standing {
        place: Place::new(SIMULATED_ID, None),
        lxc_path: lxc_path(&ground.block),
        net: ground.block.net,
        machine_bridge: ground.block.net.to_string(),
        template: ground.template,
        driver: Arc::new(ground.driver.clone()),
        inside: Some(ground.driver.clone()),
    };
    let served = serve(options, &standing, ended).await;
    let removed = LabFile::remove(&options.state_dir).and(Control::remove(&options.state_dir));
    if options.keep && served.is_ok() {
        return removed;
    }
    let left = ground.driver.end_all().await.map_err(LabError::Refused);
    served.and(removed).and(left)
}

/// The place of a lab whose guests have none on the machine.
const SIMULATED_ID: &str = "0000";

/// What a lab serves from, whatever its guests are.
struct Standing {
    place: Place,
    /// What the nodes' paths of LXC begin with.
    lxc_path: PathBuf,
    net: Ipv4Net,
    machine_bridge: String,
    template: OsTemplateFile,
    driver: Arc<dyn GuestDriver>,
    /// The way into simulated guests; `pct` goes into real ones by itself.
    inside: Option<SimDriver>,
}

fn prepare_state(options: &LabOptions) -> Result<PathBuf, LabError> {
    use std::os::unix::fs::PermissionsExt as _;
    let state = &options.state_dir;
    match options.guests {
        Guests::Lxc if !rustix::process::geteuid().is_root() => return Err(LabError::NotRoot),
        Guests::Lxc if Block::is_noted(state) => return Err(other_guests(state, "simulated")),
        Guests::Simulated if Identity::read(state)?.is_some() => {
            return Err(other_guests(state, "real"));
        }
        Guests::Lxc | Guests::Simulated => {}
    }
    if options.nodes.is_empty() {
        return Err(LabError::Refused("a lab has at least one node".to_owned()));
    }
    let real = options.guests == Guests::Lxc;
    if real && options.network == NetworkMode::Private && private::scope().is_none() {
        let text = "this process is in no private namespace; start it through one";
        return Err(LabError::Refused(text.to_owned()));
    }
    let what = || format!("prepare {}", state.display());
    std::fs::create_dir_all(state).map_err(LabError::io(what()))?;
    std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700))
        .map_err(LabError::io(what()))?;
    state.canonicalize().map_err(LabError::io(what()))
}

fn other_guests(state: &Path, kind: &str) -> LabError {
    LabError::BadState {
        path: state.to_owned(),
        reason: format!("it holds a lab with {kind} guests"),
    }
}

/// The lab's parts while it serves.
struct Parts {
    shell: RunningShell,
    nodes: Vec<(NodeSsh, NodeAddress)>,
    control: Control,
}

async fn serve(
    options: &LabOptions,
    standing: &Standing,
    ended: CancellationToken,
) -> Result<(), LabError> {
    let Parts {
        shell,
        nodes,
        control,
    } = open(options, standing).await?;
    let (book, questions) = book::book();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut ssh = Vec::new();
    for (server, address) in nodes {
        ssh.push(address);
        tasks.spawn(server.serve(stop.clone()));
    }
    let inside = standing.inside.clone();
    tasks.spawn(control.serve(Arc::<ShellBook>::new(book), inside, stop.clone()));
    let announced = announce(options.guests, standing, &shell, ssh)
        .and_then(|file| file.write(&options.state_dir));
    tracing::info!(state = %options.state_dir.display(), "lab ready");
    let served = match announced {
        Ok(()) => answer_until(shell, questions, ended).await,
        Err(error) => Err(error),
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    served
}

async fn open(options: &LabOptions, standing: &Standing) -> Result<Parts, LabError> {
    let state = &options.state_dir;
    let control = Control::listen(state, options.exec_ms)?;
    let mut nodes = Vec::new();
    for (place, name) in options.nodes.iter().enumerate() {
        let address = LabOptions::address(options.ssh_listen, place);
        let tools = NodeBin {
            state,
            node: name,
            place: &standing.place,
            guests: options.guests,
            lxc_path: standing.lxc_path.join(name),
        };
        nodes.push(node::open(&tools, address).await?);
    }
    let shell_options = shell_options(options, standing.template, standing.net)?;
    let registry = options.registry.as_deref().map(images::read).transpose()?;
    let shell = Shell::start(shell_options, Arc::clone(&standing.driver))
        .await
        .map_err(of_shell)?;
    let known = shell.change(move |world| world.set_registry(registry));
    known.await.map_err(of_shell)?;
    Ok(Parts {
        shell,
        nodes,
        control,
    })
}

fn of_shell(error: ShellError) -> LabError {
    LabError::Service {
        what: "the emulated API".to_owned(),
        reason: error.to_string(),
    }
}

/// Answers `pct` until the lab is asked to end, or the shell can no longer keep its state.
async fn answer_until(
    mut shell: RunningShell,
    mut questions: tokio::sync::mpsc::Receiver<book::Page>,
    ended: CancellationToken,
) -> Result<(), LabError> {
    loop {
        let page = tokio::select! {
            () = ended.cancelled() => break,
            failed = shell.failed() => return failed.map_err(of_shell),
            page = questions.recv() => page,
        };
        match page {
            Some(page) => book::answer(&shell, page).await.map_err(of_shell)?,
            None => break,
        }
    }
    shell.stop().await.map_err(of_shell)
}

fn announce(
    guests: Guests,
    standing: &Standing,
    shell: &RunningShell,
    ssh: Vec<NodeAddress>,
) -> Result<LabFile, LabError> {
    let token = |id: &str| match shell.token_secret(id) {
        Some(secret) => Ok(Token {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }),
        None => Err(LabError::Refused(format!("the API has no token {id}"))),
    };
    let url = |(node, address): &(String, std::net::SocketAddr)| NodeUrl {
        node: node.clone(),
        url: format!("https://{address}"),
    };
    Ok(LabFile {
        guests,
        api: shell.addresses().iter().map(url).collect(),
        ssh,
        fingerprint_sha256: shell.fingerprint_sha256().to_owned(),
        ca_pem_path: shell.ca_pem_path().to_owned(),
        tokens: Tokens {
            full: token(FULL_TOKEN)?,
            empty: token(EMPTY_TOKEN)?,
        },
        root: Account {
            user: "root@pam".to_owned(),
            password: shell.root_password().to_owned(),
        },
        bridge: BRIDGE_IN_CONFIGURATIONS.to_owned(),
        machine_bridge: standing.machine_bridge.clone(),
        storage: STORAGE.to_owned(),
        snapshot_storage: SNAPSHOT_STORAGE.to_owned(),
        template_storage: STORAGE.to_owned(),
        template: format!("{STORAGE}:vztmpl/{TEMPLATE_NAME}"),
        pid: std::process::id(),
    })
}

/// A token that is cancelled when the lab is to end. Listens from now on, so that nothing is half made by a signal.
fn ended_by(options: &LabOptions) -> Result<CancellationToken, LabError> {
    let ended = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(LabError::io("listen for signals"))?;
        let ended = ended.clone();
        tokio::spawn(async move {
            signals.recv().await;
            ended.cancel();
        });
    }
    if options.die_with_parent {
        let ended = ended.clone();
        // A thread of its own: it may wait for ever, and a runtime that ends would wait for it.
        std::thread::spawn(move || {
            wait_for_end_of_input();
            ended.cancel();
        });
    }
    Ok(ended)
}

fn wait_for_end_of_input() {
    let stdin = std::io::stdin();
    let mut chunk = [0; 256];
    loop {
        match rustix::io::read(stdin.as_fd(), &mut chunk) {
            Ok(0) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
