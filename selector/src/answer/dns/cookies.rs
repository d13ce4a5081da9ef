//! DNS cookies (RFC 7873): what proves over UDP that an asker is where he says he is.
//!
//! Server cookies have the layout of RFC 9018: version, a time, and a keyed hash over them, the client's cookie and
//! its address. Nothing is kept per client. The key comes from the secret that all selectors share, so the servers
//! of a zone take each other's cookies; the hash is HMAC-SHA256, cut to eight bytes.

use std::net::IpAddr;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};

use super::numbers::Code;

/// What the key is for, so that it serves nothing else.
const PURPOSE: &[u8] = b"kromka dns cookies 1";

/// Version of the layout.
const VERSION: u8 = 1;

/// How old a server cookie may be, in seconds (RFC 9018 section 4.3).
const OLD: u32 = 3_600;

/// How far ahead another server's clock may be, in seconds.
const AHEAD: u32 = 300;

/// Past this age a new one is handed out, in seconds.
const RENEW: u32 = 1_800;

/// Length of a server cookie of ours.
const SERVER: usize = 16;

/// A whole cookie of ours, the client's part first.
pub(super) const WHOLE: usize = 8 + SERVER;

/// The option of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    client: [u8; 8],
    /// One that has our length; others cannot be ours.
    server: Option<[u8; SERVER]>,
}

impl Cookie {
    /// Reads the option's value: eight bytes, or with a server's cookie 16 to 40 (RFC 7873 section 4).
    pub(super) fn read(value: &[u8]) -> Result<Cookie, Code> {
        let (client, server) = value.split_first_chunk::<8>().ok_or(Code::FormErr)?;
        match server.len() {
            0 | 8..=32 => Ok(Cookie { client: *client, server: server.try_into().ok() }),
            _ => Err(Code::FormErr),
        }
    }
}

/// Makes and checks server cookies.
pub(super) struct Cookies {
    key: hmac::Key,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Whether it proves the asker's address.
    pub(super) valid: bool,
    /// What the answer carries.
    pub(super) whole: [u8; WHOLE],
}

impl Cookies {
    /// With a key made of the secret that all selectors share.
    pub(super) fn new(secret: &str) -> Cookies {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let key = hmac::sign(&root, PURPOSE);
        Cookies { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()) }
    }

    /// Checks a cookie that came from `peer` at `now` (Unix seconds; it wraps, as the time in cookies does).
    pub(super) fn check(&self, cookie: &Cookie, peer: IpAddr, now: u32) -> Checked {
        let mut valid = false;
        let mut made = now;
        if let Some(server) = &cookie.server
            && let [VERSION, 0, 0, 0, a, b, c, d, hash @ ..] = server
        {
            let at = u32::from_be_bytes([*a, *b, *c, *d]);
            let age = now.wrapping_sub(at);
            let timely = age <= OLD || at.wrapping_sub(now) <= AHEAD;
            let right = || verify_slices_are_equal(&self.hash(&cookie.client, at, peer), hash).is_ok();
            valid = timely && right();
            if valid && age <= RENEW {
                made = at;
            }
        }
        let mut whole = [0; WHOLE];
        whole[..8].copy_from_slice(&cookie.client);
        whole[8] = VERSION;
        whole[12..16].copy_from_slice(&made.to_be_bytes());
        whole[16..].copy_from_slice(&self.hash(&cookie.client, made, peer));
        Checked { valid, whole }
    }

    fn hash(&self, client: &[u8; 8], at: u32, peer: IpAddr) -> [u8; 8] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(client);
        context.update(&[VERSION, 0, 0, 0]);
        context.update(&at.to_be_bytes());
        match peer {
            IpAddr::V4(v4) => context.update(&v4.octets()),
            IpAddr::V6(v6) => context.update(&v6.octets()),
        }
        let mut hash = [0; 8];
        for (to, from) in hash.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_handed_out_is_taken_back_from_the_same_address_only() {
        let cookies = Cookies::new("a secret of all selectors");
        let asked = Cookie::read(&[7; 8]).unwrap();
        let first = cookies.check(&asked, peer("192.0.2.1"), NOW);
        assert!(!first.valid, "a client's cookie alone proves nothing");
        let again = Cookie::read(&first.whole).unwrap();
        for (from, secret, valid) in [
            ("192.0.2.1", "a secret of all selectors", true),
            ("192.0.2.2", "a secret of all selectors", false),
            ("2001:db8::1", "a secret of all selectors", false),
            ("192.0.2.1", "another secret of selectors", false),
        ] {
            assert_eq!(Cookies::new(secret).check(&again, peer(from), NOW).valid, valid, "{from} {secret}");
        }
        let mut other = first.whole;
        other[0] ^= 1;
        assert!(!cookies.check(&Cookie::read(&other).unwrap(), peer("192.0.2.1"), NOW).valid);
    }

    #[test]
    fn a_cookie_ages_and_is_renewed_in_time() {
        let cookies = Cookies::new("a secret of all selectors");
        let first = cookies.check(&Cookie::read(&[7; 8]).unwrap(), peer("192.0.2.1"), NOW);
        let again = Cookie::read(&first.whole).unwrap();
        for (later, valid, same) in [
            (0, true, true),
            (1_800, true, true),
            (1_801, true, false),
            (3_600, true, false),
            (3_601, false, false),
        ] {
            let checked = cookies.check(&again, peer("192.0.2.1"), NOW + later);
            assert_eq!((checked.valid, checked.whole == first.whole), (valid, same), "{later} s later");
        }
        assert!(cookies.check(&again, peer("192.0.2.1"), NOW - 300).valid);
        assert!(!cookies.check(&again, peer("192.0.2.1"), NOW - 301).valid);
    }

    #[test]
    fn lengths_that_no_cookie_has_are_format_errors() {
        for length in 0..64 {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::read(&vec![1; length]).is_ok(), good, "{length}");
        }
    }
}
