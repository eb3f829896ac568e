//! What is changed and told of what an app was made with: who it is kept apart from, and root's password, once.

use proximity_domain::app::StatusLabel;
use proximity_domain::names::Hostname;
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, AppRecord};
use secrecy::SecretString;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Keeps an app apart from these from now on, whenever a node is chosen for it or for one of them. Its container stays where it is.
    ///
    /// # Errors
    /// Unknown app, or one that an operation works on.
    pub async fn keep_apart(
        &self,
        actor: &Actor,
        app: &str,
        from: Vec<Hostname>,
    ) -> Result<AppRecord, EngineError> {
        let app = self.find_app(app).await?;
        let now = self.now();
        Ok(self.store().keep_apart(app.id, from, actor, now).await?)
    }

    /// Gives the password that was made for root of an app's container, to whoever asks first, and forgets it. That is audited, and the
    /// password is kept nowhere from then on: should the answer be lost, root of the node sets another one inside.
    ///
    /// # Errors
    /// Unknown app; one whose root has no password that was not shown yet; one that is not deployed yet, or is worked on.
    pub async fn show_root_password(
        &self,
        actor: &Actor,
        app: &str,
    ) -> Result<SecretString, EngineError> {
        let app = self.find_app(app).await?;
        if self.store().root_password(app.id).await?.is_none() {
            return Err(EngineError::NotFound {
                what: "root password that was not shown yet, of app",
                name: app.hostname.to_string(),
            });
        }
        if let Some(operation) = app.operation {
            let app = app.id;
            return Err(StoreError::Busy { app, operation }.into());
        }
        match app.status.label() {
            StatusLabel::Running | StatusLabel::Stopped => {}
            status @ (StatusLabel::Deploying
            | StatusLabel::Adopting
            | StatusLabel::Cloning
            | StatusLabel::Updating
            | StatusLabel::Removing
            | StatusLabel::Error) => {
                return Err(EngineError::NotInState {
                    app: app.hostname.to_string(),
                    status: status.label().to_owned(),
                    action: "root-password".to_owned(),
                });
            }
        }
        let now = self.now();
        Ok(self.store().show_root_password(app.id, actor, now).await?)
    }
}
