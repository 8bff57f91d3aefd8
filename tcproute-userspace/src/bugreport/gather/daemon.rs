//! What the daemon answers, if anybody does. Only what is known of an answer is taken.

use std::path::Path;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{Content, Part},
    within,
};
use crate::{
    admin::{client, status::Status},
    outcomes::WorkloadOutcomes,
};

/// More is not read of an answer, in bytes.
const MOST: usize = 64 << 20;

/// More is not told of why there is none: it may quote what was answered.
const MOST_OF_WHY: usize = 1000;

pub(super) async fn parts(socket: &Path) -> [Part; 4] {
    let (status, outcomes, metrics, ready) = tokio::join!(
        within(json::<Status>(socket, "/v1/status")),
        within(json::<Vec<WorkloadOutcomes>>(socket, "/v1/outcomes")),
        within(metrics(socket)),
        within(ready(socket)),
    );
    let part = |name, about, content| Part { name, about, content };
    [
        part("ready.txt", "whether the daemon is ready, and if not, why", ready),
        part("status.json", "what `tcproute status --output json` tells", status),
        part("stats.json", "what `tcproute stats --output json` tells", outcomes),
        part("metrics.txt", "the metrics of the daemon", metrics),
    ]
}

async fn get(socket: &Path, path: &str) -> Result<Bytes, String> {
    let answer = client::get_at_most(socket, path, MOST).await;
    answer.map_err(|error| format!("{error:#}").chars().take(MOST_OF_WHY).collect())
}

/// By the fields that are known here.
async fn json<T: Serialize + DeserializeOwned>(socket: &Path, path: &str) -> Result<Content, String> {
    let body = get(socket, path).await?;
    let answer: T = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer is not that of this version of tcproute: {}", place(&error)))?;
    Content::json(&answer)
}

/// What is wrong with JSON, without what it is about.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

async fn metrics(socket: &Path) -> Result<Content, String> {
    let body = get(socket, "/metrics").await?;
    let text = str::from_utf8(&body).map_err(|_| "the answer is no text".to_owned())?;
    let metrics: String = text.lines().filter(|line| is_metric(line)).flat_map(|line| [line, "\n"]).collect();
    if metrics.is_empty() {
        Err("there are no metrics of tcproute in the answer".to_owned())
    } else {
        Ok(Content::Text(metrics))
    }
}

/// Whether it is a line of ours.
fn is_metric(line: &str) -> bool {
    let line =
        ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|kind| line.strip_prefix(kind)).unwrap_or(line);
    line.starts_with("tcproute_") || line.starts_with("process_")
}

async fn ready(socket: &Path) -> Result<Content, String> {
    get(socket, "/readyz").await.map(|_| Content::Text("ready\n".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metrics_of_tcproute_are_taken() {
        for line in ["# HELP tcproute_routes Routes.", "tcproute_routes 3", "process_open_fds 7"] {
            assert!(is_metric(line), "{line}");
        }
        for line in ["# EOF", "secret", "", "# HELP other_routes", "x tcproute_routes 3"] {
            assert!(!is_metric(line), "{line}");
        }
    }
}
