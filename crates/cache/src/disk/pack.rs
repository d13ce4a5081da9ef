//! Small objects (playlists, keys, short audio segments) in packs: files to which whole objects are appended,
//! so that each does not cost a file and its page.
//!
//! ```text
//! pack   = record*                          each begins at a multiple of 64 bytes
//! record = magic:u32 header length:u32 body length:u32 0:u32 name:u128 number:u64 checksum:u64 (XXH3-64 of
//!          name, number, header and body)  0 to 64 bytes | header (JSON) | body        (little endian)
//! ```
//! A pack's space is reserved and counted when it is begun, and freed when it is removed. What has left a pack
//! is marked dead in it. When there are too many packs, the one that is mostly dead goes, or else the oldest;
//! what it held that was used of late (of a mostly dead one: all that it held) is appended anew.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::budget::space;
use super::files;

/// Objects up to so many bytes are packed.
pub(super) const SMALL: u64 = 64 << 10;
/// A pack at most, bytes; on a small disk less.
const LARGEST: u64 = 64 << 20;
/// On disks smaller than this nothing is packed.
const LEAST_DISK: u64 = 8 << 20;
/// The part of the disk that packs may take.
const SHARE: u64 = 8;
/// Records begin at multiples of this.
const ALIGN: u64 = 64;
const HEAD: usize = 64;
const MAGIC: u32 = u32::from_le_bytes(*b"krmp");
const DEAD: u32 = u32::from_le_bytes(*b"gone");

/// Where a record is: pack, first byte, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub pack: u32,
    offset: u32,
    units: u16,
}

impl Spot {
    pub(super) fn new(pack: u32, offset: u64, bytes: u64) -> Self {
        let units = |bytes: u64| bytes.div_ceil(ALIGN);
        Self {
            pack: pack & 0x7f_ffff,
            offset: u32::try_from(units(offset)).unwrap_or(0) & 0xff_ffff,
            units: u16::try_from(units(bytes)).unwrap_or(u16::MAX),
        }
    }

    /// As the index and the journal have it: 23 bits, 24 bits, 16 bits.
    pub(super) fn bits(self) -> u64 {
        u64::from(self.pack) << 40 | u64::from(self.offset) << 16 | u64::from(self.units)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self {
            pack: (bits >> 40) as u32 & 0x7f_ffff,
            offset: (bits >> 16) as u32 & 0xff_ffff,
            units: bits as u16,
        }
    }

    fn start(self) -> u64 {
        u64::from(self.offset) * ALIGN
    }

    fn bytes(self) -> u64 {
        u64::from(self.units) * ALIGN
    }
}

/// What a record holds.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub name: u128,
    pub id: u64,
    pub header: Bytes,
    pub body: Bytes,
}

/// The packs of one disk. One thread appends and removes; anybody reads, by [`read`].
pub(super) struct Packs {
    folder: PathBuf,
    /// Bytes of each; 0 if nothing is packed on this disk.
    size: u64,
    most: usize,
    /// Oldest first; the last one is appended to.
    packs: VecDeque<Pack>,
    current: Option<File>,
}

struct Pack {
    number: u32,
    /// What it takes, whatever the size of packs is now.
    bytes: u64,
    /// Where the next record goes.
    end: u64,
    dead: u64,
}

impl Packs {
    /// The packs of a disk of so many bytes; `known` are those that there are, by number, with their lengths.
    pub(super) fn new(folder: &Path, limit: u64, mut known: Vec<(u32, u64)>) -> Self {
        let size = if limit < LEAST_DISK { 0 } else { (limit / 64).clamp(256 << 10, LARGEST) & !(ALIGN - 1) };
        let most = usize::try_from((limit / SHARE).checked_div(size).unwrap_or(0)).unwrap_or(2).max(2);
        known.sort_unstable();
        let pack = |(number, end)| Pack { number, bytes: space(end), end, dead: 0 };
        let packs = known.into_iter().map(pack).collect();
        Self { folder: folder.to_owned(), size, most, packs, current: None }
    }

    /// Whether an object of so many bytes goes into a pack.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.size > 0 && bytes <= SMALL
    }

    /// What a new pack costs, bytes.
    pub(super) fn size(&self) -> u64 {
        space(self.size)
    }

    /// What all packs take, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.packs.iter().map(|pack| pack.bytes).sum()
    }

    /// Whether `bytes` more need a new pack, and whether one has to go first.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        let current = self.packs.back().filter(|_| self.current.is_some());
        current.is_none_or(|pack| pack.end + bytes + HEAD as u64 + ALIGN > self.size)
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.packs.len() >= self.most
    }

    /// Begins a new pack; its space was reserved by the caller.
    pub(super) fn begin(&mut self) -> Result<()> {
        let last = self.packs.back().map_or(0, |pack| pack.number);
        let taken = |number: u32| self.packs.iter().any(|pack| pack.number == number);
        let number = (1..=0x7f_ffff_u32).map(|step| (last + step) & 0x7f_ffff).find(|number| !taken(*number));
        let number = number.ok_or_else(|| Error::other("no number is left for a pack"))?;
        let path = path(&self.folder, number);
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
        if let Err(error) = files::reserve(&file, 0, self.size) {
            // What little was reserved goes with it; the error that matters is the first.
            let _ = files::remove(&path);
            return Err(error);
        }
        self.packs.push_back(Pack { number, bytes: space(self.size), end: 0, dead: 0 });
        self.current = Some(file);
        Ok(())
    }

    /// Appends a record; [`Self::is_full`] was asked before.
    pub(super) fn append(&mut self, record: &Record) -> Result<Spot> {
        let (Some(pack), Some(file)) = (self.packs.back_mut(), &self.current) else {
            return Err(Error::other("no pack was begun"));
        };
        let bytes = encoded(record)?;
        let start = pack.end;
        file.write_all_at(&bytes, start)?;
        pack.end = (start + bytes.len() as u64).next_multiple_of(ALIGN);
        Ok(Spot::new(pack.number, start, bytes.len() as u64))
    }

    /// Marks a record dead: neither a walk nor a reader finds it again.
    pub(super) fn kill(&mut self, spot: Spot) -> Result<()> {
        let Some(pack) = self.packs.iter_mut().find(|pack| pack.number == spot.pack) else { return Ok(()) };
        pack.dead += spot.bytes();
        let file = OpenOptions::new().write(true).open(path(&self.folder, spot.pack))?;
        file.write_all_at(&DEAD.to_le_bytes(), spot.start())
    }

    /// A record that died before the start.
    pub(super) fn died(&mut self, spot: Spot) {
        if let Some(pack) = self.packs.iter_mut().find(|pack| pack.number == spot.pack) {
            pack.dead += spot.bytes();
        }
    }

    /// The pack to remove next, and whether it is so dead that all that is alive in it is worth keeping.
    pub(super) fn victim(&self) -> Option<(u32, bool)> {
        let closed = self.packs.len().saturating_sub(usize::from(self.current.is_some()));
        let closed = || self.packs.iter().take(closed);
        let dying = closed().filter(|pack| pack.dead * 2 > pack.bytes).max_by_key(|pack| pack.dead);
        dying.map(|pack| (pack.number, true)).or_else(|| closed().next().map(|pack| (pack.number, false)))
    }

    /// Removes a pack; returns what it took, bytes.
    pub(super) fn remove(&mut self, number: u32) -> Result<u64> {
        files::remove(&path(&self.folder, number))?;
        let took = self.packs.iter().find(|pack| pack.number == number).map_or(0, |pack| pack.bytes);
        self.packs.retain(|pack| pack.number != number);
        Ok(took)
    }
}

pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06x}"))
}

/// The packs in a folder, by number, with their lengths.
pub(super) fn list(folder: &Path) -> Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| u32::from_str_radix(name, 16).ok());
        if let Some(number) = number.filter(|number| *number <= 0x7f_ffff) {
            found.push((number, entry.metadata()?.len()));
        }
    }
    Ok(found)
}

/// Reads one record out of its pack by `read`; `NotFound` if it is dead, `InvalidData` if it is not what was
/// written.
pub(super) fn read(
    pack: &File,
    spot: Spot,
    read: impl FnOnce(&File, u64, &mut [u8]) -> Result<()>,
) -> Result<Record> {
    let end = (spot.start() + spot.bytes()).min(pack.metadata()?.len());
    let length = end.checked_sub(spot.start()).ok_or(ErrorKind::InvalidData)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(Error::other)?];
    read(pack, spot.start(), &mut bytes)?;
    if half(&bytes, 0) == Some(DEAD) {
        return Err(ErrorKind::NotFound.into());
    }
    decoded(&Bytes::from(bytes)).map(|(record, _)| record).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The live records of a pack; damaged ones are passed over as far as their ends can be told.
pub(super) fn records(folder: &Path, number: u32) -> Result<Vec<(Spot, Record)>> {
    let bytes = Bytes::from(std::fs::read(path(folder, number))?);
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        let rest = bytes.slice(at..);
        let Some(length) = length(&rest).filter(|length| *length <= rest.len()) else { break };
        if let Some((record, _)) = decoded(&rest) {
            found.push((Spot::new(number, at as u64, length as u64), record));
        }
        at = (at + length).next_multiple_of(ALIGN as usize);
    }
    Ok(found)
}

fn encoded(record: &Record) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEAD + record.header.len() + record.body.len());
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    for part in [&record.header, &record.body] {
        bytes.extend_from_slice(&u32::try_from(part.len()).map_err(Error::other)?.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&record.name.to_le_bytes());
    bytes.extend_from_slice(&record.id.to_le_bytes());
    bytes.extend_from_slice(&sum(record).to_le_bytes());
    bytes.resize(HEAD, 0);
    bytes.extend_from_slice(&record.header);
    bytes.extend_from_slice(&record.body);
    Ok(bytes)
}

fn sum(record: &Record) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&record.name.to_le_bytes());
    hasher.update(&record.id.to_le_bytes());
    hasher.update(&(record.header.len() as u64).to_le_bytes());
    hasher.update(&record.header);
    hasher.update(&record.body);
    hasher.digest()
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|half| half.try_into().ok()).map(u32::from_le_bytes)
}

/// Bytes of the record that begins here, dead or alive.
fn length(bytes: &[u8]) -> Option<usize> {
    let magic = half(bytes, 0)?;
    let (header, body) = (half(bytes, 4)? as usize, half(bytes, 8)? as usize);
    (magic == MAGIC || magic == DEAD).then_some(HEAD + header + body)
}

fn decoded(bytes: &Bytes) -> Option<(Record, usize)> {
    let length = length(bytes).filter(|length| *length <= bytes.len())?;
    let header = HEAD + half(bytes, 4)? as usize;
    let record = Record {
        name: u128::from_le_bytes(bytes.get(16..32)?.try_into().ok()?),
        id: u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?),
        header: bytes.slice(HEAD..header),
        body: bytes.slice(header..length),
    };
    let stated = u64::from_le_bytes(bytes.get(40..48)?.try_into().ok()?);
    (half(bytes, 0)? == MAGIC && stated == sum(&record)).then_some((record, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: u128, body: usize) -> Record {
        let header = Bytes::from(format!("{{\"name\":{name}}}"));
        Record { name, id: name as u64 + 100, header, body: vec![name as u8; body].into() }
    }

    fn look(folder: &Path, spot: Spot) -> Result<Record> {
        read(&File::open(path(folder, spot.pack))?, spot, files::read_whole)
    }

    #[test]
    fn what_is_appended_is_read_and_what_is_dead_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut packs = Packs::new(folder.path(), 16 << 20, Vec::new());
        assert!(packs.takes(SMALL) && !packs.takes(SMALL + 1));
        packs.begin().unwrap();
        let spots: Vec<Spot> =
            (0..10).map(|n| packs.append(&record(n, 1000 * n as usize)).unwrap()).collect();
        for (n, spot) in spots.iter().enumerate() {
            let back = look(folder.path(), *spot).unwrap();
            assert_eq!((back.name, back.body.len()), (n as u128, 1000 * n));
            assert_eq!(Spot::from_bits(spot.bits()), *spot);
        }
        packs.kill(spots[3]).unwrap();
        assert!(look(folder.path(), spots[3]).is_err());
        let alive: Vec<u128> =
            records(folder.path(), spots[0].pack).unwrap().iter().map(|(_, it)| it.name).collect();
        assert_eq!(alive, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn any_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut packs = Packs::new(folder.path(), 16 << 20, Vec::new());
        packs.begin().unwrap();
        let spot = packs.append(&record(1, 300)).unwrap();
        packs.append(&record(2, 300)).unwrap();
        let file = path(folder.path(), spot.pack);
        let whole = std::fs::read(&file).unwrap();
        for at in (0..12).chain(16..48).chain(64..300) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).unwrap();
            assert!(look(folder.path(), spot).is_err(), "byte {at}");
            let left = records(folder.path(), spot.pack).unwrap();
            assert!(left.iter().all(|(_, record)| record.name == 2), "byte {at}");
        }
    }

    #[test]
    fn the_mostly_dead_goes_first_else_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let mut packs = Packs::new(folder.path(), 16 << 20, Vec::new());
        let mut first = Vec::new();
        for n in 0..3 {
            packs.begin().unwrap();
            let mut spots = Vec::new();
            while !packs.is_full(30_000) {
                spots.push(packs.append(&record(n, 30_000)).unwrap());
            }
            first.push(spots);
        }
        assert_eq!(packs.victim(), Some((first[0][0].pack, false)));
        first[1].iter().for_each(|spot| packs.kill(*spot).unwrap());
        assert_eq!(packs.victim(), Some((first[1][0].pack, true)));
        packs.remove(first[1][0].pack).unwrap();
        assert_eq!((packs.bytes(), list(folder.path()).unwrap().len()), (2 * packs.size(), 2));
    }
}
