//! What is answered, from a message to a message.
#![cfg(test)]

mod addresses;
mod forwarded;
mod lent;
mod messages;
mod names;
mod other_records;
mod site;
mod transfers;
