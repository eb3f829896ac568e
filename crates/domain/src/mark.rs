//! The mark: the last line of a guest's `description`, by which we know later that we made it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AppId, InstallationId};

const PREFIX: &str = "proximity-mark:v1";

/// Who made a guest: installation, app, and a random number of 128 bits drawn for this very guest.
///
/// Given in the same call that creates the guest, so there is no moment in which a guest of ours exists
/// without it once PVE has written the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The installation that made the guest.
    pub installation: InstallationId,
    /// The app it was made for.
    pub app: AppId,
    /// Random, unique to this guest.
    pub nonce: u128,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}:{}:{}:{:032x}",
            self.installation, self.app, self.nonce
        )
    }
}

impl Mark {
    /// The description to send: the user's text above, the mark as the last line.
    #[must_use]
    pub fn described(&self, text: &str) -> String {
        let text = text.trim_end();
        if text.is_empty() {
            self.to_string()
        } else {
            format!("{text}\n{self}")
        }
    }

    /// The mark in a description as PVE returns it (PVE adds a newline at the end).
    ///
    /// Only the last line counts: a mark further up is somebody's copied text.
    #[must_use]
    pub fn find(description: &str) -> Option<Self> {
        let line = description.trim_end().lines().next_back()?.trim();
        let rest = line.strip_prefix(PREFIX)?.strip_prefix(':')?;
        let mut parts = rest.split(':');
        let installation = Uuid::try_parse(parts.next()?).ok()?;
        let app = Uuid::try_parse(parts.next()?).ok()?;
        let nonce = parts.next().filter(|p| p.len() == 32)?;
        let nonce = u128::from_str_radix(nonce, 16).ok()?;
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            installation: InstallationId(installation),
            app: AppId(app),
            nonce,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_found_below_any_text(text in "(?s).{0,200}", a: u128, b: u128, nonce: u128) {
            let mark = Mark {
                installation: InstallationId(Uuid::from_u128(a)),
                app: AppId(Uuid::from_u128(b)),
                nonce,
            };
            let described = mark.described(&text);
            prop_assert_eq!(Mark::find(&described), Some(mark));
            prop_assert_eq!(Mark::find(&format!("{described}\n")), Some(mark));
        }

        #[test]
        fn no_text_makes_the_search_panic(text in "(?s).{0,400}") {
            let _ = Mark::find(&text);
        }
    }

    #[test]
    fn a_mark_above_other_text_is_not_ours() {
        let mark = Mark {
            installation: InstallationId(Uuid::from_u128(1)),
            app: AppId(Uuid::from_u128(2)),
            nonce: 3,
        };
        assert_eq!(Mark::find(&format!("{mark}\nedited by hand")), None);
        assert_eq!(Mark::find(&format!("{mark}:more")), None);
        assert_eq!(Mark::find(""), None);
    }
}
