//! What a job talks to: endpoints, and the names it looked up for them. In a network of the
//! command's own, with a name server and a hub of the test's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::workload::program::{self, Build};

/// A name server for one name, a hub that answers, and what a job does with both.
const JOB: &str = r#"
import os, socket, struct, subprocess, sys, threading

ADDRESSES = {"hub": 5, "go": 14, "read": 15, "receive": 16, "stream": 17, "parts": 18}

def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))

def answer(question):
    name_end = question.index(b"\0", 12) + 5
    kind = struct.unpack("!H", question[name_end - 4:name_end - 2])[0]
    asked = question[12:name_end - 5]
    last = [last for name, last in ADDRESSES.items() if labels(name + ".example.test") == asked]
    found = len(last) == 1 and kind == 1
    head = question[:2] + struct.pack("!HHHHH", 0x8180 if found else 0x8183, 1, found, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 60, 4, 203, 0, 113, last[0]) if found else b""
    return head + question[12:name_end] + record

def name_server(server):
    while True:
        question, asker = server.recvfrom(4096)
        server.sendto(answer(question), asker)

def name_server_on_streams(server):
    while True:
        connection, _ = server.accept()
        found = answer(connection.recv(4096)[2:])
        connection.sendall(struct.pack("!H", len(found)) + found)
        connection.close()

def hub(server):
    while True:
        connection, _ = server.accept()
        connection.sendall(b"model")
        connection.close()

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.53", 53))
threading.Thread(target=name_server, args=[names], daemon=True).start()
names = socket.create_server(("127.0.0.53", 53))
threading.Thread(target=name_server_on_streams, args=[names], daemon=True).start()
for place in [("203.0.113.5", 8080), ("203.0.113.6", 8081), ("127.0.0.1", 8082), ("203.0.113.11", 8083), ("203.0.113.14", 8084)]:
    server = socket.create_server(place)
    threading.Thread(target=hub, args=[server], daemon=True).start()

socket.create_connection(("hub.example.test", 8080)).recv(9)
socket.create_connection(("203.0.113.6", 8081)).recv(9)
socket.create_connection(("127.0.0.1", 8082)).recv(9)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.sendto(b"x", ("203.0.113.7", 9000))
connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connected.connect(("203.0.113.8", 9001))
connected.send(b"x")
# A way that is looked up only: nothing is sent.
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("203.0.113.9", 9002))
waiting = socket.socket()
waiting.setblocking(False)
waiting.connect_ex(("203.0.113.10", 9003))
refused = socket.socket()
refused.connect_ex(("203.0.113.5", 1))
pair = socket.socketpair()
pair[0].send(b"x")
written = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
written.connect(("203.0.113.15", 9006))
os.write(written.fileno(), b"x")

def question(name):
    return b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels(name + ".example.test") + b"\0\0\1\0\1"

def asked(kind, name):
    resolver = socket.socket(socket.AF_INET, kind)
    resolver.connect(("127.0.0.53", 53))
    text = question(name)
    prefix = struct.pack("!H", len(text)) if kind == socket.SOCK_STREAM else b""
    os.write(resolver.fileno(), prefix + text)
    return resolver

# Resolvers of programs' own: what they ask through is connected, and nobody tells them a sender.
resolver = asked(socket.SOCK_DGRAM, "read")
os.read(resolver.fileno(), 512)
resolver = asked(socket.SOCK_DGRAM, "receive")
resolver.recv(512)
resolver = asked(socket.SOCK_STREAM, "stream")
os.read(resolver.fileno(), 512)
resolver = asked(socket.SOCK_STREAM, "parts")
length = os.read(resolver.fileno(), 2)
os.read(resolver.fileno(), struct.unpack("!H", length)[0])
for last in (16, 17, 18):
    datagrams.sendto(b"x", ("203.0.113.%d" % last, 9000))
go = sys.argv[1]
if go:
    subprocess.run([go, "dial", "go.example.test:8084"], check=True)
for ring in sys.argv[2:]:
    subprocess.run([ring, "connect", "sync", "203.0.113.11", "8083"], check=True)
    subprocess.run([ring, "send", "sync", "203.0.113.12", "9004"], check=True)
    subprocess.run([ring, "send", "async", "203.0.113.13", "9005"], check=True)
"#;

/// Around the job: a network with a few addresses, and resolver settings that name the server.
const SETTING: &str = "
ip link set lo up
for last in 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do ip addr add 203.0.113.$last/32 dev lo; done
mount --bind resolv.conf /etc/resolv.conf
exec python3 job.py \"$@\"
";

/// `go`: a Go program, if any; `ring`: one that uses io_uring, if any.
fn run(tracer: &str, go: Option<&Path>, ring: Option<&Path>) -> (Project, Record) {
    let project = Project::new();
    project.write("job.py", JOB);
    project.write("resolv.conf", "nameserver 127.0.0.53\n");
    let command = ["unshare", "--net", "--mount", "sh", "-ec", SETTING, "sh"];
    let words = ["run", "-q", "--tracer", tracer].into_iter().chain(command);
    let go = go.map_or(OsStr::new(""), Path::as_os_str);
    let words = words.map(OsStr::new).chain([go]);
    let words = words.chain(ring.map(Path::as_os_str));
    project.roar(words).succeeds();
    let record = Record::of(&project, "@1");
    (project, record)
}

/// Remote endpoint → its names.
fn remote(record: &Record) -> BTreeMap<String, Vec<String>> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let endpoints = record.json["network"]["endpoints"]
        .as_array()
        .expect("a list");
    endpoints
        .iter()
        .filter(|end| end["local"] == false)
        .map(|end| {
            let names = end["names"].as_array().expect("a list");
            (
                format!(
                    "{}:{}/{}",
                    text(&end["address"]),
                    end["port"],
                    text(&end["protocol"])
                ),
                names.iter().map(text).collect(),
            )
        })
        .collect()
}

fn expected(ends: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    ends.iter()
        .map(|(end, names)| {
            let names = names.iter().map(|name| (*name).to_owned());
            ((*end).to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn endpoints_and_the_names_that_were_looked_up() {
    if !met(&[Need::Bpf, Need::Root, Need::Program("ip")]) {
        return;
    }
    let has_rings = met(&[Need::IoUring, Need::Workloads]);
    let ring = has_rings.then(|| program::path("uring", Build::Dynamic));
    let has_go = met(&[Need::Program("go"), Need::Workloads]);
    let go = has_go.then(|| program::path("gopher", Build::Go));
    let (project, record) = run("ebpf", go.as_deref(), ring.as_deref());
    let hub: &[&str] = &["hub.example.test"];
    let mut ends = expected(&[
        ("203.0.113.5:8080/tcp", hub),
        ("203.0.113.6:8081/tcp", &[]),
        ("203.0.113.7:9000/udp", &[]),
        ("203.0.113.8:9001/udp", &[]),
        ("203.0.113.10:9003/tcp", &[]),
        ("203.0.113.15:9006/udp", &["read.example.test"]),
        ("203.0.113.16:9000/udp", &["receive.example.test"]),
        ("203.0.113.17:9000/udp", &["stream.example.test"]),
        ("203.0.113.18:9000/udp", &["parts.example.test"]),
    ]);
    if go.is_some() {
        let end: (&str, &[&str]) = ("203.0.113.14:8084/tcp", &["go.example.test"]);
        ends.extend(expected(&[end]));
    }
    if ring.is_some() {
        ends.extend(expected(&[
            ("203.0.113.11:8083/tcp", &[]),
            ("203.0.113.12:9004/udp", &[]),
            ("203.0.113.13:9005/udp", &[]),
        ]));
    }
    assert_eq!(remote(&record), ends, "{:#}", record.json["network"]);
    let is_own = |end: &Value| end["address"] == "127.0.0.1" && end["port"] == 8082;
    let ends = record.json["network"]["endpoints"]
        .as_array()
        .expect("a list");
    assert_eq!(
        ends.iter().find(|end| is_own(end)).expect("it is listed")["local"],
        true
    );
    let text = project.roar(["show", "@1"]).succeeds().stdout_text();
    for line in [
        "203.0.113.5:8080 (hub.example.test)",
        "203.0.113.6:8081 (name unknown)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(record.json["completeness"]["complete"], true);
}

/// Without the kernel's help neither the answers of name servers are seen, nor what a socket does
/// once it is connected, nor that a connection was refused.
#[test]
fn endpoints_without_privilege() {
    if !met(&[Need::Root, Need::Program("ip")]) {
        return;
    }
    let (_project, record) = run("seccomp", None, None);
    assert_eq!(
        remote(&record),
        expected(&[
            ("203.0.113.5:8080/tcp", &[]),
            ("203.0.113.5:1/tcp", &[]),
            ("203.0.113.16:9000/udp", &[]),
            ("203.0.113.17:9000/udp", &[]),
            ("203.0.113.18:9000/udp", &[]),
            ("203.0.113.6:8081/tcp", &[]),
            ("203.0.113.7:9000/udp", &[]),
            ("203.0.113.10:9003/tcp", &[]),
        ]),
        "{:#}",
        record.json["network"]
    );
}
