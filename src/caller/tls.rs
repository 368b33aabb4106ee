//! Whom to trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::error::PlanError;
use crate::settings::{Http, Transport};

/// One TLS configuration for all threads: loading the system's certificates takes a while. Where nothing is
/// encrypted it is never asked.
pub(super) fn configuration(
    transport: &Transport,
    encrypted: bool,
) -> Result<ClientConfig, PlanError> {
    let client =
        |error: &dyn std::error::Error| PlanError::Client(super::exchange::root_cause(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| client(&error))?;
    let builder = if transport.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else if let Some(path) = &transport.ca_file {
        builder.with_root_certificates(roots(path)?)
    } else if encrypted {
        builder
            .with_platform_verifier()
            .map_err(|error| client(&error))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut configuration = match &transport.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = transport.key.as_deref().unwrap_or(certificate);
            builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| PlanError::Certificate {
                    path: certificate.clone(),
                    reason: error.to_string(),
                })?
        }
    };
    if transport.http != Http::Http1 {
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok(configuration)
}

fn wrong(path: &Path, reason: impl ToString) -> PlanError {
    PlanError::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PlanError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, told(&error)))?;
    let found: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, told(&error)))?;
    if found.is_empty() {
        return Err(wrong(path, "it holds no certificate in PEM form"));
    }
    Ok(found)
}

fn roots(path: &Path) -> Result<RootCertStore, PlanError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| wrong(path, error))?;
    }
    Ok(roots)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PlanError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        use rustls::pki_types::pem::Error;
        match error {
            Error::NoItemsFound => wrong(
                path,
                "it holds no private key in PEM form that is not encrypted",
            ),
            error => wrong(path, told(&error)),
        }
    })
}

/// What is wrong with a file, without any of what is in it.
fn told(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        _ => "it is not PEM".to_owned(),
    }
}

/// Takes everybody for who they say they are, as was asked for with `--insecure`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
