//! How far a live playlist has come, and what a blocked reload waits for
//! (draft-pantos-hls-rfc8216bis, section 6.2.5.2).

use crate::playlist::Media;

/// Query parameters that belong to the protocol begin so; no service's own may.
pub const DIRECTIVE_PREFIX: &str = "_HLS_";

/// How many segments beyond the newest a reload may ask for.
const SEGMENTS_AHEAD: u64 = 2;

/// What a media playlist has published: the number of the segment that is being made, and how many of its
/// parts there are. Grows with every update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the first segment that is not complete.
    pub segment: u64,
    /// Its parts that can be fetched.
    pub parts: u64,
}

/// The directives of a reload: `_HLS_msn`, `_HLS_part`, `_HLS_skip`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// Wait until this segment, or this part of it (counted from 0), is in the playlist.
    pub wanted: Option<Wanted>,
    /// A delta update is welcome.
    pub skip: bool,
}

/// What a blocked reload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// `_HLS_msn`: the number of a segment.
    pub segment: u64,
    /// `_HLS_part`: a part of it, counted from 0; the whole segment if none.
    pub part: Option<u64>,
}

/// A directive that no server could obey; the answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// `_HLS_msn` or `_HLS_part` is not a whole number, or stands there twice.
    #[error("{0} must be one whole number")]
    NotANumber(&'static str),
    /// `_HLS_part` without `_HLS_msn`.
    #[error("_HLS_part needs _HLS_msn beside it")]
    PartAlone,
}

impl Directives {
    /// Reads the directives out of a query as it was sent. Unknown ones are passed over.
    ///
    /// # Errors
    /// [`DirectiveError`], by what is wrong first.
    pub fn read(query: Option<&str>) -> Result<Directives, DirectiveError> {
        let (mut segment, mut part, mut skip) = (None, None, false);
        for pair in query.unwrap_or_default().split('&').filter(|pair| pair.starts_with(DIRECTIVE_PREFIX)) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => number(&mut segment, "_HLS_msn", value)?,
                "_HLS_part" => number(&mut part, "_HLS_part", value)?,
                // `v2` would also leave out date ranges; to leave out only segments is within its meaning.
                "_HLS_skip" => skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        let wanted = match (segment, part) {
            (Some(segment), part) => Some(Wanted { segment, part }),
            (None, Some(_)) => return Err(DirectiveError::PartAlone),
            (None, None) => None,
        };
        Ok(Directives { wanted, skip })
    }
}

fn number(slot: &mut Option<u64>, name: &'static str, value: &str) -> Result<(), DirectiveError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let value = value.parse().ok().filter(|_| digits && slot.is_none());
    *slot = Some(value.ok_or(DirectiveError::NotANumber(name))?);
    Ok(())
}

impl Wanted {
    /// The directives as a query, in their one order.
    pub fn query(&self) -> String {
        match self.part {
            Some(part) => format!("_HLS_msn={}&_HLS_part={part}", self.segment),
            None => format!("_HLS_msn={}", self.segment),
        }
    }
}

impl Position {
    /// What the very next update will bring; with or without parts.
    pub fn next(&self, in_parts: bool) -> Wanted {
        Wanted { segment: self.segment, part: in_parts.then_some(self.parts) }
    }
}

impl Media {
    /// How far it has come.
    pub fn position(&self) -> Position {
        let low_latency = &self.low_latency;
        let complete = self.segments.len() as u64;
        let segment = self.media_sequence.saturating_add(low_latency.skipped).saturating_add(complete);
        Position { segment, parts: self.parts_of(segment) }
    }

    /// Whether a reload that waits for `wanted` can be answered with this. A playlist that has ended answers
    /// everything; a part beyond the last one of a whole segment is the first of the next one.
    pub fn reached(&self, wanted: Wanted) -> bool {
        let at = self.position();
        if self.ended || at.segment > wanted.segment.saturating_add(1) {
            return true;
        }
        match wanted.part {
            None => at.segment > wanted.segment,
            Some(part) if at.segment > wanted.segment => {
                let parts = self.parts_of(wanted.segment);
                part < parts || parts == 0 || at.parts > 0
            }
            Some(part) => at.segment == wanted.segment && at.parts > part,
        }
    }

    /// Whether `wanted` lies so far ahead that waiting makes no sense (400): more than two segments beyond
    /// the newest, or more parts of the one being made than three seconds hold.
    pub fn is_too_far(&self, wanted: Wanted) -> bool {
        let at = self.position();
        if self.ended || wanted.segment < at.segment {
            return false;
        }
        if wanted.segment > at.segment.saturating_add(SEGMENTS_AHEAD - 1) {
            return true;
        }
        let parts_ahead = match self.low_latency.part_target {
            // At most some hundred: a target of zero is nobody's.
            Some(target) if target < 1.0 => (3.0 / target.max(0.01)).ceil() as u64,
            _ => 3,
        };
        let within = wanted.part.filter(|_| wanted.segment == at.segment);
        within.is_some_and(|part| part >= at.parts.saturating_add(parts_ahead))
    }

    fn parts_of(&self, segment: u64) -> u64 {
        self.low_latency.parts.iter().rev().filter(|part| part.segment == segment).count() as u64
    }
}

#[cfg(test)]
mod tests;
