//! Apps whose container is made of an OCI image: what is compared of the image, and what its container is given beyond what the image says
//! of itself. Decided from texts alone.
//!
//! Proxmox VE takes a tag and no digest, drops the `entrypoint` and `env` of a create where the image has its own
//! (`PVE::LXC::Create::restore_oci_archive`), and knows nothing of an image's digest once it is pulled. So the digest is read from what the
//! pull said, and both keys are set once the container is there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::names::BadName;
use crate::restore::OptionChange;

/// The first version of Proxmox VE that makes containers of images.
const FIRST: (u32, u32) = (9, 1);
/// What the pull says before the digest of the image's configuration (skopeo, where nobody looks on at a terminal).
const SAYS_CONFIG: &str = "Copying config ";
const DIGEST: &str = "sha256:";
const HEX_DIGITS: usize = 64;
/// Digits of the digest in a file's name.
const IN_NAME: usize = 16;
/// Letters of an image's name in a file's name.
const NAMED: usize = 80;

/// The digest of an image's configuration, which has those of all its layers in it: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageDigest(String);

impl ImageDigest {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageDigest {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let digits = text.strip_prefix(DIGEST);
        if digits.is_some_and(|hex| hex.len() == HEX_DIGITS && hex.bytes().all(is_digit)) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadName {
            what: "digest of an image",
            value: text.to_owned(),
            rule: "must be sha256: and 64 hexadecimal digits in small letters",
        })
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the file that an image is pulled into, without the ending `.tar` that Proxmox VE adds: two that differ in their digest have
/// different ones. `image` is its repository and tag.
#[must_use]
pub fn file_stem(image: &str, digest: &ImageDigest) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(NAMED)
        .collect();
    let hex = digest.0.trim_start_matches(DIGEST);
    let short: String = hex.chars().take(IN_NAME).collect();
    format!("{name}_{short}")
}

/// Whether this version of Proxmox VE, e.g. `9.2.11`, makes containers of images. One that is not known does not.
#[must_use]
pub fn takes_images(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    let major = parts.next().flatten();
    let minor = parts.next().flatten().unwrap_or(0);
    major.is_some_and(|major| (major, minor) >= FIRST)
}

/// Which image a pull has brought, by the lines of its task's log: `None` if they do not say, or name several.
#[must_use]
pub fn pulled<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<ImageDigest> {
    let said = lines.into_iter().filter_map(|line| {
        let rest = line.trim().strip_prefix(SAYS_CONFIG)?;
        rest.trim().parse::<ImageDigest>().ok()
    });
    let mut said: Vec<ImageDigest> = said.collect();
    said.dedup();
    if said.len() == 1 { said.pop() } else { None }
}

/// What a container of an image is started with, where it is not what the image says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// Program and arguments; those of the image without any.
    pub entrypoint: Vec<String>,
    /// Variables, in the place of those of the same name that the image has.
    pub env: BTreeMap<String, String>,
}

/// Why a text can be no word of a command line, if it cannot. Proxmox VE keeps the command as one line, and how quotes in it are read is
/// not the same in all versions of LXC.
#[must_use]
pub fn word_objection(text: &str) -> Option<&'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\');
    if text.is_empty() {
        Some("must not be empty: it is a word of a command line")
    } else if text.contains(odd) {
        Some("must be without blanks, quotes and backslashes: it is a word of a command line")
    } else {
        None
    }
}

/// Why a text can be no value of a variable, if it cannot. Proxmox VE keeps all variables as one line, and reads it without the blanks
/// at its end.
#[must_use]
pub fn value_objection(text: &str) -> Option<&'static str> {
    if text.contains(char::is_control) {
        Some("must be without control characters: it is the value of a variable")
    } else if text.ends_with(char::is_whitespace) {
        Some("must not end with a blank: it is the value of a variable")
    } else {
        None
    }
}

impl ImageOptions {
    /// What makes a container whose configuration has this `entrypoint` and this `env` (`NAME=VALUE`, a NUL between two) start so;
    /// `None` if it does already. Variables that are not wanted otherwise stay as the image has them.
    #[must_use]
    pub fn change(&self, entrypoint: Option<&str>, env: Option<&str>) -> Option<OptionChange> {
        let mut set = BTreeMap::new();
        let line = self.entrypoint.join(" ");
        if !self.entrypoint.is_empty() && entrypoint != Some(line.as_str()) {
            set.insert("entrypoint".to_owned(), line);
        }
        let now = env.unwrap_or_default();
        let wanted = self.env_over(now);
        if wanted != now {
            set.insert("env".to_owned(), wanted);
        }
        OptionChange::of(set, Vec::new())
    }

    /// The variables of `now` with the wanted ones in their places, those that were not there last.
    fn env_over(&self, now: &str) -> String {
        let mut left = self.env.clone();
        let mut all = Vec::new();
        for pair in now.split('\0').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            match self.env.get(name) {
                // One that is there twice is there once from now on.
                Some(_) => all.extend(left.remove(name).map(|value| format!("{name}={value}"))),
                None => all.push(pair.to_owned()),
            }
        }
        all.extend(left.iter().map(|(name, value)| format!("{name}={value}")));
        all.join("\0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn digest() -> ImageDigest {
        format!("sha256:{HEX}").parse().unwrap()
    }

    #[test]
    fn a_digest_is_whole_or_none() {
        assert_eq!(digest().to_string(), format!("sha256:{HEX}"));
        for bad in [
            "",
            HEX,
            "sha256:",
            "sha512:0123",
            &format!("sha256:{HEX}0"),
            &format!("sha256:{}", HEX.to_uppercase()),
            &format!("sha256:{}", &HEX[1..]),
        ] {
            assert!(bad.parse::<ImageDigest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_called_by_image_and_digest() {
        let of = |image: &str| file_stem(image, &digest());
        assert_eq!(
            of("docker.io/library/nginx:1.29-alpine"),
            "nginx_1.29-alpine_0123456789abcdef"
        );
        assert_eq!(of("web:1"), "web_1_0123456789abcdef");
        let long = of(&format!("web:{}", "1".repeat(128)));
        assert_eq!(long.len(), NAMED + 1 + IN_NAME);
    }

    #[test]
    fn versions_before_9_1_and_those_that_are_not_known_make_nothing_of_images() {
        for new in [
            "9.1", "9.1.0", "9.2.11", "9.10.1", "10.0.1", "10", "9.1~rc1",
        ] {
            assert!(takes_images(new), "{new}");
        }
        for old in ["9.0.11", "9", "8.4.14", "", "unknown", "9.x"] {
            assert!(!takes_images(old), "{old}");
        }
    }

    #[test]
    fn what_was_pulled_is_what_the_log_says_and_nothing_else() {
        let config = format!("Copying config sha256:{HEX}");
        let log = [
            "Getting image source signatures",
            "Copying blob sha256:aa",
            config.as_str(),
            "Writing manifest to image destination",
        ];
        assert_eq!(pulled(log), Some(digest()));
        assert_eq!(pulled([config.as_str(), config.as_str()]), Some(digest()));
        let other = config.replace('0', "1");
        for unsaid in [
            vec!["Getting image source signatures", "TASK OK"],
            vec!["Copying config", "Copying config 0123456789"],
            vec![config.as_str(), other.as_str()],
            vec![],
        ] {
            assert_eq!(pulled(unsaid.iter().copied()), None, "{unsaid:?}");
        }
    }

    fn options() -> ImageOptions {
        ImageOptions {
            entrypoint: ["/bin/httpd", "-f"].map(str::to_owned).to_vec(),
            env: BTreeMap::from([
                ("GREETING".to_owned(), "good day".to_owned()),
                ("ZONE".to_owned(), String::new()),
            ]),
        }
    }

    #[test]
    fn what_the_image_says_is_kept_but_for_what_is_wanted_otherwise() {
        let now = "PATH=/bin\0GREETING=hi\0TERM=xterm\0GREETING=twice";
        let change = options().change(Some("/bin/sh -c x"), Some(now)).unwrap();
        let after = "PATH=/bin\0GREETING=good day\0TERM=xterm\0ZONE=";
        assert_eq!(change.set()["entrypoint"], "/bin/httpd -f");
        assert_eq!(change.set()["env"], after);
        assert!(change.delete().is_empty());
        let same = options().change(Some("/bin/httpd -f"), Some(after));
        assert!(same.is_none());
        let bare = options().change(None, None).unwrap();
        assert_eq!(bare.set()["env"], "GREETING=good day\0ZONE=");
    }

    #[test]
    fn an_image_of_which_nothing_is_wanted_otherwise_is_not_changed() {
        let nothing = ImageOptions::default();
        assert!(nothing.change(Some("/init"), Some("A=1\0B=2")).is_none());
        assert!(nothing.change(None, None).is_none());
        let command = ImageOptions {
            env: BTreeMap::new(),
            ..options()
        };
        let change = command.change(None, Some("A=1")).unwrap();
        assert_eq!(change.set().keys().collect::<Vec<_>>(), ["entrypoint"]);
    }

    #[test]
    fn a_word_of_a_command_line_is_one_word() {
        for word in ["/bin/httpd", "-p", "8080", "--title=a$b`c`", "ä"] {
            assert_eq!(word_objection(word), None, "{word}");
        }
        for odd in ["", "a b", "a\tb", "a\nb", "\"a", "it's", "a\\b", "a\0b"] {
            assert!(word_objection(odd).is_some(), "{odd:?}");
        }
    }

    #[test]
    fn a_value_of_a_variable_is_read_back_as_it_was_set() {
        for value in ["", "a b", " a", "it's \"a\"", "a\\b", "a=b"] {
            assert_eq!(value_objection(value), None, "{value}");
        }
        for odd in ["a ", " ", "a\tb", "a\n", "a\0B=1", "\u{7f}"] {
            assert!(value_objection(odd).is_some(), "{odd:?}");
        }
    }
}
