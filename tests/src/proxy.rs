//! What stands between a client and a lineage server, and is no friend of theirs.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::server::Server;

/// Stands between a client and the server; keeps what the client sends, and cuts connections after
/// a random number of bytes, in either direction.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts one that cuts none and has every answer wait.
    pub fn slow(server: &Server, delay: Duration) -> Self {
        Self::between(server, u64::MAX, delay)
    }

    /// Starts one. `cuts`: how many connections are cut before it leaves them whole; `u64::MAX` cuts none.
    pub fn start(server: &Server, cuts: u64) -> Self {
        Self::between(server, cuts, Duration::ZERO)
    }

    fn between(server: &Server, cuts: u64, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let proxy = Self {
            port,
            sent: Arc::default(),
            cuts: Arc::default(),
        };
        let (target, sent, made) = (server.port(), proxy.sent.clone(), proxy.cuts.clone());
        std::thread::spawn(move || {
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            for (number, client) in listener.incoming().flatten().enumerate() {
                // A small generator: the same cuts in every run.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let limit = if cuts == u64::MAX || made.load(Ordering::SeqCst) >= cuts {
                    u64::MAX
                } else if number % 4 != 3 {
                    seed % 9000
                } else {
                    // Room for the largest body, so that something arrives between the cuts.
                    50_000 + seed % 30_000
                };
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let left = Arc::new(AtomicU64::new(limit));
                let pairs = [
                    (client.try_clone(), upstream.try_clone(), Some(sent.clone())),
                    (upstream.try_clone(), client.try_clone(), None),
                ];
                for (from, to, kept) in pairs {
                    let (Ok(from), Ok(to)) = (from, to) else {
                        continue;
                    };
                    let (left, made) = (left.clone(), made.clone());
                    let delay = if kept.is_some() {
                        Duration::ZERO
                    } else {
                        delay
                    };
                    std::thread::spawn(move || {
                        if carry(from, to, &left, kept.as_deref(), delay) {
                            made.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            }
        });
        proxy
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What clients have sent so far.
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("no panic within").clone()
    }

    /// How many connections were cut so far.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Carries bytes until either side ends or the allowance is used up; then both are cut. Whether it
/// was the allowance.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    left: &AtomicU64,
    kept: Option<&Mutex<Vec<u8>>>,
    delay: Duration,
) -> bool {
    let mut buffer = [0; 1024];
    let mut cut = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        std::thread::sleep(delay);
        let allowance = left.load(Ordering::SeqCst);
        let allowed = allowance.min(count as u64);
        let part = &buffer[..usize::try_from(allowed).unwrap_or(count)];
        if let Some(kept) = kept {
            kept.lock()
                .expect("no panic within")
                .extend_from_slice(part);
        }
        if to.write_all(part).is_err() {
            break;
        }
        if allowance != u64::MAX && left.fetch_sub(allowed, Ordering::SeqCst) <= allowed {
            cut = true;
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    cut
}

/// A server that takes every connection and closes it at once.
#[derive(Debug)]
pub struct Deaf {
    port: u16,
    calls: Arc<AtomicU64>,
}

impl Deaf {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let calls: Arc<AtomicU64> = Arc::default();
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for _caller in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, calls }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often it was called since it was last asked.
    pub fn calls(&self) -> u64 {
        self.calls.swap(0, Ordering::SeqCst)
    }
}
