//! How far clients that poll have read. Existing ones are told each message once, and then that there are no more; what they follow
//! does not know them.

use perilune_boards::{Board, Rules, Update};

/// As many are remembered; the one that did not ask for longest is forgotten, and would be told everything again.
const RULES: Rules = Rules { keys: 20_000, changes: 1 };
/// A follower that was told the end.
const OVER: u64 = u64::MAX;

/// What somebody knows of what is followed.
pub struct Told<T> {
    /// What is new.
    pub news: T,
    /// The number up to which it goes.
    pub last: u64,
    /// There will be no more.
    pub is_over: bool,
}

/// How far clients have read, by request and client; clones share it.
#[derive(Debug, Clone)]
pub struct Followers(Board<(String, String), u64>);

impl Followers {
    /// Nothing of this is stored. `life` is the store's.
    pub fn new(life: u64) -> Self {
        Self(Board::volatile(life, RULES))
    }

    /// What `after` a number is new for this client. `None` when nothing is known of the request, or the client was told its end.
    pub fn next<T>(
        &self,
        request: &str,
        client: &str,
        after: impl FnOnce(u64) -> Option<Told<T>>,
    ) -> Option<T> {
        let mut news = None;
        self.0.update(&(request.to_owned(), client.to_owned()), |known| {
            let known = known.map_or(0, |known| **known);
            if known == OVER {
                return Update::Keep;
            }
            let Some(told) = after(known) else { return Update::Remove };
            news = Some(told.news);
            Update::Put(if told.is_over { OVER } else { told.last })
        });
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_told_everything_once_and_then_nothing() {
        let followers = Followers::new(1);
        let messages = ["a", "b", "c"];
        let ask = |client: &str, there: usize, is_over| {
            followers.next("1.2", client, |known| {
                let known = usize::try_from(known).unwrap();
                let news = messages[known..there].join(" ");
                Some(Told { news, last: u64::try_from(there).unwrap(), is_over })
            })
        };
        assert_eq!(ask("one", 2, false).as_deref(), Some("a b"));
        assert_eq!(ask("one", 2, false).as_deref(), Some(""));
        assert_eq!(ask("one", 3, true).as_deref(), Some("c"));
        assert_eq!(ask("other", 3, true).as_deref(), Some("a b c"));
        assert_eq!((ask("one", 3, true), ask("other", 3, true)), (None, None));
    }
}
