//! Certificates, keys and tokens in files. What is wrong with one is told without any of it.

use std::{fmt, fs, path::Path};

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// What stands before a token in a header.
pub(crate) const BEARER: &str = "Bearer ";

/// More is not read of a token, or of headers, in bytes.
const MOST: u64 = 1 << 16;

/// Certificates in PEM, of which there must be one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &dyn fmt::Display| format!("{} has no certificates: {why}", path.display());
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?.collect();
    let all = all.map_err(|error| wrong(&error))?;
    if all.is_empty() { Err(wrong(&"it is empty, or no PEM")) } else { Ok(all) }
}

/// Certificates of those who vouch for others.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// A key in PEM.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("{} has no private key: {error}", path.display()))
}

/// The token in a file, as a header has it.
pub(crate) fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let wrong = |why: &dyn fmt::Display| format!("the token of {}: {why}", path.display());
    let text = short(path).map_err(|why| wrong(&why))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(wrong(&"it is empty"));
    }
    // What is wrong with it is not told: that would be a part of it.
    let mut value = HeaderValue::try_from(format!("{BEARER}{token}"))
        .map_err(|_| wrong(&"it has signs that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The headers in a file, one a line as `name: value`. Lines that begin with `#` count for nothing.
pub(crate) fn headers(path: &Path) -> Result<HeaderMap, String> {
    let wrong = |why: &dyn fmt::Display| format!("the headers of {}: {why}", path.display());
    let text = short(path).map_err(|why| wrong(&why))?;
    let mut headers = HeaderMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let value = HeaderValue::try_from(value.trim()).ok()?;
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let Some((name, mut value)) = header else {
            return Err(wrong(&format_args!("line {number} is not like `name: value`")));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn short(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MOST {
        return Err(format!("it is longer than {MOST} bytes"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_token_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(bearer(&path).unwrap_err().contains("No such file"));
        fs::write(&path, " \n").unwrap();
        assert!(bearer(&path).unwrap_err().ends_with("it is empty"));
        fs::write(&path, "se\ncret").unwrap();
        assert!(!bearer(&path).unwrap_err().contains("cret"));
        fs::write(&path, "secret\n").unwrap();
        let token = bearer(&path).unwrap();
        assert_eq!(token.to_str().unwrap(), "Bearer secret");
        assert!(!format!("{token:?}").contains("secret"));
        fs::write(&path, "x".repeat(1 << 17)).unwrap();
        assert!(bearer(&path).unwrap_err().contains("longer"));
    }

    #[test]
    fn headers_stand_one_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("headers");
        fs::write(&path, "# of the vendor\nx-team: se:cret\n\n X-Data-Set :a b\n").unwrap();
        let found = headers(&path).unwrap();
        assert_eq!((found.len(), &found["x-team"]), (2, &HeaderValue::from_static("se:cret")));
        assert_eq!(found["x-data-set"], "a b");
        assert!(!format!("{found:?}").contains("cret"));
        for wrong in ["x-team se-cret", ": se-cret", "x team: se-cret", "x-team: se\u{1}cret"] {
            fs::write(&path, format!("a: b\n{wrong}\n")).unwrap();
            let error = headers(&path).unwrap_err();
            assert!(error.contains("line 2") && !error.contains("cret"), "{error}");
        }
        fs::write(&path, "").unwrap();
        assert!(headers(&path).unwrap().is_empty());
    }
}
