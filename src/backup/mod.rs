//! The pipeline: a photo in a folder becomes a photo in the cloud.
//!
//! ```text
//! walk, watch -> sighting -> settle: it holds still -> queue.offer -> Job{Found}
//!   -> queue.next_due -> Claim -> upload: hash -> begin -> slices -> finish (-> made?) -> Outcome
//!                                                     \ known under another name: copied there
//!   -> queue.close, one batch -> commit -> backed up
//! ```
//!
//! | where | what it is for |
//! | --- | --- |
//! | `source` | where a folder's files go, for whom, and whose rights they are read with |
//! | `filter` `junk` `media` | which files are wanted |
//! | `disk` `walk` `scan` | looking at a folder, and what is new or gone since the last look |
//! | `mounts` | which disks are mounted in a folder, and which of them are away |
//! | `settle` | which files have gone quiet |
//! | `entry` `index` `traces` `job` `shelf` `queue` `keeper` | what is known of every file, and when it is on the disk |
//! | `md5` `hash` `body` `exif` | reading a file: once for its digests, once to send it |
//! | `cache` | what the kernel keeps in memory of the files we read: what was there before |
//! | `share` `yielding` | how many programs send, and share `upload.rate`; what others on the line leave them |
//! | `survey` `lookup` | what the cloud has, when our own memory has gaps |
//! | `upload` `verdict` `progress` | one file against the cloud |
//! | `batch` | files that a person names: the pipeline without folders to watch |
//! | `seam` | where a simulation takes the place of disks, threads and chance, in tests alone |
//!
//! Work may be done twice, never zero times. What a crash costs:
//!
//! | when | cost |
//! | --- | --- |
//! | before the offer | nothing: the next look finds the file |
//! | after hashing | one read of the file |
//! | while slices are sent | the slices in flight |
//! | after `create` or a copy inside the cloud, before the commit | one look-up: the cloud is asked before anything is sent |

pub mod batch;
pub mod body;
pub mod cache;
pub mod disk;
pub mod entry;
pub mod exif;
pub mod filter;
pub mod hash;
mod heif;
pub mod index;
pub mod job;
mod junk;
pub mod keeper;
pub mod lookup;
mod md5;
pub mod media;
pub mod mounts;
pub mod progress;
pub mod queue;
pub mod rights;
pub mod scan;
pub(crate) mod seam;
pub mod settle;
pub mod share;
pub mod shelf;
pub mod source;
pub mod survey;
mod tiff;
pub mod traces;
pub mod upload;
pub mod verdict;
pub mod walk;
pub mod watch;
pub mod yielding;
