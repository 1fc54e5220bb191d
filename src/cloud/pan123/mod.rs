//! 123pan: so far its error table only.

pub mod codes;
