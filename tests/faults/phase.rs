//! What a daemon goes through.

/// One of them is taken at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Other weights.
    Weights,
    /// Other endpoints.
    Endpoints,
    /// Other endpoints, and what becomes of the room of those before.
    Reclaim,
    /// A workload comes.
    Attach,
    /// A workload goes.
    Gone,
    /// All pins vanish.
    Pins,
    /// Nothing happens.
    Idle,
    /// Somebody asks the admin endpoint.
    Asked,
    /// The maps grow.
    Growth,
    /// A first start.
    Start,
    /// A start where a daemon has been.
    Adoption,
    /// The same, where a build with other tables has been.
    OtherTables,
    /// The same, where a build with other states of sockets has been.
    OtherStates,
    /// The end by SIGTERM.
    Shutdown,
    /// `tcproute detach`.
    Detach,
}

impl Phase {
    /// What is gone through side by side.
    pub(crate) const NODES: [&[Self]; 5] = [
        &[Self::Weights, Self::Attach, Self::Endpoints, Self::Idle, Self::Gone, Self::Pins],
        &[Self::Weights, Self::Attach, Self::Reclaim, Self::Asked, Self::Gone, Self::Pins],
        &[Self::Growth],
        &[Self::Start, Self::Shutdown, Self::Adoption, Self::Shutdown, Self::Detach],
        &[Self::OtherTables, Self::Adoption, Self::OtherStates, Self::Shutdown],
    ];

    /// Whether it is of a daemon that runs.
    pub(crate) const fn is_of_a_daemon(self) -> bool {
        !matches!(self, Self::Start | Self::Adoption | Self::OtherTables | Self::OtherStates | Self::Detach)
    }

    /// Whether the process ends with it.
    pub(crate) const fn ends(self) -> bool {
        matches!(self, Self::Shutdown | Self::Detach)
    }
}
