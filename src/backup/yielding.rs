//! How fast uploads may go so that others on the line do not notice: `upload.yield`.
//!
//! A line that is full answers late: what is sent waits in the router's queue. So the way there and back is
//! timed once a second ([`crate::cloud::Drive::knock`]), and compared with the shortest of the last three hours.
//! While it is not much longer, uploads go faster and faster; when it is, the queue is full, be it of our
//! bytes or of somebody's film, and they go slower until it is not. That is what LEDBAT does (RFC 6817), by
//! a rate instead of a window: whoever fills the line with an ordinary connection has it within seconds.
//!
//! Three hours are longer than a film. Of a line that was full all that time, or ever since the agent was started, we
//! do not know how short its way is, and take a share of it like everybody.

use std::collections::VecDeque;
use std::time::Duration;

/// How much longer than the shortest the way may take, as in RFC 6817.
const TARGET: Duration = Duration::from_millis(100);
/// The shortest way is that of so many spans in which something was sent: the line, and the route, may change.
const SPANS: usize = 18;
/// Milliseconds of one.
const SPAN_MS: i64 = 600_000;
/// So many answers in a row have to be late. One may be for any reason.
const LATE: usize = 3;
/// Uploads do not stop altogether, bytes a second.
const LEAST: u64 = 32 << 10;
/// No line is faster, bytes a second.
const MOST: u64 = 1 << 40;
/// What they begin with: slow enough to see the line as it is without them.
const FIRST: u64 = 128 << 10;
/// The most that is added in a second, and taken away, of what is. Until the line is full for the first time it is
/// doubled.
const FASTER: f64 = 0.1;
const SLOWER: f64 = 0.4;

/// What is known of the line.
#[derive(Debug)]
pub struct Yielding {
    /// Span, and the shortest way in it.
    shortest: VecDeque<(i64, Duration)>,
    /// The last ways.
    recent: VecDeque<Duration>,
    was_full: bool,
    rate: u64,
}

impl Default for Yielding {
    fn default() -> Self {
        Self { shortest: VecDeque::new(), recent: VecDeque::new(), was_full: false, rate: FIRST }
    }
}

impl Yielding {
    /// How much may be sent, bytes a second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The way took so long at `now_ms` of a steady clock, and `sent` bytes a second went out meanwhile.
    pub fn heard(&mut self, now_ms: i64, way: Duration, sent: u64) {
        let span = now_ms.div_euclid(SPAN_MS);
        match self.shortest.back_mut() {
            Some((last, shortest)) if *last == span => *shortest = way.min(*shortest),
            _ => self.shortest.push_back((span, way)),
        }
        while self.shortest.len() > SPANS {
            self.shortest.pop_front();
        }
        self.recent.push_back(way);
        while self.recent.len() > LATE {
            self.recent.pop_front();
        }
        let shortest = self.shortest.iter().map(|(_, way)| *way).min().unwrap_or(way);
        let least = self.recent.iter().min().copied().unwrap_or(way).saturating_sub(shortest);
        let late = least.as_secs_f64() / TARGET.as_secs_f64();
        if late > 1.0 && self.recent.len() == LATE {
            let slower = 1.0 - SLOWER * (late - 1.0).clamp(0.25, 1.0);
            self.rate = ((self.rate.min(sent) as f64 * slower) as u64).max(LEAST);
            self.was_full = true;
        } else if late <= 1.0 && sent >= self.rate / 10 * 7 {
            // Who does not use what there is need not have more.
            let faster = if self.was_full { FASTER } else { 1.0 } * (1.0 - late);
            self.rate = (self.rate + (self.rate as f64 * faster) as u64 + 1024).min(MOST);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const WAY: f64 = 0.08;

    /// A line of a house with a router that queues up to half a second.
    struct Line {
        bytes_a_second: f64,
        queue: f64,
        now_ms: i64,
        yielding: Yielding,
    }

    impl Line {
        fn new(bytes_a_second: f64) -> Self {
            Self { bytes_a_second, queue: 0.0, now_ms: 0, yielding: Yielding::default() }
        }

        /// So many seconds, while somebody else may be sending as much as the line takes. Returns what we had of
        /// the line, and how many seconds its queue was, on the average of the second half.
        fn run(&mut self, seconds: usize, is_shared: bool) -> (f64, f64) {
            let (mut ours, mut queued) = (0.0, 0.0);
            for second in 0..seconds {
                let full = self.bytes_a_second / 2.0;
                let wanted = self.yielding.rate() as f64;
                let sent = if is_shared {
                    self.queue = full;
                    wanted.min(self.bytes_a_second / 2.0)
                } else {
                    let sent = wanted.min(self.bytes_a_second + (full - self.queue).max(0.0));
                    self.queue = (self.queue + sent - self.bytes_a_second).clamp(0.0, full);
                    sent
                };
                let queue = self.queue / self.bytes_a_second;
                let way = Duration::from_secs_f64(WAY + queue);
                self.now_ms += 1000;
                self.yielding.heard(self.now_ms, way, sent as u64);
                if second >= seconds / 2 {
                    ours += sent / self.bytes_a_second / (seconds - seconds / 2) as f64;
                    queued += queue / (seconds - seconds / 2) as f64;
                }
            }
            (ours, queued)
        }
    }

    #[test]
    fn alone_the_line_is_used_and_its_queue_stays_short() {
        for bytes_a_second in [300e3, 5e6, 100e6] {
            let (ours, queued) = Line::new(bytes_a_second).run(900, false);
            assert!(ours > 0.85 && queued < 0.15, "{ours} of {bytes_a_second}, {queued} s");
        }
    }

    #[test]
    fn somebody_else_has_the_line_within_seconds_and_we_have_it_back_afterwards() {
        let mut line = Line::new(5e6);
        line.run(120, false);
        line.run(20, true);
        // A film, and one more.
        let (ours, _) = line.run(9_000, true);
        assert!(ours < 0.03, "{ours} of a line that somebody else wants");
        line.run(90, false);
        let (ours, _) = line.run(60, false);
        assert!(ours > 0.8, "{ours} of a line that nobody else wants any more");
    }

    #[test]
    fn a_line_that_never_fills_and_single_late_answers_take_nothing_away() {
        let mut yielding = Yielding::default();
        for second in 0..1000 {
            let way = if second % 3 == 0 { 900 } else { 80 + second % 7 };
            let before = yielding.rate();
            yielding.heard(second * 1000, Duration::from_millis(way as u64), before);
            assert!(yielding.rate() >= before);
        }
        assert!(yielding.rate() > 1 << 30);
    }
}
