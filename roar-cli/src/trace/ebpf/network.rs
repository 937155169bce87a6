//! Records of the network into events: endpoints, and what name servers answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag};

use super::decode::ContactRecord;
use crate::event::EventKind;
use crate::model::Protocol;

/// The event of a contact.
pub(super) fn contacted(contact: &ContactRecord) -> Option<EventKind> {
    let [a, b, c, d, ..] = contact.address;
    let address = match i32::from(contact.family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(contact.address)),
        _ => return None,
    };
    Some(EventKind::Contacted {
        address,
        port: contact.port,
        protocol: match i32::from(contact.socket_type) {
            libc::SOCK_STREAM => Protocol::Tcp,
            libc::SOCK_DGRAM => Protocol::Udp,
            _ => Protocol::Other,
        },
    })
}

/// The event of an answer: the name that was asked for, however many aliases lie between, and its
/// addresses. None for what is no such answer; anybody may send bytes from that port.
pub(super) fn resolved(message: &[u8]) -> Option<EventKind> {
    // On a stream its length comes first: two bytes, which resolvers read with it or before it.
    let behind_length = || {
        let (length, rest) = message.split_first_chunk()?;
        (usize::from(u16::from_be_bytes(*length)) == rest.len()).then_some(rest)
    };
    answered(message).or_else(|| answered(behind_length()?))
}

fn answered(message: &[u8]) -> Option<EventKind> {
    let packet = Packet::parse(message).ok()?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let name = packet.questions.first()?.qname.to_string();
    let addresses: Vec<IpAddr> = packet
        .answers
        .iter()
        .filter_map(|answer| match &answer.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
            _ => None,
        })
        .collect();
    (!addresses.is_empty()).then_some(EventKind::Resolved { name, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hub.example`, an alias of `cdn.example`, which has two addresses.
    const ANSWER: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00\
        \x03hub\x07example\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03cdn\xc0\x10\
        \xc0\x29\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x05\
        \xc0\x29\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x06";

    #[test]
    fn an_alias_counts_for_the_name_that_was_asked() {
        let expected = EventKind::Resolved {
            name: "hub.example".to_owned(),
            addresses: vec![
                Ipv4Addr::new(203, 0, 113, 5).into(),
                Ipv4Addr::new(203, 0, 113, 6).into(),
            ],
        };
        assert_eq!(resolved(ANSWER).as_ref(), Some(&expected));
        for cut in 0..ANSWER.len() {
            assert_eq!(resolved(&ANSWER[..cut]), None, "{cut}");
        }
        let length = (ANSWER.len() as u16).to_be_bytes();
        assert_eq!(resolved(&[&length, ANSWER].concat()), Some(expected));
        let mut question = ANSWER.to_vec();
        question[2] = 1;
        assert_eq!(resolved(&question), None);
    }
}
