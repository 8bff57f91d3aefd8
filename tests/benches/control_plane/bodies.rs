//! How much one reading of all lists is.

use std::{ffi::OsStr, path::Path};

use anyhow::{Result, ensure};
use tcproute_tests::{
    control_plane::{Request, Server},
    tcproute::get,
};

/// Of one reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bodies {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
    /// Of the Dataplanes alone.
    pub(crate) of_dataplanes: usize,
}

/// How many of these requests began a reading, whatever was read.
pub(crate) fn polls(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.path == "/").count()
}

/// How often the Dataplanes were read from their beginning.
pub(crate) fn readings(requests: &[Request]) -> usize {
    let is_first =
        |request: &&Request| is_of_dataplanes(&request.path) && request.path.ends_with("&offset=0");
    requests.iter().filter(is_first).count()
}

fn is_of_dataplanes(path: &str) -> bool {
    path.contains("/dataplanes?")
}

/// Asks once more for what was asked in the fullest reading among these, which are not all of a start.
pub(crate) fn of(server: &Server, ca: Option<&Path>, requests: &[Request]) -> Result<Bodies> {
    let whole = requests.split(|request| request.path == "/").max_by_key(|reading| reading.len());
    // Who is there is asked first.
    let paths = whole.into_iter().flatten().map(|request| request.path.as_str());
    let paths: Vec<&str> = std::iter::once("/").chain(paths).collect();
    let arguments: Vec<&OsStr> =
        ca.into_iter().flat_map(|ca| [OsStr::new("--cacert"), ca.as_os_str()]).collect();
    let mut bodies = Bodies { requests: paths.len(), bytes: 0, of_dataplanes: 0 };
    for path in paths {
        let (code, body) = get(&arguments, &format!("{}{path}", server.url()));
        ensure!(code == 200, "{path}: {code}");
        bodies.bytes += body.len();
        if is_of_dataplanes(path) {
            bodies.of_dataplanes += body.len();
        }
    }
    Ok(bodies)
}
