//! SHA-256 fingerprints of certificates.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// SHA-256 over the DER form of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// The text is no SHA-256 fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint is 32 pairs of hex digits, separated by colons or not")]
pub struct NotAFingerprint;

impl Fingerprint {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    /// As PVE prints it: upper-case pairs with colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.trim();
        let pairs: Vec<&str> = text.split(':').collect();
        if pairs.len() > 1 && (pairs.len() != 32 || pairs.iter().any(|pair| pair.len() != 2)) {
            return Err(NotAFingerprint);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(pairs.concat(), &mut bytes).map_err(|_| NotAFingerprint)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_pves_is_printed() {
        let pve = "1F:46:32:04:D6:0A:46:D0:BF:B0:D7:E6:1E:A0:7F:24:F3:DE:82:F9:79:CD:1D:B9:78:46:EA:87:CD:D4:D0:72";
        let read: Fingerprint = pve.parse().unwrap();
        assert_eq!(read.to_string(), pve);
        assert_eq!(pve.replace(':', "").to_lowercase().parse(), Ok(read));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "1F",
            "1F:46",
            &"0".repeat(63),
            &"0".repeat(65),
            &"zz".repeat(32),
            &"0:".repeat(32),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotAFingerprint), "{bad}");
        }
    }
}
