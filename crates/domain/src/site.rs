//! Sites: the host name under which an app is led to from outside, and the certificate that is shown for it.

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
