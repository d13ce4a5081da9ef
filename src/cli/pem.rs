//! Private keys in PEM (RFC 7468): `openssl genpkey` writes them so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const LABEL: &str = "PRIVATE KEY";

/// The bytes of the first private key in `text`; nothing in the text is repeated in an error.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the file's name.
pub(super) fn private_key(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, body) = after.split_once("-----").ok_or("has a broken BEGIN line")?;
        if label == LABEL {
            let (body, _) = body.split_once("-----END ").ok_or("has no END line; copy it again")?;
            return base64(body).ok_or("is not base64 between BEGIN and END; copy it again");
        }
        if label == "ENCRYPTED PRIVATE KEY" {
            return Err("is encrypted; decrypt it with `openssl pkey -in FILE -out OTHER`");
        }
        rest = body;
    }
    Err("holds no PRIVATE KEY block (PKCS#8)")
}

/// Base64 (RFC 4648, section 4) with line breaks; nothing for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn it_reads_what_a_library_writes() {
        for length in 0..200_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37).wrapping_add(length)).collect();
            let mut text = STANDARD.encode(&bytes);
            text.insert(text.len() / 2, '\n');
            assert_eq!(base64(&text).unwrap(), bytes, "{text}");
        }
        for text in ["A", "AA", "AAA", "AA=A", "A===", "AB==", "A-==", "AAAA="] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    #[test]
    fn the_private_key_is_found_among_others() {
        let text = "note\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
                    -----BEGIN PRIVATE KEY-----\r\nAQID\r\n-----END PRIVATE KEY-----\r\n";
        assert_eq!(private_key(text), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        for (text, word) in [
            ("", "no PRIVATE KEY"),
            ("-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----", "no PRIVATE KEY"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----",
                "openssl pkey",
            ),
            ("-----BEGIN PRIVATE KEY-----\nAQID", "no END"),
            ("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----", "base64"),
            ("-----BEGIN PRIVATE", "broken"),
        ] {
            assert!(private_key(text).unwrap_err().contains(word), "{text}");
        }
    }
}
