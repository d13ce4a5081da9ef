//! What `up` tells when all is up: words for people, a JSON object for machines.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use url::Url;

use super::configs::{SERVICE, ZONE};
use super::media::Media;

/// The content of `--ready-file`.
#[derive(Serialize)]
pub(super) struct Ready {
    pub selector: Url,
    pub console: Url,
    pub player: Url,
    /// Absent where no playlist was found.
    pub master_url: Option<String>,
    pub origin: NodeReady,
    pub edges: Vec<EdgeReady>,
    /// Where the selector answers DNS, over UDP and TCP.
    pub dns: Option<SocketAddr>,
    pub api_token: String,
    /// The edges' self-made certificate, for clients that are to trust it.
    pub tls_certificate: PathBuf,
    pub data_dir: PathBuf,
}

#[derive(Serialize)]
pub(super) struct NodeReady {
    pub url: Url,
    pub admin: Url,
}

#[derive(Serialize)]
pub(super) struct EdgeReady {
    pub name: String,
    pub url: Url,
    pub tls_url: Option<Url>,
    pub admin: Url,
}

impl Ready {
    /// What a person needs, on stdout.
    pub(super) fn print(&self, media: &Media) {
        // Nobody reading any more is no reason to stop serving.
        let _ = self.tell(media, &mut std::io::stdout().lock());
    }

    fn tell(&self, media: &Media, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "kromka is up: a selector, a shield, {} edges\n", self.edges.len())?;
        match &self.master_url {
            Some(url) => {
                writeln!(out, "  player   {}", self.player)?;
                writeln!(out, "  stream   {url}")?;
            }
            None => {
                writeln!(out, "  no playlist (.m3u8) was found in the media; --asset /PATH.m3u8 names one")?;
            }
        }
        let token = self.data_dir.join("api-token");
        writeln!(out, "  API      {}v1/openapi.json  (token in {})", self.selector, token.display())?;
        if let Some(dns) = self.dns {
            let (ip, port) = (dns.ip(), dns.port());
            writeln!(out, "  DNS      {SERVICE}.{ZONE} at {dns}  (dig @{ip} -p {port} {SERVICE}.{ZONE})")?;
        }
        if let Media::Sample(_) = media {
            writeln!(
                out,
                "\nIt serves its own sample; `kromka up --media DIR` serves yours. Ctrl-C ends it."
            )?;
        }
        out.flush()
    }

    /// Writes the file whole or not at all; it holds a token, so it is for this user only.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let remedy = || format!("ready file {} cannot be written; give another --ready-file", file.display());
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let mut options = std::fs::OpenOptions::new();
        let mut out =
            options.create(true).write(true).truncate(true).mode(0o600).open(&beside).with_context(remedy)?;
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out).and_then(|()| std::fs::rename(&beside, file)).with_context(remedy)
    }
}

/// A file of an earlier start would be believed.
pub(super) fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| {
            format!("ready file {} cannot be replaced; give another --ready-file", file.display())
        }),
        _ => Ok(()),
    }
}
