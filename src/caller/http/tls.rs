//! Whom to trust, and who we are.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::error::PlanError;
use crate::bounded::{self, Patience, Wait};
use crate::settings::{Http, Transport};

/// One TLS configuration for all threads: loading the system's certificates takes a while. Where nothing is
/// encrypted it is never asked.
pub(super) fn configuration(
    transport: &Transport,
    encrypted: bool,
) -> Result<(ClientConfig, Asked), PlanError> {
    let asked_for = Asked::default();
    let client = |error: &dyn std::error::Error| PlanError::Client(super::error::root_cause(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| client(&error))?;
    let asked = match &transport.ca_file {
        _ if transport.insecure => Some(Trust::Anybody),
        Some(path) => Some(Trust::named(path, &provider)?),
        None => None,
    };
    let builder = if let Some(trust) = asked {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
    } else if encrypted {
        builder
            .with_platform_verifier()
            .map_err(|error| client(&error))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut configuration = match &transport.certificate {
        None => builder.with_client_cert_resolver(Arc::new(asked_for.clone())),
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
    Ok((configuration, asked_for))
}

/// Returns the configuration for origins that the client certificate is not for. No session of the other configuration
/// is resumed either, for it would stand for the certificate.
pub(super) fn without_certificate(configuration: &ClientConfig, asked: &Asked) -> ClientConfig {
    let mut without = configuration.clone();
    without.client_auth_cert_resolver = Arc::new(asked.clone());
    without.resumption = Resumption::default();
    without
}

/// Has no client certificate, and takes note of a service that asks for one: the alert that comes then may be one that
/// says many things.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// Returns whether some service has asked.
    pub(super) fn has_been(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl ResolvesClientCert for Asked {
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

/// The largest file of certificates or keys, in bytes: the system's own have less than one MiB.
const LARGEST: u64 = 16 << 20;

fn read(path: &Path) -> Result<Vec<u8>, PlanError> {
    let mut wait = Wait::begin(Patience::SHORT, &|| {});
    bounded::read(path, LARGEST, &mut wait).map_err(|error| wrong(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PlanError> {
    let text = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, told(&error)))?;
    if found.is_empty() {
        return Err(wrong(path, "it holds no certificate in PEM form"));
    }
    Ok(found)
}

/// Judges a service by what was asked for, and its signatures as ever.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

/// Who is trusted.
#[derive(Debug)]
enum Trust {
    /// Everybody, as was asked for with `--insecure`.
    Anybody,
    /// The certificates of a file: those that they have signed, and themselves. A self-signed certificate made with
    /// `openssl req -x509` says that it is an authority's, and rustls takes none of those for a service's; curl
    /// does where it was named.
    Named {
        certificates: Vec<CertificateDer<'static>>,
        signed: Arc<WebPkiServerVerifier>,
    },
}

impl Trust {
    fn named(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, PlanError> {
        let certificates = certificates(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| wrong(path, error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
        let signed = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        Ok(Self::Named {
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
        let Trust::Named {
            certificates,
            signed,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let verdict = signed.verify_server_cert(certificate, between, name, stapled, now);
        let is_named = certificates.iter().any(|named| named == certificate);
        match verdict {
            // That it is not expired was looked at before.
            Err(error) if is_named && is_authority(&error) => {
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
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether a certificate was refused for nothing but being an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    match error {
        // A type of the verifier's own, which rustls has no name for.
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            format!("{:?}", other.0) == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PlanError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
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
