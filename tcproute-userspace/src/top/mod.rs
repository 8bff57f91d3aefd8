//! What routes do by the second: readings of the daemon in, rows out, sorted and filtered. No clock and no I/O;
//! `tcproute top` draws it.

mod model;
mod order;
mod row;
mod view;
mod window;

pub(crate) use model::{Model, Reading};
pub(crate) use order::Filter;
pub(crate) use row::{Backend, Cause, Row};
pub(crate) use view::View;
