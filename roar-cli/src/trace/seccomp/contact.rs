//! Endpoints of the network: what a connect or a sendto is about to reach. Whether it gets there
//! is not seen, nor what name servers answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::SocketType;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use super::memory::{Memory, Unread};
use super::supervisor::{Supervisor, Work};
use super::tasks::Task;
use crate::event::EventKind;
use crate::model::Protocol;

impl Supervisor {
    /// A socket is about to be connected to an address, or to send to it.
    pub(super) fn contact(
        &mut self,
        work: &mut Work<'_>,
        socket: i32,
        address: u64,
        connects: bool,
    ) -> Result<(), Unread> {
        let Some((address, port)) = endpoint(&mut work.memory, address)? else {
            return Ok(());
        };
        let protocol = protocol(&work.task, socket);
        // The connect of a datagram socket sends nothing.
        let is_contact = !connects || protocol != Protocol::Udp;
        if is_contact && self.release(work) {
            let kind = EventKind::Contacted {
                address,
                port,
                protocol,
            };
            self.emit(work.task.process, kind);
        }
        Ok(())
    }
}

/// Address and port of a `struct sockaddr`; none for other families than the internet's.
fn endpoint(memory: &mut Memory, at: u64) -> Result<Option<(IpAddr, u16)>, Unread> {
    let family = memory.word(at, 2)? as i32;
    if family != libc::AF_INET && family != libc::AF_INET6 {
        return Ok(None);
    }
    // In network order from here on; words come in the order of little-endian machines.
    let port = (memory.word(at.wrapping_add(2), 2)? as u16).swap_bytes();
    let address = if family == libc::AF_INET {
        let address = memory.word(at.wrapping_add(4), 4)? as u32;
        IpAddr::V4(Ipv4Addr::from(address.to_le_bytes()))
    } else {
        let first = u128::from(memory.word(at.wrapping_add(8), 8)?);
        let last = u128::from(memory.word(at.wrapping_add(16), 8)?);
        IpAddr::V6(Ipv6Addr::from((last << 64 | first).to_le_bytes()))
    };
    Ok(Some((address, port)))
}

/// What kind of socket a descriptor of the process is.
fn protocol(task: &Task, socket: i32) -> Protocol {
    let kind = Pid::from_raw(task.process as i32).and_then(|process| {
        let process = rustix::process::pidfd_open(process, PidfdFlags::empty()).ok()?;
        let copy = rustix::process::pidfd_getfd(process, socket, PidfdGetfdFlags::empty()).ok()?;
        rustix::net::sockopt::socket_type(copy).ok()
    });
    match kind {
        Some(SocketType::STREAM) => Protocol::Tcp,
        Some(SocketType::DGRAM) => Protocol::Udp,
        _ => Protocol::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_memory() {
        let of = |bytes: &[u8]| {
            let mut own = Memory::of(std::process::id());
            endpoint(&mut own, bytes.as_ptr() as u64)
                .map(|end| end.map(|(a, p)| format!("{a} {p}")))
        };
        let text = |text: &str| Ok(Some(text.to_owned()));
        let mut v4 = vec![2, 0, 0x1f, 0x90, 203, 0, 113, 5];
        v4.extend([0; 8]);
        assert_eq!(of(&v4), text("203.0.113.5 8080"));
        let mut v6 = vec![10, 0, 0x01, 0xbb, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8];
        v6.extend([0; 11]);
        v6.extend([1, 0, 0, 0, 0]);
        assert_eq!(of(&v6), text("2001:db8::1 443"));
        assert_eq!(of(b"\x01\x00/run/socket"), Ok(None));
        assert_eq!(
            endpoint(&mut Memory::of(std::process::id()), 8),
            Err(Unread::Call)
        );
    }
}
