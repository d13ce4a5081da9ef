//! A thread that answers one UDP socket: takes what is there, answers it, sends it, until it is told to stop.

use std::{
    io,
    net::UdpSocket,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    batch::Batch,
    edges::Edges,
    responder::{Asker, Responder, Scratch},
    server::Clock,
};

/// How long a thread waits for questions before it looks whether it is to stop.
pub(super) const LOOK_UP: Duration = Duration::from_millis(100);

/// Pause after an error of the socket, so that a lasting one does not take the core.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers until `stop` is set.
pub(super) fn run<E: Edges>(
    socket: &UdpSocket,
    responder: &Arc<Responder<E>>,
    clock: &Clock,
    stop: &AtomicBool,
) {
    let mut batch = Batch::new();
    let mut scratch = Scratch::default();
    let mut failing = false;
    while !stop.load(Ordering::Relaxed) {
        match batch.receive(socket.as_fd()) {
            Ok(_) => {
                failing = false;
                let now = clock.now();
                batch.each(|packet, ip, out| {
                    responder.respond(packet, Asker { ip, tcp: false }, now, out, &mut scratch)
                });
                batch.send(socket.as_fd());
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                _ => {
                    // Once per outage: a broken socket fails as fast as it is asked.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "DNS over UDP cannot be received; trying on");
                    }
                    thread::sleep(PAUSE);
                }
            },
        }
    }
}
