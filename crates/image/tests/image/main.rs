//! Images become boot files, or a clear error and nothing else.
#![cfg(test)]

mod checking;
mod copying;
mod drivers;
mod failures;
mod initramfs;
mod kernels;
mod mounts;
mod packing;
mod trees;
