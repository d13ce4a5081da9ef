//! Reads an open file as a stream of large pieces.
//!
//! The store's own stream reads 8 KiB per trip to the blocking pool; a segment of 4 MB would make five
//! hundred trips. Here one trip carries 256 KiB, and one piece is read ahead while the last one travels.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use kromka_cache::{SourceError, SourceFault};

/// Bytes per read: the tier's usual block, so that one read fills one block.
const PIECE: u64 = 256 * 1024;

/// Pieces in flight: the one being sent and the one being read.
const AHEAD: usize = 2;

/// The bytes `range` of `file`. The stream ends in an error if the file shrinks or changes on the way, so
/// that a half-rewritten file never looks like a complete object.
pub(crate) fn read(
    file: File,
    range: Range<u64>,
) -> io::Result<impl Stream<Item = Result<Bytes, SourceError>> + Send> {
    let opened = Stamp::of(&file)?;
    let file = Arc::new(file);
    let pieces = range.end.saturating_sub(range.start).div_ceil(PIECE);
    Ok(stream::iter(0..pieces)
        .map(move |index| {
            let start = range.start + index * PIECE;
            let end = (start + PIECE).min(range.end);
            let last = end == range.end;
            let file = Arc::clone(&file);
            async move {
                let read =
                    tokio::task::spawn_blocking(move || piece(&file, start..end, last.then_some(opened)));
                match read.await {
                    Ok(Ok(bytes)) => Ok(bytes),
                    Ok(Err(error)) => Err(broken(format!("reading a media file: {error}"))),
                    Err(error) => Err(broken(format!("reading a media file: {error}"))),
                }
            }
        })
        .buffered(AHEAD))
}

/// One blocking read; the last piece also checks that the file is still the one that was opened.
fn piece(file: &File, range: Range<u64>, opened: Option<Stamp>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, range.start)?;
    match opened {
        Some(opened) if Stamp::of(file)? != opened => {
            Err(io::Error::other("the file changed while it was read"))
        }
        _ => Ok(buffer.into()),
    }
}

/// What changes when somebody writes into a file in place.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Stamp> {
        let metadata = file.metadata()?;
        Ok(Stamp { size: metadata.len(), modified: metadata.modified().ok() })
    }
}

fn broken(message: String) -> SourceError {
    SourceError { kind: SourceFault::Broken, message, retry_after: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::io::Write;

    use futures_util::TryStreamExt;

    use super::*;

    fn media(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|i| (i / 7 % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[tokio::test]
    async fn a_range_arrives_in_order_and_in_large_pieces() {
        let (file, bytes) = media(1_000_000);
        let stream = read(file.reopen().unwrap(), 100..900_000).unwrap();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces.concat(), bytes[100..900_000]);
    }

    #[tokio::test]
    async fn an_empty_range_is_an_empty_stream() {
        let (file, _) = media(10);
        let pieces: Vec<Bytes> = read(file.reopen().unwrap(), 0..0).unwrap().try_collect().await.unwrap();
        assert!(pieces.is_empty());
    }

    #[tokio::test]
    async fn a_file_cut_short_on_the_way_breaks_the_stream() {
        let (file, _) = media(1_000_000);
        let stream = read(file.reopen().unwrap(), 0..1_000_000).unwrap();
        file.as_file().set_len(300_000).unwrap();
        let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind, SourceFault::Broken);
    }

    #[tokio::test]
    async fn a_file_rewritten_in_place_breaks_the_stream() {
        let (mut file, _) = media(400_000);
        let stream = read(file.reopen().unwrap(), 0..400_000).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        file.write_all(b"x").unwrap();
        file.as_file().set_len(400_000).unwrap();
        file.as_file().set_modified(later).unwrap();
        assert!(stream.try_collect::<Vec<_>>().await.is_err());
    }
}
