//! The server from outside, on SQLite and on a PostgreSQL of the test's own: the same suite on both.
#![cfg(unix)]

mod browser;
mod encrypted;
mod faults;
mod machine;
mod pages;
mod suite;

use machine::{Server, User};
use roar_tests::postgres::Postgres;
use roar_tests::require::{Need, met};

const SSH: Need = Need::Program("ssh-keygen");

fn on_sqlite(check: impl Fn(&str)) {
    if met(&[SSH]) {
        let folder = tempfile::tempdir().expect("a folder");
        check(&format!("sqlite:{}/glaas.db", folder.path().display()));
    }
}

fn on_postgres(check: impl Fn(&str)) {
    if met(&[SSH, Need::Postgres]) {
        let postgres = Postgres::start();
        check(&postgres.url());
    }
}

#[test]
fn sqlite_keeps_and_finds() {
    on_sqlite(suite::keeps_and_finds);
}

#[test]
fn postgres_keeps_and_finds() {
    on_postgres(suite::keeps_and_finds);
}

#[test]
fn sqlite_guards() {
    on_sqlite(suite::guards);
}

#[test]
fn postgres_guards() {
    on_postgres(suite::guards);
}

#[test]
fn sqlite_loses_no_acknowledged_write() {
    on_sqlite(suite::loses_no_acknowledged_write);
}

#[test]
fn postgres_loses_no_acknowledged_write() {
    on_postgres(suite::loses_no_acknowledged_write);
}

#[test]
fn postgres_serves_two_servers() {
    on_postgres(suite::two_servers);
}

#[test]
fn every_kind_of_key_signs() {
    on_sqlite(|database| {
        let server = Server::start(database, &[]);
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let user = User::new(kind);
            user.join(&server, kind);
            assert_eq!(
                user.get(&server, "/api/v1/auth/me").data()["username"],
                kind
            );
        }
    });
}

#[test]
fn sqlite_registers_in_one_piece() {
    on_sqlite(suite::registers_in_one_piece);
}

#[test]
fn postgres_registers_in_one_piece() {
    on_postgres(suite::registers_in_one_piece);
}

#[test]
fn bad_requests_are_refused() {
    on_sqlite(suite::bad_requests);
}
