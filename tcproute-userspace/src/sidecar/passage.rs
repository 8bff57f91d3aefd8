//! What becomes of connections from a network namespace, by what was seen in it. Pure.

use tcproute_common::Way;

use super::{redirection::Redirection, settings::Mode, table::Table};

/// What was seen in a network namespace.
#[derive(Debug)]
pub(super) struct Seen {
    /// What its connections are redirected by.
    pub(super) redirections: Vec<Redirection>,
    /// What there is of our table; or why there can be none.
    pub(super) table: Result<Table, String>,
    pub(super) whose: Whose,
}

/// Whose a network namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Workloads are in it.
    Workloads,
    /// The host's own, which is never touched, whoever is in it.
    Host,
    /// This daemon's, and no workload is in it: it is not touched either.
    Daemons,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) way: Way,
    /// Whether the table has to be made first.
    pub(super) makes_table: bool,
    /// Why connections are held, or how they are redirected.
    pub(super) why: String,
}

/// Whether tables of another mark may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacing {
    /// Nobody sets another mark any more.
    Yes,
    /// Programs of an earlier daemon may still set it.
    NotYet,
}

/// Judges what was seen.
pub(super) fn judge(mode: Mode, seen: &Seen, replacing: Replacing) -> Verdict {
    let by: Vec<String> = seen.redirections.iter().map(ToString::to_string).collect();
    let by = by.join(" and ");
    let is_redirected = !seen.redirections.is_empty();
    let how = if is_redirected { format!("redirected by {by}") } else { "not redirected".to_owned() };
    let held = |why: String| Verdict { way: Way::Held, makes_table: false, why };
    match seen.whose {
        Whose::Host | Whose::Daemons if !is_redirected => Verdict::plain(),
        Whose::Host => held(format!("it is the host's own, which is never touched, and {how}")),
        Whose::Daemons => held(format!("no workload is in it yet, and it is {how}")),
        Whose::Workloads if mode == Mode::Auto && !is_redirected => Verdict::plain(),
        Whose::Workloads => match (&seen.table, replacing) {
            (Ok(Table::Right), _) => Verdict { way: Way::Past, makes_table: false, why: how },
            (Ok(Table::Missing), _) | (Ok(Table::Other), Replacing::Yes) => {
                Verdict { way: Way::Past, makes_table: true, why: how }
            }
            (Ok(Table::Other), Replacing::NotYet) => held("its table is of another mark".to_owned()),
            (Err(why), _) => held(why.clone()),
        },
    }
}

impl Verdict {
    const fn plain() -> Self {
        Self { way: Way::Plain, makes_table: false, why: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(redirections: &[Redirection], table: Result<Table, &str>, whose: Whose) -> Seen {
        Seen { redirections: redirections.to_vec(), table: table.map_err(str::to_owned), whose }
    }

    fn ways(mode: Mode, seen: &Seen) -> (Way, bool) {
        let Verdict { way, makes_table, .. } = judge(mode, seen, Replacing::Yes);
        (way, makes_table)
    }

    #[test]
    fn only_what_is_redirected_is_led_past() {
        let none = seen(&[], Ok(Table::Missing), Whose::Workloads);
        let nft = seen(&[Redirection::Nft], Ok(Table::Missing), Whose::Workloads);
        assert_eq!(ways(Mode::Auto, &none), (Way::Plain, false));
        assert_eq!(ways(Mode::Auto, &nft), (Way::Past, true));
        assert_eq!(ways(Mode::Bypass, &none), (Way::Past, true));
    }

    #[test]
    fn a_table_that_is_right_is_left_alone() {
        let right = seen(&[Redirection::Nft], Ok(Table::Right), Whose::Workloads);
        assert_eq!(ways(Mode::Auto, &right), (Way::Past, false));
        let other = seen(&[Redirection::Nft], Ok(Table::Other), Whose::Workloads);
        assert_eq!(ways(Mode::Auto, &other), (Way::Past, true));
        assert_eq!(judge(Mode::Auto, &other, Replacing::NotYet).way, Way::Held);
    }

    #[test]
    fn what_is_no_workloads_is_never_touched() {
        for whose in [Whose::Host, Whose::Daemons] {
            for table in [Ok(Table::Missing), Ok(Table::Right), Err("no")] {
                for mode in [Mode::Auto, Mode::Bypass] {
                    assert_eq!(ways(mode, &seen(&[], table, whose)), (Way::Plain, false));
                    assert_eq!(ways(mode, &seen(&[Redirection::Nft], table, whose)), (Way::Held, false));
                }
            }
        }
    }

    #[test]
    fn without_a_table_nothing_is_routed() {
        let without = seen(&[Redirection::Nft], Err("no nf_tables"), Whose::Workloads);
        let verdict = judge(Mode::Auto, &without, Replacing::Yes);
        assert_eq!((verdict.way, verdict.why.as_str()), (Way::Held, "no nf_tables"));
        assert_eq!(ways(Mode::Auto, &seen(&[], Err("no nf_tables"), Whose::Workloads)), (Way::Plain, false));
    }
}
