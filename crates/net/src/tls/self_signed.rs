//! Making a self-signed pair, and keeping it while it is good.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};

use crate::error::NetError;

const DAY: u64 = 86_400;
/// Apple's devices refuse server certificates that are valid for more than 398 days.
const VALID_DAYS: u64 = 397;
/// A pair that ends sooner is replaced.
const RENEW_DAYS: u64 = 30;
/// Clocks differ: the certificate is good from an hour before it was made.
const EARLIER: Duration = Duration::from_secs(3600);
/// The first line of `cert.pem`. PEM readers skip text before the first block (RFC 7468, section 2), so
/// what the file is for stands in the file itself.
const NOTE: &str = "# made by kromka for ";
const UNTIL: &str = ", unix time of its end: ";

/// Makes pairs for one folder and one set of names.
#[derive(Debug)]
pub(super) struct Maker {
    names: Vec<String>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Maker {
    pub(super) fn new(dir: &Path, names: &[String]) -> Self {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        Self { names, certificate: dir.join("cert.pem"), key: dir.join("key.pem") }
    }

    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(super) fn key(&self) -> &Path {
        &self.key
    }

    /// Makes a pair unless a good one is there.
    pub(super) fn ensure(&self, now: SystemTime) -> Result<(), NetError> {
        let good_until = |note: &str| {
            let (names, until) = note.strip_prefix(NOTE)?.split_once(UNTIL)?;
            (names == self.names.join(" ")).then_some(until.parse::<u64>().ok()?)
        };
        let text = fs::read_to_string(&self.certificate).unwrap_or_default();
        match text.lines().next().and_then(good_until) {
            Some(until) if seconds(now) + RENEW_DAYS * DAY < until && self.key.exists() => Ok(()),
            _ => self.make(now),
        }
    }

    /// Makes a pair and puts it in the place of what was there.
    pub(super) fn make(&self, now: SystemTime) -> Result<(), NetError> {
        let from = seconds(now) - EARLIER.as_secs();
        let until = from + VALID_DAYS * DAY;
        let (certificate, key) = self.generate(from, until).map_err(|error| {
            NetError::Tls(format!("no certificate could be made for {}: {error}", self.names.join(", ")))
        })?;
        let note = format!("{NOTE}{}{UNTIL}{until}\n", self.names.join(" "));
        if let Some(dir) = self.certificate.parent() {
            fs::create_dir_all(dir).map_err(|error| NetError::file(dir, error))?;
        }
        // The key first: whoever follows the files judges them when the certificate has changed too.
        replace(&self.key, key.as_bytes(), 0o600)?;
        replace(&self.certificate, (note + &certificate).as_bytes(), 0o644)
    }

    fn generate(&self, from: u64, until: u64) -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from);
        params.not_after = epoch + Duration::from_secs(until);
        params.distinguished_name.push(DnType::CommonName, "kromka self-signed");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), NetError> {
    let fresh = path.with_extension("pem.new");
    let write = || {
        // What an interrupted run left there may have another mode.
        if let Err(error) = fs::remove_file(&fresh)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| NetError::file(path, error))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(EARLIER.as_secs(), |since| since.as_secs().max(EARLIER.as_secs()))
}
