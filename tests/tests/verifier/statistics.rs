//! The statistics at the end of a verifier's log (`print_verification_stats` in kernel/bpf/verifier.c).

/// What verifying a program took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// Instructions that were verified, once for each path on which they were reached.
    pub(crate) instructions: u32,
    /// States that were made, over all instructions.
    pub(crate) states: u32,
    /// Bytes of stack, that of called functions included.
    pub(crate) stack: u32,
}

impl Statistics {
    /// `None` if the log has none.
    pub(crate) fn read(log: &str) -> Option<Self> {
        // Later kernels put `max` and the deepest call chain behind the depths of the functions.
        let depths = log.lines().find_map(|line| line.strip_prefix("stack depth "))?;
        let depths = depths.split(" max").next()?;
        let processed = log.lines().find(|line| line.starts_with("processed "))?;
        let mut words = processed.split_whitespace();
        Some(Self {
            instructions: words.nth(1)?.parse().ok()?,
            states: words.skip_while(|&word| word != "total_states").nth(1)?.parse().ok()?,
            stack: depths.split('+').map(|depth| depth.trim().parse::<u32>().ok()).sum::<Option<u32>>()?,
        })
    }
}

#[test]
fn the_end_of_a_log_is_read() {
    let log = "verification time 184 usec\nstack depth 72+16\nprocessed 1204 insns (limit 1000000) \
               max_states_per_insn 3 total_states 41 peak_states 40 mark_read 12\n";
    let statistics = Statistics { instructions: 1204, states: 41, stack: 88 };
    assert_eq!(Statistics::read(log), Some(statistics));
    let newer = log.replace("72+16", "72+16 max 88");
    assert_eq!(Statistics::read(&newer), Some(statistics));
    assert_eq!(Statistics::read("processed many insns"), None);
}
