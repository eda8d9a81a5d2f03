//! What anybody may send on a network.

/// Bytes that are not what they should be, and why. On a network anybody may send anything: what is garbled is
/// dropped, and named only if nothing better comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Garbled(pub &'static str);
