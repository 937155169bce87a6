//! Network: the endpoints that a process contacts, and what name servers answered it.
//!
//! A stream's other end is known from its socket once a connect has begun. A datagram socket's
//! connect sends nothing (resolvers only ask so for the way), so there it is the sending that
//! counts. Bytes on a stream are not looked at again.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use roar_common::{ANSWER_MAX, AnswerBody, ContactBody, RecordHeader, kind, lost};

use crate::emit::{count, put, scratch, send};
use crate::file::mix;
use crate::kernel::{field, file_of, peek_user};
use crate::maps::{SEEN, SEEN_SLOTS, layout};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;

/// The port of name servers, in network order.
const NAME_SERVICE: u16 = 53_u16.to_be();

const HEADER: usize = size_of::<RecordHeader>();

/// A connection was made, or begun.
#[inline(always)]
pub(crate) fn connected(descriptor: i32) {
    contacted(file_of(descriptor), 0, true);
}

/// Something was sent; `address` of the process's memory says where to, 0 for the connected end.
#[inline(always)]
pub(crate) fn sent(descriptor: i32, address: u64) {
    contacted(file_of(descriptor), address, false);
}

/// As above, for an open file.
#[inline(always)]
pub(crate) fn contacted(file: u64, address: u64, connects: bool) {
    roar_contact(file, address, u64::from(connects));
}

/// A global function, so that the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_contact(file: u64, address: u64, connects: u64) -> u64 {
    let inode: u64 = field(file, layout!(file_inode));
    let mode: u16 = field(inode, layout!(inode_mode));
    if mode & S_IFMT != S_IFSOCK {
        return 0;
    }
    let socket: u64 = field(file, layout!(network.file_private));
    let socket_type: u16 = field(socket, layout!(network.socket_type));
    if (connects != 0) != (socket_type == SOCK_STREAM) && address == 0 {
        return 0;
    }
    let mut end = ContactBody {
        address: [0; 16],
        family: 0,
        port: 0,
        socket_type,
        padding: 0,
    };
    if address != 0 {
        // struct sockaddr_in and sockaddr_in6: family, port; then the address, or (after four
        // bytes) the longer address.
        [end.family, end.port] = peek_user(address);
        if end.family == AF_INET {
            let [a, b, c, d]: [u8; 4] = peek_user(address + 4);
            [
                end.address[0],
                end.address[1],
                end.address[2],
                end.address[3],
            ] = [a, b, c, d];
        } else {
            end.address = peek_user(address + 8);
        }
    } else {
        let sock: u64 = field(socket, layout!(network.socket_sock));
        end.family = field(sock, layout!(network.sock_family));
        end.port = field(sock, layout!(network.sock_port));
        if end.family == AF_INET {
            let [a, b, c, d]: [u8; 4] = field(sock, layout!(network.sock_ipv4));
            [
                end.address[0],
                end.address[1],
                end.address[2],
                end.address[3],
            ] = [a, b, c, d];
        } else {
            end.address = field(sock, layout!(network.sock_ipv6));
        }
    }
    if end.family == AF_INET || end.family == AF_INET6 {
        report(&end);
    }
    0
}

/// Reports an endpoint, unless this process has reported it before.
#[inline(always)]
fn report(end: &ContactBody) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = end.address;
    let first = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    let last = u64::from_ne_bytes([i, j, k, l, m, n, o, p]);
    // SAFETY: a helper without arguments.
    let process = unsafe { bpf_get_current_pid_tgid() } >> 32;
    let kind_of_end = u64::from(end.port) | u64::from(end.socket_type) << 16 | 1 << 63;
    let mut fingerprint = mix(kind_of_end ^ (process << 32));
    fingerprint = mix(mix(fingerprint ^ first) ^ last);
    let Some(slot) = SEEN.get_ptr_mut(fingerprint as u32 & (SEEN_SLOTS - 1)) else {
        return;
    };
    // SAFETY: a slot of the array; a torn or lost update only repeats a record.
    if unsafe { *slot } == fingerprint {
        return;
    }
    let Some(buffer) = scratch() else { return };
    put(buffer, HEADER, *end);
    let len = HEADER + size_of::<ContactBody>();
    if send(buffer, kind::CONTACT, 0, len, lost::NETWORK) {
        // SAFETY: as above.
        unsafe { *slot = fingerprint };
    }
}

/// Bytes came in: those of a name server go to the user side. Resolvers ask who sent them, for
/// their own safety; who does not ask is not looked at.
#[inline(always)]
pub(crate) fn received(buffer: u64, length: u64, sender: u64) {
    if sender != 0 {
        roar_answer(buffer, length, sender);
    }
}

/// As above, through a `struct msghdr`: sender's address, its length, then pieces, of which the
/// first begins with its address.
#[inline(always)]
pub(crate) fn message_received(message: u64, length: u64) {
    let sender: u64 = peek_user(message);
    if sender != 0 {
        let pieces: u64 = peek_user(message + 16);
        roar_answer(peek_user(pieces), length, sender);
    }
}

/// A global function, so that the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_answer(from: u64, length: u64, sender: u64) -> u64 {
    let [family, port]: [u16; 2] = peek_user(sender);
    if (family != AF_INET && family != AF_INET6) || port != NAME_SERVICE || length == 0 {
        return 0;
    }
    let length = if length > ANSWER_MAX as u64 {
        ANSWER_MAX as u64
    } else {
        length
    };
    let Some(buffer) = scratch() else { return 0 };
    let body = AnswerBody {
        len: length as u32,
        padding: 0,
    };
    put(buffer, HEADER, body);
    let start = HEADER + size_of::<AnswerBody>();
    // SAFETY: the length was checked, and the buffer is far longer.
    let result =
        unsafe { bpf_probe_read_user(buffer.add(start).cast(), length as u32, from as *const _) };
    if result != 0 {
        count(lost::NETWORK);
        return 0;
    }
    let len = start + length as usize;
    send(buffer, kind::ANSWER, 0, len, lost::NETWORK);
    0
}
