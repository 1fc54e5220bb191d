//! The bytes of one slice on their way out of the file, and how fast they may go.
//!
//! A slice is never whole in memory: pieces of at most [`PIECE_BYTES`] are read on the blocking pool, two
//! ahead of the one that is being sent. Reads are positioned, so one open file serves many slices at once. A piece
//! that was sent leaves its memory to the next one: asking the system for it anew costs as much as the reading.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::cache::Cached;
use super::seam::spawn_blocking;
use super::share::Share;
use crate::cloud::SliceBody;
use crate::durable::Lock;

/// The largest piece, bytes.
pub const PIECE_BYTES: usize = 128 * 1024;

/// The smallest piece of a slow upload, bytes.
const LEAST_PIECE_BYTES: u64 = 1024;

/// Pieces that are read before they are asked for.
const AHEAD: usize = 2;

/// How long a pause may be made up for: timers come late, and pieces wait for the network.
const CREDIT: Duration = Duration::from_millis(50);

/// The bytes `offset..offset + length` of `file`, as pieces. After the last one they leave the kernel's memory,
/// apart from what `cached` says was there before.
///
/// `progress` is called with the length of each piece when it is handed over. When the file ends before
/// the slice does, or the disk fails, the stream ends with the error (`UnexpectedEof` for a short file).
/// To be polled within a tokio runtime.
pub fn slice_body(
    file: Arc<File>,
    cached: Arc<Cached>,
    offset: u64,
    length: u64,
    progress: impl Fn(u64) + Send + Sync + 'static,
    throttle: Arc<Throttle>,
) -> SliceBody {
    Box::pin(Body {
        _sending: throttle.enter(),
        file,
        cached,
        start: offset,
        next: offset,
        end: offset.saturating_add(length),
        ahead: VecDeque::with_capacity(AHEAD),
        used: Arc::default(),
        piece: None,
        progress,
        throttle,
    })
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

struct Body<P> {
    _sending: Option<Arc<Lock>>,
    file: Arc<File>,
    cached: Arc<Cached>,
    start: u64,
    /// Where the next read begins.
    next: u64,
    end: u64,
    ahead: VecDeque<JoinHandle<io::Result<Bytes>>>,
    used: Used,
    /// Read, and waiting for its turn.
    piece: Option<(Bytes, Wait)>,
    progress: P,
    throttle: Arc<Throttle>,
}

impl<P: Fn(u64)> Body<P> {
    fn read_ahead(&mut self) {
        while self.ahead.len() < AHEAD && self.next < self.end {
            let length = self.throttle.piece().min(self.end - self.next);
            let (file, from) = (Arc::clone(&self.file), self.next);
            self.next += length;
            let last = (self.next == self.end).then(|| (Arc::clone(&self.cached), self.start, self.end));
            let used = Arc::clone(&self.used);
            self.ahead.push_back(spawn_blocking(move || read(&file, from, length, last, used)));
        }
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.ahead.clear();
        self.next = self.end;
        Poll::Ready(Some(Err(error)))
    }
}

/// Nothing in it is pinned but what has a box of its own.
impl<P> Unpin for Body<P> {}

impl<P: Fn(u64)> Stream for Body<P> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        loop {
            body.read_ahead();
            if let Some((_, wait)) = &mut body.piece {
                ready!(wait.as_mut().poll(context));
                let piece = body.piece.take().map(|(piece, _)| piece);
                (body.progress)(piece.as_ref().map_or(0, Bytes::len) as u64);
                return Poll::Ready(piece.map(Ok));
            }
            let Some(read) = body.ahead.front_mut() else {
                return Poll::Ready(None);
            };
            let read = ready!(Pin::new(read).poll(context));
            body.ahead.pop_front();
            match read {
                Ok(Ok(piece)) => {
                    let (throttle, length) = (Arc::clone(&body.throttle), piece.len() as u64);
                    if throttle.rate().is_some() {
                        body.piece = Some((piece, Box::pin(async move { throttle.take(length).await })));
                        continue;
                    }
                    (body.progress)(length);
                    body.read_ahead();
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(Err(error)) => return body.fail(error),
                Err(stopped) => return body.fail(io::Error::other(stopped)),
            }
        }
    }
}

/// The memory of pieces that were sent: of one slice, a handful.
type Used = Arc<std::sync::Mutex<Vec<Vec<u8>>>>;

/// A piece on its way, whose memory goes back.
struct Piece {
    bytes: Vec<u8>,
    used: Used,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

/// What was in memory of the file, and where the slice is that ends with the piece.
type Last = Option<(Arc<Cached>, u64, u64)>;

/// Reads a piece; after the last one of a slice, the slice's pages are of no use any more.
fn read(file: &File, from: u64, length: u64, last: Last, used: Used) -> io::Result<Bytes> {
    let bytes = used.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    let mut piece = Piece { bytes, used };
    piece.bytes.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
    file.read_exact_at(&mut piece.bytes, from)?;
    if let Some((cached, start, end)) = last {
        cached.forget(file, start, end);
    }
    Ok(Bytes::from_owner(piece))
}

/// The speed limit of all uploads together: `upload.rate`, divided among the programs that send, and what
/// `upload.yield` leaves of it. May be changed at any time.
#[derive(Debug)]
pub struct Throttle {
    share: Option<Share>,
    /// When the next byte may go. Who holds it is next; the others wait in line.
    turn: Mutex<Option<Instant>>,
    /// Bytes a second; 0 is unlimited.
    rate: watch::Sender<u64>,
    /// What others on the line leave us, bytes a second; 0 is all of it.
    left: AtomicU64,
}

impl Throttle {
    /// A limit of `rate` bytes a second; `None` is unlimited.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Arc<Self> {
        Self::among(None, rate)
    }

    /// The same, of all programs with this state folder together.
    #[must_use]
    pub fn shared(rate: Option<u64>, state_dir: &Path) -> Arc<Self> {
        Self::among(Some(Share::new(state_dir)), rate)
    }

    fn among(share: Option<Share>, rate: Option<u64>) -> Arc<Self> {
        let (rate, _) = watch::channel(rate.map_or(0, |rate| rate.max(1)));
        Arc::new(Self { share, turn: Mutex::new(None), rate, left: AtomicU64::new(0) })
    }

    /// Who sends something has this until it is sent, unless there is no limit.
    fn enter(&self) -> Option<Arc<Lock>> {
        let is_limited = *self.rate.borrow() > 0;
        self.share.as_ref().filter(|_| is_limited)?.enter()
    }

    /// What of a rate is this program's, and of that what others leave us; 0 is unlimited.
    fn part(&self, rate: u64) -> u64 {
        let rate = match &self.share {
            Some(share) if rate > 0 => (rate / share.senders()).max(1),
            _ => rate,
        };
        match (rate, self.left.load(Ordering::Relaxed)) {
            (rate, 0) => rate,
            (0, left) => left,
            (rate, left) => rate.min(left),
        }
    }

    /// Sets the limit, also for those who wait already.
    pub fn set(&self, rate: Option<u64>) {
        let rate = rate.map_or(0, |rate| rate.max(1));
        self.rate.send_if_modified(|now| std::mem::replace(now, rate) != rate);
    }

    /// Leaves the line to others but for so many bytes a second, whatever the limit is.
    pub fn yield_to(&self, left: Option<u64>) {
        self.left.store(left.map_or(0, |left| left.max(1)), Ordering::Relaxed);
    }

    /// Bytes a second, of all programs together; `None` is unlimited.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let (rate, left) = (*self.rate.borrow(), self.left.load(Ordering::Relaxed));
        [rate, left].into_iter().filter(|&rate| rate > 0).min()
    }

    /// A good size for a piece: a twentieth of a second, so that slow uploads are smooth.
    fn piece(&self) -> u64 {
        let most = PIECE_BYTES as u64;
        self.rate().map_or(most, |rate| (rate / 20).clamp(LEAST_PIECE_BYTES, most))
    }

    /// Waits until `bytes` more may go. Drop the future to leave the line.
    pub async fn take(&self, bytes: u64) {
        let mut turn = self.turn.lock().await;
        let mut changes = self.rate.subscribe();
        loop {
            let rate = self.part(*changes.borrow_and_update());
            if rate == 0 {
                *turn = None;
                return;
            }
            let now = Instant::now();
            let oldest = now.checked_sub(CREDIT).unwrap_or(now);
            let start = turn.map_or(now, |turn| turn.max(oldest));
            if start > now {
                tokio::select! {
                    () = sleep_until(start) => {}
                    _ = changes.changed() => {
                        // What is owed at the old rate is paid at the new one.
                        let owed = start.saturating_duration_since(Instant::now()).as_secs_f64() * rate as f64;
                        let rate = self.part(*changes.borrow());
                        *turn = Some(Instant::now() + span(owed, rate));
                        continue;
                    }
                }
            }
            *turn = Some(start + span(bytes as f64, rate));
            return;
        }
    }
}

/// How long so many bytes take, a year at most.
fn span(bytes: f64, rate: u64) -> Duration {
    const YEAR: f64 = 31_536_000.0;
    Duration::from_secs_f64((bytes / rate.max(1) as f64).clamp(0.0, YEAR))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn file_of(bytes: &[u8]) -> Arc<File> {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_slice_arrives_whole_in_pieces_and_is_counted() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let file = file_of(&bytes);
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let progress = move |length| {
            counted.fetch_add(length, Ordering::Relaxed);
        };
        let body = slice_body(file, Arc::default(), 1000, 400_000, progress, Throttle::new(None));
        let pieces: Vec<Bytes> = body.map(Result::unwrap).collect().await;
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [131_072, 131_072, 131_072, 6784]);
        assert_eq!(pieces.concat(), bytes[1000..401_000]);
        assert_eq!(sent.load(Ordering::Relaxed), 400_000);
    }

    #[test]
    fn the_memory_of_a_piece_that_was_sent_is_the_next_ones() {
        let bytes: Vec<u8> = (0..250).collect();
        let (file, used) = (file_of(&bytes), Used::default());
        let first = read(&file, 0, 100, None, Arc::clone(&used)).unwrap();
        let beside = read(&file, 100, 100, None, Arc::clone(&used)).unwrap();
        let place = first.as_ptr();
        drop(first);
        let last = read(&file, 200, 50, Some((Arc::default(), 0, 250)), Arc::clone(&used)).unwrap();
        assert_eq!((&beside[..], &last[..], last.as_ptr()), (&bytes[100..200], &bytes[200..], place));
    }

    #[tokio::test]
    async fn an_empty_slice_is_an_empty_body() {
        let mut body = slice_body(file_of(b""), Arc::default(), 0, 0, |_| {}, Throttle::new(None));
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error_and_the_end() {
        let mut body =
            slice_body(file_of(&[1; 200_000]), Arc::default(), 0, 300_000, |_| {}, Throttle::new(None));
        assert_eq!(body.next().await.unwrap().unwrap().len(), PIECE_BYTES);
        let error = body.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn several_streams_together_keep_the_rate() {
        let throttle = Throttle::new(Some(100_000));
        let start = Instant::now();
        let streams = (0..4).map(|_| {
            let throttle = Arc::clone(&throttle);
            async move {
                for _ in 0..100 {
                    throttle.take(5000).await;
                }
            }
        });
        futures_util::future::join_all(streams).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((19.0..21.0).contains(&seconds), "2 MB at 100 kB/s took {seconds} s");
    }

    /// Slices of eight files on a line that takes pieces when it likes: no second or minute has more than the rate
    /// allows, and none less.
    #[tokio::test(start_paused = true)]
    async fn parallel_slices_keep_the_rate_within_a_twentieth_over_short_and_long_times() {
        const MIB: u64 = 1 << 20;
        for rate in [100_000, 3 * MIB] {
            let (file, length) = (tempfile::tempfile().unwrap(), rate * 75 / 8);
            file.set_len(length).unwrap();
            let (file, throttle) = (Arc::new(file), Throttle::new(Some(rate)));
            let (sent, start) = (std::sync::Mutex::new(Vec::new()), Instant::now());
            let slices = (0..8u64).map(|number| {
                let body =
                    slice_body(Arc::clone(&file), Arc::default(), 0, length, |_| {}, Arc::clone(&throttle));
                let sent = &sent;
                body.enumerate().for_each(move |(at, piece)| {
                    let bytes = piece.unwrap().len() as f64;
                    sent.lock().unwrap().push((start.elapsed().as_secs_f64(), bytes));
                    tokio::time::sleep(Duration::from_millis((at as u64 * 7 + number * 5) % 40))
                })
            });
            futures_util::future::join_all(slices).await;
            let sent = sent.into_inner().unwrap();
            for (seconds, step) in [(3.0, 0.7), (60.0, 5.0)] {
                for from in (0..12).map(|number| 1.0 + f64::from(number) * step / 4.0) {
                    let within = sent.iter().filter(|(at, _)| (from..from + seconds).contains(at));
                    let a_second = within.map(|(_, bytes)| bytes).sum::<f64>() / seconds;
                    let of_rate = a_second / rate as f64;
                    assert!((0.95..1.05).contains(&of_rate), "{of_rate} in {seconds} s from {from}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_leave_is_a_limit_beside_the_rate_and_both_can_go() {
        let throttle = Throttle::new(None);
        assert_eq!((throttle.rate(), throttle.piece()), (None, PIECE_BYTES as u64));
        for (rate, left, expected) in
            [(None, Some(50_000), 50_000), (Some(20_000), Some(50_000), 20_000), (Some(90_000), None, 90_000)]
        {
            throttle.set(rate);
            throttle.yield_to(left);
            assert_eq!(throttle.rate(), Some(expected));
            let start = Instant::now();
            for _ in 0..20 {
                throttle.take(expected / 10).await;
            }
            let seconds = start.elapsed().as_secs_f64();
            assert!((1.8..2.1).contains(&seconds), "{seconds}");
        }
        throttle.set(None);
        throttle.take(u64::MAX).await;
        assert_eq!(throttle.rate(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn two_programs_that_send_keep_the_rate_together_and_one_alone_has_it_all() {
        let folder = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let programs = [1_000_000, 3_000_000].map(|bytes| {
            let throttle = Throttle::shared(Some(100_000), folder.path());
            async move {
                let _sending = throttle.enter().unwrap();
                for _ in 0..bytes / 5000 {
                    throttle.take(5000).await;
                }
                start.elapsed().as_secs_f64()
            }
        });
        let [short, long] = futures_util::future::join_all(programs).await[..] else { panic!() };
        // Each notices some seconds later that the other begins or ends.
        assert!((14.0..=21.0).contains(&short), "1 MB at half of 100 kB/s took {short} s");
        assert!((36.0..=46.0).contains(&long), "4 MB at 100 kB/s took {long} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for_by_a_burst() {
        let throttle = Throttle::new(Some(100_000));
        throttle.take(100_000).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..40 {
            throttle.take(5000).await;
        }
        assert!(start.elapsed() >= Duration::from_millis(1850), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_holds_at_once_for_those_who_wait() {
        let throttle = Throttle::new(Some(10));
        throttle.take(10_000).await;
        let waiting = tokio::spawn({
            let throttle = Arc::clone(&throttle);
            async move { throttle.take(10).await }
        });
        tokio::task::yield_now().await;
        let start = Instant::now();
        throttle.set(Some(10_000));
        waiting.await.unwrap();
        assert!(start.elapsed() <= Duration::from_millis(1100), "{:?}", start.elapsed());
        throttle.take(u64::MAX).await;
        throttle.set(None);
        let start = Instant::now();
        throttle.take(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_uploads_go_in_small_pieces() {
        for (rate, piece) in
            [(None, 131_072), (Some(1), 1024), (Some(100_000), 5000), (Some(u64::MAX), 131_072)]
        {
            assert_eq!(Throttle::new(rate).piece(), piece);
        }
    }
}
