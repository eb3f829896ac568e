//! What a server's certificate says of itself, read without trusting it.
//!
//! Only the end of its validity is read, from the DER form (X.509, RFC 5280 section 4.1): a few fields are skipped by their
//! lengths, and anything unexpected is "not read".

use rustls::pki_types::CertificateDer;

use super::Fingerprint;

/// A certificate as a server shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownCertificate {
    /// SHA-256 of its DER form.
    pub fingerprint: Fingerprint,
    /// The last second it is good for, since 1970; none if that could not be read.
    pub good_until_s: Option<i64>,
}

impl ShownCertificate {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self {
            fingerprint: Fingerprint::of(certificate),
            good_until_s: good_until_s(certificate.as_ref()),
        }
    }
}

const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The rest of a DER encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag and what is in it.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // So many bytes of length follow; four are more than a certificate needs.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let joined = bytes
                    .iter()
                    .fold(0, |all, byte| all << 8 | usize::from(*byte));
                (joined, rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn sequence(&mut self) -> Option<Der<'a>> {
        let (tag, value) = self.next()?;
        (tag == SEQUENCE).then_some(Der(value))
    }
}

fn good_until_s(der: &[u8]) -> Option<i64> {
    let mut fields = Der(der).sequence()?.sequence()?;
    // Of version 1 certificates the version is left out, and the first field is the serial number.
    let (tag, _) = fields.next()?;
    if tag == EXPLICIT_VERSION {
        fields.next()?;
    }
    let (_algorithm, _issuer) = (fields.next()?, fields.next()?);
    let mut validity = fields.sequence()?;
    validity.next()?;
    let (tag, text) = validity.next()?;
    seconds(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ`, or the same with a whole year.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !digits.is_ascii() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (short, rest) = digits.split_at(2);
            let short: i64 = short.parse().ok()?;
            (
                if short < 50 {
                    2000 + short
                } else {
                    1900 + short
                },
                rest,
            )
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let pair = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (pair(0)?, pair(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let of_day = pair(4)? * 3600 + pair(6)? * 60 + pair(8)?;
    Some(days(year, month, day) * 86_400 + of_day)
}

/// Days since 1970-01-01 of a day of the Gregorian calendar; the year begins in March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["pve1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        made.der().to_vec()
    }

    #[test]
    fn the_last_day_is_read_in_both_forms_of_a_time() {
        // By `date -u -d 2027-03-01 +%s` and likewise.
        for ((year, month, day), seconds) in [
            ((2027, 3, 1), 1_803_859_200),
            ((2028, 2, 29), 1_835_395_200),
            ((2049, 12, 31), 2_524_521_600),
            ((2060, 1, 1), 2_840_140_800),
        ] {
            let der = certificate(year, month, day);
            assert_eq!(good_until_s(&der), Some(seconds), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_is_cut_or_is_no_certificate_is_not_read() {
        let der = certificate(2027, 3, 1);
        // Behind the validity nothing is looked at, but the lengths around it count.
        for end in 0..der.len() {
            assert_eq!(good_until_s(&der[..end]), None, "{end}");
        }
        assert_eq!(seconds(UTC_TIME, "271301000000Z"), None);
        assert_eq!(seconds(UTC_TIME, "2703010000Z"), None);
        assert_eq!(seconds(UTC_TIME, "27030100000é"), None);
        assert_eq!(seconds(0x19, "270301000000Z"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = good_until_s(&bytes);
        }

        #[test]
        fn no_changed_byte_makes_it_panic(at in 0_usize..300, byte: u8) {
            let mut der = certificate(2027, 3, 1);
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            let _ = good_until_s(&der);
        }
    }
}
