//! The disk half of a tier: plain files, one per generation, in hashed folders (design D4), on any number of
//! disks.
//!
//! - [`set`] is all disks as one, [`placement`] which of them has an object; [`membership`] says how disks go
//!   out and come back, [`circuit`] and [`keeper`] when;
//! - [`one`] is one disk: [`folder`] takes it into use, [`index`] is what is stored, by name, a hundred bytes
//!   an object, [`budget`] the space it may take;
//! - [`journal`] is the index's append-only form, [`ledger`] what must never be forgotten (purges), both made
//!   of [`record`]s; [`walk`] reads the files themselves where the journal is lost;
//! - [`files`] reads and writes blocks of files, with a checksum per block; [`trailer`] is the end of a
//!   finished one: its header and the checksums; [`pack`] holds small objects;
//! - [`reading`] is the way back, at once where the system has the pages, and [`open`] the files it keeps open;
//! - [`writer`] is the thread that writes, [`sweeper`] the one that evicts and unlinks, off the hot path;
//! - [`offline`] looks at a folder that nobody uses.
//!
//! ```text
//! <path>/lock               held while a process uses the folder
//! <path>/journal, ledger    records, each with its own checksum
//! <path>/objects/ab/cd/...  bodies: what an operator sees with ls is what was cached
//! <path>/packs/...          objects of at most 64 KiB
//! ```
//!
//! A disk that is full, slow or broken means that blocks are not stored; it never means an error to
//! a viewer. Nothing here waits for a disk on a worker of the runtime, nor on behalf of another disk: reads
//! have threads and a bound, and so have purges and probes.

mod budget;
mod circuit;
mod files;
mod folder;
mod index;
mod journal;
mod keeper;
mod ledger;
mod membership;
mod offline;
mod one;
mod open;
mod pack;
mod placement;
mod reading;
mod record;
mod set;
mod sweeper;
mod trailer;
mod walk;
mod writer;

pub use offline::{Damage, Offline, Stored, Totals, seed_journal};
pub(crate) use reading::AtHand;
pub(crate) use set::Disks;
