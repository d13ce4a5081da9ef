//! The cheap step: may this session have this path, now? Asked on every request, so no cryptography, no
//! allocation.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{Claims, LEEWAY_S, Reach, Refusal};

/// A token that was verified. Cloning shares the claims.
#[derive(Clone, Debug)]
pub struct Session {
    /// What the token says.
    pub claims: Arc<Claims>,
    /// The key that vouched for it.
    pub kid: Arc<str>,
    reach: Reach,
}

/// One request, as far as permission depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The service that the request is for.
    pub service: &'a str,
    /// The path without the token, decoded and normalised.
    pub path: &'a str,
    /// Whether this request starts playback, so that the start deadline counts; see [`Session::starts`].
    pub multivariant: bool,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
    /// The time in unix seconds.
    pub now: i64,
}

impl Session {
    pub(crate) fn new(claims: Arc<Claims>, kid: Arc<str>, reach: Reach) -> Self {
        Self { claims, kid, reach }
    }

    /// Whether the session may have what is asked, now.
    ///
    /// # Errors
    /// The first that applies: expired, not yet, wrong service, wrong path, wrong address, start deadline.
    pub fn permits(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.holds(ask.now)?;
        if self.claims.aud != ask.service {
            return Err(Refusal::Audience);
        }
        if !self.reach.opens(ask.path) {
            return Err(Refusal::Path);
        }
        self.admits(ask.client)?;
        match self.claims.kst {
            Some(kst) if ask.multivariant && passed(kst, ask.now) => {
                Err(Refusal::StartDeadline { by_s: ask.now.saturating_sub(kst) })
            }
            _ => Ok(()),
        }
    }

    /// Whether a client at this address may use it, if it is bound to any.
    ///
    /// # Errors
    /// [`Refusal::Address`].
    pub fn admits(&self, client: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(bound) = &self.claims.cdniip else { return Ok(()) };
        // A dual-stack socket reports an IPv4 client as ::ffff:a.b.c.d.
        let admitted =
            client.is_some_and(|client| bound.contains(&client.to_canonical()) || bound.contains(&client));
        if admitted { Ok(()) } else { Err(Refusal::Address) }
    }

    /// Whether `path` starts playback: a playlist at the top of what the token opens.
    pub fn starts(&self, path: &str) -> bool {
        self.reach.starts(path)
    }

    /// What the token opens.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// When the session ends for good, leeway included, in unix seconds: no use to keep it longer.
    pub fn ends_at(&self) -> i64 {
        self.claims.exp.saturating_add(LEEWAY_S)
    }

    /// The times that hold for every path.
    pub(crate) fn holds(&self, now: i64) -> Result<(), Refusal> {
        let claims = &self.claims;
        if passed(claims.exp, now) {
            return Err(Refusal::Expired { by_s: now.saturating_sub(claims.exp) });
        }
        match claims.nbf {
            Some(nbf) if now < nbf.saturating_sub(LEEWAY_S) => {
                Err(Refusal::NotYet { in_s: nbf.saturating_sub(now) })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a deadline is over: at the deadline itself it is (RFC 7519 §4.1.4), leeway apart.
fn passed(deadline: i64, now: i64) -> bool {
    now >= deadline.saturating_add(LEEWAY_S)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const MASTER: &str = "/stream/a/master.m3u8";
    const SEGMENT: &str = "/stream/a/720p/1.ts";

    fn session(change: impl FnOnce(&mut Claims)) -> Session {
        let mut claims = Claims {
            aud: "default".into(),
            sid: "s".into(),
            cdniuc: "path:/stream/a/".into(),
            exp: 10_000,
            ..Claims::default()
        };
        change(&mut claims);
        let reach = claims.cdniuc.parse().unwrap();
        Session::new(Arc::new(claims), "k".into(), reach)
    }

    fn ask(session: &Session, path: &str, now: i64, client: Option<&str>) -> Result<(), Refusal> {
        let client = client.map(|text| text.parse().unwrap());
        let multivariant = session.starts(path);
        session.permits(&Ask { service: "default", path, multivariant, client, now })
    }

    #[test]
    fn deadlines_have_thirty_seconds_of_leeway() {
        let session = session(|claims| {
            claims.nbf = Some(1_000);
            claims.kst = Some(2_000);
        });
        assert_eq!(ask(&session, MASTER, 969, None), Err(Refusal::NotYet { in_s: 31 }));
        assert_eq!(ask(&session, MASTER, 970, None), Ok(()));
        assert_eq!(ask(&session, MASTER, 2_029, None), Ok(()));
        assert_eq!(ask(&session, MASTER, 2_030, None), Err(Refusal::StartDeadline { by_s: 30 }));
        assert_eq!(ask(&session, SEGMENT, 10_029, None), Ok(()));
        assert_eq!(ask(&session, SEGMENT, 10_030, None), Err(Refusal::Expired { by_s: 30 }));
        assert_eq!(session.ends_at(), 10_030);
    }

    #[test]
    fn what_plays_goes_on_after_the_start_deadline() {
        let session = session(|claims| claims.kst = Some(10));
        assert!(ask(&session, MASTER, 5_000, None).is_err());
        assert_eq!(ask(&session, SEGMENT, 5_000, None), Ok(()));
        assert_eq!(ask(&session, "/stream/a/720p/index.m3u8", 5_000, None), Ok(()));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let session = session(|claims| {
            claims.exp = i64::MAX;
            claims.nbf = Some(i64::MIN);
            claims.kst = Some(i64::MIN);
        });
        assert_eq!(ask(&session, SEGMENT, i64::MAX - 1, None), Ok(()));
        assert_eq!(ask(&session, SEGMENT, i64::MIN, None), Ok(()));
        assert!(ask(&session, MASTER, 0, None).is_err());
    }

    #[test]
    fn the_service_and_the_path_are_the_tokens_own() {
        let session = session(|_| ());
        assert_eq!(ask(&session, "/stream/ab/1.ts", 0, None), Err(Refusal::Path));
        let other = Ask { service: "other", path: SEGMENT, multivariant: false, client: None, now: 0 };
        assert_eq!(session.permits(&other), Err(Refusal::Audience));
    }

    #[test]
    fn an_address_binds_however_it_is_written() {
        let prefix = session(|claims| claims.cdniip = Some("192.0.2.0/24".parse().unwrap()));
        assert_eq!(ask(&prefix, SEGMENT, 0, Some("192.0.2.9")), Ok(()));
        assert_eq!(ask(&prefix, SEGMENT, 0, Some("::ffff:192.0.2.9")), Ok(()));
        assert_eq!(ask(&prefix, SEGMENT, 0, Some("192.0.3.9")), Err(Refusal::Address));
        assert_eq!(ask(&prefix, SEGMENT, 0, None), Err(Refusal::Address));
        let six = session(|claims| claims.cdniip = Some("2001:db8::/48".parse().unwrap()));
        assert_eq!(ask(&six, SEGMENT, 0, Some("2001:db8:0:7::1")), Ok(()));
        assert_eq!(ask(&six, SEGMENT, 0, Some("192.0.2.9")), Err(Refusal::Address));
    }
}
