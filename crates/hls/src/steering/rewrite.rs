//! A multivariant playlist with pathways written into it.
//!
//! What the publisher wrote stays byte for byte. One line is added, an attribute at the end of each variant,
//! and, for edges that no clone can name, copies of the variants at the end of the text, with absolute URIs:
//! who knows nothing of steering still plays the publisher's own lines first.

use std::collections::HashSet;

use quick_m3u8::tag::hls::Tag;
use url::Url;

use super::attributes::{attribute, attributes, unquoted};
use super::pathway::is_pathway_id;
use crate::line::{Content, Line, lines};
use crate::playlist::{Playlist, PlaylistError, parse};

/// What to write into a playlist.
#[derive(Debug, Clone, Copy)]
pub struct Steering<'a> {
    /// Where the steering document is; a URI without quotes and control characters.
    pub server_uri: &'a str,
    /// The pathway that the publisher's own, relative URIs lead along: the edge that answers.
    pub pathway: &'a str,
    /// Pathways to write out in full.
    pub others: &'a [Pathway],
}

/// A pathway to write out in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pathway {
    /// Its id.
    pub id: String,
    /// This playlist's own URL along that pathway; the token stands in its path.
    pub base: Url,
}

/// Whether a text is likely a multivariant playlist; cheap, for those who then read it.
pub fn is_multivariant(text: &[u8]) -> bool {
    const TAG: &[u8] = b"#EXT-X-STREAM-INF";
    // Tags stand at the beginning of a line, so only lines are looked at.
    text.split(|byte| *byte == b'\n').any(|line| line.starts_with(TAG))
}

/// Writes pathways into a multivariant playlist.
///
/// `None` where steering has no place: in a media playlist; where the publisher steers already
/// (`EXT-X-CONTENT-STEERING` or a `PATHWAY-ID`); where a URI leads to a host of the publisher's own, which
/// other edges do not stand for; where an id or the server's URI cannot be written.
///
/// # Errors
/// As [`parse`].
pub fn steer(text: &str, steering: &Steering<'_>) -> Result<Option<String>, PlaylistError> {
    let Playlist::Multivariant(_) = parse(text)? else { return Ok(None) };
    let writable = |uri: &str| !uri.is_empty() && !uri.contains(|c: char| c == '"' || c.is_control());
    let ids = [steering.pathway].into_iter().chain(steering.others.iter().map(|other| other.id.as_str()));
    if !writable(steering.server_uri) || !ids.clone().all(is_pathway_id) {
        return Ok(None);
    }
    let Some(tags) = Tags::read(text)? else { return Ok(None) };
    let copies = if tags.variables { &[] } else { steering.others };
    let mut steered = String::with_capacity(text.len() * (1 + copies.len()) + 512);
    let mut header = Some(format!(
        "#EXT-X-CONTENT-STEERING:SERVER-URI=\"{}\",PATHWAY-ID=\"{}\"",
        steering.server_uri, steering.pathway
    ));
    for line in lines(text)? {
        let line = line?;
        let whole = &text[line.span.clone()];
        let bare = whole.trim_end();
        let ending = &whole[bare.len()..];
        steered.push_str(bare);
        if is_variant(&line) {
            steered.push_str(&format!(",PATHWAY-ID=\"{}\"", steering.pathway));
        }
        steered.push_str(ending);
        if let Some(header) = header.take() {
            // The first line is the header; the text may use either line break.
            let ending = if ending.is_empty() { "\n" } else { ending };
            steered.push_str(&header);
            steered.push_str(ending);
        }
    }
    for pathway in copies {
        if !steered.ends_with('\n') {
            steered.push('\n');
        }
        for tag in &tags.tags {
            tag.copy(pathway, &tags.groups, &mut steered);
        }
    }
    Ok(Some(steered))
}

fn is_variant(line: &Line<'_>) -> bool {
    matches!(&line.content, Content::Tag(tag) if matches!(**tag, Tag::StreamInf(_) | Tag::IFrameStreamInf(_)))
}

/// What would have to be copied.
struct Tags<'a> {
    tags: Vec<Copied<'a>>,
    /// Groups whose renditions have URIs, by `TYPE` and `GROUP-ID`: each pathway has its own.
    groups: HashSet<(&'a str, &'a str)>,
    /// URIs hold variables (`EXT-X-DEFINE`), which nobody resolves here.
    variables: bool,
}

/// A line to copy.
enum Copied<'a> {
    /// `EXT-X-STREAM-INF` and the line with its URI.
    Variant(&'a str, &'a str),
    /// `EXT-X-I-FRAME-STREAM-INF`.
    IFrames(&'a str),
    /// `EXT-X-MEDIA`.
    Rendition(&'a str),
}

impl<'a> Tags<'a> {
    /// None where steering has no place.
    fn read(text: &'a str) -> Result<Option<Tags<'a>>, PlaylistError> {
        let mut read = Tags { tags: Vec::new(), groups: HashSet::new(), variables: false };
        let mut variant = None;
        for line in lines(text)? {
            let line = line?;
            let whole = text[line.span.clone()].trim_end();
            if whole.starts_with("#EXT-X-CONTENT-STEERING") {
                return Ok(None);
            }
            match &line.content {
                Content::Uri(uri) => {
                    let Some(tag) = variant.take() else { continue };
                    if !read.uri(uri) {
                        return Ok(None);
                    }
                    read.tags.push(Copied::Variant(tag, uri));
                }
                Content::Tag(tag) => {
                    match **tag {
                        Tag::StreamInf(_) => variant = Some(whole),
                        Tag::IFrameStreamInf(_) => read.tags.push(Copied::IFrames(whole)),
                        Tag::Media(_) => read.tags.push(Copied::Rendition(whole)),
                        _ => continue,
                    }
                    let text_of = |name| attribute(whole, name).and_then(|span| unquoted(&whole[span]));
                    if attribute(whole, "PATHWAY-ID").is_some() {
                        return Ok(None);
                    }
                    let Some(uri) = text_of("URI") else { continue };
                    if !read.uri(uri) {
                        return Ok(None);
                    }
                    if let (Some(kind), Some(group)) = (attribute(whole, "TYPE"), text_of("GROUP-ID")) {
                        read.groups.insert((&whole[kind], group));
                    }
                }
                Content::Other => {}
            }
        }
        Ok(Some(read))
    }

    /// Whether a URI leads along whatever pathway the playlist came by.
    fn uri(&mut self, uri: &str) -> bool {
        if uri.contains("{$") {
            self.variables = true;
            return true;
        }
        // With a scheme, or with a host of its own.
        Url::parse(uri).is_err() && !uri.starts_with("//")
    }
}

impl Copied<'_> {
    /// Writes the line as it is along another pathway.
    fn copy(&self, pathway: &Pathway, groups: &HashSet<(&str, &str)>, out: &mut String) {
        match self {
            Copied::Variant(tag, uri) => {
                edited(tag, pathway, groups, out);
                out.push_str(&absolute(pathway, uri));
                out.push('\n');
            }
            Copied::IFrames(tag) => edited(tag, pathway, groups, out),
            Copied::Rendition(tag) => {
                let value = |name| attribute(tag, name).map(|span| &tag[span]).unwrap_or_default();
                // A group without URIs (closed captions, muxed sound) is the same along every pathway.
                if groups.contains(&(value("TYPE"), unquoted(value("GROUP-ID")).unwrap_or_default())) {
                    edited(tag, pathway, groups, out);
                }
            }
        }
    }
}

/// A tag's line with absolute URI, its own groups and, for a variant, the pathway's id.
fn edited(tag: &str, pathway: &Pathway, groups: &HashSet<(&str, &str)>, out: &mut String) {
    let rendition = tag.starts_with("#EXT-X-MEDIA:");
    let kind = attribute(tag, "TYPE").map(|span| &tag[span]).unwrap_or_default();
    let mut done = 0;
    for (name, span) in attributes(tag) {
        let value = unquoted(&tag[span.clone()]);
        let new = match (name, value) {
            ("URI", Some(uri)) => absolute(pathway, uri),
            ("GROUP-ID", Some(group)) if rendition && groups.contains(&(kind, group)) => own(group, pathway),
            ("AUDIO" | "VIDEO" | "SUBTITLES", Some(group))
                if !rendition && groups.contains(&(name, group)) =>
            {
                own(group, pathway)
            }
            _ => continue,
        };
        out.push_str(&tag[done..span.start]);
        out.push('"');
        out.push_str(&new);
        out.push('"');
        done = span.end;
    }
    out.push_str(&tag[done..]);
    if !rendition {
        out.push_str(&format!(",PATHWAY-ID=\"{}\"", pathway.id));
    }
    out.push('\n');
}

/// A group's name along one pathway.
fn own(group: &str, pathway: &Pathway) -> String {
    format!("{group}@{}", pathway.id)
}

/// A relative URI along one pathway; what cannot be joined stays as it is.
fn absolute(pathway: &Pathway, uri: &str) -> String {
    pathway.base.join(uri).map_or_else(|_| uri.to_owned(), String::from)
}

#[cfg(test)]
mod tests;
