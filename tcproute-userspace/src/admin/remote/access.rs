//! Who gets in: by TLS with a certificate, by a token, or by neither. All of it is read again when its files are
//! others.

use std::sync::Arc;

use axum::{
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use subtle::ConstantTimeEq;
use tokio_rustls::TlsAcceptor;

use super::{Options, Tls, renewed::Renewed};
use crate::{
    admin::guard,
    credentials::{self, BEARER},
};

/// What those who ask have to bring.
#[derive(Debug)]
pub(in crate::admin) struct Access {
    tls: Option<Renewed<ServerConfig>>,
    token: Option<Renewed<HeaderValue>>,
    /// Whether a page in a browser could come here in the name of its reader.
    guarded: bool,
}

impl Access {
    /// Reads all that it needs.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let Options { address, tls, token_file, insecure: _ } = options;
        let renewed = |tls: &Tls| {
            let files = [&tls.chain, &tls.key].into_iter().chain(&tls.client_ca).cloned().collect();
            let tls = tls.clone();
            Renewed::new("the certificates of metrics", files, move || config(&tls))
        };
        let of_file = |file: &std::path::PathBuf| {
            let path = file.clone();
            Renewed::new("the token of metrics", vec![file.clone()], move || credentials::bearer(&path))
        };
        Ok(Self {
            tls: tls.as_ref().map(renewed).transpose()?,
            token: token_file.as_ref().map(of_file).transpose()?,
            guarded: address.ip().is_loopback() && !options.knows_clients(),
        })
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// How TLS is spoken at present; nothing where it is not.
    pub(in crate::admin) async fn acceptor(&self) -> Option<TlsAcceptor> {
        match &self.tls {
            None => None,
            Some(tls) => Some(tls.current().await.into()),
        }
    }

    /// Lets a request through, or answers it.
    pub(in crate::admin) async fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        if let Some(token) = &self.token
            && !is_it(token.current().await.as_ref(), headers)
        {
            let head = [(WWW_AUTHENTICATE, "Bearer")];
            return Err((StatusCode::UNAUTHORIZED, head, "a token is asked for\n").into_response());
        }
        if self.guarded {
            guard::admit(uri, headers).map_err(IntoResponse::into_response)?;
        }
        Ok(())
    }
}

/// Whether the token is in the headers, compared in a time that tells nothing of it but its length.
fn is_it(token: &HeaderValue, headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let (Some(given), None) = (given.next(), given.next()) else { return false };
    let Some((scheme, given)) = given.split_at_checked(BEARER.len()) else { return false };
    let token = token.as_bytes().get(BEARER.len()..).unwrap_or_default();
    scheme.eq_ignore_ascii_case(BEARER.as_bytes()) && bool::from(given.ct_eq(token))
}

fn config(Tls { chain, key, client_ca }: &Tls) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(credentials::authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let mut config = builder
        .with_single_cert(credentials::certificates(chain)?, credentials::private_key(key)?)
        .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_right_one_or_none() {
        let token = HeaderValue::from_static("Bearer secret");
        let given = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            is_it(&token, &headers)
        };
        assert!(given(&["Bearer secret"]) && given(&["bearer secret"]));
        for wrong in ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secret2", "Basic  secret", "secret"] {
            assert!(!given(&[wrong]), "{wrong:?}");
        }
        assert!(!given(&[]) && !given(&["Bearer secret", "Bearer other"]));
    }
}
