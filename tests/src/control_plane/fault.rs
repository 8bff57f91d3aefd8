//! What goes wrong with requests.

use std::fmt;

use super::{answer::Target, list::List, request::Request, store::Store, version::Version};

/// What a server does instead of what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This is answered.
    Status {
        /// The code.
        status: u16,
        /// All of it.
        body: String,
        /// The header Retry-After, in seconds or as a date.
        retry_after: Option<String>,
    },
    /// No answer comes, and the connection stays open.
    Hang,
    /// The connection is closed in the middle of the body.
    Cut,
    /// HTML with code 200, as from a page where one logs in.
    Garbage,
    /// The first half of the JSON, as if it were the whole.
    Truncated,
    /// A body without an end, as fast as it is read.
    Endless,
    /// The right body, a byte each 100 ms.
    Drip,
    /// Another place, with code 302.
    Redirect(String),
    /// A list without items.
    Empty,
    /// Pages after the first one tell a larger total.
    TotalMoves,
    /// Before a page after the first one is answered, the last item of the list goes to the front, under another name:
    /// total stays, the last item of the page before comes again, and one does not come.
    Twice,
    /// A page has one item less than it was asked for, and the next one begins with that.
    Short,
    /// Before a page after the first one is answered, the first item of the list goes to the end, under another name:
    /// total stays, and an item that is there all the time is on no page.
    ShiftBetweenPages,
    /// Items have nothing but type, mesh and name.
    DropsFields,
}

impl Fault {
    /// A code with a body in the shape of Kuma's errors.
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: error(status), retry_after: None }
    }

    /// Too many requests or the like; come again in so many seconds.
    pub fn busy(status: u16, retry_after: impl fmt::Display) -> Self {
        Self::Status { status, body: error(status), retry_after: Some(retry_after.to_string()) }
    }

    /// Whether anything would go wrong with this request. `list` is what it is answered without faults.
    pub(super) fn concerns(&self, request: &Request, list: Option<&List>) -> bool {
        match self {
            Self::TotalMoves | Self::Twice | Self::ShiftBetweenPages => {
                list.is_some() && request.is_next_page()
            }
            Self::Short => list.is_some_and(|list| list.next.is_some() && list.items.len() > 1),
            Self::Empty | Self::DropsFields => list.is_some(),
            _ => true,
        }
    }

    /// What happens before the answer is made. The resources of other kinds stay as they are.
    pub(super) fn prepare(&self, store: &mut Store, version: Version, request: &Request) {
        let (at_end, beginning) = match self {
            Self::Twice => (true, "0-moved-"),
            Self::ShiftBetweenPages => (false, "zzz-moved-"),
            _ => return,
        };
        let Some(Target::List(kind, mesh)) = Target::at(version, request.route()) else { return };
        let documents = store.list(kind, mesh);
        let moved = if at_end { documents.last() } else { documents.first() };
        let Some((mesh, from)) = moved.map(|it| (it.mesh.clone(), it.name.clone())) else { return };
        let to = store.new_name(beginning);
        store.rename(kind, mesh.as_deref(), &from, &to);
    }

    /// What becomes of a list.
    pub(super) fn change(&self, list: &mut List) {
        match self {
            Self::Empty => *list = List::default(),
            Self::TotalMoves => list.total += 1,
            Self::Short => {
                list.items.pop();
                if let Some(next) = &mut list.next {
                    next.offset -= 1;
                }
            }
            Self::DropsFields => {
                for item in &mut list.items {
                    item.text.clone_from(&item.bare);
                }
            }
            _ => {}
        }
    }
}

fn error(status: u16) -> String {
    let detail = "the test wants it";
    format!(
        r#"{{"type":"/std-errors","status":{status},"title":"A fault","detail":"{detail}","details":"{detail}"}}"#
    )
}
