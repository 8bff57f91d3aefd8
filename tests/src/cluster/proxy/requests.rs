//! What clients ask, and some of it by its path and sort.

use std::time::Instant;

use hyper::Uri;

/// Some of the requests: those to a path, and of one sort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    path: String,
    sort: Option<Sort>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Watch,
    NoWatch,
    Whole,
    Resumed,
}

impl Requests {
    /// All there are.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those whose path has this in it, such as `/dataplanes`.
    pub fn to(path: &str) -> Self {
        Self { path: path.to_owned(), sort: None }
    }

    /// Only watches, also those that begin with all objects.
    pub fn watches(self) -> Self {
        Self { sort: Some(Sort::Watch), ..self }
    }

    /// All but watches.
    pub fn no_watches(self) -> Self {
        Self { sort: Some(Sort::NoWatch), ..self }
    }

    /// Only what asks for all objects: lists, and watches that begin with them.
    pub fn whole(self) -> Self {
        Self { sort: Some(Sort::Whole), ..self }
    }

    /// Only watches that go on from a version.
    pub fn resumed(self) -> Self {
        Self { sort: Some(Sort::Resumed), ..self }
    }

    /// Whether this is one of them.
    pub(super) fn include(&self, asked: &Asked) -> bool {
        let is_of_sort = match self.sort {
            None => true,
            Some(Sort::Watch) => asked.is_watch,
            Some(Sort::NoWatch) => !asked.is_watch,
            Some(Sort::Whole) => !asked.is_resumed(),
            Some(Sort::Resumed) => asked.is_resumed(),
        };
        is_of_sort && asked.path.contains(&self.path)
    }
}

/// What a client has asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Without what stands behind the question mark.
    pub path: String,
    /// What stands there.
    pub query: String,
    /// Whether it is a watch.
    pub is_watch: bool,
    /// When it came.
    pub at: Instant,
}

impl Asked {
    pub(super) fn new(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().to_owned();
        let is_watch = query.split('&').any(|field| matches!(field, "watch" | "watch=true" | "watch=1"));
        Self { path: uri.path().to_owned(), query, is_watch, at: Instant::now() }
    }

    /// Whether it is a watch that does not begin with all objects.
    fn is_resumed(&self) -> bool {
        let has = |wanted: fn(&str) -> bool| self.query.split('&').any(wanted);
        self.is_watch
            && has(|field| field.strip_prefix("resourceVersion=").is_some_and(|it| !matches!(it, "" | "0")))
            && !has(|field| field == "sendInitialEvents=true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let sorts = |uri: &str| {
            let asked = Asked::new(&uri.parse().unwrap());
            let to = || Requests::to("/pods");
            [to(), to().watches(), to().no_watches(), to().whole(), to().resumed()]
                .map(|it| it.include(&asked))
        };
        assert_eq!(sorts("/api/v1/nodes"), [false; 5]);
        assert_eq!(sorts("/api/v1/pods?limit=500"), [true, false, true, true, false]);
        assert_eq!(sorts("/api/v1/pods?watch=true&resourceVersion=7"), [true, true, false, false, true]);
        for whole in
            ["watch=1", "watch=true&resourceVersion=0", "watch=true&sendInitialEvents=true&resourceVersion=7"]
        {
            assert_eq!(sorts(&format!("/api/v1/pods?{whole}")), [true, true, false, true, false]);
        }
    }
}
