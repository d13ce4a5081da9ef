//! A low-latency packager in a few lines, out of a real encoder: ffmpeg writes one fragment after the other at the pace
//! of life, and each is published as a part the moment it is there; so many of them are a segment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Fragments that make a segment.
const PARTS: u64 = 5;
/// Length of a fragment in seconds.
const PART: &str = "0.4";
/// Segments in the playlist, and those whose parts are named.
const LISTED: u64 = 8;
const IN_PARTS: u64 = 3;

/// A stream that is being made.
pub(crate) struct Packager {
    raw: PathBuf,
    folder: PathBuf,
    /// Versions of the playlist so far.
    pub(crate) versions: AtomicU64,
}

/// ffmpeg at the pace of life, in fragments that each begin with a picture of their own.
pub(crate) fn encoder(raw: &Path, seconds: u64) -> Command {
    std::fs::create_dir_all(raw).unwrap();
    let mut command = Command::new("ffmpeg");
    command.current_dir(raw).args(["-nostdin", "-v", "error", "-re", "-f", "lavfi"]);
    command.args(["-i", "testsrc=size=320x180:rate=25", "-t", &seconds.to_string()]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]);
    command.args(["-g", "10", "-sc_threshold", "0", "-f", "hls", "-hls_time", PART, "-hls_list_size", "0"]);
    command.args(["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]);
    command.args(["-hls_segment_filename", "%d.m4s", "-hls_flags", "temp_file", "raw.m3u8"]);
    command
}

impl Packager {
    /// Publishes what [`encoder`] writes into `raw` in `folder`.
    pub(crate) fn new(raw: PathBuf, folder: PathBuf) -> Packager {
        std::fs::create_dir_all(&folder).unwrap();
        Packager { raw, folder, versions: AtomicU64::new(0) }
    }

    /// Publishes fragments as they come, until it is dropped.
    pub(crate) async fn run(&self) {
        for number in 0.. {
            let fragment = self.raw.join(format!("{number}.m4s"));
            // The encoder names a fragment once it is whole.
            while !fragment.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if number == 0 {
                self.put("init.mp4", &std::fs::read(self.raw.join("init.mp4")).unwrap());
            }
            self.put(&part(number), &std::fs::read(&fragment).unwrap());
            let made = number + 1;
            if made % PARTS == 0 {
                let fragments = (made - PARTS..made).map(|n| self.raw.join(format!("{n}.m4s")));
                let whole: Vec<u8> = fragments.flat_map(|file| std::fs::read(file).unwrap()).collect();
                self.put(&format!("s{}.m4s", number / PARTS), &whole);
            }
            self.put("index.m3u8", playlist(made).as_bytes());
            self.versions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let growing = self.folder.join("growing");
        std::fs::write(&growing, bytes).unwrap();
        std::fs::rename(growing, self.folder.join(name)).unwrap();
    }
}

/// The name of a fragment as a part.
fn part(number: u64) -> String {
    format!("s{}.{}.m4s", number / PARTS, number % PARTS)
}

/// The playlist once so many fragments have been made.
fn playlist(made: u64) -> String {
    let open = made / PARTS;
    let first = open.saturating_sub(LISTED);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.2\n\
         #EXT-X-PART-INF:PART-TARGET={PART}\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-MAP:URI=\"init.mp4\"\n"
    );
    for segment in first..=open {
        if segment + IN_PARTS > open {
            for number in (segment * PARTS..(segment + 1) * PARTS).take_while(|number| *number < made) {
                text.push_str(&format!(
                    "#EXT-X-PART:DURATION={PART},URI=\"{}\",INDEPENDENT=YES\n",
                    part(number)
                ));
            }
        }
        if segment < open {
            text.push_str(&format!("#EXTINF:2,\ns{segment}.m4s\n"));
        }
    }
    text.push_str(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"\n", part(made)));
    text
}
