//! The API as clients see it.
#![cfg(test)]

mod image_site;
mod jobs;
mod osimage;
