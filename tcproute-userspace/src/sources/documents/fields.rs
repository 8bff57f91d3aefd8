//! Where the fields of an object are written, for who has something to say of it once all is read.

use super::{
    mark::Mark,
    node::Node,
    path::{Path, prefixes},
};

/// More than anybody tells of: aliases may stand for very many.
const MOST: usize = 100_000;

/// Of other fields without any below them it is enough to know what they stand in.
const BY_THEMSELVES: [&str; 2] = ["name", "weight"];

/// The places of an object and its fields.
#[derive(Debug, Clone)]
pub(in crate::sources) struct Fields {
    /// Where its name is.
    name: Mark,
    /// What stands before the fields of an item of a list, such as `items[2]`.
    within: String,
    /// Of lists, mappings and some others, in the order of the names.
    places: Vec<(Box<str>, Mark)>,
}

impl Fields {
    pub(super) fn of(node: Node<'_>, path: &Path<'_>, name: Mark) -> Self {
        let mut places = Vec::new();
        gather(node, &Path::Root, &mut places);
        places.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { name, within: path.to_string(), places }
    }

    /// The whole path of a field and its place; or that of the nearest one around it, or else the name's.
    pub(in crate::sources) fn find(&self, field: &str) -> (String, Mark) {
        let at = |field: &str| {
            let found = self.places.binary_search_by(|(name, _)| (**name).cmp(field));
            found.ok().map(|index| self.places[index].1)
        };
        let around = prefixes(field).filter(|prefix| !prefix.is_empty()).filter_map(at).last();
        let whole = match (self.within.as_str(), field) {
            ("", field) => field.to_owned(),
            (within, "") => within.to_owned(),
            (within, field) => format!("{within}.{field}"),
        };
        (whole, around.unwrap_or(self.name))
    }

    /// Whether there is such a field.
    pub(in crate::sources) fn has(&self, field: &str) -> bool {
        self.places.binary_search_by(|(name, _)| (**name).cmp(field)).is_ok()
    }
}

fn gather(node: Node<'_>, path: &Path<'_>, places: &mut Vec<(Box<str>, Mark)>) {
    let below = node.items().enumerate().map(|(i, item)| (Path::Index(path, i), item));
    let named = node.entries().filter_map(|(key, value)| Some((Path::Field(path, key.text()?), value)));
    for (path, value) in below.chain(named) {
        if places.len() >= MOST {
            return;
        }
        let is_told = match path {
            Path::Field(_, name) => BY_THEMSELVES.contains(&name),
            Path::Root | Path::Index(..) => false,
        };
        if is_told || value.is_mapping() || value.is_sequence() {
            places.push((path.to_string().into(), value.at()));
            gather(value, &path, places);
        }
    }
}
