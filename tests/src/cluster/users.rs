//! Who asks an API server. It reads whose tokens it knows when it is started, so there are these.

/// A user with a token of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// As roles are bound to it.
    pub name: &'static str,
    /// What the user shows.
    pub token: &'static str,
    group: &'static str,
}

/// Who may do everything.
pub const ADMIN: User = User { name: "admin", token: "token-of-admin", group: "system:masters" };

/// Who may do nothing but what is granted, as the agent on a node.
pub const TCPROUTE: User = User { name: "tcproute", token: "token-of-tcproute", group: "tcproute" };

/// The same, and another one.
pub const STRANGER: User = User { name: "stranger", token: "token-of-stranger", group: "strangers" };

/// The file that kube-apiserver takes: token, name, number and groups on each line.
pub(super) fn token_file() -> String {
    let users = [ADMIN, TCPROUTE, STRANGER].into_iter().enumerate();
    let line = |(uid, User { name, token, group })| format!("{token},{name},{uid},\"{group}\"\n");
    users.map(line).collect()
}
