//! The endpoints that a job contacted, with the names it looked up for them.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Endpoint, Network, Protocol};

/// A record lists this many endpoints; of further ones it has the number.
const MAX_ENDPOINTS: usize = 1000;

/// Addresses whose names are kept, and names of one address: no job is to fill the memory.
const MAX_NAMED: usize = 20_000;
const MAX_NAMES: usize = 8;

/// Collects endpoints and names.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    ends: BTreeSet<(IpAddr, u16, Protocol)>,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
}

impl Contacts {
    pub(super) fn contacted(&mut self, address: IpAddr, port: u16, protocol: Protocol) {
        self.ends.insert((address.to_canonical(), port, protocol));
    }

    pub(super) fn resolved(&mut self, name: &str, addresses: &[IpAddr]) {
        for address in addresses {
            let address = address.to_canonical();
            if self.names.len() >= MAX_NAMED && !self.names.contains_key(&address) {
                continue;
            }
            let names = self.names.entry(address).or_default();
            if names.len() < MAX_NAMES {
                names.insert(name.to_owned());
            }
        }
    }

    /// Remote ones first: those are what another machine lacks.
    pub(super) fn finish(self) -> Network {
        let mut endpoints: Vec<Endpoint> = self
            .ends
            .into_iter()
            .map(|(address, port, protocol)| Endpoint {
                address,
                port,
                protocol,
                names: self
                    .names
                    .get(&address)
                    .map(|names| names.iter().cloned().collect())
                    .unwrap_or_default(),
            })
            .collect();
        endpoints.sort_by_key(Endpoint::is_local);
        let unlisted = endpoints.len().saturating_sub(MAX_ENDPOINTS) as u64;
        endpoints.truncate(MAX_ENDPOINTS);
        Network {
            endpoints,
            unlisted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_their_names() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let mut contacts = Contacts::default();
        contacts.contacted(ip("127.0.0.1"), 5432, Protocol::Tcp);
        contacts.contacted(ip("::ffff:203.0.113.5"), 443, Protocol::Tcp);
        contacts.contacted(ip("203.0.113.5"), 443, Protocol::Tcp);
        contacts.contacted(ip("2001:db8::1"), 443, Protocol::Udp);
        // Asked for after the connection: the name is one of that address all the same.
        contacts.resolved("hub.example", &[ip("203.0.113.5"), ip("203.0.113.6")]);
        let network = contacts.finish();
        let shown: Vec<String> = network
            .endpoints
            .iter()
            .map(|end| format!("{end} {}", end.names.join(",")))
            .collect();
        assert_eq!(
            shown,
            [
                "203.0.113.5:443 hub.example",
                "[2001:db8::1]:443/udp ",
                "127.0.0.1:5432 "
            ]
        );
    }

    #[test]
    fn a_scanner_fills_no_record() {
        let mut contacts = Contacts::default();
        for port in 0..1200 {
            contacts.contacted([192, 0, 2, 1].into(), port, Protocol::Tcp);
        }
        let network = contacts.finish();
        assert_eq!((network.endpoints.len(), network.unlisted), (1000, 200));
    }
}
