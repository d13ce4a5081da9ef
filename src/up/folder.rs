//! The data folder of `up`: one process at a time, secrets that stay.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How many `up`s may run side by side without being given folders.
const SIDE_BY_SIDE: usize = 16;

/// A data folder that is ours while this lives.
pub(super) struct Folder {
    path: PathBuf,
    node_token: String,
    api_token: String,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Opens `given`, or the first folder under the user's state folder that nobody uses.
    pub(super) fn open(given: Option<&Path>) -> Result<Self> {
        if let Some(path) = given {
            let path = std::path::absolute(path)?;
            return match Self::claim(&path)? {
                Some(folder) => Ok(folder),
                None => bail!(
                    "data folder {} is in use by another kromka; stop it or give another --data",
                    path.display()
                ),
            };
        }
        let base = state_folder()?;
        for n in 1..=SIDE_BY_SIDE {
            let name = if n == 1 { "up".to_owned() } else { format!("up-{n}") };
            if let Some(folder) = Self::claim(&base.join(name))? {
                return Ok(folder);
            }
        }
        bail!("{SIDE_BY_SIDE} folders under {} are in use; give --data", base.display())
    }

    /// `None` if another process holds it.
    fn claim(path: &Path) -> Result<Option<Self>> {
        let remedy = || {
            format!(
                "data folder {} cannot be written; make it writable or give another --data",
                path.display()
            )
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(remedy)?;
        let lock = File::create(path.join("lock")).with_context(remedy)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(remedy),
        }
        let secret = |name: &str| secret(&path.join(name)).with_context(remedy);
        Ok(Some(Self {
            node_token: secret("node-token")?,
            api_token: secret("api-token")?,
            path: path.to_owned(),
            _lock: lock,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the edges' self-made certificate is kept.
    pub(super) fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// What the nodes and the selector know each other by.
    pub(super) fn node_token(&self) -> &str {
        &self.node_token
    }

    /// The token of the control API, with every scope.
    pub(super) fn api_token(&self) -> &str {
        &self.api_token
    }
}

/// Reads a secret, or makes one: 256 bits from the system, as hexadecimal.
fn secret(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut random = [0u8; 32];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut random)?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(text)
}

/// `$XDG_STATE_HOME/kromka`, by default `~/.local/state/kromka`.
fn state_folder() -> Result<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("kromka"))
        .context("neither XDG_STATE_HOME nor HOME is set; give --data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_secrets_stay() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("data");
        let first = Folder::open(Some(&path)).unwrap();
        let second = Folder::open(Some(&path)).err().unwrap();
        assert!(second.to_string().contains("in use"), "{second}");
        let token = first.api_token().to_owned();
        assert_eq!(token.len(), 64);
        assert_ne!(token, first.node_token());
        drop(first);
        assert_eq!(Folder::open(Some(&path)).unwrap().api_token(), token);
    }

    #[test]
    fn a_file_in_its_place_is_an_error_with_a_remedy() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("data");
        std::fs::write(&path, "").unwrap();
        let error = Folder::open(Some(&path)).err().unwrap();
        assert!(error.to_string().contains("--data"), "{error}");
    }
}
