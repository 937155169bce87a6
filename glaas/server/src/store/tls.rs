//! Encrypted connections to PostgreSQL, asked for in its URL in the words of libpq: `sslmode` and
//! `sslrootcert`.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::StoreError;

/// How far the server's certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Not at all: whoever answers is believed.
    Nothing,
    /// Someone who is trusted signed it.
    Issuer,
    /// And it was given to the host that is called.
    IssuerAndName,
}

/// What a URL asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    mode: SslMode,
    check: Check,
    root_file: Option<String>,
}

/// Reads a URL: how to reach the database, and how to encrypt the way to it.
///
/// # Errors
/// The URL is none, or its certificates cannot be read.
pub(super) fn read(url: &str) -> Result<(Config, MakeRustlsConnect), StoreError> {
    let (rest, wanted) = wanted(url)?;
    let mut config: Config = rest.parse()?;
    config.ssl_mode(wanted.mode);
    Ok((config, MakeRustlsConnect::new(client(&wanted)?)))
}

/// Takes out of a URL what the driver does not know.
fn wanted(url: &str) -> Result<(String, Wanted), StoreError> {
    let (start, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = None;
    let mut root_file = None;
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => root_file = Some(value.replace("%2F", "/")),
            _ => others.push(pair),
        }
    }
    let mut check = Check::Nothing;
    let mode = match mode {
        Some("disable") => SslMode::Disable,
        None | Some("allow" | "prefer") => SslMode::Prefer,
        Some("require") => {
            // As libpq: certificates that are named are there to be looked at.
            if root_file.is_some() {
                check = Check::Issuer;
            }
            SslMode::Require
        }
        Some("verify-ca") => {
            check = Check::Issuer;
            SslMode::Require
        }
        Some("verify-full") => {
            check = Check::IssuerAndName;
            SslMode::Require
        }
        Some(other) => {
            return Err(StoreError::Schema(format!(
                "sslmode is disable, prefer, require, verify-ca or verify-full, not '{other}'"
            )));
        }
    };
    let rest = if others.is_empty() {
        start.to_owned()
    } else {
        format!("{start}?{}", others.join("&"))
    };
    let wanted = Wanted {
        mode,
        check,
        root_file,
    };
    Ok((rest, wanted))
}

fn client(wanted: &Wanted) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = match (wanted.check, wanted.root_file.as_deref()) {
        (Check::Nothing, _) => Vec::new(),
        (_, None | Some("system")) => rustls_native_certs::load_native_certs().certs,
        (_, Some(file)) => certificates(file)?,
    };
    let issuers = match wanted.check {
        Check::Nothing => None,
        Check::Issuer | Check::IssuerAndName => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trusted.iter().cloned());
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build();
            Some(verifier.map_err(|error| {
                StoreError::Schema(format!("no certificate to trust (sslrootcert): {error}"))
            })?)
        }
    };
    let judge = Judge {
        issuers,
        trusted,
        names: wanted.check == Check::IssuerAndName,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Schema(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge))
        .with_no_client_auth();
    Ok(config)
}

/// The certificates of a file that the operator names.
fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let failed =
        |error: &dyn std::fmt::Display| StoreError::Schema(format!("sslrootcert={file}: {error}"));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| failed(&error))?
        .collect();
    let found = found.map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(found)
}

/// Decides on the server's certificate, as far as was asked for.
#[derive(Debug)]
struct Judge {
    /// None: whatever it is.
    issuers: Option<Arc<WebPkiServerVerifier>>,
    trusted: Vec<CertificateDer<'static>>,
    names: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(issuers) = &self.issuers else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            // PostgreSQL's manual makes one that signs itself, which no chain leads to.
            if self.names {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let judged =
            issuers.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            // The name is looked at last: all else is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_to_encrypt() {
        fn check(url: &str, rest: &str, mode: SslMode, check: Check) {
            let (left, wanted) = wanted(url).expect("a URL");
            assert_eq!(
                (left.as_str(), wanted.mode, wanted.check),
                (rest, mode, check)
            );
        }
        let (plain, full) = ("postgres://u@h/d", Check::IssuerAndName);
        check(plain, plain, SslMode::Prefer, Check::Nothing);
        let url = "postgres://u@h/d?sslmode=verify-full&connect_timeout=3";
        let rest = "postgres://u@h/d?connect_timeout=3";
        check(url, rest, SslMode::Require, full);
        let url = "postgres://u@h/d?sslmode=require&sslrootcert=/ca.pem";
        check(url, plain, SslMode::Require, Check::Issuer);
        assert!(wanted("postgres://u@h/d?sslmode=maybe").is_err());
        assert!(read("postgres://u@h/d?sslmode=verify-ca&sslrootcert=/no/such").is_err());
    }
}
