//! What is answered to a request. Nothing here knows of connections or of time.

use super::{
    errors,
    list::{self, List},
    options::Options,
    request::Request,
    store::Store,
    version::{Kind, Version},
    write,
};

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// Without one there is no body.
    pub content_type: Option<&'static str>,
    /// Which methods would have done.
    pub allow: Option<&'static str>,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    List(Box<List>),
}

impl Answer {
    pub(super) fn json(status: u16, text: String) -> Self {
        Self { status, content_type: Some("application/json"), allow: None, content: Content::Text(text) }
    }

    /// Without a body.
    pub(super) const fn empty(status: u16) -> Self {
        Self { status, content_type: None, allow: None, content: Content::Text(String::new()) }
    }

    pub(super) fn list(list: List) -> Self {
        Self { content: Content::List(Box::new(list)), ..Self::json(200, String::new()) }
    }

    /// The whole body.
    pub fn body(&self) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::List(list) => list.text(),
        }
    }
}

/// What a path is about.
pub(super) enum Target<'a> {
    Index,
    Config,
    WhoAmI,
    /// All of a kind, or those of a mesh.
    List(&'static Kind, Option<&'a str>),
    /// One of a kind, by mesh and name.
    Item(&'static Kind, Option<&'a str>, &'a str),
}

impl<'a> Target<'a> {
    /// What there is at this path.
    pub(super) fn at(version: Version, path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => Some(Self::Index),
            ["config"] => Some(Self::Config),
            ["who-am-i"] => Some(Self::WhoAmI),
            [path] => Some(Self::List(version.kind_at(path)?, None)),
            [path, name] => {
                let kind = version.kind_at(path).filter(|kind| !kind.in_mesh)?;
                Some(Self::Item(kind, None, name))
            }
            ["meshes", mesh, path] => Some(Self::List(in_mesh(version, path)?, Some(mesh))),
            ["meshes", mesh, path, name] => Some(Self::Item(in_mesh(version, path)?, Some(mesh), name)),
            _ => None,
        }
    }
}

fn in_mesh(version: Version, path: &str) -> Option<&'static Kind> {
    version.kind_at(path).filter(|kind| kind.in_mesh)
}

/// Answers a request with this body.
pub fn answer(store: &mut Store, options: &Options, request: &Request, body: &[u8]) -> Answer {
    let version = options.version;
    let target = Target::at(version, request.route());
    let is_open = version == Version::V2_14 && matches!(target, Some(Target::Index));
    if request.token().is_some() && !request.is_admitted(options) && !is_open {
        return errors::unauthenticated();
    }
    let Some(target) = target else { return errors::no_page() };
    match (request.method.as_str(), target) {
        ("GET", Target::Index) => Answer::json(200, version.index()),
        ("GET", Target::Config) => config(options, request),
        ("GET", Target::WhoAmI) => who_am_i(options, request),
        ("GET", Target::List(kind, mesh)) => {
            list::page(store, options, request, kind, mesh).map_or_else(|error| error, Answer::list)
        }
        ("GET", Target::Item(kind, mesh, name)) => item(store, options, request, (kind, mesh, name)),
        ("PUT", Target::Item(kind, mesh, name)) => write::put(store, options, (kind, mesh, name), body),
        ("DELETE", Target::Item(kind, mesh, name)) => write::delete(store, version, (kind, mesh, name)),
        (_, Target::Item(..)) => errors::not_allowed("PUT, DELETE, GET"),
        _ => errors::not_allowed("GET"),
    }
}

fn config(options: &Options, request: &Request) -> Answer {
    if !options.config_is_open && !request.is_admitted(options) {
        return errors::config_denied();
    }
    let environment = if options.is_on_kubernetes { "kubernetes" } else { "universal" };
    let store = if options.is_on_kubernetes { "kubernetes" } else { "memory" };
    let mode = options.mode();
    let text = format!(
        r#"{{"environment":"{environment}","mode":"{mode}","store":{{"type":"{store}","cache":{{"enabled":true,"expirationTime":"1s"}}}}}}"#
    );
    Answer::json(200, text)
}

fn who_am_i(options: &Options, request: &Request) -> Answer {
    let user = if request.is_admitted(options) {
        r#"{"name":"mesh-system:admin","groups":["mesh-system:admin","mesh-system:authenticated"]}"#
    } else {
        r#"{"name":"mesh-system:anonymous","groups":["mesh-system:unauthenticated"]}"#
    };
    Answer::json(200, user.to_owned())
}

fn item(
    store: &Store,
    options: &Options,
    request: &Request,
    (kind, mesh, name): (&'static Kind, Option<&str>, &str),
) -> Answer {
    if options.version == Version::V2_14 && mesh.is_some_and(|mesh| !store.has_mesh(mesh)) {
        return errors::no_mesh();
    }
    if !request.is_admitted(options) && (options.requires_token || kind.is_secret()) {
        return errors::denied(kind.name);
    }
    let found = store.get(kind, mesh, name);
    found.map_or_else(errors::not_found, |it| Answer::json(200, it.text(options.version, options.is_global)))
}
