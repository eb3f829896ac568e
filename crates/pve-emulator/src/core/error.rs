//! Why a call is refused.

use crate::schema::Errors;

/// A refusal, before it is put into the caller's format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiError {
    /// 400: parameters by name.
    Parameters(Errors),
    /// 403: what was missing; PVE names it in parentheses, or nothing at all.
    Denied(Option<String>),
    /// 500: PVE's code died with this message (without the final newline).
    Died(String),
    /// 501: no such method, or none that is emulated.
    NotImplemented(String),
    /// An exception with a code and texts of its own.
    Raised {
        /// HTTP status.
        status: u16,
        /// Without the final newline.
        message: String,
        /// Refused parameters, if any.
        errors: Errors,
    },
}

impl ApiError {
    /// One refused parameter.
    pub(crate) fn parameter(name: &str, message: impl Into<String>) -> Self {
        Self::Parameters(Errors::from([(name.to_owned(), message.into())]))
    }

    /// A missing privilege.
    pub(crate) fn denied(what: impl Into<String>) -> Self {
        Self::Denied(Some(what.into()))
    }

    /// PVE's `die`.
    pub(crate) fn died(message: impl Into<String>) -> Self {
        Self::Died(message.into())
    }

    /// An exception with a code of its own.
    pub(crate) fn raised(status: u16, message: impl Into<String>) -> Self {
        Self::Raised {
            status,
            message: message.into(),
            errors: Errors::new(),
        }
    }

    /// A part of PVE that is not emulated yet; says so instead of pretending.
    pub(crate) fn not_emulated(what: impl AsRef<str>) -> Self {
        Self::NotImplemented(format!("{} is not emulated yet", what.as_ref()))
    }

    /// The guest has no configuration on this node.
    pub(crate) fn no_config(node: &str, vmid: u32) -> Self {
        Self::Died(format!(
            "Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist"
        ))
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Parameters(_) => 400,
            Self::Denied(_) => 403,
            Self::Died(_) => 500,
            Self::NotImplemented(_) => 501,
            Self::Raised { status, .. } => *status,
        }
    }

    /// Refused parameters by name.
    pub(crate) fn errors(&self) -> Option<&Errors> {
        match self {
            Self::Parameters(errors) => Some(errors),
            Self::Raised { errors, .. } => Some(errors).filter(|errors| !errors.is_empty()),
            Self::Denied(_) | Self::Died(_) | Self::NotImplemented(_) => None,
        }
    }

    /// The same from below a lock of the cluster: only a text is left, behind what failed. What had a code carries it,
    /// and its refused parameters, in the text.
    pub(crate) fn under_lock(self, failed: &str) -> Self {
        let code = match &self {
            Self::Died(_) | Self::NotImplemented(_) => String::new(),
            Self::Parameters(_) | Self::Denied(_) | Self::Raised { .. } => {
                format!("{} ", self.status())
            }
        };
        let errors = self.errors().into_iter().flatten();
        let errors: String = errors
            .map(|(name, text)| format!("\n{name}: {text}"))
            .collect();
        let prefix = if failed.is_empty() {
            String::new()
        } else {
            format!("{failed}: ")
        };
        Self::Died(format!("{prefix}{code}{}{errors}", self.text()))
    }

    /// The whole message as PVE puts it into the body.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Parameters(_) => "Parameter verification failed.\n".into(),
            Self::Denied(None) => "Permission check failed\n".into(),
            Self::Denied(Some(what)) => format!("Permission check failed ({what})\n"),
            Self::Died(message) | Self::Raised { message, .. } => format!("{message}\n"),
            Self::NotImplemented(message) => message.clone(),
        }
    }

    /// The text alone, as a task would end with it.
    pub(crate) fn text(&self) -> String {
        self.message().trim_end().to_owned()
    }
}
