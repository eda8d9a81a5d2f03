//! What a client asks of a user or a group.

use std::fmt;

/// What a client asks of a user; what is not given stays as it is. An empty text unsets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserRequest {
    /// The password, in the clear; the directory hashes it.
    pub password: Option<String>,
    /// The family name.
    pub surname: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The number of the user; the next free one without.
    pub uid: Option<u32>,
    /// The number of the user's first group; one of its own without.
    pub gid: Option<u32>,
    /// Where letters go.
    pub mail: Option<String>,
    /// The telephone.
    pub telephone: Option<String>,
    /// The shell.
    pub shell: Option<String>,
    /// All groups that the user is a member of beside the first.
    pub groups: Option<Vec<String>>,
    /// The day on which the account ends, counted from 1970; -1 is never.
    pub expire: Option<i64>,
    /// The home directory.
    pub home: Option<String>,
}

impl fmt::Debug for UserRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UserRequest")
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// What a client asks of a group; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRequest {
    /// The number of the group; the next free one without.
    pub gid: Option<u32>,
    /// All members.
    pub members: Option<Vec<String>>,
}
