//! Files that come, and those that do not.
