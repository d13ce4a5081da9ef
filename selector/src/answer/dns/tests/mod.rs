//! Messages in, messages out: every answer is read by hickory, which knows nothing of how it was written.
//!
//! - `answers`: what is answered to which question;
//! - `limits`: sizes, rates, cookies, and that strangers get no more than they are owed;
//! - `garbage`: whatever comes, nothing breaks, and what is answered is a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod garbage;
mod limits;

use hickory_proto::op::Message;

use super::{
    numbers::option,
    responder::Responder,
    trial::{Fixed, PEER, any_message, edge, exchange, server, three},
};

/// A question, built by hand so that it may break any rule.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) bytes: Vec<u8>,
    edns_at: Option<usize>,
}

impl Question {
    /// One question with RD.
    pub(super) fn new(name: &str, kind: u16) -> Question {
        let mut bytes = vec![0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        Question { bytes, edns_at: None }
    }

    /// With EDNS.
    pub(super) fn edns(mut self, size: u16) -> Question {
        self.bytes[11] = 1;
        self.bytes.extend([0, 0, 41]);
        self.bytes.extend(size.to_be_bytes());
        self.bytes.extend([0; 4]);
        self.edns_at = Some(self.bytes.len());
        self.bytes.extend([0, 0]);
        self
    }

    /// With an option of EDNS.
    pub(super) fn option(mut self, code: u16, value: &[u8]) -> Question {
        let at = self.edns_at.unwrap();
        self.bytes.extend(code.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        let length = (self.bytes.len() - at - 2) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// For the clients of an IPv4 network.
    pub(super) fn subnet(self, address: [u8; 4], source: u8) -> Question {
        let used = usize::from(source).div_ceil(8);
        let value = [&[0, 1, source, 0], &address[..used]].concat();
        let question = if self.edns_at.is_some() { self } else { self.edns(1232) };
        question.option(option::SUBNET, &value)
    }
}

/// Asks over UDP at a time; the bytes of the answer.
pub(super) fn ask_at(server: &Responder<Fixed>, question: &[u8], ms: u64) -> Option<Vec<u8>> {
    exchange(server, question, ms, false)
}

/// Asks over TCP.
pub(super) fn ask_tcp(server: &Responder<Fixed>, question: &Question) -> Message {
    Message::from_vec(&exchange(server, &question.bytes, 0, true).unwrap()).unwrap()
}

/// Asks over UDP.
pub(super) fn ask(server: &Responder<Fixed>, question: &Question) -> Message {
    Message::from_vec(&ask_at(server, &question.bytes, 0).unwrap()).unwrap()
}
