//! A hundred thousand boxes behind one application, told from some dozens that run the real agent.
//!
//! Users do not share the documents' limits, so that what one box does is what each does; what they do at the
//! same time is seen of the dozens, and scaled.

use std::time::Duration;

use cloudsim::{Fault, FaultKind};

use super::boxes::{Boxes, Calls};
use super::{Table, thousands};
use crate::yard::{Bench, Result};

const FLEET: f64 = 100_000.0;
/// What --limits and the documents say to a call too many.
const TOO_MANY: i64 = 31034;
const HOUR: Duration = Duration::from_hours(1);

/// The whole story, told in three tables.
pub(super) fn tables(bench: &Bench) -> Result<Vec<Table>> {
    let count = usize::try_from(bench.sized(60))?.max(10);
    let mut boxes = Boxes::new(bench, count, 20)?;
    let mut all = Fleet { count: count as f64, day: Vec::new(), peaks: Vec::new() };

    let mark = boxes.mark();
    boxes.start(false)?;
    boxes.until_done()?;
    let first = boxes.since(&mark);
    boxes.stop()?;

    // All of them started by hand at one moment, as an agent without a place of its own would after a power cut.
    let mark = boxes.mark();
    boxes.start(false)?;
    boxes.until_done()?;
    let by_hand = boxes.since(&mark);
    boxes.stop()?;

    let mark = boxes.mark();
    boxes.start(true)?;
    boxes.until_done()?;
    let after_boot = boxes.since(&mark);
    // In the hour after it each finds its place in the hours.
    boxes.pass(HOUR * 3 / 2);
    let mark = boxes.mark();
    boxes.pass(HOUR * 2);
    let idle = boxes.since(&mark);

    let mark = boxes.mark();
    for _ in 0..5 {
        boxes.add_photos(2)?;
        boxes.until_done()?;
    }
    let photos = boxes.since(&mark);

    let outage = all.trouble(&mut boxes, FaultKind::Status(503))?;
    let limit = all.trouble(&mut boxes, FaultKind::Errno(TOO_MANY))?;
    boxes.stop()?;

    let uploads = |calls: &Calls| -> f64 {
        ["precreate", "locateupload", "superfile2", "method=create"].map(|call| calls.of(call)).iter().sum()
    };
    let a_photo = uploads(&photos) / (all.count * 10.0);
    let a_day = idle.count() / all.count * 12.0;
    let once = (first.count() - uploads(&first)) / all.count;
    let row = |what: &str, each: f64| {
        let a_second = each * FLEET / 86_400.0;
        vec![what.to_owned(), format!("{each:.1}"), thousands(each * FLEET), format!("{a_second:.1}")]
    };
    all.day.push(row("an idle box, a day", a_day));
    for call in ["uinfo", "quota", "checkbind", "diff"] {
        all.day.push(row(&format!("of them {call}"), idle.of(call) / all.count * 12.0));
    }
    all.day.push(row("a new photo of one slice", a_photo));
    all.day.push(row("a box with 50 new photos, a day", a_day + 50.0 * a_photo));
    all.day.push(row("a new box, apart from its photos", once));
    all.day
        .push(row("a first backup of 10,000 photos", once + 10_000.0 * uploads(&first) / (all.count * 20.0)));

    all.peak("started by hand, all in one moment", &by_hand);
    all.peak("the power comes back for all", &after_boot);
    all.peak("any two hours after that", &idle);
    let refused = [&first, &by_hand, &after_boot, &idle, &photos].map(|calls| calls.refused(TOO_MANY));
    let notes = vec![format!(
        "Of {} calls of {count} boxes the cloud, which enforced the documents' limits, refused {}.",
        thousands([&first, &by_hand, &after_boot, &idle, &photos].map(Calls::count).iter().sum()),
        refused.iter().sum::<f64>()
    )];
    let Fleet { day, peaks, .. } = all;
    Ok(vec![
        Table {
            title: "### Calls a day",
            head: vec!["what", "calls of one", "of 100,000", "a second"],
            rows: day,
            notes,
        },
        Table {
            title: "### Calls at one time",
            head: vec!["what", "calls a box", "over", "busiest minute: a second of 100,000 boxes"],
            rows: peaks,
            notes: vec![],
        },
        Table {
            title: "### When the cloud refuses everybody for half an hour",
            head: vec![
                "what it says",
                "calls a box meanwhile",
                "busiest minute: a second of 100,000 boxes",
                "all ready again after",
                "busiest minute then",
            ],
            rows: vec![outage, limit],
            notes: vec![],
        },
    ])
}

struct Fleet {
    count: f64,
    day: Vec<Vec<String>>,
    peaks: Vec<Vec<String>>,
}

impl Fleet {
    fn peak(&mut self, what: &str, calls: &Calls) {
        self.peaks.push(vec![
            what.to_owned(),
            format!("{:.1}", calls.count() / self.count),
            format!("{:.1} min", calls.minutes()),
            self.busiest(calls),
        ]);
    }

    fn busiest(&self, calls: &Calls) -> String {
        thousands(calls.busiest(60.0) * FLEET / self.count)
    }

    /// Everything fails for half an hour, while each box has two new photos.
    fn trouble(&self, boxes: &mut Boxes, kind: FaultKind) -> Result<Vec<String>> {
        let words = match &kind {
            FaultKind::Errno(number) => format!("errno {number}, too many calls"),
            FaultKind::Status(status) => format!("HTTP {status}"),
            _ => return Err("another kind of trouble".into()),
        };
        boxes.sim.fault(Fault::always("", kind))?;
        let mark = boxes.mark();
        boxes.add_photos(2)?;
        boxes.pass(HOUR / 2);
        let during = boxes.since(&mark);
        boxes.sim.clear_faults();
        let mark = boxes.mark();
        boxes.until_done()?;
        let after = boxes.since(&mark);
        Ok(vec![
            words,
            format!("{:.1}", during.count() / self.count),
            self.busiest(&during),
            format!("{:.0} min", after.seconds.last().copied().unwrap_or(0.0) / 60.0),
            self.busiest(&after),
        ])
    }
}
