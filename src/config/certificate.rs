//! The common name of a certificate, for one warning: etcd's gateway refuses client certificates that have one once users are on.

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
    subject(der).is_some_and(|subject| parts(subject).any(|(tag, set)| tag == SET && names(set)))
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

/// Certificate, its signed part, and therein: version, serial number, algorithm, issuer, validity, subject.
fn subject(der: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = parts(der).next()?;
    let (_, signed) = parts(certificate).next()?;
    let mut fields = parts(signed).filter(|(tag, _)| *tag != VERSION);
    fields.nth(4).map(|(_, subject)| subject)
}

/// The values that stand one after another in `der`, each with its tag.
fn parts(der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = der;
    std::iter::from_fn(move || {
        let (&tag, after) = rest.split_first()?;
        let (&first, after) = after.split_first()?;
        // Up to 127 the byte is the length; above, it counts the bytes of the length that follow.
        let (length, after) = if first < 0x80 {
            (usize::from(first), after)
        } else {
            let (bytes, after) = after.split_at_checked(usize::from(first & 0x7f).min(4))?;
            (
                bytes
                    .iter()
                    .fold(0, |length, byte| (length << 8) | usize::from(*byte)),
                after,
            )
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
    fn damaged_certificates_are_no_trouble() {
        let der = CertificateDer::from_pem_slice(include_bytes!("tests/tls/node.crt")).unwrap();
        for length in 0..der.len() {
            has_common_name(&der[..length]);
            let mut damaged = der.to_vec();
            damaged[length] ^= 0xff;
            has_common_name(&damaged);
        }
    }
}
