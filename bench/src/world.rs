//! The scene of a run: a folder that goes away afterwards, and the media that all servers are asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

/// What viewers of a warm cache ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A finished media playlist of 2 kB.
    Playlist,
    /// A segment of 400 kB: six seconds of 480p.
    Segment,
    /// A segment of 4 MB: six seconds of 1080p.
    Large,
}

impl Object {
    /// All of them, the smallest first.
    pub const ALL: [Object; 3] = [Object::Playlist, Object::Segment, Object::Large];

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Object::Playlist => "/bench/index.m3u8",
            Object::Segment => "/bench/400k.ts",
            Object::Large => "/bench/4m.ts",
        }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Object::Playlist => "2 kB",
            Object::Segment => "400 kB",
            Object::Large => "4 MB",
        }
    }

    /// Its bytes: always the same ones.
    pub fn body(self) -> Vec<u8> {
        match self {
            Object::Playlist => playlist(2_000),
            Object::Segment => noise(1, 400_000),
            Object::Large => noise(2, 4_000_000),
        }
    }

    /// XXH3 (64 bit) of its bytes.
    pub fn hash(self) -> u64 {
        xxh3_64(&self.body())
    }
}

/// The folder of a run.
pub struct World {
    dir: TempDir,
}

impl World {
    /// Makes the folder and the media in it.
    ///
    /// # Errors
    /// The system's folder for temporary files cannot be written.
    pub fn new() -> Result<World> {
        let dir =
            tempfile::Builder::new().prefix("kromka-bench-").tempdir().context("no temporary folder")?;
        let world = World { dir };
        for object in Object::ALL {
            let file = world.media().join(object.path().trim_start_matches('/'));
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&file, object.body()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(world)
    }

    /// The folder with the media.
    pub fn media(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    /// A folder for one server, made if missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.dir.path().join(name);
        fs::create_dir_all(&room).with_context(|| format!("cannot make {}", room.display()))?;
        Ok(room)
    }

    /// Where all rooms are.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Bytes that do not compress and depend on `seed` alone (xorshift64).
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A finished media playlist of exactly `length` bytes; a comment fills what segments leave.
fn playlist(length: usize) -> Vec<u8> {
    let head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n";
    let tail = "#EXT-X-ENDLIST\n";
    let mut text = head.to_owned();
    for number in 0.. {
        let segment = format!("#EXTINF:6.000000,\nsegment-{number:05}.ts\n");
        if text.len() + segment.len() + tail.len() + 2 > length {
            break;
        }
        text.push_str(&segment);
    }
    let rest = length.saturating_sub(text.len() + tail.len() + 2);
    text.push_str(&format!("#{}\n{tail}", "-".repeat(rest)));
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn objects_have_their_sizes_and_lie_in_the_folder() {
        let world = World::new().unwrap();
        for (object, size) in Object::ALL.into_iter().zip([2_000, 400_000, 4_000_000]) {
            let file = world.media().join(object.path().trim_start_matches('/'));
            assert_eq!(fs::read(file).unwrap().len(), size);
            assert_eq!(object.hash(), xxh3_64(&object.body()), "the same bytes every time");
        }
        let text = String::from_utf8(Object::Playlist.body()).unwrap();
        assert!(text.starts_with("#EXTM3U\n") && text.ends_with("\n#EXT-X-ENDLIST\n"));
    }
}
