//! A wide-area network that one process plays: hosts in network namespaces of their own, whose only way out is a
//! TUN device that this process holds. Every packet between two hosts passes here, so a link can have any delay
//! and can be cut, one way or both, without a word to either side: what a broken route looks like.
//!
//! This kernel's own means would be `netem`, which many do not have.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::ioctl::{Setter, ioctl};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// Packets that may be under way on one link; a router drops what is more.
const QUEUE: usize = 4096;

/// Largest packet: the devices' MTU is 1500.
const PACKET: usize = 2048;

/// Hosts and the network between them. Dropping it removes all of it.
pub(crate) struct Cloud {
    hosts: Vec<Host>,
    links: Links,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// One host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The name of its namespace.
    pub(crate) namespace: String,
    /// Its only address besides the loopback.
    pub(crate) address: Ipv4Addr,
}

/// What is between two hosts, by the indices of sender and receiver; nothing special where nothing stands.
type Links = Arc<Mutex<HashMap<(usize, usize), Link>>>;

#[derive(Clone, Copy, Default)]
struct Link {
    delay: Duration,
    cut: bool,
}

impl Cloud {
    /// Makes the hosts with these names and joins them. It needs root and `/dev/net/tun`.
    pub(crate) fn of(names: &[&str]) -> Cloud {
        sweep();
        let named = |(n, name): (usize, &&str)| Host {
            namespace: format!("kromka-{}-{name}", std::process::id()),
            // A network of its own, so that each host is a client network of its own.
            address: Ipv4Addr::new(10, 77, u8::try_from(n + 1).unwrap(), 1),
        };
        let hosts: Vec<Host> = names.iter().enumerate().map(named).collect();
        let mut cloud = Cloud { hosts, links: Links::default(), stop: None, thread: None };
        let devices: Vec<File> = cloud.hosts.iter().map(Host::make).collect();
        let addresses: Vec<Ipv4Addr> = cloud.hosts.iter().map(|host| host.address).collect();
        let (stop, stopped) = oneshot::channel();
        let links = Arc::clone(&cloud.links);
        cloud.stop = Some(stop);
        cloud.thread = Some(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                carry(devices, addresses, links);
                let _ = stopped.await;
            });
        }));
        cloud
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        &self.hosts[self.index(name)]
    }

    fn index(&self, name: &str) -> usize {
        let end = format!("-{name}");
        let found = self.hosts.iter().position(|host| host.namespace.ends_with(&end));
        found.unwrap_or_else(|| panic!("no host is called {name}"))
    }

    /// Puts two hosts so far apart: the round trip between them, half of it each way.
    pub(crate) fn round_trip(&self, one: &str, other: &str, time: Duration) {
        self.both(one, other, |link| link.delay = time / 2);
    }

    /// Loses everything that `from` sends to `to`; the other way stays open.
    pub(crate) fn cut(&self, from: &str, to: &str) {
        self.change(from, to, |link| link.cut = true);
    }

    /// Loses everything between two hosts.
    pub(crate) fn part(&self, one: &str, other: &str) {
        self.both(one, other, |link| link.cut = true);
    }

    /// Loses nothing between two hosts any more.
    pub(crate) fn heal(&self, one: &str, other: &str) {
        self.both(one, other, |link| link.cut = false);
    }

    fn both(&self, one: &str, other: &str, change: impl Fn(&mut Link)) {
        self.change(one, other, &change);
        self.change(other, one, &change);
    }

    fn change(&self, from: &str, to: &str, change: impl Fn(&mut Link)) {
        let link = (self.index(from), self.index(to));
        change(self.links.lock().unwrap().entry(link).or_default());
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for host in &self.hosts {
            let _ = Command::new("ip").args(["netns", "del", &host.namespace]).status();
        }
    }
}

impl Host {
    /// A command that runs on this host.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Takes the calling thread onto this host: what it and the threads it starts connect to is seen from here.
    pub(crate) fn enter(&self) {
        let namespace = File::open(PathBuf::from("/run/netns").join(&self.namespace)).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Makes the namespace with its device, and opens the device.
    fn make(&self) -> File {
        ip(&["netns", "add", &self.namespace]);
        let address = format!("{}/16", self.address);
        for words in [
            &["link", "set", "lo", "up"][..],
            &["tuntap", "add", "dev", "wan", "mode", "tun"],
            &["address", "add", &address, "dev", "wan"],
            &["link", "set", "wan", "up"],
        ] {
            ip(&[&["-n", self.namespace.as_str()][..], words].concat());
        }
        let host = self.clone();
        std::thread::spawn(move || host.open()).join().unwrap()
    }

    #[allow(unsafe_code)]
    fn open(&self) -> File {
        /// `struct ifreq` of netdevice(7): a name, flags, and room for what else it may hold.
        #[repr(C)]
        struct Request {
            name: [u8; 16],
            flags: u16,
            rest: [u8; 22],
        }
        const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
        /// IFF_TUN | IFF_NO_PI: bare IP packets.
        const FLAGS: u16 = 0x0001 | 0x1000;
        self.enter();
        let device = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
        request.name[..3].copy_from_slice(b"wan");
        // SAFETY: TUNSETIFF takes a pointer to a `struct ifreq`, which `Request` has the layout of.
        unsafe { ioctl(&device, Setter::<TUNSETIFF, Request>::new(request)) }.unwrap();
        rustix::io::ioctl_fionbio(&device, true).unwrap();
        device
    }
}

/// Starts what carries packets between the devices until the runtime ends.
fn carry(devices: Vec<File>, addresses: Vec<Ipv4Addr>, links: Links) {
    let devices: Vec<_> = devices.into_iter().map(watched).collect();
    for from in 0..devices.len() {
        // A queue of its own for each link, so that packets of one link keep their order.
        let ways: Vec<_> = devices.iter().map(|to| deliver(Arc::clone(to))).collect();
        let (device, addresses, links) = (Arc::clone(&devices[from]), addresses.clone(), Arc::clone(&links));
        tokio::spawn(async move {
            let mut packet = [0; PACKET];
            loop {
                let Ok(mut ready) = device.readable().await else { return };
                let read = match ready.try_io(|device| device.get_ref().read(&mut packet)) {
                    Ok(Ok(read)) => read,
                    Ok(Err(_)) => return,
                    Err(_) => continue,
                };
                // The receiver's address stands at 16..20 of an IPv4 header (RFC 791 §3.1).
                let Some(to) = packet[..read].get(16..20).filter(|_| packet[0] >> 4 == 4) else { continue };
                let to = Ipv4Addr::new(to[0], to[1], to[2], to[3]);
                let Some(to) = addresses.iter().position(|address| *address == to) else { continue };
                let link = links.lock().unwrap().get(&(from, to)).copied().unwrap_or_default();
                if !link.cut {
                    // A full queue drops the packet, as a router would.
                    let _ = ways[to].try_send((Instant::now() + link.delay, packet[..read].to_vec()));
                }
            }
        });
    }
}

#[allow(unsafe_code)]
fn watched(device: File) -> Arc<AsyncFd<File>> {
    // SAFETY: a `File` keeps one descriptor open for as long as it lives, and nobody takes it out.
    Arc::new(unsafe { AsyncFd::register(device) }.unwrap())
}

/// A way to one device, which hands packets over when they are due.
fn deliver(device: Arc<AsyncFd<File>>) -> mpsc::Sender<(Instant, Vec<u8>)> {
    let (sender, mut packets) = mpsc::channel::<(Instant, Vec<u8>)>(QUEUE);
    tokio::spawn(async move {
        while let Some((due, packet)) = packets.recv().await {
            sleep_until(due).await;
            loop {
                match device.get_ref().write(&packet) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        let Ok(mut ready) = device.writable().await else { return };
                        ready.clear_ready();
                    }
                    // The host may be gone; then nobody waits for the packet.
                    _ => break,
                }
            }
        }
    });
    sender
}

/// Removes the hosts of scenarios whose process was killed before it could.
fn sweep() {
    let Ok(namespaces) = std::fs::read_dir("/run/netns") else { return };
    for namespace in namespaces.flatten() {
        let name = namespace.file_name().to_string_lossy().into_owned();
        let Some((process, _)) = name.strip_prefix("kromka-").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        if process.parse::<u32>().is_ok() && !PathBuf::from("/proc").join(process).exists() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap_or_else(|error| panic!("ip: {error}"));
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}
