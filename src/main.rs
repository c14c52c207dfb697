//! See `lib.rs` for the architecture.

fn main() {}
