//! The decisions. Pure: time and facts come in, actions go out. No I/O, no thread, no clock, no log.

pub mod facts;
pub mod windows;
