//! Certificates for tests of TLS, made when they are needed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Who vouches for servers and clients. Each one is foreign to all others.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Of the server or the client itself.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Files for a client.
#[derive(Debug, Clone)]
pub struct Files {
    /// `ca.pem`, the certificate of the authority.
    pub ca: PathBuf,
    /// `client.pem`
    pub certificate: PathBuf,
    /// `client.key`
    pub key: PathBuf,
}

/// Where the servers of tests are.
const HERE: [&str; 2] = ["127.0.0.1", "localhost"];

impl Authority {
    /// One that nobody knows yet.
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let mut parameters = named("tcproute test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(parameters, key()).expect("a certificate can be made"))
    }

    /// Its own certificate, as PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A server at 127.0.0.1 and localhost.
    pub fn server(&self) -> Identity {
        self.server_of(&HERE)
    }

    /// A server with other names or addresses.
    pub fn server_of(&self, names: &[&str]) -> Identity {
        self.identity(&server(names))
    }

    /// A server here whose certificate has expired long ago.
    pub fn expired_server(&self) -> Identity {
        self.identity(&expired(server(&HERE)))
    }

    /// A client.
    pub fn client(&self) -> Identity {
        self.identity(&client())
    }

    /// A client whose certificate has expired long ago.
    pub fn expired_client(&self) -> Identity {
        self.identity(&expired(client()))
    }

    /// Writes `ca.pem`, and `client.pem` and `client.key` of a new client, into this directory.
    pub fn write_to(&self, directory: &Path) -> Files {
        let ca = directory.join("ca.pem");
        fs::write(&ca, self.certificate()).expect("a file can be written");
        let (certificate, key) = self.client().write_to(directory, "client");
        Files { ca, certificate, key }
    }

    fn identity(&self, parameters: &CertificateParams) -> Identity {
        let key = key();
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate can be made");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes `<name>.pem` and `<name>.key` into this directory, and tells where they are.
    pub fn write_to(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let file = |ending: &str| directory.join(format!("{name}.{ending}"));
        let (certificate, key) = (file("pem"), file("key"));
        fs::write(&certificate, &self.certificate).expect("a file can be written");
        fs::write(&key, &self.key).expect("a file can be written");
        (certificate, key)
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("they are names or addresses");
    parameters.distinguished_name.push(DnType::CommonName, "tcproute test server");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn client() -> CertificateParams {
    let mut parameters = named("tcproute test client");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn expired(mut parameters: CertificateParams) -> CertificateParams {
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2020, 2, 1);
    parameters
}
