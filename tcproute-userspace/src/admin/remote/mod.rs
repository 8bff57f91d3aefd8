//! Metrics and health for those who are elsewhere: a listener of its own, with nothing else. Beyond loopback it takes
//! TLS and wants to know who asks, by a token or a certificate, unless it is told that neither matters.

mod access;
mod renewed;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use thiserror::Error;

pub(super) use self::access::Access;
use super::listen;

/// Where metrics are served to others, and to whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens.
    pub address: SocketAddr,
    /// Without it everybody on the way may read.
    pub tls: Option<Tls>,
    /// A file with the token that is asked for.
    pub token_file: Option<PathBuf>,
    /// Whether all of that may be missing where others reach it.
    pub insecure: bool,
}

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate that is shown, with those that lead to its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who vouches for those who ask. With it a certificate is asked for.
    pub client_ca: Option<PathBuf>,
}

/// Metrics would be served to whoever reaches the address, or in the clear.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unprotected {
    /// Nothing is encrypted.
    #[error(
        "--metrics-listen {0}: everybody on the way may read it: use --metrics-tls-cert and --metrics-tls-key, or \
         --metrics-insecure"
    )]
    InTheClear(SocketAddr),
    /// Nobody is asked who he is.
    #[error(
        "--metrics-listen {0}: whoever reaches it may read it: use --metrics-token-file or --metrics-client-ca, or \
         --metrics-insecure"
    )]
    ForEverybody(SocketAddr),
}

/// A listener that is open, and not served yet.
#[derive(Debug)]
pub struct Opened {
    listener: TcpListener,
    options: Options,
}

/// The same, with what it takes to serve it.
#[derive(Debug)]
pub struct Remote {
    pub(super) listener: TcpListener,
    pub(super) access: Arc<Access>,
}

impl Options {
    /// Whether those who ask have to say who they are.
    fn knows_clients(&self) -> bool {
        self.token_file.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Whether it may be served so.
    pub fn check(&self) -> Result<(), Unprotected> {
        let Self { address, tls, insecure, .. } = self;
        if *insecure || address.ip().is_loopback() {
            Ok(())
        } else if tls.is_none() {
            Err(Unprotected::InTheClear(*address))
        } else if !self.knows_clients() {
            Err(Unprotected::ForEverybody(*address))
        } else {
            Ok(())
        }
    }

    /// Listens, which may take privileges that are given up later.
    pub fn open(self) -> Result<Opened> {
        let listener = listen::bind(self.address)
            .with_context(|| format!("cannot listen at {} (--metrics-listen)", self.address))?;
        Ok(Opened { listener, options: self })
    }
}

impl Opened {
    /// Reads what it takes to serve it.
    pub fn prepare(self) -> Result<Remote> {
        let access = Access::new(&self.options).map_err(anyhow::Error::msg);
        let access = access.with_context(|| format!("cannot serve metrics at {}", self.options.address))?;
        Ok(Remote { listener: self.listener, access: Arc::new(access) })
    }
}

impl Remote {
    /// Where it is.
    pub(super) fn url(&self) -> Result<String> {
        let scheme = if self.access.is_encrypted() { "https" } else { "http" };
        Ok(format!("{scheme}://{}/metrics", self.listener.local_addr()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, tls: Option<bool>, token: bool, insecure: bool) -> Result<(), Unprotected> {
        let file = |name: &str| PathBuf::from(name);
        let tls = tls.map(|client_ca| Tls {
            chain: file("cert"),
            key: file("key"),
            client_ca: client_ca.then(|| file("ca")),
        });
        let options = Options {
            address: address.parse().unwrap(),
            tls,
            token_file: token.then(|| file("token")),
            insecure,
        };
        options.check()
    }

    #[test]
    fn what_others_reach_is_encrypted_and_for_those_who_are_known() {
        for address in ["0.0.0.0:9902", "[::]:9902", "10.0.0.1:9902", "[2001:db8::1]:9902"] {
            let reached: SocketAddr = address.parse().unwrap();
            let of = |tls, token| check(address, tls, token, false);
            assert_eq!(of(None, false), Err(Unprotected::InTheClear(reached)));
            // The token would be read on the way.
            assert_eq!(of(None, true), Err(Unprotected::InTheClear(reached)));
            assert_eq!(of(Some(false), false), Err(Unprotected::ForEverybody(reached)));
            assert_eq!(of(Some(false), true), Ok(()));
            assert_eq!(of(Some(true), false), Ok(()));
            assert_eq!(of(Some(true), true), Ok(()));
            assert_eq!(check(address, None, false, true), Ok(()));
        }
        assert_eq!(check("127.0.0.1:9902", None, false, false), Ok(()));
        assert_eq!(check("[::1]:9902", None, true, false), Ok(()));
    }
}
