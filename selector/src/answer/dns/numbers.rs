//! Numbers of DNS as IANA registers them, as far as they are used here.

/// Length of a message's header (RFC 1035 section 4.1.1).
pub(super) const HEADER: usize = 12;

/// Longest name on the wire, its root label included (RFC 1035 section 2.3.4).
pub(super) const NAME_MAX: usize = 255;

/// Largest answer over UDP: what passes everywhere without being fragmented (DNS flag day 2020), and what the OPT
/// record announces.
pub(super) const UDP_MAX: usize = 1232;

/// Largest answer over UDP to one who does not speak EDNS (RFC 1035 section 2.3.4).
pub(super) const PLAIN_MAX: usize = 512;

/// Where the question's name stands in a message, as a compression pointer (RFC 1035 section 4.1.4).
pub(super) const QUESTION_NAME: u16 = 0xC00C;

/// Types of records.
pub(super) mod kind {
    pub(in super::super) const A: u16 = 1;
    pub(in super::super) const NS: u16 = 2;
    pub(in super::super) const SOA: u16 = 6;
    pub(in super::super) const HINFO: u16 = 13;
    pub(in super::super) const AAAA: u16 = 28;
    pub(in super::super) const OPT: u16 = 41;
    pub(in super::super) const HTTPS: u16 = 65;
    pub(in super::super) const IXFR: u16 = 251;
    pub(in super::super) const AXFR: u16 = 252;
    pub(in super::super) const ANY: u16 = 255;
}

/// The class of the Internet.
pub(super) const IN: u16 = 1;

/// Options of EDNS.
pub(super) mod option {
    /// RFC 7871.
    pub(in super::super) const SUBNET: u16 = 8;
    /// RFC 7873.
    pub(in super::super) const COOKIE: u16 = 10;
}

/// What an answer says of itself (RCODE; those above 15 need EDNS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// There is an answer, or the name has no record of that type.
    NoError,
    /// The question cannot be read.
    FormErr,
    /// No edge can be named.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// An operation other than a query.
    NotImp,
    /// Not from here.
    Refused,
    /// An EDNS version that is not known.
    BadVers,
}

impl Code {
    /// All of them, for metrics.
    pub(super) const ALL: [Code; 7] = [
        Code::NoError,
        Code::FormErr,
        Code::ServFail,
        Code::NxDomain,
        Code::NotImp,
        Code::Refused,
        Code::BadVers,
    ];

    /// Its number.
    pub(super) fn number(self) -> u16 {
        match self {
            Code::NoError => 0,
            Code::FormErr => 1,
            Code::ServFail => 2,
            Code::NxDomain => 3,
            Code::NotImp => 4,
            Code::Refused => 5,
            Code::BadVers => 16,
        }
    }

    /// As it stands in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Code::NoError => "noerror",
            Code::FormErr => "formerr",
            Code::ServFail => "servfail",
            Code::NxDomain => "nxdomain",
            Code::NotImp => "notimp",
            Code::Refused => "refused",
            Code::BadVers => "badvers",
        }
    }
}
