//! A file on its way, and what of that is stored.
//!
//! A file that is found and simply waits has no job record; the index says so. A record is written
//! when there is something to keep: an upload session, a time to try again, a reason to stop.
//!
//! # Layout
//!
//! ```text
//! j  folder  path            version 1, id, print, tries, due, why, stage (its slices left out)
//! s  id (8 bytes)  number    up to 250 slice MD5s, 16 bytes each
//! ```

use std::sync::Arc;

use crate::content::{FilePath, Fingerprint, Md5, Media};
use crate::store::{Batch, Malformed, Reader, Writer};

/// A file that is being, or is to be, sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Names the job's records; never used twice.
    pub id: u64,
    /// Which file.
    pub path: FilePath,
    /// Which version of it.
    pub print: Fingerprint,
    /// How far it is.
    pub stage: Stage,
    /// Failed tries in a row.
    pub tries: u32,
    /// Not before this time, milliseconds since 1970; 0: at once.
    pub due_ms: i64,
    /// Why the last try failed.
    pub why: Option<String>,
}

/// How far a job is. "Being worked on" is not stored: after a crash there is nothing to clean up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Only seen.
    Found,
    /// Read once.
    Hashed(Digests),
    /// An upload session is open.
    Sending {
        /// Of the content being sent.
        digests: Digests,
        /// The session and what it has.
        upload: Session,
    },
}

/// What one pass over a file gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digests {
    /// MD5 of the whole.
    pub content: Md5,
    /// MD5 of the first 256 KiB.
    pub head: Md5,
    /// Bytes of every slice but the last.
    pub slice_size: u64,
    /// MD5 of each slice.
    pub slices: Arc<[Md5]>,
    /// By name and content.
    pub media: Media,
}

/// An upload session as far as the cloud confirmed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// `uploadid`.
    pub id: String,
    /// The path it was opened for.
    pub remote: String,
    /// Bytes of every slice but the last; of one that is cut otherwise than the digests nothing is written down.
    pub slice_size: u64,
    /// Which slices the cloud confirmed, with our MD5 where it tells one.
    pub have: Bitmap,
}

/// A longer session's id is not written down, bytes: a record is no place for it.
const LONGEST_ID: usize = 1024;

impl Session {
    /// Whether it can be gone on with after a restart: its slices are those of the digests.
    #[must_use]
    pub fn is_kept(&self, digests: &Digests) -> bool {
        let is_cut_so = self.slice_size == digests.slice_size && self.have.length == digests.slices.len();
        is_cut_so && self.id.len() <= LONGEST_ID
    }
}

/// One bit a slice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bitmap {
    bits: Vec<u8>,
    length: usize,
}

impl Bitmap {
    /// `length` bits, none set.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { bits: vec![0; length.div_ceil(8)], length }
    }

    /// Sets bit `at`; beyond the end is ignored.
    pub fn set(&mut self, at: usize) {
        if at < self.length {
            self.bits[at / 8] |= 1 << (at % 8);
        }
    }

    /// Whether bit `at` is set.
    #[must_use]
    pub fn get(&self, at: usize) -> bool {
        at < self.length && self.bits[at / 8] & 1 << (at % 8) != 0
    }

    /// Whether every bit is set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count() == self.length
    }

    /// How many are set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

/// Slices a record: 250 x 16 bytes stay below the store's limit.
const SLICES_A_RECORD: usize = 250;
const VERSION: u8 = 1;

impl Job {
    /// A job for a version of a file that nothing was done for yet.
    #[must_use]
    pub fn new(id: u64, path: FilePath, print: Fingerprint) -> Self {
        Self { id, path, print, stage: Stage::Found, tries: 0, due_ms: 0, why: None }
    }

    /// The digests, once there are any.
    #[must_use]
    pub fn digests(&self) -> Option<&Digests> {
        match &self.stage {
            Stage::Found => None,
            Stage::Hashed(digests) | Stage::Sending { digests, .. } => Some(digests),
        }
    }

    /// Adds the job's record to `batch`, and its slices' when `with_slices`.
    pub fn write(&self, batch: &mut Batch, with_slices: bool) {
        let mut writer = Writer::new();
        writer
            .byte(VERSION)
            .number(self.id)
            .number(self.print.size)
            .signed(self.print.mtime_ns)
            .signed(self.print.ctime_ns)
            .number(self.tries.into())
            .signed(self.due_ms)
            .byte(self.why.is_some().into())
            .bytes(self.why.as_deref().unwrap_or_default().as_bytes());
        match &self.stage {
            Stage::Found => {
                writer.byte(0);
            }
            // After a restart it begins another session.
            Stage::Sending { digests, upload } if !upload.is_kept(digests) => {
                write_digests(writer.byte(1), digests);
            }
            Stage::Hashed(digests) => write_digests(writer.byte(1), digests),
            Stage::Sending { digests, upload } => {
                write_digests(writer.byte(2), digests);
                writer
                    .bytes(upload.id.as_bytes())
                    .bytes(upload.remote.as_bytes())
                    .number(upload.have.length as u64)
                    .fixed(&upload.have.bits);
            }
        }
        batch.push((job_key(&self.path), Some(writer.finish())));
        if let Some(digests) = self.digests().filter(|_| with_slices) {
            for (number, slices) in digests.slices.chunks(SLICES_A_RECORD).enumerate() {
                let bytes: Vec<u8> = slices.iter().flat_map(|md5| md5.0).collect();
                batch.push((slices_key(self.id, number), Some(bytes)));
            }
        }
    }

    /// Adds the removal of all the job's records to `batch`.
    pub fn remove(&self, batch: &mut Batch) {
        batch.push((job_key(&self.path), None));
        let slices = self.digests().map_or(0, |digests| digests.slices.len());
        for number in 0..slices.div_ceil(SLICES_A_RECORD) {
            batch.push((slices_key(self.id, number), None));
        }
    }

    /// Reads a job back. `slices` fetches the record at a key. When a slice record is missing the job
    /// begins again from the file.
    ///
    /// # Errors
    /// The record is not one of ours.
    pub fn read<E>(
        path: FilePath,
        record: &[u8],
        mut slices: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<Self, Malformed>, E> {
        let (mut job, count) = match Self::read_head(path, record) {
            Ok(read) => read,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let mut md5s = Vec::new();
        for number in 0..count.div_ceil(SLICES_A_RECORD) {
            let bytes = slices(&slices_key(job.id, number))?.unwrap_or_default();
            md5s.extend(bytes.as_chunks::<16>().0.iter().copied().map(Md5));
        }
        if md5s.len() == count {
            match &mut job.stage {
                Stage::Found => {}
                Stage::Hashed(digests) | Stage::Sending { digests, .. } => digests.slices = md5s.into(),
            }
        } else {
            job.stage = Stage::Found;
        }
        Ok(Ok(job))
    }

    fn read_head(path: FilePath, record: &[u8]) -> Result<(Self, usize), Malformed> {
        let mut reader = Reader::new(record);
        if reader.byte()? != VERSION {
            return Err(Malformed);
        }
        let id = reader.number()?;
        let (size, mtime_ns, ctime_ns) = (reader.number()?, reader.signed()?, reader.signed()?);
        let print = Fingerprint { size, mtime_ns, ctime_ns };
        let tries = reader.small()?;
        let due_ms = reader.signed()?;
        let has_why = reader.byte()? != 0;
        let why = Some(reader.text()?).filter(|_| has_why);
        let (stage, count) = match reader.byte()? {
            0 => (Stage::Found, 0),
            1 => {
                let (digests, count) = read_digests(&mut reader)?;
                (Stage::Hashed(digests), count)
            }
            2 => {
                let (digests, count) = read_digests(&mut reader)?;
                let (id, remote) = (reader.text()?, reader.text()?);
                let length: usize = reader.small()?;
                let bits = reader.fixed(length.div_ceil(8))?.to_vec();
                let slice_size = digests.slice_size;
                let upload = Session { id, remote, slice_size, have: Bitmap { bits, length } };
                if length != count {
                    return Err(Malformed);
                }
                (Stage::Sending { digests, upload }, count)
            }
            _ => return Err(Malformed),
        };
        Ok((Self { id, path, print, stage, tries, due_ms, why }, count))
    }
}

fn write_digests(writer: &mut Writer, digests: &Digests) {
    let media = match digests.media {
        Media::Photo => 0,
        Media::Video => 1,
        Media::Other => 2,
    };
    writer
        .byte(media)
        .fixed(&digests.content.0)
        .fixed(&digests.head.0)
        .number(digests.slice_size)
        .number(digests.slices.len() as u64);
}

fn read_digests(reader: &mut Reader<'_>) -> Result<(Digests, usize), Malformed> {
    let media = match reader.byte()? {
        0 => Media::Photo,
        1 => Media::Video,
        2 => Media::Other,
        _ => return Err(Malformed),
    };
    let (content, head) = (Md5(reader.array()?), Md5(reader.array()?));
    let slice_size = reader.number()?;
    let count = reader.small()?;
    // More slices than any cloud takes is damage, not a reason to fetch records for hours.
    if count > 100_000 {
        return Err(Malformed);
    }
    Ok((Digests { content, head, slice_size, slices: Arc::new([]), media }, count))
}

/// What the keys of a folder's jobs begin with.
#[must_use]
pub fn job_prefix(folder: crate::content::FolderId) -> Vec<u8> {
    let mut key = vec![b'j'];
    key.extend(folder.0.to_be_bytes());
    key
}

/// The key of a file's job.
#[must_use]
pub fn job_key(path: &FilePath) -> Vec<u8> {
    let mut key = job_prefix(path.folder);
    key.extend_from_slice(&path.below);
    key
}

fn slices_key(id: u64, number: usize) -> Vec<u8> {
    let mut key = vec![b's'];
    key.extend(id.to_be_bytes());
    key.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::content::FolderId;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    fn sending(slices: u32) -> Job {
        let path = FilePath { folder: FolderId(3), below: b"a/\xff.mp4"[..].into() };
        let print = Fingerprint { size: 9, mtime_ns: -5, ctime_ns: i64::MAX };
        let mut have = Bitmap::new(slices as usize);
        have.set(0);
        have.set(slices as usize - 1);
        let digests = Digests {
            content: Md5::of("all"),
            head: Md5::of("head"),
            slice_size: 4 << 20,
            slices: (0..slices).map(|n| Md5::of(n.to_string())).collect(),
            media: Media::Video,
        };
        let (id, remote) = ("N1-abc=".into(), "/apps/x/é.mp4".into());
        let upload = Session { id, remote, slice_size: digests.slice_size, have };
        Job {
            stage: Stage::Sending { digests, upload },
            tries: 7,
            why: Some("errno 2".into()),
            ..Job::new(42, path, print)
        }
    }

    fn written(job: &Job) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut batch = Batch::new();
        job.write(&mut batch, true);
        batch.into_iter().map(|(key, payload)| (key, payload.unwrap())).collect()
    }

    fn read(job: &Job, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Job, Malformed> {
        let record = &records[&job_key(&job.path)];
        Job::read(job.path.clone(), record, |key| Ok::<_, Infallible>(records.get(key).cloned())).unwrap()
    }

    #[test]
    fn a_job_of_a_thousand_slices_reads_back_and_no_record_is_too_large() {
        let job = sending(1024);
        let records = written(&job);
        assert!(records.values().all(|payload| payload.len() <= crate::store::MAX_VALUE));
        assert_eq!(read(&job, &records), Ok(job.clone()));
        let mut removal = Batch::new();
        job.remove(&mut removal);
        assert!(removal.iter().map(|(key, _)| key).all(|key| records.contains_key(key)));
        assert_eq!(removal.len(), records.len());
    }

    #[test]
    fn of_a_session_that_cuts_otherwise_only_the_digests_are_kept() {
        let mut job = sending(9);
        let digests = job.digests().cloned().unwrap();
        let Stage::Sending { upload, .. } = &mut job.stage else { panic!() };
        (upload.slice_size, upload.have) = (1 << 20, Bitmap::new(36));
        assert_eq!(read(&job, &written(&job)).unwrap().stage, Stage::Hashed(digests));
    }

    #[test]
    fn a_job_whose_slices_are_lost_begins_again_from_the_file() {
        let job = sending(600);
        let mut records = written(&job);
        records.pop_last();
        assert_eq!(read(&job, &records).unwrap().stage, Stage::Found);
    }

    #[test]
    fn a_record_cut_short_is_malformed() {
        let job = sending(9);
        let record = written(&job)[&job_key(&job.path)].clone();
        for length in 0..record.len() {
            assert!(Job::read_head(job.path.clone(), &record[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_bitmap_is_full_when_every_slice_is_there_and_never_beyond() {
        let mut bitmap = Bitmap::new(9);
        for at in 0..9 {
            assert!(!bitmap.is_full());
            bitmap.set(at);
            bitmap.set(at + 9);
        }
        assert!(bitmap.is_full() && bitmap.get(8) && !bitmap.get(9));
        assert!(Bitmap::new(0).is_full());
    }
}
