//! A disk's folder looked at while no process uses it: what is stored, and whether it is whole.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::folder::{JOURNAL, LEDGER, LOCK, OBJECTS, PACKS};
use super::index::{Finished, Held, Place};
use super::journal::{self, Replayed};
use super::ledger;
use super::record::End;
use super::trailer::{self, Header};
use super::{files, pack};
use crate::held::blocks;
use crate::held::fences::Fences;
use crate::held::generation::{Generation, Stored as OnDisk};
use crate::{CacheError, Key};

/// A folder of a cache that no process uses meanwhile.
pub struct Offline {
    root: PathBuf,
    replayed: Replayed,
    fences: Fences,
    purges: u64,
    /// Shared: several may look, none may write.
    _lock: std::fs::File,
}

/// A folder in numbers.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Objects that are here whole.
    pub finished: u64,
    /// Of those, objects in packs.
    pub packed: u64,
    /// Objects of which only some blocks are here.
    pub unfinished: u64,
    /// Bytes of the files and packs.
    pub bytes: u64,
    /// Purges that are remembered.
    pub purges: u64,
    /// Whether the journal ends where it should; if not, the next start makes it anew.
    pub journal_whole: bool,
}

/// One object.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stored {
    /// The service it belongs to.
    pub service: String,
    /// Its path, with what the service keeps of the query.
    pub url: String,
    /// What chose this representation, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// The number of its version.
    pub number: u64,
    /// Bytes of its body, if known.
    pub length: Option<u64>,
    /// Bytes of a block.
    pub block: u64,
    /// Blocks that are here.
    pub blocks_here: u32,
    /// Blocks that it has.
    pub blocks: u32,
    /// The purges that it was fetched above.
    pub fence: u64,
    /// Whether a purge has forbidden it since.
    pub purged: bool,
    /// The status it is answered with.
    pub status: u16,
    /// Its fields, as they came.
    pub fields: Vec<(String, String)>,
    /// The file it is in.
    pub file: PathBuf,
}

/// Something that is not what was written.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The object, if that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl Offline {
    /// Looks at a folder.
    ///
    /// # Errors
    /// It is none of a cache, cannot be read, or a process uses it.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Unreadable { path: root.to_owned(), source };
        let lock = std::fs::File::open(root.join(LOCK)).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockShared)
            .map_err(|_| CacheError::Locked { path: root.to_owned() })?;
        let told = ledger::read(&root.join(LEDGER)).map_err(failed)?;
        let fences = Fences::default();
        told.purges.iter().for_each(|purge| fences.apply(purge));
        let replayed = journal::replay(&root.join(JOURNAL), 0).map_err(failed)?;
        Ok(Self { root: root.to_owned(), replayed, fences, purges: told.purges.len() as u64, _lock: lock })
    }

    /// The folder in numbers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let index = &self.replayed.index;
        let packed = index.finished().filter(|(_, it)| matches!(it.place(), Place::Packed(_))).count() as u64;
        let finished = index.finished().count() as u64;
        let packs = pack::list(&self.root.join(PACKS)).unwrap_or_default();
        Totals {
            finished,
            packed,
            unfinished: index.len() as u64 - finished,
            bytes: self.replayed.used + packs.iter().map(|(_, bytes)| bytes).sum::<u64>(),
            purges: self.purges,
            journal_whole: self.replayed.end == End::Whole,
        }
    }

    /// Every object, in no order. One whose header cannot be read is an error in its place.
    pub fn objects(&self) -> impl Iterator<Item = Result<Stored, Damage>> {
        let index = &self.replayed.index;
        let finished = index.finished().map(|(name, it)| (name, Held::Finished(it)));
        let unfinished = index.unfinished().map(|it| (it.key.hash(), Held::Unfinished(it.clone())));
        finished.chain(unfinished).map(|(name, held)| self.stored(name, &held))
    }

    /// How many [`Self::objects`] there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.replayed.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object under a name, if it is here.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<Result<Stored, Damage>> {
        let held = self.replayed.index.get(key.hash())?;
        Some(self.stored(key.hash(), &held))
    }

    /// Reads every byte of every object and tells of each that is done; returns what is damaged.
    pub fn verify(&self, mut done: impl FnMut()) -> Vec<Damage> {
        let index = &self.replayed.index;
        let mut damaged = Vec::new();
        for (name, finished) in index.finished() {
            damaged.extend(self.verified(name, &Held::Finished(finished)).err());
            done();
        }
        for generation in index.unfinished() {
            let held = Held::Unfinished(generation.clone());
            damaged.extend(self.verified(generation.key.hash(), &held).err());
            done();
        }
        damaged
    }

    fn file(&self, name: u128, held: &Held) -> PathBuf {
        match held {
            Held::Finished(finished) => match finished.place() {
                Place::Packed(spot) => pack::path(&self.root.join(PACKS), spot.pack),
                Place::File(_) => files::path(&self.root.join(OBJECTS), name, finished.id),
            },
            Held::Unfinished(generation) => files::path(&self.root.join(OBJECTS), name, generation.id),
        }
    }

    fn stored(&self, name: u128, held: &Held) -> Result<Stored, Damage> {
        let file = self.file(name, held);
        let tell = |error: &Error| Damage { file: file.clone(), url: None, what: words(error, "header") };
        let finished;
        let generation = match held {
            Held::Unfinished(generation) => &**generation,
            Held::Finished(it) => {
                finished = self.header(name, *it).map_err(|error| tell(&error))?;
                &finished
            }
        };
        Ok(self.described(generation, file))
    }

    fn header(&self, name: u128, finished: Finished) -> std::io::Result<Generation> {
        match finished.place() {
            Place::File(_) => trailer::read(&files::path(&self.root.join(OBJECTS), name, finished.id)),
            Place::Packed(spot) => {
                let pack = std::fs::File::open(pack::path(&self.root.join(PACKS), spot.pack))?;
                let record = pack::read(&pack, spot, files::read_whole)?;
                let header = serde_json::from_slice::<Header>(&record.header).ok();
                let generation = header.and_then(|header| header.restore());
                let generation = generation.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
                if !record.body.is_empty() {
                    generation.stored(0, 0, record.body.len() as u64);
                }
                Ok(generation)
            }
        }
    }

    fn described(&self, generation: &Generation, file: PathBuf) -> Stored {
        let (key, meta) = (&generation.key, generation.meta());
        let required = self.fences.required(key, &generation.meta().tags).highest();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Stored {
            service: key.service().to_owned(),
            url: key.query().map_or_else(|| key.path().to_owned(), |query| format!("{}?{query}", key.path())),
            chosen: key.chosen().map(str::to_owned),
            number: generation.id,
            length: generation.length(),
            block: generation.block,
            blocks_here: generation.disk_state().blocks.len(),
            blocks: generation.length().map_or(0, |length| blocks::count(length, generation.block)),
            fence: generation.fence(),
            purged: generation.fence() < required,
            status: meta.status.as_u16(),
            fields: meta.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            file,
        }
    }

    fn verified(&self, name: u128, held: &Held) -> Result<(), Damage> {
        let file = self.file(name, held);
        let tell = |url: Option<String>, error: &Error, what: &str| Damage {
            file: file.clone(),
            url,
            what: words(error, what),
        };
        let finished;
        let generation = match held {
            Held::Unfinished(generation) => &**generation,
            // The checksum of what is packed covers all of it.
            Held::Finished(it) => {
                finished = self.header(name, *it).map_err(|error| tell(None, &error, "header"))?;
                if matches!(it.place(), Place::Packed(_)) {
                    return Ok(());
                }
                &finished
            }
        };
        let opened = std::fs::File::open(&file).map_err(|error| tell(None, &error, "file"))?;
        for block in 0..u32::try_from(generation.disk_state().sums.len()).unwrap_or(u32::MAX) {
            let Some(OnDisk { sum, range, .. }) = generation.on_disk(block) else { continue };
            let read = files::read_range(&opened, range).and_then(|bytes| files::check(&bytes, sum));
            let url = || Some(generation.key.path().to_owned());
            read.map_err(|error| tell(url(), &error, &format!("block {block}")))?;
        }
        Ok(())
    }
}

/// For benchmarks: lets the journal in a folder that nobody uses know so many objects more, of 400 kB each, of
/// which there are no files.
///
/// # Errors
/// The journal cannot be written.
pub fn seed_journal(root: &Path, objects: u64) -> std::io::Result<()> {
    journal::append_hollow(&root.join(JOURNAL), objects)
}

fn words(error: &Error, what: &str) -> String {
    match error.kind() {
        ErrorKind::InvalidData => format!("{what} is damaged"),
        ErrorKind::NotFound => format!("{what} is missing"),
        _ => format!("{what} cannot be read: {error}"),
    }
}
