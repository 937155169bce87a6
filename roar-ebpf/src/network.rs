//! Network: the endpoints that a process contacts, and what name servers answered it.
//!
//! A stream's other end is known from its socket once a connect has begun. A datagram socket's
//! connect sends nothing (resolvers only ask so for the way), so there it is the sending that
//! counts. Bytes on a stream are not looked at again.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use roar_common::{ANSWER_MAX, AnswerBody, ContactBody, RecordHeader, access, class, kind, lost};

use crate::emit::{count, put, scratch, send};
use crate::file::{ANSWERED, SENT, mix};
use crate::handler::{Call, task};
use crate::kernel::{field, peek_user, seldom_file_of};
use crate::maps::{SEEN, SEEN_SLOTS, layout};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;

/// The port of name servers, in network order.
const NAME_SERVICE: u16 = 53_u16.to_be();

const HEADER: usize = size_of::<RecordHeader>();

/// What the handler of the network does.
#[inline(always)]
pub(crate) fn handle(call: &Call) {
    let [a, b, _, _, e, result] = call.with;
    if call.task == task::CONTACTED {
        roar_contact(a, 0, b);
        return;
    }
    if call.task == task::ANSWERED {
        roar_answer(a, b, 0);
        return;
    }
    match call.task as u8 {
        // A connection was made, or begun.
        class::CONNECT => {
            roar_contact(seldom_file_of(a as i32), 0, 1);
        }
        // An address of the process's memory says where to, 0 the connected end.
        class::SENDTO => {
            roar_contact(seldom_file_of(a as i32), e, 0);
        }
        class::SENDMSG => {
            roar_contact(seldom_file_of(a as i32), peek_user(b), 0);
        }
        class::RECVFROM => {
            roar_answer(b, result, e);
        }
        // A struct msghdr: sender's address, its length, then pieces, of which the first begins
        // with its address.
        class::RECVMSG => {
            let sender: u64 = peek_user(b);
            if sender != 0 {
                let pieces: u64 = peek_user(b + 16);
                roar_answer(peek_user(pieces), result, sender);
            }
        }
        _ => {}
    }
}

/// What an access through a socket may be news for.
#[inline(always)]
pub(crate) fn news(file: u64, access: u8) -> u64 {
    let socket: u64 = field(file, layout!(network.file_private));
    match access {
        access::WRITTEN if field::<u16>(socket, layout!(network.socket_type)) != SOCK_STREAM => {
            SENT
        }
        access::READ => {
            let sock: u64 = field(socket, layout!(network.socket_sock));
            let port: u16 = field(sock, layout!(network.sock_port));
            if port == NAME_SERVICE { ANSWERED } else { 0 }
        }
        _ => 0,
    }
}

/// Something was sent to `address`, 0 for the connected end; or a connection was made. A global
/// function, so that the verifier walks it once.
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
    if send(kind::CONTACT, 0, len, lost::NETWORK) {
        // SAFETY: as above.
        unsafe { *slot = fingerprint };
    }
}

/// Bytes came in: those of a name server go to the user side. `sender` is where its address is, 0
/// when it is known to be one. A global function, so that the
/// verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_answer(from: u64, length: u64, sender: u64) -> u64 {
    if sender != 0 {
        let [family, port]: [u16; 2] = peek_user(sender);
        if (family != AF_INET && family != AF_INET6) || port != NAME_SERVICE {
            return 0;
        }
    }
    if from == 0 || length == 0 {
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
    send(kind::ANSWER, 0, len, lost::NETWORK);
    0
}
