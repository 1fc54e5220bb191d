//! The calls against a tiny server: what is sent, and what is made of the answers.
