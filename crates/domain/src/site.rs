//! Sites: the host name under which an app is led to from outside, and the certificate that is shown for it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::{BadName, SiteName};

/// How long the path of a file may be, bytes.
const LONGEST_PATH: usize = 1_000;

/// Under which host name an app is led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Unique among live apps.
    pub name: SiteName,
    /// The certificate that is shown for it; without one the ingress gets one by itself.
    pub certificate: Option<CertificateFiles>,
}

/// What a document says of an app's host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NameWish {
    /// `none`: it is led to under none. No host name of a site is one label alone, so this one is none.
    None,
    /// This one.
    Name(SiteName),
}

impl FromStr for NameWish {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for NameWish {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        match text.as_str() {
            "none" => Ok(Self::None),
            _ => SiteName::try_from(text).map(Self::Name),
        }
    }
}

impl From<NameWish> for String {
    fn from(wish: NameWish) -> Self {
        match wish {
            NameWish::None => "none".to_owned(),
            NameWish::Name(name) => name.into(),
        }
    }
}

/// Files with a certificate, on the machine of the ingress, which reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFiles {
    /// Certificate chain, PEM.
    pub cert_file: String,
    /// Its private key, PEM.
    pub key_file: String,
}

impl CertificateFiles {
    /// Two files, by whole paths.
    ///
    /// # Errors
    /// A path does not begin at the root, is too long, or has characters that no path should have: control characters, and the
    /// braces that an ingress would put something in place of.
    pub fn new(cert_file: String, key_file: String) -> Result<Self, BadName> {
        for (what, path) in [("certificate file", &cert_file), ("key file", &key_file)] {
            let odd = |c: char| c.is_control() || c == '{' || c == '}';
            if !path.starts_with('/') || path.len() > LONGEST_PATH || path.contains(odd) {
                return Err(BadName {
                    what,
                    value: path.clone(),
                    rule: "must be a whole path of at most 1000 characters, without control characters and braces",
                });
            }
        }
        Ok(Self {
            cert_file,
            key_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ends_a_host_name_with_a_word_that_is_none() {
        assert_eq!("none".parse::<NameWish>().unwrap(), NameWish::None);
        assert!("none".parse::<SiteName>().is_err());
        let blog = "blog.example.org".parse::<NameWish>().unwrap();
        let text = serde_json::to_string(&[NameWish::None, blog.clone()]).unwrap();
        assert_eq!(text, r#"["none","blog.example.org"]"#);
        let read: Vec<NameWish> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, [NameWish::None, blog]);
        assert!("blog".parse::<NameWish>().is_err());
    }

    #[test]
    fn files_are_named_by_whole_paths() {
        let files = |cert: &str, key: &str| CertificateFiles::new(cert.to_owned(), key.to_owned());
        assert!(files("/etc/tls/a.pem", "/etc/tls/a key.pem").is_ok());
        let long = format!("/{}", "a".repeat(LONGEST_PATH));
        for bad in [
            "",
            "a.pem",
            "./a.pem",
            "/a\n",
            "/a\0",
            "/{env.SECRET}",
            &long,
        ] {
            let refused = files(bad, "/key").unwrap_err();
            assert_eq!(
                (refused.what, refused.value.as_str()),
                ("certificate file", bad)
            );
            assert_eq!(files("/cert", bad).unwrap_err().what, "key file");
        }
    }
}
