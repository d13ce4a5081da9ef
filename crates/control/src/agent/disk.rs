//! What an agent remembers: small JSON files, replaced whole.
//!
//! `feed.json` (how far the feed has been applied), `keys.json` (the last JWK Set), `jobs.json` (warm jobs).
//! A file that cannot be read counts as missing: the feed then starts over, which is slow but right.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::AgentError;
use crate::nodes::NodeState;

pub(super) const FEED: &str = "feed.json";
pub(super) const KEYS: &str = "keys.json";
pub(super) const JOBS: &str = "jobs.json";

/// How far the feed has been applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FeedRecord {
    /// Which feed; empty before the first answer.
    pub feed_id: String,
    /// The last entry applied.
    pub seq: u64,
    /// The last purge applied, over all feeds: never shrinks.
    pub fence: u64,
    /// What the operator wants this node to be.
    pub state: NodeState,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    // One write at a time, also when the task that asked for it has gone.
    writing: Arc<Mutex<()>>,
}

impl Disk {
    /// Makes the folder and makes sure that it can be written.
    pub(super) fn open(dir: &Path) -> Result<Self, AgentError> {
        let attempt = || {
            fs::create_dir_all(dir)?;
            replace(dir, "writable", b"")?;
            fs::remove_file(dir.join("writable"))
        };
        attempt().map_err(|source| AgentError::StateDir { path: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), writing: Arc::default() })
    }

    /// Reads a file; `None` when it is missing or damaged.
    pub(super) fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read this state file; going on without it");
                return None;
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this state file is damaged; going on without it");
                None
            }
        }
    }

    /// Replaces a file. A failure is logged and survived: what was not saved is done again after a restart.
    pub(super) async fn save(&self, name: &'static str, value: &impl Serialize) {
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        let dir = self.dir.clone();
        let writing = Arc::clone(&self.writing);
        let written = tokio::task::spawn_blocking(move || {
            let _turn = writing.lock();
            replace(&dir, name, &bytes)
        })
        .await;
        if let Ok(Err(error)) = written {
            let path = self.dir.join(name);
            tracing::error!(path = %path.display(), %error, "cannot save the node's state; a restart will repeat work");
        }
    }
}

/// Writes beside the file, then renames over it: a reader sees the old or the new, never half of one.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_saved_is_loaded_and_damage_counts_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("deep/er")).unwrap();
        assert_eq!(disk.load::<FeedRecord>(FEED), None);
        let record = FeedRecord { feed_id: "f".into(), seq: 7, fence: 5, state: NodeState::Draining };
        disk.save(FEED, &record).await;
        assert_eq!(disk.load::<FeedRecord>(FEED), Some(record));
        fs::write(dir.path().join("deep/er").join(FEED), b"{\"seq\":").unwrap();
        assert_eq!(disk.load::<FeedRecord>(FEED), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Disk::open(&file.join("state")).unwrap_err().to_string();
        assert!(error.contains("file/state") && error.contains("node.data"), "{error}");
    }
}
