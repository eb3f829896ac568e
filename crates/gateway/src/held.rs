//! The right to be the only gateway here.

use crate::control::ControlSocket;
use crate::error::GatewayError;
use crate::gateway::{Gateway, raise_open_files};
use crate::options::GatewayOptions;
use crate::route_file::RouteFile;

/// The route file and the control socket, held by this process; no route was read yet.
///
/// Dropping it lets go of both.
#[derive(Debug)]
pub struct Held {
    pub(crate) options: GatewayOptions,
    pub(crate) file: RouteFile,
    pub(crate) socket: ControlSocket,
}

impl Held {
    /// Takes both, so that a second gateway is told before it does or writes anything else.
    ///
    /// # Errors
    /// [`GatewayError`]: another gateway has one of them, or a path cannot be used.
    pub fn take(options: GatewayOptions) -> Result<Self, GatewayError> {
        Ok(Self {
            file: RouteFile::claim(&options.route_file)?,
            socket: ControlSocket::claim(&options.control_socket)?,
            options,
        })
    }

    /// Runs the gateway until its shutdown token is cancelled: [`Gateway::start`], then
    /// [`Gateway::serve`]. Before, it raises the process's limit of open files as far as it may.
    ///
    /// # Errors
    /// [`GatewayError`] if it cannot start. Once it serves, nothing ends it but the token.
    pub async fn run(self) -> Result<(), GatewayError> {
        raise_open_files(self.options.limits);
        Gateway::of(self).await?.serve().await;
        Ok(())
    }
}
