//! Refusals, as a control plane words them.

use serde_json::json;

use super::answer::{Answer, Content};

/// Who is refused: a client without a token.
const NOBODY: &str = r#"user "mesh-system:anonymous/mesh-system:unauthenticated""#;

/// In the shape of `/std-errors`.
pub(super) fn standard(status: u16, title: &str, detail: &str) -> Answer {
    let (title, detail) = (json!(title), json!(detail));
    Answer::json(
        status,
        format!(
            r#"{{"type":"/std-errors","status":{status},"title":{title},"detail":{detail},"details":{detail}}}"#
        ),
    )
}

/// The same with the field that is wrong.
pub(super) fn field(title: &str, detail: &str, field: &str, reason: &str) -> Answer {
    let (title, detail, field, reason) = (json!(title), json!(detail), json!(field), json!(reason));
    let parameters = format!(r#"[{{"field":{field},"reason":{reason}}}]"#);
    let causes = format!(r#"[{{"field":{field},"message":{reason}}}]"#);
    Answer::json(
        400,
        format!(
            r#"{{"type":"/std-errors","status":400,"title":{title},"detail":{detail},"invalid_parameters":{parameters},"details":{detail},"causes":{causes}}}"#
        ),
    )
}

/// There is nothing at this path.
pub(super) fn no_page() -> Answer {
    plain(404, "404: Page Not Found", None)
}

/// What this path takes instead.
pub(super) fn not_allowed(allowed: &'static str) -> Answer {
    plain(405, "405: Method Not Allowed", Some(allowed))
}

fn plain(status: u16, text: &str, allow: Option<&'static str>) -> Answer {
    let content = Content::Text(text.to_owned());
    Answer { status, content_type: Some("text/plain; charset=utf-8"), allow, content }
}

/// The mesh is not there, as 2.14 tells it.
pub(super) fn no_mesh() -> Answer {
    standard(404, "Failed to retrieve Mesh", "Not found")
}

/// What is asked for is not there.
pub(super) fn not_found() -> Answer {
    standard(404, "Could not retrieve a resource", "Not found")
}

/// A token that it does not take.
pub(super) fn unauthenticated() -> Answer {
    standard(401, "Invalid authentication data", "Unauthenticated")
}

/// A kind that not everybody may see.
pub(super) fn denied(kind: &str) -> Answer {
    let detail = format!("{NOBODY} cannot access the resource of type \"{kind}\"");
    standard(403, "Access Denied", &detail)
}

/// `GET /config` where not everybody may see it.
pub(super) fn config_denied() -> Answer {
    standard(403, "Access denied", &format!("{NOBODY} cannot access control-plane metadata"))
}
