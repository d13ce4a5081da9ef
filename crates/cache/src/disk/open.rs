//! Files that stay open between reads, so that a popular one is not looked up by its path for every piece.
//!
//! A table of fixed size in which each number has one place: what comes takes the place of what was there. A file
//! that is removed leaves the table, or its space would not be free.

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;

/// Open files of a disk at most.
const PLACES: usize = 256;

/// A file and its number, if there is one.
type Place = Mutex<Option<(u64, Arc<File>)>>;

/// The table.
pub(super) struct OpenFiles(Vec<Place>);

impl Default for OpenFiles {
    fn default() -> Self {
        Self(std::iter::repeat_with(Mutex::default).take(PLACES).collect())
    }
}

impl OpenFiles {
    pub(super) fn get(&self, number: u64) -> Option<Arc<File>> {
        let place = self.place(number).lock();
        place.as_ref().filter(|(of, _)| *of == number).map(|(_, file)| file.clone())
    }

    pub(super) fn put(&self, number: u64, file: &Arc<File>) {
        *self.place(number).lock() = Some((number, file.clone()));
    }

    /// The file is gone, or is to go.
    pub(super) fn forget(&self, number: u64) {
        self.place(number).lock().take_if(|(of, _)| *of == number);
    }

    fn place(&self, number: u64) -> &Place {
        &self.0[number as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn each_number_has_a_place_that_it_shares() {
        let open = OpenFiles::default();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let other = 7 + PLACES as u64;
        open.put(7, &file);
        assert!(open.get(7).is_some() && open.get(other).is_none());
        open.forget(other);
        assert!(open.get(7).is_some(), "somebody else's place is left alone");
        open.put(other, &file);
        assert!(open.get(7).is_none() && open.get(other).is_some());
        open.forget(other);
        assert_eq!(Arc::strong_count(&file), 1, "what is forgotten is closed");
    }
}
