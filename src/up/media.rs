//! What `up` serves: a folder, a bucket, or the sample that the binary carries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};

use super::folder::Folder;

/// Made by `media/generate.sh`; at most 3 MB.
static SAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/media/stream");
/// The sample to begin with.
const SAMPLE_ASSET: &str = "/stream/demo/master.m3u8";

/// Where the media come from.
pub(super) enum Media {
    Sample(PathBuf),
    Folder(PathBuf),
    Bucket(String),
}

impl Media {
    /// Checks what `--media` names; without it the sample is laid into the data folder.
    pub(super) fn of(given: Option<&str>, folder: &Folder) -> Result<Self> {
        let Some(given) = given else {
            let root = folder.path().join("sample");
            lay_out(&SAMPLE, &root.join("stream")).context("the sample media cannot be written")?;
            return Ok(Self::Sample(root));
        };
        if given.starts_with("s3://") {
            return Ok(Self::Bucket(given.to_owned()));
        }
        let path = std::path::absolute(given)?;
        match std::fs::read_dir(&path) {
            Ok(_) => Ok(Self::Folder(path)),
            Err(error) => bail!(
                "media folder {} cannot be read: {error}; give a folder with HLS that this user may read, or s3://bucket/prefix",
                path.display()
            ),
        }
    }

    /// How it was named on the command line, for errors about it.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Sample(_) => "the sample media".to_owned(),
            Self::Folder(path) => format!("--media {}", path.display()),
            Self::Bucket(url) => format!("--media {url}"),
        }
    }

    pub(super) fn is_sample(&self) -> bool {
        matches!(self, Self::Sample(_))
    }

    /// The `source` of the origin's service, as TOML.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Sample(path) | Self::Folder(path) => {
                format!("{{ dir = {} }}", super::configs::quoted(&path.to_string_lossy()))
            }
            Self::Bucket(url) => format!("{{ s3 = {} }}", super::configs::quoted(url)),
        }
    }

    /// A playlist to begin with: the shortest path to a `master.m3u8`, else to any playlist.
    pub(super) async fn asset(&self, origin: &kromka_origin::Running) -> Result<Option<String>> {
        if self.is_sample() {
            return Ok(Some(SAMPLE_ASSET.to_owned()));
        }
        let listed = origin.list(super::configs::SERVICE, "/").await;
        let playlists = listed
            .map_err(anyhow::Error::msg)
            .context("the media cannot be listed; --asset /PATH.m3u8 names one")?;
        let rank = |path: &str| {
            (!path.ends_with("/master.m3u8"), path.matches('/').count(), path.len(), path.to_owned())
        };
        Ok(playlists
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.ends_with(".m3u8"))
            .min_by_key(|path| rank(path)))
    }
}

/// Writes the embedded tree; files that are there in full are left alone, so a restart is quick.
fn lay_out(tree: &Dir<'_>, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in tree.entries() {
        let path = to.join(entry.path().file_name().unwrap_or_default());
        match entry {
            DirEntry::Dir(tree) => lay_out(tree, &path)?,
            DirEntry::File(file) => {
                if std::fs::read(&path).ok().as_deref() != Some(file.contents()) {
                    std::fs::write(&path, file.contents()).with_context(|| path.display().to_string())?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_a_sample_of_at_most_3_mb() {
        fn size(tree: &Dir<'_>) -> usize {
            let files: usize = tree.files().map(|file| file.contents().len()).sum();
            files + tree.dirs().map(size).sum::<usize>()
        }
        assert!(SAMPLE.get_file("demo/master.m3u8").is_some());
        assert!(size(&SAMPLE) <= 3_000_000, "{}", size(&SAMPLE));
    }

    #[test]
    fn an_unreadable_folder_is_an_error_with_a_remedy() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(Some(base.path())).unwrap();
        let error = Media::of(Some("/nowhere/at/all"), &folder).err().unwrap();
        assert!(error.to_string().contains("may read"), "{error}");
    }

    #[test]
    fn laying_out_restores_what_was_damaged() {
        let base = tempfile::tempdir().unwrap();
        lay_out(&SAMPLE, base.path()).unwrap();
        let file = base.path().join("demo/master.m3u8");
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, "torn").unwrap();
        lay_out(&SAMPLE, base.path()).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
}
