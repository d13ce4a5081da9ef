//! Opens the sockets, starts the threads and tasks behind them, and ends them.

use std::{
    collections::BTreeSet,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::rand;
use kromka_config::DnsConfig;
use socket2::{Domain, Socket, Type};
use tokio::time::interval;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    batch::tell_destination,
    cookies::Cookies,
    counters::Counters,
    crowds::Crowds,
    edges::Fleet,
    rates::Rates,
    responder::{Now, Responder},
    tcp, udp,
    zones::Zones,
};
use crate::{app::App, error::StartError};

/// Bytes of questions that may wait in a UDP socket: a burst of some ten thousand.
const WAITING: usize = 4 << 20;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often a free port is looked for that is free for both UDP and TCP.
const TRIES: usize = 16;

/// How often it is looked at what the fleet is like.
const LOOK: Duration = Duration::from_secs(1);

/// Edges without an address that are remembered, so that each is warned about once.
const WARNED_MAX: usize = 1_024;

/// The time, as answers need it.
pub(super) struct Clock {
    began: Instant,
}

impl Clock {
    /// Now. The wall clock is read for cookies alone.
    pub(super) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { us: self.began.elapsed().as_micros() as u64, unix_s: unix.as_secs() as u32 }
    }
}

/// Open sockets that nobody answers yet.
pub(crate) struct Listening {
    places: Vec<Place>,
}

/// One address, over UDP (a socket for each thread) and TCP.
struct Place {
    addr: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

impl Listening {
    /// Opens all sockets of the configuration; none if there are none.
    ///
    /// # Errors
    /// [`StartError::Dns`]: which address cannot be had, and why.
    pub(crate) fn open(config: &DnsConfig) -> Result<Listening, StartError> {
        let places = config.listen.iter().map(|addr| {
            open(*addr, config.workers).map_err(|source| StartError::Dns {
                addr: *addr,
                hint: hint(&source),
                source,
            })
        });
        Ok(Listening { places: places.collect::<Result<_, _>>()? })
    }

    /// Answers at all of them with the edges that `app` ranks. `secret` is what all selectors share. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// A name of the configuration is none, a thread cannot be made.
    pub(crate) fn serve(
        self,
        config: &DnsConfig,
        app: Arc<App>,
        counters: Counters,
        secret: &str,
    ) -> Result<Serving, StartError> {
        let serial = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        let zones = Zones::new(&config.zone, &app.services, serial)
            .map_err(|error| StartError::Config(format!("dns: {error}")))?;
        let mut seed = [0; 8];
        rand::fill(&mut seed).map_err(|_| StartError::Config("dns: the system has no randomness".into()))?;
        let responder = Arc::new(Responder {
            zones,
            edges: Fleet { app, crowds: Crowds::new() },
            rates: Rates::new(config.rate, u64::from_ne_bytes(seed)),
            cookies: Cookies::new(secret),
            counters,
        });
        let mut serving = Serving {
            addrs: self.places.iter().map(|place| place.addr).collect(),
            stop: CancellationToken::new(),
            stopped: Arc::default(),
            tasks: TaskTracker::new(),
            threads: Vec::new(),
        };
        if serving.addrs.is_empty() {
            return Ok(serving);
        }
        let clock = Arc::new(Clock { began: Instant::now() });
        let room = Arc::new(tcp::Room::new(config.connections, config.connections_per_network));
        for place in self.places {
            for socket in place.udp {
                let (responder, clock) = (Arc::clone(&responder), Arc::clone(&clock));
                let stopped = Arc::clone(&serving.stopped);
                let thread = thread::Builder::new()
                    .name("dns".to_owned())
                    .spawn(move || udp::run(&socket, &responder, &clock, &stopped));
                let unmade =
                    |error| StartError::Config(format!("dns.workers: no thread can be made: {error}"));
                serving.threads.push(thread.map_err(unmade)?);
            }
            let listener = tokio::net::TcpListener::from_std(place.tcp)
                .map_err(|source| StartError::Dns { addr: place.addr, hint: hint(&source), source })?;
            serving.tasks.spawn(tcp::run(
                listener,
                Arc::clone(&responder),
                Arc::clone(&clock),
                Arc::clone(&room),
                *config.idle_timeout,
                serving.stop.clone(),
            ));
        }
        serving.tasks.spawn(look(responder, serving.stop.clone()));
        Ok(serving)
    }
}

/// DNS at work. Dropping it stops it; [`drain`](Self::drain) waits for that.
pub(crate) struct Serving {
    addrs: Vec<SocketAddr>,
    stop: CancellationToken,
    stopped: Arc<AtomicBool>,
    tasks: TaskTracker,
    threads: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Where it answers, over UDP and TCP.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Stops: askers turn to the zone's other servers.
    pub(crate) async fn drain(mut self) {
        self.halt();
        self.tasks.close();
        self.tasks.wait().await;
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.unwrap_or(1) > 0 {
            tracing::error!("a DNS thread ended badly");
        }
    }

    fn halt(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Keeps in view how much the fleet can serve, and says once of each edge that DNS cannot name it.
async fn look(responder: Arc<Responder<Fleet>>, stop: CancellationToken) {
    let mut ticks = interval(LOOK);
    let mut warned = BTreeSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let fleet = &responder.edges;
        let snapshot = fleet.app.roster.snapshot();
        let viewers = snapshot.edges().iter().map(|edge| (1.0 / edge.session_load.max(1e-9)) as u64);
        fleet.crowds.fleet(viewers.fold(0, u64::saturating_add));
        for edge in snapshot.edges() {
            let nameless = edge.reach.v4.is_none() && edge.reach.v6.is_none();
            if nameless && warned.len() < WARNED_MAX && warned.insert(edge.called.id.to_string()) {
                tracing::warn!(
                    edge = %edge.called.id, url = %edge.called.url,
                    "no address of this edge is known, so DNS does not answer with it: set its node.addresses"
                );
            }
        }
    }
}

fn open(addr: SocketAddr, workers: u32) -> io::Result<Place> {
    let mut tries = 0;
    loop {
        tries += 1;
        let first = datagrams(addr, workers > 1)?;
        let bound = first.local_addr()?;
        let tcp = match streams(bound) {
            // A free port of UDP need not be one of TCP.
            Err(error) if addr.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {
                continue;
            }
            tcp => tcp?,
        };
        let mut udp = vec![first];
        for _ in 1..workers {
            udp.push(datagrams(bound, true)?);
        }
        return Ok(Place { addr: bound, udp, tcp });
    }
}

fn datagrams(addr: SocketAddr, several: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    if several {
        socket.set_reuse_port(true)?;
    }
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if addr.ip().is_unspecified() {
        use std::os::fd::AsFd;
        tell_destination(socket.as_fd(), addr.is_ipv6())?;
    }
    // More than the system allows is cut to what it does.
    let _ = socket.set_recv_buffer_size(WAITING);
    socket.set_read_timeout(Some(udp::LOOK_UP))?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

fn streams(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities in a systemd unit)"
        }
        io::ErrorKind::AddrInUse => {
            "something else answers there: name one address instead of all, or stop it"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "see dns.listen",
    }
}
