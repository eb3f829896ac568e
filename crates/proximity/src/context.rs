//! What every command gets: how to talk, the settings, and the way to the server.

use std::path::PathBuf;
use std::time::Duration;

use proximity_api::client::{Client, ClientOptions, read_token_file};

use crate::cli::Globals;
use crate::config::{self, Loaded, Settings};
use crate::failed::Failed;
use crate::output::Output;

/// Longest time one request of a command may take. The server ends its own after 60 s.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);

/// Options and settings of this run.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) globals: Globals,
}

impl Context {
    pub(crate) fn new(globals: Globals) -> Self {
        let output = Output {
            json: globals.json,
            quiet: globals.quiet,
        };
        Self { output, globals }
    }

    /// The configuration. Read when a command needs it, so that `version` works whatever it holds.
    pub(crate) fn load(&self) -> Result<Loaded, Failed> {
        config::load(self.globals.config.as_deref())
    }

    pub(crate) fn settings(&self) -> Result<Settings, Failed> {
        self.load().map(|loaded| loaded.settings)
    }

    /// A client with the token.
    pub(crate) fn client(&self) -> Result<Client, Failed> {
        let settings = self.settings()?;
        let file = self.token_file(&settings);
        let token = read_token_file(&file).map_err(proximity_api::client::ClientError::from)?;
        self.connect(&settings, Some(token))
    }

    /// A client for what is public; the token is used where it can be read.
    pub(crate) fn public_client(&self) -> Result<Client, Failed> {
        let settings = self.settings()?;
        let named = self.globals.token_file.is_some();
        match read_token_file(&self.token_file(&settings)) {
            Ok(token) => self.connect(&settings, Some(token)),
            Err(error) if named => Err(proximity_api::client::ClientError::from(error).into()),
            Err(_) => self.connect(&settings, None),
        }
    }

    fn token_file(&self, settings: &Settings) -> PathBuf {
        self.globals
            .token_file
            .clone()
            .unwrap_or_else(|| settings.token_file())
    }

    fn connect(
        &self,
        settings: &Settings,
        token: Option<secrecy::SecretString>,
    ) -> Result<Client, Failed> {
        let ca_pem = match &settings.client.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|e| {
                Failed::config(
                    "bad_config",
                    format!("cannot read client.ca_file {}: {e}", path.display()),
                    "correct the path, or remove the setting",
                )
            })?),
            None => None,
        };
        let options = ClientOptions {
            base_url: self.globals.url.clone().unwrap_or_else(|| settings.url()),
            token,
            ca_pem,
            timeout: REQUEST_LIMIT,
        };
        Ok(Client::new(options)?)
    }
}
