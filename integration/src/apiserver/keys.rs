//! The keys and certificates of a server, as files that its flags name.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sidewall_lab::api::tls::{Authority, Identity};

/// The name by which extension servers know this server: kubeadm's.
pub(crate) const FRONT_PROXY: &str = "front-proxy-client";

/// Keys and certificates.
pub(super) struct Keys {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Signs the tokens of service accounts, and its other half checks them.
    pub(super) tokens: PathBuf,
    pub(super) tokens_public: PathBuf,
    /// By these the server shows extension servers who it is, when it hands on a request.
    pub(super) front_authority: PathBuf,
    pub(super) front_certificate: PathBuf,
    pub(super) front_key: PathBuf,
    pub(super) authority_pem: String,
    /// Whoever shows it may do everything: the group that RBAC does not ask about.
    pub(super) admin: Identity,
}

impl Keys {
    /// Makes all of them.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let authority = Authority::new()?;
        let server = authority.server(&[])?;
        let front_authority = Authority::new()?;
        let front = front_authority.client(FRONT_PROXY, &[])?;
        let tokens = rcgen::KeyPair::generate()?;
        let write = |name: &str, pem: &str| {
            let path = folder.join(name);
            std::fs::write(&path, pem).map(|()| path)
        };
        Ok(Self {
            authority: write("ca.crt", &authority.pem())?,
            certificate: write("apiserver.crt", &server.certificate_pem)?,
            key: write("apiserver.key", &server.key_pem)?,
            tokens: write("tokens.key", &tokens.serialize_pem())?,
            tokens_public: write("tokens.pub", &tokens.public_key_pem())?,
            front_authority: write("front-proxy-ca.crt", &front_authority.pem())?,
            front_certificate: write("front-proxy.crt", &front.certificate_pem)?,
            front_key: write("front-proxy.key", &front.key_pem)?,
            authority_pem: authority.pem(),
            admin: authority.client("admin", &["system:masters".to_owned()])?,
        })
    }
}
