//! Writes one answer into a buffer, piece by piece, and never past its bound.

use super::{
    cookies::WHOLE,
    numbers::{Code, HEADER, IN, UDP_MAX, kind, option},
    query::Query,
    subnet::Subnet,
};

/// Where a record stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// What was asked for.
    Answer,
    /// Who says that there is nothing.
    Authority,
    /// What saves another question.
    Additional,
}

/// An answer in the making. Sections come in their order.
pub(super) struct Reply<'o> {
    out: &'o mut [u8],
    at: usize,
    /// What records may fill; the OPT record has its place behind it.
    bound: usize,
    records_at: usize,
    counts: [u16; 3],
    truncated: bool,
}

/// The OPT record of an answer.
pub(super) struct Opt<'q> {
    /// Repeated from the question.
    pub(super) dnssec_ok: bool,
    /// The question's subnet, and for how long a prefix the answer holds.
    pub(super) subnet: Option<(&'q Subnet, u8)>,
    /// The cookie, both parts.
    pub(super) cookie: Option<[u8; WHOLE]>,
}

impl Opt<'_> {
    fn len(&self) -> usize {
        11 + self.data_len()
    }

    fn data_len(&self) -> usize {
        self.subnet.map_or(0, |(subnet, _)| 4 + subnet.len()) + self.cookie.map_or(0, |_| 4 + WHOLE)
    }
}

impl<'o> Reply<'o> {
    /// Begins an answer of at most `bound` bytes with the question as it was asked; none if there is no room for
    /// that and `opt`.
    pub(super) fn begin(
        out: &'o mut [u8],
        bound: usize,
        question: &[u8],
        opt: Option<&Opt<'_>>,
    ) -> Option<Reply<'o>> {
        let bound = bound.min(out.len()).saturating_sub(opt.map_or(0, Opt::len));
        let records_at = HEADER + question.len();
        if records_at > bound {
            return None;
        }
        out.get_mut(HEADER..records_at)?.copy_from_slice(question);
        Some(Reply { out, at: records_at, bound, records_at, counts: [0; 3], truncated: false })
    }

    /// Adds a record whose name stands at `owner`, a compression pointer; false if it has no room, or one before it
    /// had none.
    pub(super) fn record(
        &mut self,
        section: Section,
        owner: u16,
        kind: u16,
        ttl: u32,
        data: &[&[u8]],
    ) -> bool {
        let length: usize = data.iter().map(|part| part.len()).sum();
        if self.truncated || self.at + 12 + length > self.bound {
            return false;
        }
        self.put(&owner.to_be_bytes());
        self.put(&kind.to_be_bytes());
        self.put(&IN.to_be_bytes());
        self.put(&ttl.to_be_bytes());
        self.put(&(length as u16).to_be_bytes());
        for part in data {
            self.put(part);
        }
        self.counts[section as usize] += 1;
        true
    }

    /// A pointer to what the last record ended with, `length` bytes of it.
    pub(super) fn pointer(&self, length: usize) -> u16 {
        0xC000 | self.at.saturating_sub(length) as u16
    }

    /// Takes back all records: the asker is to come by TCP.
    pub(super) fn truncate(&mut self) {
        self.at = self.records_at;
        self.counts = [0; 3];
        self.truncated = true;
    }

    /// Writes header and OPT record; the answer's length, and whether it was truncated.
    pub(super) fn finish(
        mut self,
        query: &Query<'_>,
        code: Code,
        authoritative: bool,
        opt: Option<Opt<'_>>,
    ) -> (usize, bool) {
        let [a, b, flags, more] = query.head;
        let code = code.number();
        let bits = [(true, 0x80), (authoritative, 0x04), (self.truncated, 0x02)];
        let said: u8 = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
        // Operation, RD and CD are repeated (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6).
        let head = [a, b, said | (flags & 0x79), (more & 0x10) | (code & 0x0F) as u8];
        let questions = u16::from(self.records_at > HEADER);
        let [answers, authorities, additionals] = self.counts;
        let additionals = additionals + u16::from(opt.is_some());
        if let Some(opt) = opt {
            self.bound = self.out.len();
            self.put(&[0]);
            self.put(&kind::OPT.to_be_bytes());
            self.put(&(UDP_MAX as u16).to_be_bytes());
            self.put(&[(code >> 4) as u8, 0, if opt.dnssec_ok { 0x80 } else { 0 }, 0]);
            self.put(&(opt.data_len() as u16).to_be_bytes());
            if let Some((subnet, scope)) = opt.subnet {
                self.put(&option::SUBNET.to_be_bytes());
                self.put(&(subnet.len() as u16).to_be_bytes());
                let end = self.at + subnet.len();
                if let Some(out) = self.out.get_mut(self.at..end) {
                    subnet.write(scope, out);
                }
                self.at = end;
            }
            if let Some(cookie) = opt.cookie {
                self.put(&option::COOKIE.to_be_bytes());
                self.put(&(WHOLE as u16).to_be_bytes());
                self.put(&cookie);
            }
        }
        let length = self.at;
        self.at = 0;
        self.put(&head);
        for count in [questions, answers, authorities, additionals] {
            self.put(&count.to_be_bytes());
        }
        (length, self.truncated)
    }

    /// Room was made sure of before; a slip costs the bytes, not the process.
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        debug_assert!(end <= self.out.len());
        if let Some(out) = self.out.get_mut(self.at..end) {
            out.copy_from_slice(bytes);
        }
        self.at = end;
    }
}
