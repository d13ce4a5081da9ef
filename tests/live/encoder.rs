//! A packager of the scenarios: its playlist and files change as told, and what it has published can be
//! compared.

use std::path::{Path, PathBuf};

use crate::world::{Source, media};

/// Where a stream is published.
pub(crate) enum Place<'a> {
    /// A folder below which a shield reads, as a packager on the same machine writes.
    Folder(PathBuf),
    /// A web server.
    Web(&'a Source),
}

impl Place<'_> {
    /// Publishes a file whole: nobody sees half of it.
    pub(crate) fn put(&self, path: &str, body: &[u8]) {
        match self {
            Place::Folder(root) => {
                let file = root.join(&path[1..]);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                let growing = file.with_extension("growing");
                std::fs::write(&growing, body).unwrap();
                std::fs::rename(growing, file).unwrap();
            }
            Place::Web(source) => source.put(path, body.to_vec()),
        }
    }
}

/// A stream in segments, and parts of the one that is being made.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) folder: &'static str,
    /// What the files are called.
    pub(crate) name: &'static str,
    /// Target duration in seconds.
    pub(crate) target: u64,
    pub(crate) first: u64,
    /// Number of the segment that is being made.
    pub(crate) end: u64,
    /// Its parts so far; none where the stream has no parts at all.
    pub(crate) parts: Option<u64>,
}

impl Stream {
    /// Plain segments.
    pub(crate) fn plain(first: u64, end: u64) -> Stream {
        Stream { folder: "/stream/live", name: "s", target: 1, first, end, parts: None }
    }

    /// Segments, and parts of a fifth of a target duration.
    pub(crate) fn in_parts(first: u64, end: u64, parts: u64) -> Stream {
        Stream { parts: Some(parts), ..Stream::plain(first, end) }
    }

    /// Where its playlist is.
    pub(crate) fn path(&self) -> String {
        format!("{}/index.m3u8", self.folder)
    }

    /// Where a segment is.
    pub(crate) fn segment(&self, number: u64) -> String {
        format!("{}/{}{number}.ts", self.folder, self.name)
    }

    /// Where a part of the segment being made is.
    pub(crate) fn part(&self, part: u64) -> String {
        format!("{}/{}{}.{part}.ts", self.folder, self.name, self.end)
    }

    pub(crate) fn playlist(&self) -> String {
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}\n", self.target);
        if self.parts.is_some() {
            text.push_str(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6,CAN-SKIP-UNTIL=6.0\n",
            );
            text.push_str("#EXT-X-PART-INF:PART-TARGET=0.2\n");
        }
        text.push_str(&format!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.first));
        for number in self.first..self.end {
            text.push_str(&format!("#EXTINF:{},\n{}{number}.ts\n", self.target, self.name));
        }
        if let Some(parts) = self.parts {
            let part = |number: u64| format!("{}{}.{number}.ts", self.name, self.end);
            for number in 0..parts {
                text.push_str(&format!("#EXT-X-PART:DURATION=0.2,URI=\"{}\"\n", part(number)));
            }
            text.push_str(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"\n", part(parts)));
        }
        text
    }

    /// Publishes what the playlist names, then the playlist.
    pub(crate) fn publish(&self, place: &Place<'_>) {
        for number in self.first..self.end {
            place.put(&self.segment(number), &self.bytes(number));
        }
        for part in 0..self.parts.unwrap_or(0) {
            place.put(&self.part(part), &self.bytes(1000 + part));
        }
        place.put(&self.path(), self.playlist().as_bytes());
    }

    /// What is in a segment.
    pub(crate) fn bytes(&self, number: u64) -> Vec<u8> {
        let seed = number * 31 + u64::from(self.name.as_bytes()[0]);
        media::noise(seed as _, 20_000).to_vec()
    }
}

/// A folder of a scenario as a place to publish.
pub(crate) fn folder(root: &Path) -> Place<'static> {
    Place::Folder(root.to_owned())
}
