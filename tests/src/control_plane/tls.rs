//! How a server speaks TLS.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use super::authority::Identity;

/// A certificate, and what is asked of clients.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Who the server is.
    pub identity: Identity,
    /// What clients show.
    pub clients: Clients,
}

/// Certificates of clients.
#[derive(Debug, Clone, Default)]
pub enum Clients {
    /// None is asked for.
    #[default]
    Unasked,
    /// They may show one, which then must be of this authority (PEM). So Kuma comes.
    May(String),
    /// They must show one of this authority (PEM).
    Must(String),
}

impl Tls {
    /// Without certificates of clients.
    pub const fn new(identity: Identity) -> Self {
        Self { identity, clients: Clients::Unasked }
    }

    /// What takes connections so.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        // Named, so that it does not depend on what else is built which one it is.
        let provider = Arc::new(ring::default_provider());
        let verifier = match &self.clients {
            Clients::Unasked => None,
            Clients::May(authority) | Clients::Must(authority) => {
                let roots = Arc::new(roots(authority)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let is_free = matches!(self.clients, Clients::May(_));
                Some(if is_free { verifier.allow_unauthenticated() } else { verifier }.build()?)
            }
        };
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = match verifier {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let (chain, key) = self.identity.read()?;
        Ok(Arc::new(config.with_single_cert(chain, key)?).into())
    }
}

/// Those who vouch for others.
pub(super) fn roots(authority: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.context("the authority is no PEM")?)?;
    }
    Ok(roots)
}

impl Identity {
    /// As rustls takes it.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>()?;
        Ok((chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes())?))
    }
}
