//! See ARCHITECTURE.md.

