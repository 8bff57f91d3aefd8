//! Lists and their pages.

use serde_json::json;

use super::{
    answer::Answer,
    document::Document,
    errors,
    options::Options,
    request::Request,
    store::Store,
    version::{Kind, Version},
};

/// A page of a list, which a fault may change before it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// How many items there are on all pages.
    pub(super) total: usize,
    /// Those of this one, as text and in short.
    pub(super) items: Vec<Item>,
    pub(super) next: Option<Next>,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) text: String,
    pub(super) bare: String,
}

/// Where the next page is.
#[derive(Debug, Clone)]
pub(super) struct Next {
    base: String,
    parameters: Vec<(String, String)>,
    pub(super) offset: usize,
}

const TITLE: &str = "Could not retrieve resources";
const SIZE: usize = 100;
const MAX_SIZE: usize = 1000;

impl List {
    pub(super) fn text(&self) -> String {
        let items: Vec<&str> = self.items.iter().map(|item| item.text.as_str()).collect();
        let next = self.next.as_ref().map_or("null".into(), |next| format!("\"{}\"", next.link()));
        format!(r#"{{"total":{},"items":[{}],"next":{next}}}"#, self.total, items.join(","))
    }
}

impl Next {
    /// Parameters stand sorted by name.
    fn link(&self) -> String {
        let mut parameters = self.parameters.clone();
        parameters.retain(|(key, _)| key != "offset");
        parameters.push(("offset".into(), self.offset.to_string()));
        parameters.sort();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        format!("{}?{query}", self.base)
    }
}

/// The page of the list that is asked for: all of a kind, or those of a mesh.
pub(super) fn page(
    store: &Store,
    options: &Options,
    request: &Request,
    kind: &Kind,
    mesh: Option<&str>,
) -> Result<List, Answer> {
    let version = options.version;
    let size = size(version, request)?;
    if version == Version::V2_14 && mesh.is_some_and(|mesh| !store.has_mesh(mesh)) {
        return Err(errors::no_mesh());
    }
    if !request.is_admitted(options) && (options.requires_token || kind.is_secret()) {
        return Err(errors::denied(kind.name));
    }
    let mut documents = store.list(kind, mesh);
    if version == Version::V2_14
        && let Some(part) = request.parameter("name")
    {
        documents.retain(|document| document.name.contains(&part));
    }
    let total = documents.len();
    let items = |documents: &[&Document]| documents.iter().map(|it| Item::new(it, options)).collect();
    if size == 0 {
        // No pages, so nobody sorts it.
        documents.sort_by_key(|document| document.sequence);
        return Ok(List { total, items: items(&documents), next: None });
    }
    let offset = offset(version, request)?;
    let (begin, end) = (offset.min(total), offset.saturating_add(size).min(total));
    let next = (offset.saturating_add(size) < total).then(|| Next {
        base: format!("{}{}", base(options, request), request.route()),
        parameters: request.parameters(),
        offset: offset + size,
    });
    Ok(List { total, items: items(&documents[begin..end]), next })
}

/// As the server sees itself, also if there is something with TLS in front of it.
fn base(options: &Options, request: &Request) -> String {
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    options.next.clone().unwrap_or_else(|| format!("{scheme}://{}", request.host))
}

fn size(version: Version, request: &Request) -> Result<usize, Answer> {
    let Some(size) = request.parameter("size") else { return Ok(SIZE) };
    let wrong = |reason: &str| errors::field(TITLE, "Invalid page size", "size", reason);
    let is_old = version == Version::V2_4;
    let Ok(size) = size.parse::<i64>() else {
        return Err(wrong(if is_old { "Invalid format" } else { "invalid format" }));
    };
    match usize::try_from(size) {
        Ok(0) if is_old => Ok(0),
        Ok(size @ 1..=MAX_SIZE) => Ok(size),
        Ok(0) | Err(_) => Err(wrong("must be greater than 0")),
        Ok(size) => {
            let invalid = if is_old { "Invalid" } else { "invalid" };
            Err(wrong(&format!("{invalid} page size of {size}. Maximum page size is {MAX_SIZE}")))
        }
    }
}

fn offset(version: Version, request: &Request) -> Result<usize, Answer> {
    let Some(offset) = request.parameter("offset") else { return Ok(0) };
    let reason = match offset.parse::<i64>().map(usize::try_from) {
        Ok(Ok(offset)) => return Ok(offset),
        Ok(Err(_)) => "must be non-negative".to_owned(),
        Err(_) => format!("strconv.Atoi: parsing {}: invalid syntax", json!(offset)),
    };
    Err(match version {
        Version::V2_4 => errors::field(TITLE, "Invalid offset", "offset", "Invalid format"),
        Version::V2_14 => errors::standard(400, TITLE, &format!("invalid: invalid offset: {reason}")),
    })
}

impl Item {
    fn new(document: &Document, options: &Options) -> Self {
        let text = document.text(options.version, options.is_global);
        Self { text, bare: document.bare() }
    }
}
