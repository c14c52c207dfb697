//! Who a machine is: an id made of its machine id, which systemd asks not to publish.

use rustls::crypto::tls13::{Hkdf, OkmBlock};

/// Of this program. Another one would make every machine a stranger.
const APPLICATION: [u8; 16] = [
    0x5f, 0x0f, 0x1f, 0x5e, 0x2b, 0x0c, 0x4d, 0x0e, 0x9a, 0x3c, 0x6d, 0x1b, 0x7e, 0x8f, 0x4a, 0x21,
];

/// The id that this program shows of a machine, as `systemd-id128 machine-id --app-specific=…` makes it: nobody finds the machine id
/// from it. What is no machine id is taken by its text.
pub(crate) fn of_machine(machine_id: &str) -> String {
    let key = bytes(machine_id).unwrap_or_else(|| machine_id.as_bytes().to_vec());
    // HMAC takes no longer key as it is. A text that is longer is no machine id, and its beginning has to do.
    let key = OkmBlock::new(&key[..key.len().min(64)]);
    let tag = hmac().hmac_sign(&key, &APPLICATION);
    let mut id = [0; 16];
    for (byte, tag) in id.iter_mut().zip(tag.as_ref()) {
        *byte = *tag;
    }
    // A UUID of version 4, as systemd has it.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    format!("{:032x}", u128::from_be_bytes(id))
}

/// Whether two recorded ids are of one machine. Releases before wrote the machine id itself, from which the other follows.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one == other || of_machine(one) == other || of_machine(other) == one
}

/// The 16 bytes of a machine id.
fn bytes(id: &str) -> Option<Vec<u8>> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(id, 16).ok().filter(|_| is_id);
    number.map(|number| number.to_be_bytes().to_vec())
}

/// HMAC-SHA256 of the TLS library.
fn hmac() -> &'static dyn Hkdf {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = suite.tls13().expect("this suite is of TLS 1.3");
    suite.hkdf_provider
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `systemd-id128 machine-id --app-specific=5f0f1f5e2b0c4d0e9a3c6d1b7e8f4a21` printed on machines with these ids.
    const KNOWN: [(&str, &str); 2] = [
        (
            "3d1219c7c4c5404aaa1f6d2a48adfda4",
            "077c5c63ef484a14a3ca0c702d8cc445",
        ),
        (
            "0123456789abcdef0123456789abcdef",
            "fcc73eb3b76a4e28a0c80e1b1fc245f4",
        ),
    ];

    #[test]
    fn the_id_is_the_one_that_systemd_makes_for_this_program() {
        for (machine, expected) in KNOWN {
            assert_eq!(of_machine(machine), expected);
        }
    }

    #[test]
    fn records_of_older_releases_are_of_the_same_machine_and_others_are_not() {
        let [(old, new), (other, other_new)] = KNOWN;
        for (one, two) in [(old, new), (new, old), (new, new), ("named", "named")] {
            assert!(is_same(one, two), "{one} {two}");
        }
        for (one, two) in [
            (old, other),
            (new, other_new),
            (old, other_new),
            (new, other),
            ("a", "b"),
            ("", new),
        ] {
            assert!(!is_same(one, two), "{one} {two}");
        }
    }
}
