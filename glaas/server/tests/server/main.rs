//! The server from outside, on SQLite and on a PostgreSQL of the test's own: the same suite on both.
#![cfg(unix)]

mod browser;
mod clients;
mod encrypted;
mod faults;
mod listings;
mod machine;
mod pages;
mod suite;

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
fn sqlite_lists_members() {
    on_sqlite(listings::lists_members);
}

#[test]
fn postgres_lists_members() {
    on_postgres(listings::lists_members);
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
fn sqlite_serves_two_servers() {
    on_sqlite(suite::two_servers);
}

#[test]
fn postgres_serves_two_servers() {
    on_postgres(suite::two_servers);
}

#[test]
fn sqlite_takes_every_kind_of_key() {
    on_sqlite(suite::every_kind_of_key);
}

#[test]
fn postgres_takes_every_kind_of_key() {
    on_postgres(suite::every_kind_of_key);
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
fn sqlite_refuses_bad_requests() {
    on_sqlite(suite::bad_requests);
}

#[test]
fn postgres_refuses_bad_requests() {
    on_postgres(suite::bad_requests);
}
