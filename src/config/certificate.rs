//! What warnings tell of a certificate: its common name, because etcd's gateway refuses client certificates that have one once users
//! are on, and its end.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A certificate that ends sooner is worth a warning.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A time with two digits for its year, and one with four.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Object identifier 2.5.4.3, `commonName`, as it is encoded.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version of a certificate, left out in the oldest ones.
const VERSION: u8 = 0xa0;

/// Whether the subject has a common name that is not empty. A certificate that cannot be taken apart has none: this
/// serves a warning, and whether the certificate is sound was checked elsewhere.
pub(super) fn has_common_name(der: &[u8]) -> bool {
    field(der, 4).is_some_and(|subject| parts(subject).any(|(tag, set)| tag == SET && names(set)))
}

fn names(set: &[u8]) -> bool {
    parts(set)
        .filter(|(tag, _)| *tag == SEQUENCE)
        .any(|(_, attribute)| {
            let mut attribute = parts(attribute);
            attribute.next() == Some((OBJECT_IDENTIFIER, COMMON_NAME))
                && attribute.next().is_some_and(|(_, name)| !name.is_empty())
        })
}

/// When a certificate ends, as far as that can be read.
pub(crate) fn end(der: &[u8]) -> Option<Timestamp> {
    limit(der, 1)
}

/// One of the two times between which a certificate is good.
fn limit(der: &[u8], index: usize) -> Option<Timestamp> {
    let (tag, text) = parts(field(der, 3)?).nth(index)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Until 2049; RFC 5280, section 4.1.2.5.1.
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// What is to be said of a certificate that has not begun.
pub(super) fn beginning(der: &[u8], now: Timestamp) -> Option<String> {
    let begin = limit(der, 0).filter(|begin| *begin > now)?;
    Some(format!(
        "begins at {begin}: nobody accepts it before; check the clock of this host, and of the one that issued it"
    ))
}

/// What is to be said of a certificate that ends then: it has ended, or does so soon.
pub(crate) fn ending(end: Timestamp, now: Timestamp) -> Option<String> {
    let left = end.duration_since(now);
    if left > SOON {
        return None;
    }
    Some(if left.is_negative() {
        format!("ended at {end}: nobody accepts it; renew it, and check the clock of this host")
    } else {
        format!("ends at {end}, in {}; renew it", remaining(left))
    })
}

/// How long it is valid yet, in words.
pub(crate) fn remaining(left: SignedDuration) -> String {
    match left.as_hours() {
        hours @ ..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

/// Certificate, its signed part, and therein: version, serial number, algorithm, issuer, validity, subject.
fn field(der: &[u8], index: usize) -> Option<&[u8]> {
    let (_, certificate) = parts(der).next()?;
    let (_, signed) = parts(certificate).next()?;
    let mut fields = parts(signed).filter(|(tag, _)| *tag != VERSION);
    fields.nth(index).map(|(_, value)| value)
}

/// The values that stand one after another in `der`, each with its tag.
fn parts(der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = der;
    std::iter::from_fn(move || {
        let (&tag, after) = rest.split_first()?;
        let (&first, after) = after.split_first()?;
        // Up to 127 the byte is the length; above, it counts the bytes of the length that follow.
        let count = first.checked_sub(0x80).map_or(0, |count| count.min(4));
        let (bytes, after) = after.split_at_checked(count.into())?;
        let length = match first {
            0..0x80 => first.into(),
            _ => (bytes.iter()).fold(0, |length, byte| (length << 8) | usize::from(*byte)),
        };
        let (value, after) = after.split_at_checked(length)?;
        rest = after;
        Some((tag, value))
    })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn common_names_are_found() {
        for (pem, expected) in [
            (include_str!("tests/tls/node.crt"), true),
            (include_str!("tests/tls/ca.crt"), true),
            (include_str!("tests/tls/other.crt"), false),
        ] {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(has_common_name(&der), expected, "{pem}");
        }
    }

    #[test]
    fn a_certificate_that_has_ended_or_ends_within_two_weeks_is_told() {
        let der = CertificateDer::from_pem_slice(include_bytes!("tests/tls/node.crt")).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(end(&der), Some(at("2126-10-30T09:23:06Z")));
        let told = |now: &str| ending(at("2027-01-15T00:00:00Z"), at(now));
        assert_eq!(told("2026-12-31T23:59:59Z"), None);
        assert!(told("2027-01-01T01:00:00Z").is_some_and(|it| it.contains("in 13 days")));
        assert!(told("2027-01-13T12:00:01Z").is_some_and(|it| it.contains("in 35 h; renew it")));
        assert!(
            told("2027-01-15T00:00:01Z")
                .is_some_and(|it| it.contains("ended at 2027-01-15T00:00:00Z"))
        );
    }

    #[test]
    fn a_certificate_that_has_not_begun_is_told() {
        let der = CertificateDer::from_pem_slice(include_bytes!("tests/tls/node.crt")).unwrap();
        let told = |now: &str| beginning(&der, now.parse().unwrap());
        assert!(
            told("2026-11-23T09:23:05Z")
                .is_some_and(|it| it.starts_with("begins at 2026-11-23T09:23:06Z"))
        );
        assert_eq!(told("2026-11-23T09:23:06Z"), None);
    }

    #[test]
    fn damaged_certificates_are_no_trouble() {
        let der = CertificateDer::from_pem_slice(include_bytes!("tests/tls/node.crt")).unwrap();
        for length in 0..der.len() {
            has_common_name(&der[..length]);
            let mut damaged = der.to_vec();
            damaged[length] ^= 0xff;
            has_common_name(&damaged);
            let _ = (end(&der[..length]), end(&damaged)); // a time or none, but no panic
        }
    }
}
