//! Copies of whole trees.

use std::path::Path;

use perilune_archive::{Options, measure};

use crate::{CancelFlag, Error, Progress};

