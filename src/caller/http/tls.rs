//! The TLS configuration: trusted certificates and the client's own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::error::PlanError;
use super::unreachable::is_authority;
use crate::bounded::{self, Patience, Wait};
use crate::settings::{Http, Tls, Transport};

/// Returns the TLS configuration that all threads share, because loading the system's certificates is slow. They are not
/// loaded if nothing is `encrypted`.
pub(super) fn configuration(
    transport: &Transport,
    encrypted: bool,
) -> Result<(ClientConfig, CertificateRequests), PlanError> {
    let requests = CertificateRequests::default();
    let client = |error: &dyn std::error::Error| PlanError::Client(super::error::root_cause(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match transport.tls {
        Tls::Any => rustls::DEFAULT_VERSIONS,
        Tls::Only12 => &[&rustls::version::TLS12],
        Tls::Only13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| client(&error))?;
    let named = match &transport.ca_file {
        Some(path) if !transport.insecure => Some(Named::read(path, &provider)?),
        _ => None,
    };
    let builder = if named.is_some() || transport.insecure {
        let algorithms = provider.signature_verification_algorithms;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { named, algorithms }))
    } else if encrypted {
        builder
            .with_platform_verifier()
            .map_err(|error| client(&error))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut configuration = match &transport.certificate {
        None => builder.with_client_cert_resolver(Arc::new(requests.clone())),
        Some(certificate) => {
            let key = transport.key.as_deref().unwrap_or(certificate);
            builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| wrong(certificate, error))?
        }
    };
    if transport.http != Http::Http1 {
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok((configuration, requests))
}

/// Returns the configuration for origins that must not see the client certificate. It does not resume sessions of the
/// other configuration either, because they would stand for the certificate.
pub(super) fn without_certificate(
    configuration: &ClientConfig,
    requests: &CertificateRequests,
) -> ClientConfig {
    let mut without = configuration.clone();
    without.client_auth_cert_resolver = Arc::new(requests.clone());
    without.resumption = Resumption::default();
    without
}

/// Has no client certificate, and records whether a service requests one: the alert that follows may be ambiguous.
#[derive(Debug, Clone, Default)]
pub(super) struct CertificateRequests(Arc<AtomicBool>);

impl CertificateRequests {
    /// Returns whether some service has requested a certificate.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl ResolvesClientCert for CertificateRequests {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn wrong(path: &Path, reason: impl ToString) -> PlanError {
    PlanError::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The largest file of certificates or keys, in bytes. The system's own files are smaller than one MiB.
const LARGEST: u64 = 16 << 20;

fn read(path: &Path) -> Result<Vec<u8>, PlanError> {
    let mut wait = Wait::begin(Patience::SHORT, &|| {});
    bounded::read(path, LARGEST, &mut wait).map_err(|error| wrong(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PlanError> {
    let text = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(path, "it is not PEM"))?;
    if found.is_empty() {
        return Err(wrong(path, "it holds no certificate in PEM form"));
    }
    Ok(found)
}

/// Trusts the named certificates, or with `--insecure` every one. Signatures are checked in both cases.
///
/// The client's own options do not suffice. `openssl req -x509` marks self-signed certificates as an authority's, and
/// rustls rejects those as a service's own even if they are named; curl accepts them, and so does this.
#[derive(Debug)]
struct Verifier {
    /// `None` with `--insecure`.
    named: Option<Named>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The certificates of a file.
#[derive(Debug)]
struct Named {
    certificates: Vec<CertificateDer<'static>>,
    /// Accepts services with a certificate that those have signed.
    signed: Arc<WebPkiServerVerifier>,
}

impl Named {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, PlanError> {
        let certificates = certificates(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| wrong(path, error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
        let signed = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        Ok(Self {
            certificates,
            signed: signed.map_err(|error| wrong(path, error))?,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(named) = &self.named else {
            return Ok(ServerCertVerified::assertion());
        };
        let signed = &named.signed;
        match signed.verify_server_cert(certificate, between, name, stapled, now) {
            // The verifier has checked the certificate's expiry before.
            Err(error) if is_authority(&error) && named.certificates.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PlanError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        Error::NoItemsFound => wrong(path, "it holds no unencrypted private key in PEM form"),
        // The error may quote the file.
        _ => wrong(path, "it is not PEM"),
    })
}
