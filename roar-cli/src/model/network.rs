//! What a job talked to over the network.

use core::net::IpAddr;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The endpoints that a job contacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Each once, in their order.
    pub endpoints: Vec<Endpoint>,
    /// How many more there were than a record lists.
    pub unlisted: u64,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 where the protocol has none.
    pub port: u16,
    /// How it was spoken to.
    pub protocol: Protocol,
    /// The names that the job looked up and that stand for this address; none where no
    /// resolver was seen.
    #[serde(default)]
    pub names: Vec<String>,
}

impl Endpoint {
    /// Whether it is this very machine.
    pub fn is_local(&self) -> bool {
        self.address.is_loopback() || self.address.is_unspecified()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port)?,
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port)?,
        }
        match self.protocol {
            Protocol::Tcp => Ok(()),
            protocol => write!(f, "/{protocol}"),
        }
    }
}

/// How an endpoint was spoken to, as far as the kind of socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
    /// Something else.
    Other,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Other => "other",
        })
    }
}
