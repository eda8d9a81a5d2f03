//! Why a machine is not given what it asked for. The texts appear on its console.

/// Why a machine is not given what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interface of any node has this address.
    #[error("this machine ({mac}) is not a node yet")]
    UnknownMachine {
        /// The hardware address that asked.
        mac: String,
    },
    /// The machine is kept until somebody decides what it is.
    #[error("this machine ({mac}) was '{name}', which is no node here: {reason}")]
    ReservedMachine {
        /// The hardware address that asked.
        mac: String,
        /// What it is kept as.
        name: String,
        /// Why it is no node.
        reason: String,
    },
    /// There is no node of this name.
    #[error("there is no node '{node}'; 'perilune node list' shows those that are")]
    UnknownNode {
        /// The name that was asked for.
        node: String,
    },
    /// What was chosen at the machine's console waits for an administrator's yes.
    #[error("this machine ({mac}) waits for an administrator to make it {wish}")]
    Waiting {
        /// The hardware address that asked.
        mac: String,
        /// What it wants to be.
        wish: String,
        /// Whether it would take the place of another machine.
        replaces: bool,
    },
    /// What was chosen at the machine's console cannot be.
    #[error("this machine ({mac}) was not made a node: {reason}")]
    Refused {
        /// The hardware address that asked.
        mac: String,
        /// Why not.
        reason: String,
    },
    /// The node lacks something without which it cannot boot.
    #[error("{node} cannot boot: {lack}")]
    Incomplete {
        /// The node.
        node: String,
        /// What is missing and what to do.
        lack: String,
    },
    /// A value would change what the script does.
    #[error("{what} cannot be put into a boot script: {reason}")]
    Unsafe {
        /// Which value.
        what: String,
        /// What in it is the problem, and what to do.
        reason: &'static str,
    },
    /// A template of the site that cannot be used.
    #[error("the template {name} cannot be used: {}", describe(.source))]
    Template {
        /// The template's file.
        name: String,
        /// What the engine says.
        #[source]
        source: Box<minijinja::Error>,
    },
}

impl Error {
    pub(crate) fn incomplete(node: &str, lack: impl Into<String>) -> Self {
        Self::Incomplete { node: node.to_owned(), lack: lack.into() }
    }

    pub(crate) fn template(name: &str, source: minijinja::Error) -> Self {
        Self::Template { name: name.to_owned(), source: Box::new(source) }
    }
}

/// The engine's one-line message: what, and in which line.
fn describe(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or_else(|| detail.clone(), |line| format!("{detail} (line {line})"))
}
