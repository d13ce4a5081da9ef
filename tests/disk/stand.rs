//! An edge with two disks before a shield, and what lies on which disk.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::world::fleet::Plan;
use crate::world::{Fleet, Got, Source, Viewer, media, until, within};

/// Two blocks, and no object for a pack.
pub(super) const LENGTH: usize = 300_000;

/// An edge at work.
pub(super) struct Stand {
    pub(super) fleet: Fleet,
    source: Source,
    disks: [PathBuf; 2],
    made: Cell<u64>,
    _second: TempDir,
}

/// What an edge tells of a disk.
pub(super) struct Disk {
    pub(super) up: bool,
    pub(super) objects: u64,
    pub(super) outs: u64,
}

/// How a disk that is taken out shows why.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// By errors that are counted, more than so many.
    Errors(f64),
    /// By these words: a call that does not end is no error.
    Words(&'static str),
}

/// Something published, and where the edge keeps it.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) path: String,
    seed: u64,
    file: PathBuf,
}

impl Stand {
    pub(super) async fn start() -> Stand {
        let second = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let source = Source::start().await;
        let disk = format!("\n[[cache.disk]]\npath = {:?}\nsize = \"1GiB\"", second.path().join("cache"));
        let fleet = Plan::web(&source.url).with("edge", "cache.disk", &disk).start().await;
        let disks = [fleet.edges[0].folder().join("cache"), second.path().join("cache")];
        Stand { fleet, source, disks, made: Cell::new(0), _second: second }
    }

    /// Publishes something new; its path.
    pub(super) fn publish(&self) -> (String, u64) {
        let seed = self.made.get() + 1;
        self.made.set(seed);
        let path = format!("/stream/{seed}.ts");
        self.source.put(&path, media::noise(seed, LENGTH));
        (path, seed)
    }

    /// Has so many things come and be written down, then starts the edge anew, so that none is in memory.
    /// What is on the first disk, and what on the second.
    pub(super) async fn fill(&mut self, count: usize) -> [Vec<Thing>; 2] {
        let mut names = Vec::new();
        for _ in 0..count {
            let (path, seed) = self.publish();
            names.push((path.clone(), seed, key(&self.get(&path, seed).await)));
        }
        // Stopped in order, all that was taken is written.
        let edge = &mut self.fleet.edges[0];
        assert!(edge.stop().await.success());
        let kept = self.disks.each_ref().map(|disk| {
            let kept = names.iter().filter_map(|(path, seed, key)| {
                let file = whole(disk, key)?;
                Some(Thing { path: path.clone(), seed: *seed, file })
            });
            kept.collect::<Vec<_>>()
        });
        let edge = &mut self.fleet.edges[0];
        edge.start().await;
        edge.ready().await;
        assert!(
            kept.iter().all(|kept| kept.len() > 5),
            "more than the failures that take a disk out: {kept:?}"
        );
        kept
    }

    /// A thing's bytes, which must be right whatever the disks do.
    pub(super) async fn get(&self, path: &str, seed: u64) -> Got {
        asked(&self.fleet.signed(path), seed).await
    }

    /// The same from elsewhere.
    pub(super) fn asking(&self, thing: &Thing) -> impl Future<Output = Got> + Send + 'static {
        let (url, seed) = (self.fleet.signed(&thing.path), thing.seed);
        async move { asked(&url, seed).await }
    }

    /// The edge's process.
    pub(super) fn process(&mut self) -> u32 {
        self.fleet.edges[0].process().id()
    }

    /// What the edge tells of a disk.
    pub(super) async fn disk(&self, number: usize) -> Disk {
        let got = Viewer::new().get(&format!("{}/v1/cache/stats", self.fleet.edges[0].admin)).await;
        let told = got.json()["disks"][number].clone();
        let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{told}"));
        Disk { up: told["up"] == true, objects: number("objects"), outs: number("outs") }
    }

    /// Waits until the first disk is in.
    pub(super) async fn comes_back(&self) {
        until("the disk works again and is in", || async { self.disk(0).await.up.then_some(()) }).await;
    }

    /// Bytes that memory has room for before anything has to go: a sixteenth is for what comes and goes.
    pub(super) async fn memory(&self) -> u64 {
        let edge = &self.fleet.edges[0];
        let limit = edge.metric("kromka_cache_memory_limit_bytes").await * 15.0 / 16.0;
        (limit - edge.metric("kromka_cache_memory_bytes").await).max(0.0) as u64
    }

    /// The errors that have been counted.
    pub(super) async fn errors(&self) -> f64 {
        self.fleet.edges[0].metric("kromka_cache_disk_errors_total").await
    }

    /// Waits until the first disk has been taken out so often, while the other stays in, and that is told.
    pub(super) async fn goes_out(&mut self, times: u64, shown: Shown) {
        until("the disk is out", || async { (self.disk(0).await.outs == times).then_some(()) }).await;
        assert_eq!(self.disk(1).await.outs, 0, "the other has nothing to do with it");
        let errors = self.errors().await;
        let edge = &mut self.fleet.edges[0];
        assert_eq!(edge.metric("kromka_cache_disk_outs_total").await, times as f64);
        let said = edge.process().said();
        let told: Vec<&str> = said.lines().filter(|line| line.contains("cache disk taken out")).collect();
        assert_eq!(told.len() as u64, times, "{said}");
        match shown {
            Shown::Errors(before) => assert!(errors > before, "{before}: {said}"),
            Shown::Words(words) => assert!(told.iter().all(|line| line.contains(words)), "{told:#?}"),
        }
    }
}

async fn asked(url: &str, seed: u64) -> Got {
    let got = within(url, Viewer::new().get(url)).await;
    assert_eq!(got.status, 200, "{url}");
    assert!(got.bytes() == media::noise(seed, LENGTH), "{url}: other bytes");
    got
}

/// The key in the edge's member of Cache-Status.
fn key(got: &Got) -> String {
    let member = got.tier("kromka-edge");
    let (_, key) = member.split_once("key=\"").unwrap_or_else(|| panic!("{member}"));
    key.split('"').next().unwrap().to_owned()
}

/// The file of an object, if all of it is there.
fn whole(disk: &Path, key: &str) -> Option<PathBuf> {
    let folder = disk.join("objects").join(&key[0..2]).join(&key[2..4]);
    let files = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap());
    let mine = files.filter(|file| file.file_name().to_str().unwrap().starts_with(key));
    mine.filter(|file| file.metadata().unwrap().len() > LENGTH as u64).map(|file| file.path()).next()
}

/// The files of things.
pub(super) fn files(things: &[Thing]) -> Vec<PathBuf> {
    things.iter().map(|thing| thing.file.clone()).collect()
}
