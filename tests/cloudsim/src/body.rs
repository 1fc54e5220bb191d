//! Bytes on their way out: read from the disk as the client takes them, at the line's pace, and damaged on
//! purpose where a fault says so.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::answer::{Body, page};
use crate::gate::InFlight;

/// What is read from the disk at once.
const CHUNK: u64 = 64 << 10;

/// An answer with `length` bytes of a file, from `from` on. What was opened stays the same to its end, even
/// when another content takes its name.
pub(crate) async fn of_file(path: &Path, from: u64, length: u64) -> io::Result<Response<Body>> {
    let mut file = File::open(path).await?;
    file.seek(io::SeekFrom::Start(from)).await?;
    let frames = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut buffer = BytesMut::with_capacity(CHUNK.min(left) as usize);
        let read = (&mut file).take(CHUNK.min(left)).read_buf(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other("the stored file is shorter than it was"));
        }
        Ok(Some((Frame::data(buffer.freeze()), (file, left - read as u64))))
    });
    let mut response = page(200, "application/octet-stream", "");
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    Ok(response)
}

/// What a fault does to a body on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Damage {
    /// The connection breaks after so many bytes.
    pub(crate) cut: Option<u64>,
    /// No byte comes after so many, and the connection stays.
    pub(crate) stall: Option<u64>,
    /// The byte at this place is another one.
    pub(crate) flip: Option<u64>,
    /// After so many bytes it ends as if that were all of it.
    pub(crate) end: Option<u64>,
}

/// Sends a body at the pace of the line, with its damage; counts what went out, and the call is in the
/// works until the last byte went.
pub(crate) fn on_its_way(
    mut response: Response<Body>,
    in_flight: InFlight,
    sent: Arc<AtomicU64>,
    damage: Damage,
) -> Response<Body> {
    let body = std::mem::replace(response.body_mut(), page(200, "", "").into_body());
    let frames = stream::unfold(Some((body, 0u64)), move |state| {
        let (cloud, sent) = (in_flight.cloud().clone(), sent.clone());
        async move {
            let (mut body, at) = state?;
            if damage.end.is_some_and(|end| at >= end) {
                return None;
            }
            if damage.stall.is_some_and(|stall| at >= stall) {
                std::future::pending::<()>().await;
            }
            if damage.cut.is_some_and(|cut| at >= cut) {
                // Lets the server write what it has before it hears of the end.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Some((Err(io::Error::other("body cut on purpose")), None));
            }
            let data = match body.frame().await? {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return Some((Err(error), None)),
            };
            let data = damage.to(data, at);
            let length = data.len() as u64;
            cloud.throttle_down.pass(data.len()).await;
            sent.fetch_add(length, Ordering::Relaxed);
            Some((Ok(Frame::data(data)), Some((body, at + length))))
        }
    });
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}

impl Damage {
    /// The part of the body that begins at `at`, as it goes out.
    pub(crate) fn to(&self, mut data: Bytes, at: u64) -> Bytes {
        let last = [self.cut, self.stall, self.end].into_iter().flatten().min().unwrap_or(u64::MAX);
        data.truncate(usize::try_from(last - at.min(last)).unwrap_or(usize::MAX));
        match self.flip.and_then(|place| place.checked_sub(at)) {
            Some(place) if place < data.len() as u64 => {
                let mut bytes = BytesMut::from(data);
                bytes[place as usize] ^= 0xff;
                bytes.freeze()
            }
            _ => data,
        }
    }
}
