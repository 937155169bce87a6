//! What nobody means to send, to everything that reads: the parsers by themselves, and every route
//! of the server. Nothing may panic, no answer may be of the 5xx kind, and what each parser promises
//! holds.
//!
//! The tests run a fixed set of cases. For longer: `GLAAS_FUZZ_CASES=1000000 GLAAS_FUZZ_SEED=7
//! cargo test -p glaas-server --test fuzz`.

mod chance;
mod requests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chance::Chance;
use glaas_server::auth::Signed;
use glaas_server::auth::challenge::Challenge;
use glaas_server::store::{search, terms};
use glaas_server::{api, auth, clock, facts};

/// A key of nobody's, its fingerprint, and its signature over `x`.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHajZhH4pu956NQUVyk4ZFEKDebbEFOXUnZJ9CAaiKUe a@b";
const FINGERPRINT: &str = "SHA256:F9LpKKa8/7Sk2LwyrO1vZHXOK4G7SL9xvg9GSgjpRWk";
const SIGNATURE: &str = "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgdqNmEfim73no1BRXKThkUQoN5tsQU5dSdkn0IBqIpR4AAAAFZ2xhYXMAAAAAAAAABnNoYTUxMgAAAFMAAAALc3NoLWVkMjU1MTkAAABArl7kCVvjsYA4GVFc9p8m7w/bS8t1GUYPVRgZ9AajKhCFZGAsytVvoNeiqLO6rP+fs9KLSkt8J/+bfhq7VcakBg==";

/// Cases of each test, unless asked otherwise.
fn cases(usual: u64) -> u64 {
    number("GLAAS_FUZZ_CASES").unwrap_or(usual)
}

fn seed() -> u64 {
    number("GLAAS_FUZZ_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A header as clients send it, changed.
fn authorization(chance: &mut Chance) -> String {
    let blob = STANDARD.decode(SIGNATURE).expect("base64");
    let signature = STANDARD.encode(chance.changed_bytes(&blob));
    let seconds = clock::now_ms() / 1000;
    let header = format!(
        "keyid=\"{FINGERPRINT}\" ts=\"{seconds}\" nonce=\"0123456789abcdef\" sig=\"{signature}\""
    );
    if chance.one_in(3) {
        header
    } else {
        chance.changed(&header)
    }
}

#[test]
fn parsers_take_anything() {
    let mut chance = Chance::new(seed());
    let key = auth::keys::read(KEY).expect("a key");
    let challenge = Challenge::new("h:1", 1_000, &"ab".repeat(32));
    for case in 0..cases(4_000) {
        let header = authorization(&mut chance);
        for with_nonce in [false, true] {
            if let Ok(signed) = Signed::parse(&header, with_nonce) {
                assert!(
                    signed.fingerprint.starts_with("SHA256:"),
                    "{case}: {header}"
                );
                // Whatever it signed, it was not this.
                assert!(!signed.verifies(KEY, &header), "{case}: {header}");
            }
        }
        let pasted = chance.changed(KEY);
        if let Ok(key) = auth::keys::read(&pasted) {
            let again = auth::keys::read(&key.text).expect("what was read is read again");
            assert_eq!(again.record.fingerprint, key.record.fingerprint, "{case}");
        }
        let proof = chance.changed(SIGNATURE);
        assert!(
            auth::keys::check_proof(&key, "ann", &proof).is_err(),
            "{case}"
        );
        let _ = Challenge::parse(&chance.changed(&challenge.text()), &["h:1"], 1_000);
        let armoured =
            format!("-----BEGIN SSH SIGNATURE-----\n{SIGNATURE}\n-----END SSH SIGNATURE-----");
        assert!(
            challenge.signer(&chance.changed(&armoured)).is_err(),
            "{case}"
        );

        let text = chance.text();
        let found = terms::query(None, &text);
        assert!(
            found.len() <= 12 && terms::words(&text).len() <= 400,
            "{case}: {text:?}"
        );
        let after = terms::after(&text);
        let longer = format!("{text}{}", chance.text());
        assert!(after.is_empty() || after > longer, "{case}: {text:?}");
        let size = chance.changed("1.5 GiB");
        if let Ok(Some(bytes)) = search::size("size", Some(&size)) {
            assert!(bytes >= 0, "{case}: {size:?}");
        }
        let day = chance.changed("2026-11-25");
        let _ = clock::day_start_ms(&day).map(clock::shown);
        let _ = auth::keys::check_name(&text);
        for read in [api::check_prefix, api::check_digest] {
            if let Ok(hash) = read(&chance.changed(&"0af".repeat(20))) {
                assert!(hash.len() >= 8 && hash.len() <= 128, "{case}");
                assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{case}");
            }
        }
        if api::check_uid(&text).is_ok() {
            assert!(!text.contains(['/', '\0', '<', '"']), "{case}: {text:?}");
        }

        let url = chance.changed("git clone https://user:pass@example.org:8443/a/b.git?x=1#y");
        let clean = facts::without_credentials(&url);
        assert_eq!(facts::without_credentials(&clean), clean, "{case}: {url:?}");
        assert!(clean.len() <= url.len(), "{case}: {url:?}");
        let metadata = chance.json(&requests::metadata()).to_string();
        for metadata in [chance.changed(&metadata), metadata] {
            let _ = facts::facts(Some(&metadata));
            let _ = facts::document(Some(&metadata));
        }
    }
}
