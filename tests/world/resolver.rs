//! A resolver that asks one server and reads what it says; hickory speaks for it, so that questions and answers are
//! made and read by somebody else's code.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::patience::within;

/// After this a question over UDP counts as not answered, as for any resolver.
const LOST: Duration = Duration::from_secs(2);

/// Asks one server.
#[derive(Clone, Copy)]
pub(crate) struct Resolver {
    server: SocketAddr,
}

/// A question of a type for a name.
pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(next_id(), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    message
}

/// The same for the clients of a network.
pub(crate) fn for_network(mut message: Message, network: &str, prefix: u8) -> Message {
    let subnet = ClientSubnet::new(network.parse().unwrap(), prefix, 0);
    with_option(&mut message, EdnsOption::Subnet(subnet));
    message
}

/// The same with a cookie.
pub(crate) fn with_cookie(mut message: Message, cookie: &[u8]) -> Message {
    with_option(&mut message, EdnsOption::Unknown(10, cookie.to_vec()));
    message
}

fn with_option(message: &mut Message, option: EdnsOption) {
    let edns = message.edns.get_or_insert_with(|| {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        edns
    });
    edns.options_mut().insert(option);
}

/// The network of an answer: its prefix, and for which one the answer holds.
pub(crate) fn scope(message: &Message) -> Option<(u8, u8)> {
    match message.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some((subnet.source_prefix(), subnet.scope_prefix())),
        _ => None,
    }
}

/// The cookie of an answer.
pub(crate) fn cookie(message: &Message) -> Option<Vec<u8>> {
    match message.edns.as_ref()?.option(EdnsCode::Cookie)? {
        EdnsOption::Unknown(_, cookie) => Some(cookie.clone()),
        _ => None,
    }
}

/// The addresses of an answer.
pub(crate) fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    message.answers.iter().filter_map(|record| address(&record.data)).collect()
}

impl Resolver {
    pub(crate) fn new(server: SocketAddr) -> Resolver {
        Resolver { server }
    }

    /// Asks over UDP; the answer must come.
    pub(crate) async fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.send(&question(name, kind)).await.unwrap_or_else(|| panic!("no answer for {name} {kind}"))
    }

    /// Sends a question over UDP; none if nothing comes back.
    pub(crate) async fn send(&self, message: &Message) -> Option<Message> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        socket.connect(self.server).await.unwrap();
        socket.send(&message.to_vec().unwrap()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let length = tokio::time::timeout(LOST, socket.recv(&mut buffer)).await.ok()?.unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.id, message.id);
        Some(answer)
    }

    /// Sends questions one behind the other over one TCP connection, then reads as many answers.
    pub(crate) async fn pipeline(&self, messages: &[Message]) -> Vec<Message> {
        within("answers over TCP", async {
            let mut stream = TcpStream::connect(self.server).await.unwrap();
            for message in messages {
                let bytes = message.to_vec().unwrap();
                stream.write_u16(bytes.len() as u16).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
            let mut answers = Vec::new();
            for _ in messages {
                let length = stream.read_u16().await.unwrap();
                let mut bytes = vec![0; length.into()];
                stream.read_exact(&mut bytes).await.unwrap();
                answers.push(Message::from_vec(&bytes).unwrap());
            }
            answers
        })
        .await
    }
}

/// Numbers that differ from question to question.
fn next_id() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
