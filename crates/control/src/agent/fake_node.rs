//! A node for tests: a source in memory, a diary of what the agent did, faults on demand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::node::Node;
use crate::feed::PurgeOrder;
use crate::heartbeat::CellRtt;
use crate::load::{CacheLoad, Load};
use crate::nodes::NodeState;

pub(super) struct FakeNode {
    /// What the source has: text of playlists, filler of other objects.
    pub(super) source: BTreeMap<String, String>,
    /// What happened, in order.
    pub(super) diary: Mutex<Vec<String>>,
    /// How often a path (or `keys`, `purge`) shall fail yet.
    pub(super) faults: Mutex<HashMap<String, u32>>,
    /// Each warm takes one permit for good; plenty unless a test takes them away.
    pub(super) permits: Semaphore,
    pub(super) now: AtomicUsize,
    pub(super) most: AtomicUsize,
}

impl FakeNode {
    pub(super) fn new() -> Self {
        Self {
            source: BTreeMap::new(),
            diary: Mutex::default(),
            faults: Mutex::default(),
            permits: Semaphore::new(1_000_000),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Two variants of `segments` segments and an audio rendition that one of them shares.
    pub(super) fn with_tree(segments: usize) -> Self {
        let mut node = Self::new();
        let master = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"a\"\nlow/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2000000,AUDIO=\"a\"\nhigh/index.m3u8\n";
        node.put("/s/master.m3u8", master);
        for (playlist, dir) in
            [("/s/audio.m3u8", "sound"), ("/s/low/index.m3u8", "."), ("/s/high/index.m3u8", ".")]
        {
            let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n".to_owned();
            let folder = &playlist[..playlist.rfind('/').unwrap()];
            for i in 0..segments {
                text += &format!("#EXTINF:4.0,\n{dir}/{i}.ts\n");
                let path =
                    if dir == "." { format!("{folder}/{i}.ts") } else { format!("{folder}/{dir}/{i}.ts") };
                node.put(&path, "0123456789");
            }
            node.put(playlist, &(text + "#EXT-X-ENDLIST\n"));
        }
        node
    }

    pub(super) fn put(&mut self, path: &str, body: &str) {
        self.source.insert(path.to_owned(), body.to_owned());
    }

    pub(super) fn fail(&self, what: &str, times: u32) {
        self.faults.lock().insert(what.to_owned(), times);
    }

    /// The entries that begin so, in order.
    pub(super) fn did(&self, begin: &str) -> Vec<String> {
        self.diary.lock().iter().filter(|entry| entry.starts_with(begin)).cloned().collect()
    }

    fn note(&self, what: String) {
        self.diary.lock().push(what);
    }

    fn fault(&self, what: &str) -> Result<(), String> {
        match self.faults.lock().get_mut(what) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err("made to fail".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn read(&self, path: &str) -> Result<&String, String> {
        self.fault(path)?;
        self.source.get(path).ok_or_else(|| "404 Not Found".to_owned())
    }
}

impl Node for FakeNode {
    fn load(&self) -> Load {
        Load { connections: 7, ..Load::default() }
    }

    fn cache(&self) -> CacheLoad {
        CacheLoad::default()
    }

    fn sessions_started(&self) -> u64 {
        3
    }

    /// A log of 250 entries, the first 3 of which have given way.
    fn rtt(&self, from: u64, most: usize) -> (u64, Vec<CellRtt>) {
        let first = from.max(3);
        let cell = |n: u64| CellRtt { cell: n.to_string(), n: 1, min_ms: 1.0, p50_ms: 1.0, loss: 0.0 };
        (first, (first..250).take(most).map(cell).collect())
    }

    fn keys(&self, jwks: &serde_json::Value) -> Result<(), String> {
        self.fault("keys")?;
        self.note(format!("keys {jwks}"));
        Ok(())
    }

    fn purge(&self, seq: u64, order: &PurgeOrder) -> Result<(), String> {
        self.note(format!("try {seq}"));
        self.fault("purge")?;
        self.note(format!("purge {seq} {}", order.operation));
        Ok(())
    }

    fn state(&self, state: NodeState) {
        self.note(format!("state {state}"));
    }

    async fn fetch_playlist(&self, service: &str, path: &str) -> Result<String, String> {
        self.note(format!("playlist {service} {path}"));
        self.read(path).cloned()
    }

    async fn warm(
        &self,
        _service: &str,
        path: &str,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<u64, String> {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        self.permits.acquire().await.unwrap().forget();
        tokio::time::sleep(Duration::from_millis(1)).await;
        progress(4);
        let read = self.read(path).map(|body| body.len() as u64);
        self.now.fetch_sub(1, SeqCst);
        let size = read?;
        progress(size - 4);
        self.note(format!("warm {path}"));
        Ok(size)
    }

    async fn list(&self, _service: &str, prefix: &str) -> Result<Vec<(String, u64)>, String> {
        self.fault(prefix)?;
        let below = self.source.iter().filter(|(path, _)| path.starts_with(prefix));
        Ok(below.map(|(path, body)| (path.clone(), body.len() as u64)).collect())
    }
}
