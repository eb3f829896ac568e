//! The processes of a trial: started in order, ended in the other.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use confique::{Config, Layer};
use proximity_api::client::{Client, ClientOptions, read_token_file};
use proximity_api::hosts::{AddHost, AddSsh, Host};
use proximity_domain::ports::PortRange;
use proximity_gateway::client::GatewayClient;
use proximity_pve_emulator::lab::LabFile;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::helper;
use super::place::{Place, unusable};
use super::ports::{self, Claim};
use super::previous::{self, Record};
use crate::cli::TryArgs;
use crate::config::{Range, Settings};
use crate::failed::Failed;
use crate::output::Output;
use crate::roles::private_file;

/// How long a role may take to be ready; the template is there already.
const READY: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Label of the host entry.
const LABEL: &str = "lab";
/// Preferred port of the API; not the default one, which a real server may have.
const API_PORT: u16 = 7650;

/// What runs, and what it needs to be ended.
#[derive(Debug)]
pub(crate) struct Stack<'a> {
    output: Output,
    place: &'a Place,
    record: Record,
    children: Vec<Child>,
    api: Option<SocketAddr>,
    lab_began: bool,
    /// Ports that no other trial uses meanwhile.
    claims: Vec<Claim>,
    up: CancellationToken,
}

/// The ways to everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) lab: LabFile,
    pub(crate) lab_dir: PathBuf,
    pub(crate) client: Client,
    pub(crate) gateway: GatewayClient,
}

impl<'a> Stack<'a> {
    pub(crate) fn new(output: Output, place: &'a Place) -> Self {
        Self {
            output,
            place,
            record: Record::default(),
            children: Vec::new(),
            api: None,
            lab_began: false,
            claims: Vec::new(),
            up: CancellationToken::new(),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        self.place
    }

    /// Cancelled once everything is up.
    pub(crate) fn up(&self) -> CancellationToken {
        self.up.clone()
    }

    pub(crate) fn api_url(&self) -> String {
        self.api
            .map(|api| format!("http://{api}"))
            .unwrap_or_default()
    }

    /// Starts lab, gateway and server, and adds the lab as a host with plain SSH.
    ///
    /// # Errors
    /// One of them did not get ready.
    pub(crate) async fn start(&mut self, args: &TryArgs) -> Result<World, Failed> {
        self.output
            .note("starting the lab, the gateway and the server");
        let settings = self.write_config()?;
        let lab = self.start_lab(args).await?;
        let gateway = self.start_gateway().await?;
        let client = self.start_server(&settings).await?;
        let world = World {
            lab,
            lab_dir: self.place.lab.clone(),
            client,
            gateway,
        };
        self.add_host(&world).await?;
        if args.helper {
            helper::install(&self.output, &world, LABEL).await?;
        }
        Ok(world)
    }

    fn write_config(&mut self) -> Result<Settings, Failed> {
        let place = self.place;
        let (port, claim) = ports::preferred(API_PORT)?;
        self.claims.push(claim);
        let api = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let defaults = <Settings as Config>::Layer::default_values();
        let mut settings = Settings::from_layer(defaults).map_err(|e| {
            Failed::error(
                "internal",
                format!("the defaults are wrong: {e}"),
                "report it",
            )
        })?;
        settings.data_dir.clone_from(&place.data);
        settings.api.listen = api;
        settings.ports.public = self.range(PortRange::PUBLIC)?;
        settings.ports.internal = self.range(PortRange::INTERNAL)?;
        settings.gateway.public_bind = Ipv4Addr::LOCALHOST.into();
        settings.gateway.control_socket = Some(place.socket.clone());
        let settings = settings.complete();
        let text = serde_saphyr::to_string(&settings).map_err(|e| {
            Failed::error(
                "internal",
                format!("cannot write settings: {e}"),
                "report it",
            )
        })?;
        private_file::write(&place.config, &text).map_err(|e| unusable(&place.config, &e))?;
        self.api = Some(api);
        Ok(settings)
    }

    fn range(&mut self, of: PortRange) -> Result<Range, Failed> {
        let (range, claim) = ports::from_first_free(of)?;
        self.claims.push(claim);
        Ok(range)
    }

    async fn start_lab(&mut self, args: &TryArgs) -> Result<LabFile, Failed> {
        let place = self.place;
        let network = if args.private { "private" } else { "bridge" };
        let mut command = words(&["lab", "run", "--end-with-stdin", "--network", network]);
        command.extend(words(&["--guests", args.guests.of_lab().word()]));
        command.extend(words(&[
            "--listen",
            "127.0.0.1:0",
            "--ssh-listen",
            "127.0.0.1:0",
        ]));
        command.extend(
            [
                path("--dir", &place.lab),
                path("--template-cache", &place.template_cache),
            ]
            .concat(),
        );
        self.lab_began = true;
        self.begin("lab", &command, Duration::from_secs(90))?;
        self.ready("lab", async || match LabFile::read(&place.lab) {
            Ok(Some(file)) => Look::Ready(file),
            Ok(None) => Look::NotYet("it is not ready".to_owned()),
            Err(error) => Look::NotYet(error.to_string()),
        })
        .await
    }

    async fn start_gateway(&mut self) -> Result<GatewayClient, Failed> {
        let command = self.role("gateway");
        self.begin("gateway", &command, Duration::from_secs(20))?;
        let client = GatewayClient::new(&self.place.socket);
        let asked = client.clone();
        self.ready("gateway", async move || match asked.hello().await {
            Ok(_) => Look::Ready(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
        .await?;
        Ok(client)
    }

    async fn start_server(&mut self, settings: &Settings) -> Result<Client, Failed> {
        let command = self.role("serve");
        self.begin("server", &command, Duration::from_secs(30))?;
        let options = |token: Option<SecretString>| ClientOptions {
            base_url: settings.url(),
            token,
            ca_pem: None,
            timeout: Duration::from_secs(90),
        };
        let public = Client::new(options(None))?;
        self.ready("server", async move || match public.health().await {
            Ok(_) => Look::Ready(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
        .await?;
        let token = read_token_file(&settings.token_file())
            .map_err(proximity_api::client::ClientError::from)?;
        Ok(Client::new(options(Some(token)))?)
    }

    fn role(&self, name: &str) -> Vec<String> {
        let own = std::process::id().to_string();
        let mut command = words(&[name, "--die-with-parent", &own]);
        command.extend(path("--config", &self.place.config));
        command
    }

    fn begin(
        &mut self,
        name: &'static str,
        command: &[String],
        patience: Duration,
    ) -> Result<(), Failed> {
        let child = Child::start(self.place, name, command, patience)?;
        let recorded = self.record.add(self.place, &child);
        self.children.push(child);
        recorded
    }

    /// Looks until it is ready, it ended, or the time is up.
    async fn ready<T>(
        &mut self,
        name: &'static str,
        look: impl AsyncFn() -> Look<T>,
    ) -> Result<T, Failed> {
        let place = self.place;
        let mut why = String::new();
        let looking = async {
            loop {
                match look().await {
                    Look::Ready(what) => return what,
                    Look::NotYet(reason) => why = reason,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let limited = tokio::time::timeout(READY, looking);
        let ended = first_to_end(place, &mut self.children);
        let outcome = tokio::select! {
            ended = ended => Err(ended),
            looked = limited => Ok(looked),
        };
        match outcome? {
            Ok(what) => Ok(what),
            Err(_) => {
                let seconds = READY.as_secs();
                let message = format!("the {name} was not ready within {seconds} s: {why}");
                Err(Failed::error("not_ready", message, ""))
            }
        }
    }

    /// Adds the lab's cluster, with a key that the server makes and the lab then lets in.
    async fn add_host(&self, world: &World) -> Result<Host, Failed> {
        let lab = &world.lab;
        let missing = || Failed::error("internal", "the lab has no node", "report it");
        let node = lab.api.first().ok_or_else(missing)?;
        let by_node = |value: fn(&proximity_pve_emulator::lab::NodeAddress) -> String| {
            lab.ssh
                .iter()
                .map(|ssh| (ssh.node.clone(), value(ssh)))
                .collect()
        };
        let body = AddHost {
            label: LABEL.to_owned(),
            url: node.url.clone(),
            fingerprint: Some(lab.fingerprint_sha256.clone()),
            ca_pem: None,
            token_id: lab.tokens.full.id.clone(),
            token_secret: SecretString::from(lab.tokens.full.secret.clone()).into(),
            pool: None,
            storage: Some(lab.storage.clone()),
            template_storage: Some(lab.template_storage.clone()),
            bridge: Some(lab.bridge.clone()),
            ssh: Some(AddSsh {
                user: "root".to_owned(),
                private_key: None,
                addresses: by_node(|ssh| ssh.address.clone()),
                host_keys: by_node(|ssh| ssh.host_key.clone()),
            }),
        };
        let host = world.client.add_host(&body).await?;
        let key = host
            .ssh
            .as_ref()
            .map(|ssh| ssh.public_key.trim().to_owned());
        let file = self.place.lab.join("authorized_keys");
        private_file::write(&file, &format!("{}\n", key.unwrap_or_default()))
            .map_err(|e| unusable(&file, &e))?;
        Ok(host)
    }

    /// The first of the processes to end, though nobody asked it to.
    pub(crate) async fn first_to_end(&mut self) -> Failed {
        first_to_end(self.place, &mut self.children).await
    }

    /// Ends what was started, last first, and takes its files away. Gives what is left and should not be.
    pub(crate) async fn end(mut self) -> Vec<String> {
        let mut left = Vec::new();
        while let Some(child) = self.children.pop() {
            left.extend(child.end().await.err());
        }
        if self.lab_began
            && let Err(failed) = previous::clean_lab(self.place).await
        {
            left.push(failed.body.message.clone());
        }
        if left.is_empty()
            && let Err(failed) = self.place.empty()
        {
            left.push(failed.body.message.clone());
        }
        left
    }
}

/// What a look at a role gave.
enum Look<T> {
    Ready(T),
    /// Why not yet.
    NotYet(String),
}

async fn first_to_end(place: &Place, children: &mut [Child]) -> Failed {
    let mut waits: Vec<_> = children
        .iter_mut()
        .map(|child| Box::pin(child.ended(place)))
        .collect();
    std::future::poll_fn(|cx| {
        for wait in &mut waits {
            if let std::task::Poll::Ready(failed) = wait.as_mut().poll(cx) {
                return std::task::Poll::Ready(failed);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn path(option: &str, path: &Path) -> Vec<String> {
    vec![option.to_owned(), path.display().to_string()]
}
