//! Where clients are: the door to databases in the MMDB format.
//!
//! Any maker's database will do: fields are looked for under the names that the usual ones have. A file that is
//! missing or broken is said so, once, and changes nothing else: what was read before it stays in use, and without
//! any the selector works by measurements alone. A file that changes is read again, away from the async threads.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use kromka_config::GeoConfig;
use maxminddb::Reader;
use parking_lot::Mutex;

use crate::rank::Whereabouts;

mod record;
#[cfg(test)]
mod tests;

use record::Record;

/// Largest file that is read; it lies in memory.
const FILE_MAX: u64 = 2 << 30;

/// Parts of a network that are looked at for one of which something is known.
const PARTS_MAX: usize = 32;

/// The databases.
#[derive(Debug)]
pub(crate) struct Geo {
    city: Option<Database>,
    asn: Option<Database>,
}

#[derive(Debug)]
struct Database {
    kind: &'static str,
    path: PathBuf,
    reader: ArcSwapOption<Reader<Vec<u8>>>,
    state: Mutex<State>,
    /// Held while the file is read.
    reading: Mutex<()>,
}

/// What tells a file from the one before: length, when it was changed, and which one it is, since one that was put in
/// its place may be as long and as old.
type Seen = (u64, SystemTime, u64);

/// What the file was when it was last looked at, and what was wrong with it.
#[derive(Debug, Default)]
struct State {
    seen: Option<Seen>,
    fault: Option<String>,
}

/// How one database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// `city` or `asn`.
    pub(crate) kind: &'static str,
    /// When the database in use was built, unix seconds; 0 when there is none.
    pub(crate) built: u64,
    /// What is wrong with the file as it now is.
    pub(crate) fault: Option<String>,
}

impl Geo {
    /// The databases that the configuration names; the first [`refresh`](Self::refresh) reads them.
    pub(crate) fn new(config: &GeoConfig) -> Geo {
        let database = |kind, path: &Option<PathBuf>| {
            path.as_ref().map(|path| Database {
                kind,
                path: path.clone(),
                reader: ArcSwapOption::empty(),
                state: Mutex::default(),
                reading: Mutex::default(),
            })
        };
        Geo { city: database("city", &config.city), asn: database("asn", &config.asn) }
    }

    /// Reads files again that have changed. Blocks.
    pub(crate) fn refresh(&self) {
        self.all().for_each(Database::refresh);
    }

    /// Whether there is anything to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// What is known of an address; nothing, where nothing is.
    pub(crate) fn whereabouts(&self, address: IpAddr) -> Whereabouts {
        self.of_network(address.to_canonical().into())
    }

    /// What is known of a network as a whole: what is known of the first part of it of which anything is, so that all
    /// of it has one place. Databases know some networks only in parts.
    pub(crate) fn of_network(&self, network: IpNet) -> Whereabouts {
        let find = |database: &Database| database.find(network);
        let mut known = self.city.as_ref().and_then(find).unwrap_or_default();
        known.asn = self.asn.as_ref().and_then(find).and_then(|network| network.asn).or(known.asn);
        known
    }

    /// How the databases are.
    pub(crate) fn health(&self) -> Vec<Health> {
        let one = |database: &Database| Health {
            kind: database.kind,
            built: database.reader.load().as_ref().map_or(0, |reader| reader.metadata().build_epoch),
            fault: database.state.lock().fault.clone(),
        };
        self.all().map(one).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Database> {
        self.city.iter().chain(&self.asn)
    }
}

impl Database {
    fn refresh(&self) {
        // While a file is being read, or its disk does not answer, nobody else need wait for that.
        let Some(_reading) = self.reading.try_lock() else { return };
        let before = self.state.lock().seen.take();
        let fault = match self.news(before) {
            Ok(None) => return,
            Ok(Some(reader)) => {
                let metadata = reader.metadata();
                tracing::info!(
                    database = metadata.database_type, built = metadata.build_epoch,
                    file = %self.path.display(), "geography is read"
                );
                self.reader.store(Some(Arc::new(reader)));
                None
            }
            Err(why) => Some(why),
        };
        let mut state = self.state.lock();
        if let Some(why) = fault.as_deref().filter(|_| state.fault != fault) {
            let rest = match self.reader.load().is_some() {
                true => "the one read before stays in use",
                false => "distances are what is measured",
            };
            tracing::warn!(file = %self.path.display(), why, "geo.{} cannot be read; {rest}", self.kind);
        }
        state.fault = fault;
    }

    /// The database, if its file is another one than at the last look, when it was as `before`.
    fn news(&self, before: Option<Seen>) -> Result<Option<Reader<Vec<u8>>>, String> {
        let meta = fs::metadata(&self.path).map_err(|error| error.to_string())?;
        let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let seen = Some((meta.len(), changed, meta.ino()));
        self.state.lock().seen = seen;
        if seen == before {
            return Ok(None);
        }
        read(&self.path, meta.len()).map(Some)
    }

    fn find(&self, network: IpNet) -> Option<Whereabouts> {
        let reader = self.reader.load();
        let reader = reader.as_ref()?;
        let mut at = network.network();
        for _ in 0..PARTS_MAX {
            let found = reader.lookup(at).ok()?;
            if let Some(record) = found.decode::<Record>().ok()? {
                return Some(record.whereabouts());
            }
            // As far as the database goes on to say nothing.
            at = following(found.network().ok()?.broadcast()).filter(|next| network.contains(next))?;
        }
        None
    }
}

/// The address after this one.
fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Reads a file and looks at every part of it: one that was cut or damaged is found out here, not by a viewer.
fn read(path: &Path, size: u64) -> Result<Reader<Vec<u8>>, String> {
    if size > FILE_MAX {
        return Err(format!("it has {size} bytes; at most {FILE_MAX} are read into memory"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let reader = Reader::from_source(bytes).map_err(|error| format!("it is no MMDB: {error}"))?;
    look_through(&reader).map_err(|error| format!("it is damaged: {error}"))?;
    Ok(reader)
}

fn look_through(reader: &Reader<Vec<u8>>) -> Result<(), maxminddb::MaxMindDbError> {
    let mut seen = HashSet::new();
    // A tree that is whole has at most two networks for each node.
    let most = (reader.metadata().node_count as usize).saturating_mul(2).saturating_add(1);
    for network in reader.networks(Default::default())?.take(most) {
        let network = network?;
        // Many networks share a record.
        if network.offset().is_some_and(|offset| seen.insert(offset)) {
            network.decode::<Record>()?;
        }
    }
    Ok(())
}
