//! How a server's certificate is trusted. There is no way to trust everything.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::TlsConnector;

use super::{ConfigError, Fingerprint};

/// How a server's certificate is trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// It is exactly this one. Replaces the check of chain, host name and expiry: PVE's own certificates are
    /// self-signed. That the server holds the key is verified as always.
    Fingerprint(Fingerprint),
    /// It was issued by one of these certificate authorities (PEM), for the name or address in the URL.
    CaPem(String),
    /// It was issued by an authority the operating system trusts, for the name or address in the URL.
    System,
}

impl Trust {
    pub(super) fn connector(&self) -> Result<TlsConnector, ConfigError> {
        let provider = provider();
        let builder = builder(provider.clone())?;
        let mut config = match self {
            Self::Fingerprint(pin) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(PinnedLeaf {
                    pin: Some(*pin),
                    provider,
                }))
                .with_no_client_auth(),
            Self::CaPem(pem) => builder
                .with_root_certificates(roots(pem)?)
                .with_no_client_auth(),
            Self::System => builder
                .with_root_certificates(system_roots()?)
                .with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// For looking at a certificate before anything is sent; see [`super::fetch_fingerprint`].
pub(super) fn looking_connector() -> Result<TlsConnector, ConfigError> {
    let provider = provider();
    let config = builder(provider.clone())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedLeaf {
            pin: None,
            provider,
        }))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ConfigError::BadTrust(e.to_string()))
}

fn roots(pem: &str) -> Result<RootCertStore, ConfigError> {
    let bad = |e: &dyn std::fmt::Display| ConfigError::BadTrust(e.to_string());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store
            .add(certificate.map_err(|e| bad(&e))?)
            .map_err(|e| bad(&e))?;
    }
    if store.is_empty() {
        return Err(bad(&"there is no certificate in it"));
    }
    Ok(store)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _broken) = store.add_parsable_certificates(found.certs);
    if usable == 0 {
        return Err(ConfigError::BadTrust(
            "the system has no trusted certificates".to_owned(),
        ));
    }
    Ok(store)
}

/// The certificate is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("its certificate has the fingerprint {seen}, pinned is {pinned}")]
pub(super) struct PinMismatch {
    pub(super) seen: Fingerprint,
    pub(super) pinned: Fingerprint,
}

/// Accepts one certificate (or, to look at it only, any), and verifies that the server holds its key.
#[derive(Debug)]
struct PinnedLeaf {
    pin: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedLeaf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        match self.pin {
            Some(pinned) if pinned != seen => {
                let mismatch = OtherError(Arc::new(PinMismatch { seen, pinned }));
                Err(CertificateError::Other(mismatch).into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
