//! Encrypted connections to PostgreSQL.

use std::net::TcpListener;
use std::path::Path;

use roar_tests::require::{Need, met};

use super::machine::Server;
use roar_tests::postgres::{Postgres, as_nobody};

/// A key and a certificate for `localhost` that signs itself, made as PostgreSQL's manual does, and
/// another that an authority of the test's own signed.
const CERTIFICATES: &str = "
openssl req -new -x509 -newkey rsa:2048 -days 2 -nodes -text -out self.crt -keyout self.key \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost
openssl req -new -x509 -newkey rsa:2048 -days 2 -nodes -out ca.crt -keyout ca.key -subj /CN=authority
openssl req -new -newkey rsa:2048 -nodes -out signed.csr -keyout signed.key -subj /CN=localhost
echo subjectAltName=DNS:localhost > names
openssl x509 -req -in signed.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names \
    -out signed.crt
chmod 600 *.key";

/// Whether the server's connection is encrypted, as the engine sees it.
fn is_encrypted(postgres: &Postgres) -> String {
    postgres.ask(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'glaas-server'",
    )
}

fn with_certificate(name: &str, check: impl Fn(&Postgres, &str, &Path)) {
    if !met(&[Need::Postgres, Need::Program("openssl")]) {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let mut folder = std::path::PathBuf::new();
    let postgres = Postgres::start_with(None, port, |made| {
        made.clone_into(&mut folder);
        let script = format!("set -e; cd {}; {CERTIFICATES}", made.display());
        let mut shell = as_nobody(Path::new("/bin/sh"));
        let output = shell.args(["-c", &script]).output().expect("sh runs");
        assert!(output.status.success(), "{output:?}");
        [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}/{name}.crt", made.display()),
            format!("ssl_key_file={}/{name}.key", made.display()),
        ]
        .into_iter()
        .flat_map(|option| ["-c".to_owned(), option])
        .collect()
    });
    check(&postgres, &format!("{port}/postgres"), &folder);
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_when_named() {
    with_certificate("self", |postgres, at, folder| {
        let named = format!("sslrootcert={}/self.crt", folder.display());
        for (host, query, encrypted) in [
            ("127.0.0.1", "sslmode=disable", "f"),
            ("127.0.0.1", "connect_timeout=5", "t"),
            ("127.0.0.1", "sslmode=require", "t"),
            ("127.0.0.1", &format!("sslmode=verify-ca&{named}"), "t"),
            ("localhost", &format!("sslmode=verify-full&{named}"), "t"),
        ] {
            let server = Server::start(&format!("postgres://glaas@{host}:{at}?{query}"), &[]);
            assert_eq!(server.get("/readyz").status, 200);
            assert_eq!(is_encrypted(postgres), encrypted, "{query}");
        }
        for (host, query, words) in [
            (
                "127.0.0.1",
                format!("sslmode=verify-full&{named}"),
                "not valid for name",
            ),
            (
                "localhost",
                "sslmode=verify-full".to_owned(),
                "invalid peer certificate",
            ),
            (
                "localhost",
                "sslmode=sometimes".to_owned(),
                "not 'sometimes'",
            ),
        ] {
            let told = Server::refusal(&format!("postgres://glaas@{host}:{at}?{query}"));
            assert!(told.contains(words), "{query}: {told}");
        }
    });
}

#[test]
fn a_certificate_of_a_trusted_authority_is_taken() {
    with_certificate("signed", |postgres, at, folder| {
        let url = |host: &str, mode: &str, file: &str| {
            let folder = folder.display();
            format!("postgres://glaas@{host}:{at}?sslmode={mode}&sslrootcert={folder}/{file}")
        };
        let server = Server::start(&url("localhost", "verify-full", "ca.crt"), &[]);
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(is_encrypted(postgres), "t");
        drop(server);
        // The name counts in full only, and another authority's word for nothing.
        drop(Server::start(&url("127.0.0.1", "verify-ca", "ca.crt"), &[]));
        for (host, mode, file) in [
            ("127.0.0.1", "verify-full", "ca.crt"),
            ("localhost", "verify-full", "self.crt"),
            ("localhost", "verify-ca", "self.crt"),
        ] {
            let told = Server::refusal(&url(host, mode, file));
            assert!(told.contains("invalid peer certificate"), "{mode}: {told}");
        }
    });
}
