//! The last resort: what the files themselves say, where the journal does not.

use std::path::{Path, PathBuf};

use super::files;
use super::folder::{OBJECTS, PACKS};
use super::index::{Finished, Held, Place};
use super::journal::Replayed;
use super::pack;
use super::trailer::{self, Header};

/// Takes in every finished object below `root` that the index does not know, unless it knows a newer version;
/// all other files that it does not know are removed. Returns how many were taken in.
pub(super) fn adopt(root: &Path, replayed: &mut Replayed) -> std::io::Result<u64> {
    let mut adopted = 0;
    let mut useless = Vec::new();
    files::each(&root.join(OBJECTS), &mut |path| match file(path) {
        Some((name, id, _)) if replayed.index.id(name) == Some(id) => {}
        Some((name, id, Some(bytes))) if replayed.index.id(name).is_none_or(|other| other < id) => {
            take(replayed, name, Finished::file(id, bytes));
            adopted += 1;
        }
        _ => useless.push(path.to_owned()),
    });
    for path in useless {
        files::remove(&path)?;
    }
    for (number, _) in pack::list(&root.join(PACKS))? {
        for (spot, record) in pack::records(&root.join(PACKS), number)? {
            let header = serde_json::from_slice::<Header>(&record.header).ok();
            let whole = header
                .and_then(|header| header.restore())
                .is_some_and(|generation| (generation.key.hash(), generation.id) == (record.name, record.id));
            if whole && replayed.index.id(record.name).is_none_or(|other| other < record.id) {
                take(replayed, record.name, Finished::packed(record.id, spot));
                adopted += 1;
            }
        }
    }
    Ok(adopted)
}

/// Name, number, and bytes if it is a finished object.
fn file(path: &Path) -> Option<(u128, u64, Option<u64>)> {
    let (name, id) = files::name_of(path)?;
    let generation = trailer::read(path).ok();
    let generation = generation.filter(|it| (it.key.hash(), it.id) == (name, id));
    let bytes = generation.and_then(|_| std::fs::metadata(path).ok()).map(|meta| meta.len());
    Some((name, id, bytes))
}

fn take(replayed: &mut Replayed, name: u128, finished: Finished) {
    let held = Held::Finished(finished);
    replayed.used += held.cost();
    replayed.next_id = replayed.next_id.max(finished.id + 1);
    let Some(before) = replayed.index.insert(name, held) else { return };
    replayed.used = replayed.used.saturating_sub(before.cost());
    match before {
        Held::Finished(before) => match before.place() {
            Place::Packed(spot) => replayed.dead.push(spot),
            Place::File(_) => replayed.garbage.push((name, before.id)),
        },
        Held::Unfinished(before) => replayed.garbage.push((name, before.id)),
    }
}

/// The files below `objects` that `knows` does not know; left by a process that was killed.
pub(super) fn orphans(objects: &Path, knows: impl Fn(u128, u64) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files::each(objects, &mut |path| {
        if !files::name_of(path).is_some_and(|(name, id)| knows(name, id)) {
            found.push(path.to_owned());
        }
    });
    found
}
