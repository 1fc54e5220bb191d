//! xpand backs up the photos and videos of a NAS or TV box to a cloud drive, by itself.
//!
//! This is the map. One binary is both the agent that systemd starts (`xpand run`) and every command; the
//! commands speak to the running agent over a Unix socket, or to the cloud themselves.
//!
//! # Where everything is
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`cli`] | what can be typed, what is printed, exit codes; the only writer to the terminal |
//! | [`agent`] | one task a concern, wired in one place; why an account pauses; `simulation` runs it all on a made-up box |
//! | [`control`] | the socket: requests and answers ([`control`] itself), server, client |
//! | [`fetch`] | files come home: one, or many; checked names, part files, checked content |
//! | [`backup`] | the pipeline: folder, queue, upload; read its page for one photo's whole way |
//! | [`device`] | the box as a device of the account: register, bind, checkbind, diff |
//! | [`account`] | who we are in a cloud: login, tokens on disk, single-use refresh |
//! | [`cloud`] | the protocols: what the pipeline needs of any cloud, HTTP, calls, their limits, error tables |
//! | [`store`] | sled made safe: opened after anything, checksummed, really on the disk |
//! | [`config`] | every setting with its meaning, default and check |
//! | [`status`] | what a person can see, as plain data |
//! | [`remote`] | what a file is called in the cloud, and back |
//! | [`content`] | leaf words: `Md5`, `Fingerprint`, `FilePath`, `Media` |
//! | [`durable`] | files that survive a power cut, locks, and sled's flush made real |
//! | [`memory`] | keeps the C library from hoarding what was freed |
//! | [`clock`] | the one reader of the wall clock |
//!
//! Beside it: `tests/cloudsim` is the local cloud of tests and demo, `benches` the table of docs/performance.md,
//! `packaging` and `systemd` what is installed, and `patches/parking_lot` what sled gets in the place of that crate,
//! so that its threads sleep.
//!
//! # Who may name whom
//!
//! ```text
//! main -> cli -> agent -> { backup, device } -> account -> cloud -> content
//!         cli -> backup     backup -> store -> durable
//!         cli -> fetch -> cloud
//! leaves, named by anybody: config, status, content, remote, durable, memory, clock, control's requests and answers
//! ```
//!
//! Nothing points up or sideways; `tests/architecture.rs` fails when something does.
//!
//! # Invariants
//!
//! 1. `cloud` knows nothing of queues or sled; `store` knows keys and bytes, not what a job means.
//! 2. Only `agent` spawns long tasks; everything below takes the time as an argument or a [`clock::Clock`].
//! 3. Only `cli` writes to the terminal; the agent logs through `tracing`, and no secret ever reaches it.
//! 4. No upload without an [`backup::upload::Uploader`], and only a logged-in account gets one. The agent's
//!    has to be bound, where a device is configured; a person who sends files by name need not be.
//! 5. Work may be done twice, never zero times; a second upload of equal content leaves one copy.
//! 6. The source folders are only read. Nothing in a cloud is deleted or overwritten unless asked.
//! 7. `done` is said only after the cloud confirmed `create` with our size, every slice's MD5 was ours - or
//!    the whole's, of a cloud that tells none of a slice -, and the record of it is on the disk.
//! 8. What is in sled can be rebuilt from the folders and the cloud. Tokens and device id live elsewhere.
//! 9. Which cloud it is only `cloud` asks, and the line of it in `config/provider.rs`.
//! 10. Memory does not grow with file size, slice size or library size: stream, bound, page.

pub mod account;
pub mod agent;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod content;
pub mod control;
pub mod device;
pub mod durable;
pub mod fetch;
pub mod memory;
pub mod remote;
pub mod status;
pub mod store;
