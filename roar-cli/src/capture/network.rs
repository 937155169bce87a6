//! Names of machines that the job looked up in a file instead of asking a name server.

use std::net::IpAddr;
use std::path::Path;

use super::packages::UsedFile;
use crate::model::Network;

/// The file (hosts(5)).
const HOSTS: &str = "/etc/hosts";

/// Gives endpoints the names that stand for them in the file, if the job read it.
pub fn name_from_hosts(network: &mut Network, files: &[UsedFile]) {
    let was_read = files.iter().any(|file| file.path == Path::new(HOSTS));
    if was_read && let Ok(text) = std::fs::read(HOSTS) {
        name(network, &String::from_utf8_lossy(&text));
    }
}

fn name(network: &mut Network, hosts: &str) {
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        // The first is the proper name; what follows are abbreviations of it.
        let Some(name) = words.next() else { continue };
        let remote = network.endpoints.iter_mut().filter(|end| !end.is_local());
        for end in remote.filter(|end| end.address == address) {
            if !end.names.iter().any(|known| known == name) {
                end.names.push(name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Protocol};

    #[test]
    fn proper_names_of_remote_machines() {
        let end = |address: &str| Endpoint {
            address: address.parse().expect("an address"),
            port: 1,
            protocol: Protocol::Tcp,
            names: Vec::new(),
        };
        let mut network = Network {
            endpoints: vec![end("192.0.2.7"), end("2001:db8::1"), end("127.0.0.1")],
            unlisted: 0,
        };
        name(
            &mut network,
            "127.0.0.1 localhost\n192.0.2.7\tstore.example store # the store\n#2001:db8::1 no\n\
             2001:db8::1 six\nbroken\n192.0.2.7 second\n",
        );
        let names: Vec<String> = network
            .endpoints
            .iter()
            .map(|e| e.names.join(","))
            .collect();
        assert_eq!(names, ["store.example,second", "six", ""]);
    }
}
