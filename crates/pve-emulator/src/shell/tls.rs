//! The cluster's certificate: a CA and one leaf for all nodes, made at the first start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use super::error::ShellError;
use crate::persist::write_atomically;

/// What listeners and clients need.
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    /// `AA:BB:…`, SHA-256 of the leaf.
    pub(super) fingerprint: String,
    pub(super) ca_pem_path: PathBuf,
}

/// The stored certificate, or a new one for these names. A stored one that lacks a name is
/// replaced; its CA stays.
pub(super) fn load_or_make(directory: &Path, names: &[String]) -> Result<Identity, ShellError> {
    let paths = Paths::below(directory);
    let wanted = names.join("\n");
    let stored = std::fs::read_to_string(&paths.names).ok();
    if stored.as_deref() != Some(wanted.as_str()) {
        make(&paths, names)?;
        write(&paths.names, wanted.as_bytes())?;
    }
    let leaf = read(&paths.leaf)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&leaf)
        .collect::<Result<_, _>>()
        .map_err(tls)?;
    let first = chain
        .first()
        .ok_or_else(|| ShellError::Tls("the certificate file is empty".into()))?;
    let fingerprint = colons(&Sha256::digest(first));
    let key = PrivateKeyDer::from_pem_slice(&read(&paths.leaf_key)?).map_err(tls)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(tls)?;
    Ok(Identity {
        server: Arc::new(server),
        fingerprint,
        ca_pem_path: paths.ca,
    })
}

struct Paths {
    ca: PathBuf,
    ca_key: PathBuf,
    leaf: PathBuf,
    leaf_key: PathBuf,
    /// What the leaf is for; written last, so that an interrupted start makes it anew.
    names: PathBuf,
}

impl Paths {
    fn below(directory: &Path) -> Self {
        Self {
            ca: directory.join("pve-root-ca.pem"),
            ca_key: directory.join("pve-root-ca.key"),
            leaf: directory.join("pve-ssl.pem"),
            leaf_key: directory.join("pve-ssl.key"),
            names: directory.join("pve-ssl.names"),
        }
    }
}

fn make(paths: &Paths, names: &[String]) -> Result<(), ShellError> {
    let (ca_params, ca_key) = ca(paths)?;
    let issuer = Issuer::from_params(&ca_params, &ca_key);
    let leaf_key = KeyPair::generate().map_err(tls)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(tls)?;
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, "PVE Cluster Node");
    params.distinguished_name.push(
        DnType::CommonName,
        names.first().map_or("pve", String::as_str),
    );
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&leaf_key, &issuer).map_err(tls)?;
    write(&paths.leaf_key, leaf_key.serialize_pem().as_bytes())?;
    write(&paths.leaf, leaf.pem().as_bytes())
}

/// The stored CA key with the CA's parameters, or a new CA.
fn ca(paths: &Paths) -> Result<(CertificateParams, KeyPair), ShellError> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Proxmox Virtual Environment (emulated)");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "PVE Cluster Manager CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if paths.ca.exists() && paths.ca_key.exists() {
        let pem = String::from_utf8_lossy(&read(&paths.ca_key)?).into_owned();
        return Ok((params, KeyPair::from_pem(&pem).map_err(tls)?));
    }
    let key = KeyPair::generate().map_err(tls)?;
    let certificate = params.self_signed(&key).map_err(tls)?;
    write(&paths.ca_key, key.serialize_pem().as_bytes())?;
    write(&paths.ca, certificate.pem().as_bytes())?;
    Ok((params, key))
}

fn tls(error: impl std::fmt::Display) -> ShellError {
    ShellError::Tls(error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, ShellError> {
    std::fs::read(path).map_err(|source| file(path, source))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ShellError> {
    write_atomically(path, bytes).map_err(|source| file(path, source))
}

fn file(path: &Path, source: io::Error) -> ShellError {
    ShellError::File {
        path: path.to_owned(),
        source,
    }
}

fn colons(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
