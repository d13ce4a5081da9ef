//! Many datagrams with one system call (recvmmsg(2), sendmmsg(2)), and each answered from the address it was sent to.
//!
//! No library that is at hand receives many datagrams at once together with their destination, so this speaks to
//! libc itself; it is the one file of the selector that does. All memory that the kernel is shown belongs to the
//! batch and is pointed to anew before each call.

use std::{
    io,
    mem::{MaybeUninit, size_of},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use super::numbers::UDP_MAX;

/// Datagrams at once: beyond it the saving is small, and the first one waits for the last.
const BATCH: usize = 32;

/// Longest question; one that is longer is cut by the kernel and not answered.
const QUERY_MAX: usize = 1232;

/// Room for the one control message that is asked for, the larger kind of two.
#[repr(C, align(8))]
struct Control([u8; 64]);

struct Slot {
    peer: libc::sockaddr_storage,
    control: Control,
    query: [u8; QUERY_MAX],
    answer: [u8; UDP_MAX],
    iov: libc::iovec,
    answered: usize,
}

/// Room for a batch of questions and their answers.
pub(super) struct Batch {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    received: usize,
}

// SAFETY: the pointers within point to memory of this batch, and are written anew before each use.
#[allow(unsafe_code)]
unsafe impl Send for Batch {}

/// A value of a C structure in which all bytes are 0.
#[allow(unsafe_code)]
fn zeroed<T: Zero>() -> T {
    // SAFETY: `Zero` is implemented only for structures of integers and raw pointers, for which zeros are valid.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

trait Zero {}
impl Zero for libc::sockaddr_storage {}
impl Zero for libc::mmsghdr {}

impl Batch {
    /// Takes a hundred kilobytes.
    pub(super) fn new() -> Batch {
        let slot = |_| Slot {
            peer: zeroed(),
            control: Control([0; 64]),
            query: [0; QUERY_MAX],
            answer: [0; UDP_MAX],
            iov: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            answered: 0,
        };
        let headers = (0..BATCH).map(|_| zeroed()).collect();
        Batch { slots: (0..BATCH).map(slot).collect(), headers, received: 0 }
    }

    /// Waits for one datagram at least, as long as the socket's own time limit, and takes what else is there.
    ///
    /// # Errors
    /// The system's; that nothing came in time is one of them.
    #[allow(unsafe_code)]
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received = 0;
        for (slot, header) in self.slots.iter_mut().zip(&mut self.headers) {
            slot.iov = libc::iovec { iov_base: slot.query.as_mut_ptr().cast(), iov_len: QUERY_MAX };
            header.msg_len = 0;
            header.msg_hdr.msg_name = ptr::from_mut(&mut slot.peer).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &mut slot.iov;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = slot.control.0.len() as _;
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: each header points to memory of its own slot, with its length; nothing else touches the slots
        // during the call, and the kernel keeps no pointer after it.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        self.received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?.min(BATCH);
        Ok(self.received)
    }

    /// Lets `answer` write an answer to each question that came; it returns its length, 0 for none.
    pub(super) fn each(&mut self, mut answer: impl FnMut(&[u8], IpAddr, &mut [u8]) -> usize) {
        for (slot, header) in self.slots.iter_mut().zip(&self.headers).take(self.received) {
            let length = (header.msg_len as usize).min(QUERY_MAX);
            let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            slot.answered = match (whole, peer(&slot.peer)) {
                (true, Some(peer)) => answer(&slot.query[..length], peer, &mut slot.answer).min(UDP_MAX),
                _ => 0,
            };
        }
    }

    /// Sends the answers. One that cannot be sent is dropped: its asker asks again.
    #[allow(unsafe_code)]
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) {
        let mut count = 0;
        for at in 0..self.received {
            let header = self.headers[at].msg_hdr;
            let slot = &mut self.slots[at];
            if slot.answered == 0 {
                continue;
            }
            // Back to where it came from, and from where it went to.
            let control = forget_interface(&mut slot.control, header.msg_controllen);
            slot.iov = libc::iovec { iov_base: slot.answer.as_mut_ptr().cast(), iov_len: slot.answered };
            let out = &mut self.headers[count];
            out.msg_len = 0;
            out.msg_hdr.msg_name = ptr::from_mut(&mut slot.peer).cast();
            out.msg_hdr.msg_namelen = header.msg_namelen;
            out.msg_hdr.msg_iov = &mut slot.iov;
            out.msg_hdr.msg_iovlen = 1;
            out.msg_hdr.msg_control =
                if control == 0 { ptr::null_mut() } else { slot.control.0.as_mut_ptr().cast() };
            out.msg_hdr.msg_controllen = control as _;
            out.msg_hdr.msg_flags = 0;
            count += 1;
        }
        self.received = 0;
        let mut sent = 0;
        while let Some(rest) = self.headers.get_mut(sent..count).filter(|rest| !rest.is_empty()) {
            // SAFETY: as in `receive`; the answers and addresses stay where they are until the call returns.
            let went = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            // An error is about the first one: it is passed over.
            sent += usize::try_from(went).unwrap_or(0).max(1);
        }
    }
}

/// Asks the kernel to say where each datagram was sent to: a socket of all addresses must answer from that one.
///
/// # Errors
/// The system's.
#[allow(unsafe_code)]
pub(super) fn tell_destination(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    let (level, name) = match v6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let on: libc::c_int = 1;
    // SAFETY: the value is an integer of that length, read during the call only.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The interface that a datagram came through need not be the one that leads back, so its number is set to 0 and
/// the address alone stays; but for link-local ones, which mean nothing without it. The length of what stays.
fn forget_interface(control: &mut Control, length: usize) -> usize {
    // A header (its length, level and type), then for IPv4 the number and two addresses, for IPv6 one address and
    // the number (ip(7), ipv6(7)).
    const HEAD: usize = size_of::<libc::cmsghdr>();
    let bytes = &mut control.0;
    let is = |level: libc::c_int, kind: libc::c_int, bytes: &[u8]| {
        bytes[HEAD - 8..HEAD - 4] == level.to_ne_bytes() && bytes[HEAD - 4..HEAD] == kind.to_ne_bytes()
    };
    if length >= HEAD + 12 && is(libc::IPPROTO_IP, libc::IP_PKTINFO, bytes) {
        bytes[HEAD..HEAD + 4].fill(0);
        length
    } else if length >= HEAD + 20 && is(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, bytes) {
        let link_local = bytes[HEAD] == 0xFE && bytes[HEAD + 1] & 0xC0 == 0x80;
        if !link_local {
            bytes[HEAD + 16..HEAD + 20].fill(0);
        }
        length
    } else {
        0
    }
}

/// The address in what the kernel wrote.
#[allow(unsafe_code)]
fn peer(storage: &libc::sockaddr_storage) -> Option<IpAddr> {
    let storage = ptr::from_ref(storage);
    // SAFETY: a `sockaddr_storage` is large enough and aligned for both, and the family says which one it is.
    unsafe {
        match libc::c_int::from((*storage).ss_family) {
            libc::AF_INET => {
                let v4 = &*storage.cast::<libc::sockaddr_in>();
                Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))))
            }
            libc::AF_INET6 => {
                let v6 = &*storage.cast::<libc::sockaddr_in6>();
                Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
            }
            _ => None,
        }
    }
}
