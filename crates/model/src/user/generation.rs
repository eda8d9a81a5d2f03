//! Which tokens of a user are good. Whatever puts a user in place comes through here: requests, undoing, imports, documents.

use std::sync::Arc;

use crate::object::Object;
use crate::user::User;

/// The object as it is put in place of `old`. A user whose password or role is another, or who was not there, gets `next` as the
/// generation, and no user ever an earlier one; the same goes for the one that the cluster's settings keep. `next` is larger than any
/// that was published before: the revision that follows.
pub(crate) fn settled(old: Option<&Object>, object: Object, next: u64) -> Object {
    match (object, old) {
        (Object::User(mut user), old) => {
            let floor = match old {
                Some(Object::User(old)) if is_same(old, &user) => old.generation,
                _ => next,
            };
            if user.generation < floor {
                Arc::make_mut(&mut user).generation = floor;
            }
            Object::User(user)
        }
        (Object::Settings(mut settings), Some(Object::Settings(old)))
            if settings.user_generation < old.user_generation =>
        {
            Arc::make_mut(&mut settings).user_generation = old.user_generation;
            Object::Settings(settings)
        }
        (object, _) => object,
    }
}

fn is_same(old: &User, new: &User) -> bool {
    old.password_hash == new.password_hash && old.role == new.role
}
