//! Distance: round-trip times per client cell and site, as decisions read them.
//!
//! A table is immutable; a [`super::Learner`] makes the next one. Each cell has one row with a value for every
//! site, in which the measurements of the cell and of all that it lies in are already put together: a decision
//! looks for the finest row there is and reads.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Whereabouts,
    cell::{Cell, Key, Source},
    whereabouts::Medians,
};

/// What a site costs in milliseconds while nobody has measured it and no position is known. Its value hardly
/// matters: it is the same for all.
pub const PRIOR_MS: f64 = 50.0;

/// Shards of the table; a power of two. A new table shares those that have not changed.
pub(super) const SHARDS: usize = 256;

/// Milliseconds of one unit of a stored value.
pub(super) const UNIT_MS: f32 = 0.1;

/// Milliseconds of a stored value.
#[inline]
pub(super) fn stored_ms(value: u16) -> f32 {
    f32::from(value) * UNIT_MS
}

/// Rows of one shard.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) stride: usize,
    pub(super) index: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    pub(super) values: Vec<u16>,
}

/// Keys are mixed before they are looked up, and need no other hash.
#[derive(Debug, Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, mixed: u64) {
        self.0 = mixed;
    }
}

/// A site as the table knows it.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) name: Arc<str>,
    pub(super) vector: Option<[f32; 3]>,
}

/// Where a site stands in the table's rows, and on the globe.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Column {
    pub(super) column: Option<u16>,
    pub(super) vector: Option<[f32; 3]>,
}

/// A cell that many measurements come from, and so, presumably, many viewers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) key: Key,
    pub(super) site: u16,
    pub(super) weight: f32,
}

/// All round-trip times that are known.
#[derive(Clone, Debug, Default)]
pub struct Distances {
    pub(super) seed: u64,
    pub(super) shards: Vec<Arc<Rows>>,
    pub(super) spots: Arc<Vec<Spot>>,
    pub(super) medians: Arc<Medians>,
    pub(super) crowd: Arc<Vec<Crowd>>,
}

/// The distances from one client to every site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'d> {
    pub(super) source: Source,
    pub(super) values: Values<'d>,
}

/// Where the values of a [`Row`] come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'d> {
    /// Read by column.
    Table(&'d [u16]),
    /// Reckoned from here.
    From([f32; 3], &'d Medians),
    /// The same for all.
    Equal,
}

impl Values<'_> {
    /// Milliseconds to one site.
    #[inline]
    pub(super) fn ms(&self, site: &Column) -> f32 {
        let known = match self {
            Values::Table(row) => {
                site.column.and_then(|column| row.get(usize::from(column))).map(|value| stored_ms(*value))
            }
            Values::From(here, medians) => site.vector.map(|there| medians.between(here, &there)),
            Values::Equal => None,
        };
        known.unwrap_or(PRIOR_MS as f32)
    }
}

impl Distances {
    /// Where the site of that name stands.
    pub(super) fn column(&self, site: &str) -> Column {
        let place = self.spots.iter().position(|spot| *spot.name == *site);
        let spot = place.and_then(|place| self.spots.get(place));
        Column { column: place.map(|place| place as u16), vector: spot.and_then(|spot| spot.vector) }
    }

    fn find(&self, key: Key) -> Option<&[u16]> {
        let mixed = key.mixed(self.seed);
        let rows = self.shards.get(mixed as usize % SHARDS)?;
        let place = *rows.index.get(&mixed)? as usize * rows.stride;
        rows.values.get(place..place + rows.stride)
    }

    /// Whether nothing has been measured.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|rows| rows.index.is_empty())
    }

    /// Whether something was measured in the client's own network, or next to it: then it does not matter where the
    /// client is.
    pub(crate) fn knows(&self, client: IpAddr) -> bool {
        self.find(Key::cell(client)).or_else(|| self.find(Key::block(client))).is_some()
    }

    /// What is known of one cell.
    pub(super) fn values(&self, key: Key) -> Values<'_> {
        self.find(key).map_or(Values::Equal, Values::Table)
    }

    /// The finest row there is for a client.
    #[inline]
    pub(super) fn row(&self, client: Option<IpAddr>, place: &Whereabouts) -> Row<'_> {
        let table = |source, values| Row { source, values: Values::Table(values) };
        if !self.shards.is_empty() {
            if let Some(client) = client {
                if let Some(row) = self.find(Key::cell(client)) {
                    return table(Source::Cell, row);
                }
                if let Some(row) = self.find(Key::block(client)) {
                    return table(Source::Block, row);
                }
            }
            if let Some(row) = Key::network(place).and_then(|key| self.find(key)) {
                return table(Source::Network, row);
            }
            if let Some(row) = Key::area(place).and_then(|key| self.find(key)) {
                return table(Source::Area, row);
            }
        }
        match place.trusted() {
            Some(position) => {
                Row { source: Source::Geography, values: Values::From(position.vector(), &self.medians) }
            }
            None => Row { source: Source::Nothing, values: Values::Equal },
        }
    }

    /// What is believed about one client and one site: milliseconds, and on what ground.
    pub fn estimate(&self, client: Option<IpAddr>, place: &Whereabouts, site: &str) -> (f64, Source) {
        let row = self.row(client, place);
        (f64::from(row.values.ms(&self.column(site))), row.source)
    }

    /// The cell of a client, for the API.
    pub fn cell(client: Option<IpAddr>) -> Cell {
        client.map_or_else(Cell::unknown, Cell::of)
    }
}
