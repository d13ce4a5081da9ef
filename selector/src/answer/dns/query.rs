//! Reads one message as it came from a stranger: without allocation, without trust, in time linear in its length.
//!
//! A message that could be an answer or is too short for a header gets no reply at all, or two servers could be
//! made to talk to each other for ever. Everything else gets one, if only FORMERR.

use super::{
    cookies::Cookie,
    numbers::{Code, HEADER, NAME_MAX, kind, option},
    subnet::Subnet,
};

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Query<'p> {
    /// Its first four bytes: number and flags.
    pub(super) head: [u8; 4],
    /// The question section as it stands, so that the answer repeats the case of its letters; empty where it could
    /// not be read or there is none.
    pub(super) question: &'p [u8],
    /// What is asked for.
    pub(super) name: Name,
    /// The type that is asked for.
    pub(super) kind: u16,
    /// Its class.
    pub(super) class: u16,
    /// The OPT record (RFC 6891), if there is one.
    pub(super) edns: Option<Edns>,
    /// Why it cannot be answered.
    pub(super) fault: Option<Code>,
}

/// The question's name on the wire, in small letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; NAME_MAX],
    len: usize,
}

impl Name {
    const EMPTY: Name = Name { bytes: [0; NAME_MAX], len: 0 };

    /// Labels with their lengths before them, the root's 0 at the end.
    pub(super) fn wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What the OPT record says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns {
    /// The largest answer the asker takes over UDP.
    pub(super) udp_size: u16,
    /// Whether it wants DNSSEC records; repeated in the answer (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// For whom it asks.
    pub(super) subnet: Option<Subnet>,
    /// What proves its address.
    pub(super) cookie: Option<Cookie>,
}

impl Query<'_> {
    /// The operation; 0 is a query.
    fn opcode(&self) -> u8 {
        (self.head[2] >> 3) & 0x0F
    }

    /// The cookie that came with it.
    pub(super) fn cookie(&self) -> Option<&Cookie> {
        self.edns.as_ref().and_then(|edns| edns.cookie.as_ref())
    }
}

/// Reads a message; none where nothing may be answered.
pub(super) fn read(packet: &[u8]) -> Option<Query<'_>> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let &[a, b, c, d, ..] = header;
    if c & 0x80 != 0 {
        return None;
    }
    let mut query = Query {
        head: [a, b, c, d],
        question: &[],
        name: Name::EMPTY,
        kind: 0,
        class: 0,
        edns: None,
        fault: None,
    };
    query.fault = match query.opcode() {
        0 => body(&mut query, header, packet).err(),
        _ => Some(Code::NotImp),
    };
    Some(query)
}

fn body<'p>(query: &mut Query<'p>, header: &[u8; HEADER], packet: &'p [u8]) -> Result<(), Code> {
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (questions, answers, authorities, additionals) = (count(4), count(6), count(8), count(10));
    if questions > 1 || answers != 0 || authorities != 0 {
        return Err(Code::FormErr);
    }
    let mut rest = Cursor { packet, at: HEADER };
    if questions == 1 {
        query.name = rest.name()?;
        query.kind = rest.number()?;
        query.class = rest.number()?;
        query.question = &packet[HEADER..rest.at];
    }
    // Each takes eleven bytes at least, so their number is bounded by the length of the message.
    for _ in 0..additionals {
        let root = rest.owner()?;
        let kind = rest.number()?;
        let (class, ttl) = (rest.number()?, rest.take(4)?);
        let length = rest.number()?;
        let data = rest.take(length.into())?;
        if kind != kind::OPT {
            continue;
        }
        if !root || query.edns.is_some() {
            return Err(Code::FormErr);
        }
        let edns = Edns { udp_size: class, dnssec_ok: ttl[2] & 0x80 != 0, subnet: None, cookie: None };
        query.edns = Some(edns);
        if ttl[1] != 0 {
            return Err(Code::BadVers);
        }
        query.edns = Some(options(edns, data)?);
    }
    if rest.at != packet.len() {
        return Err(Code::FormErr);
    }
    // A message without a question is one that wants a cookie (RFC 7873 section 5.4).
    match questions == 1 || query.cookie().is_some() {
        true => Ok(()),
        false => Err(Code::FormErr),
    }
}

/// The options that are known; of those that stand there twice the first counts.
fn options(mut edns: Edns, data: &[u8]) -> Result<Edns, Code> {
    let mut rest = Cursor { packet: data, at: 0 };
    while rest.at < data.len() {
        let code = rest.number()?;
        let length = rest.number()?;
        let value = rest.take(length.into())?;
        match code {
            option::SUBNET if edns.subnet.is_none() => edns.subnet = Some(Subnet::read(value)?),
            option::COOKIE if edns.cookie.is_none() => edns.cookie = Some(Cookie::read(value)?),
            _ => {}
        }
    }
    Ok(edns)
}

struct Cursor<'p> {
    packet: &'p [u8],
    at: usize,
}

impl<'p> Cursor<'p> {
    fn take(&mut self, length: usize) -> Result<&'p [u8], Code> {
        let taken = self.packet.get(self.at..self.at + length).ok_or(Code::FormErr)?;
        self.at += length;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Code> {
        match self.take(2)? {
            &[high, low] => Ok(u16::from_be_bytes([high, low])),
            _ => Err(Code::FormErr),
        }
    }

    fn length(&mut self) -> Result<u8, Code> {
        self.take(1)?.first().copied().ok_or(Code::FormErr)
    }

    /// A name in full: nothing stands before a question that it could point to.
    fn name(&mut self) -> Result<Name, Code> {
        let mut name = Name::EMPTY;
        loop {
            let length = self.length()?;
            let end = name.len + 1 + usize::from(length);
            if length > 63 || end > NAME_MAX {
                return Err(Code::FormErr);
            }
            name.bytes[name.len] = length;
            for (to, from) in name.bytes[name.len + 1..end].iter_mut().zip(self.take(length.into())?) {
                *to = from.to_ascii_lowercase();
            }
            name.len = end;
            if length == 0 {
                return Ok(name);
            }
        }
    }

    /// Passes over a record's name, which may end in a pointer; whether it is the root.
    fn owner(&mut self) -> Result<bool, Code> {
        let began = self.at;
        loop {
            match self.length()? {
                0 => return Ok(self.at == began + 1),
                length @ 1..=63 => self.take(length.into())?,
                0xC0..=0xFF => {
                    self.take(1)?;
                    return Ok(false);
                }
                _ => return Err(Code::FormErr),
            };
            if self.at - began > NAME_MAX {
                return Err(Code::FormErr);
            }
        }
    }
}
