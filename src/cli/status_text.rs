//! `xpand status` for people: what it is doing, why, and what to do next; then the numbers.

use std::path::Path;

use super::Report;
use super::terminal::{Look, Tone, bar, bytes, columns, count, files, percent, plain, span};
use crate::status::{Account, AccountState, Active, DeviceState, Folder, FolderState, Stage, State, Status};

impl Report for Status {
    fn text(&self, look: &Look) -> String {
        let mut text = head(self, look);
        let numbers = numbers(self);
        if !numbers.is_empty() {
            text.push('\n');
            text += &columns(&numbers);
        }
        for (title, rows) in [
            ("Accounts", accounts(self, look)),
            ("Folders", folders(self, look)),
            ("Now", self.active.iter().map(active).collect()),
        ] {
            if !rows.is_empty() {
                text.push('\n');
                text += &look.paint(Tone::Head, title);
                text.push('\n');
                text += &rows_with_reasons(&rows);
            }
        }
        text
    }
}

/// The first lines: state, reason, what to do next.
pub(super) fn head(status: &Status, look: &Look) -> String {
    let (word, tone) = match status.state {
        State::Idle if status.totals.counts.failed > 0 => ("Backed up, but for what failed", Tone::Bad),
        other => state(other),
    };
    let mut text = look.paint(tone, word);
    match look.when(&status.since).as_str() {
        "" | "now" => {}
        when => text += &format!(", since {when}"),
    }
    text.push('\n');
    if let Some(reason) = &status.reason {
        text += &format!("  {}\n", plain(reason));
    }
    let reason = status.reason.as_deref().unwrap_or("");
    if let Some(next) = next(status).filter(|next| !reason.contains(next)) {
        text += &format!("  next: {next}\n");
    }
    text
}

/// The state in words.
fn state(state: State) -> (&'static str, Tone) {
    match state {
        State::Starting => ("Starting", Tone::Busy),
        State::NeedsLogin => ("Needs a login", Tone::Bad),
        State::NeedsBind => ("Needs to be bound", Tone::Bad),
        State::WaitingForClock => ("Waiting for the right time", Tone::Busy),
        State::Scanning => ("Looking at the folders", Tone::Busy),
        State::BackingUp => ("Backing up", Tone::Busy),
        State::Idle => ("Everything is backed up", Tone::Good),
        State::Paused => ("Paused", Tone::Busy),
        State::Offline => ("Offline", Tone::Bad),
        State::QuotaFull => ("The cloud drive is full", Tone::Bad),
        State::Failed => ("Stopped", Tone::Bad),
    }
}

/// The next command to type, or what else to do.
fn next(status: &Status) -> Option<String> {
    let account = |state: AccountState| {
        let mut accounts = status.accounts.iter();
        accounts.find(|account| account.state == state)
    };
    let login = || {
        let account = account(AccountState::NeedsLogin)?;
        Some(format!("xpand account login {}", plain(&account.name)))
    };
    let bind = || {
        let account = account(AccountState::Unbound)?;
        Some(format!("xpand device bind --account {}", plain(&account.name)))
    };
    match status.state {
        State::NeedsLogin => login(),
        State::NeedsBind => bind(),
        // Whoever paused it says so in the reason; the hours of the configuration end by themselves.
        State::Paused if status.reason.is_none() => Some("xpand resume".to_owned()),
        State::QuotaFull => Some("make room in the cloud drive; it goes on by itself".to_owned()),
        State::WaitingForClock => Some("set this box's time, or let it reach a time server".to_owned()),
        // One account may be well and another not.
        _ => login().or_else(bind).or_else(|| {
            let failed = status.totals.counts.failed;
            (failed > 0).then(|| "xpand queue --state failed".to_owned())
        }),
    }
}

/// The sums, in rows of name and value.
fn numbers(status: &Status) -> Vec<Vec<String>> {
    let totals = &status.totals;
    let counts = totals.counts;
    let mut rows = Vec::new();
    if counts.files > 0 {
        let line = progress(
            (counts.backed_up, counts.files),
            (counts.waiting, counts.bytes_waiting),
            counts.failed,
            counts.skipped,
        );
        rows.push(vec!["Files".to_owned(), line]);
    }
    if totals.rate > 0 && !status.is_quiet() {
        let mut speed = format!("{}/s", bytes(totals.rate));
        if let Some(left) = totals.eta_secs {
            speed += &format!(", about {} left", span(left));
        }
        rows.push(vec!["Speed".to_owned(), speed]);
    }
    if totals.bytes_sent > 0 || totals.instant > 0 {
        let mut sent = format!("{} since the agent started", bytes(totals.bytes_sent));
        if totals.instant > 0 {
            sent += &format!("; {} the cloud had already", files(totals.instant));
        }
        rows.push(vec!["Sent".to_owned(), sent]);
    }
    if status.device.state == DeviceState::New {
        rows.push(vec!["Device".to_owned(), "not registered yet".to_owned()]);
    }
    rows
}

/// `1,204 of 2,000 backed up, 790 waiting (1.2 GiB), 6 failed`
pub(super) fn progress(
    (backed_up, files): (u64, u64),
    (waiting, bytes_waiting): (u64, u64),
    failed: u64,
    skipped: u64,
) -> String {
    if files == 0 {
        return "no files".to_owned();
    }
    let mut line = format!("{} of {} backed up", count(backed_up), count(files));
    if waiting > 0 {
        line += &format!(", {} waiting ({})", count(waiting), bytes(bytes_waiting));
    }
    if failed > 0 {
        line += &format!(", {} failed", count(failed));
    }
    if skipped > 0 {
        line += &format!(", {} skipped", count(skipped));
    }
    line
}

/// A row, and a line of its own below it.
type Row = (Vec<String>, Option<String>);

fn rows_with_reasons(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(|(cells, _)| cells.clone()).collect();
    let table = columns(&cells);
    let mut text = String::new();
    for (line, (_, reason)) in table.lines().zip(rows) {
        text += line;
        text.push('\n');
        if let Some(reason) = reason {
            text += &format!("    {}\n", plain(reason));
        }
    }
    text
}

fn accounts(status: &Status, _look: &Look) -> Vec<Row> {
    status.accounts.iter().map(account).collect()
}

fn account(account: &Account) -> Row {
    let state = match account.state {
        AccountState::Ready => "ready",
        AccountState::NeedsLogin => "needs a login",
        AccountState::Unbound => "not bound",
        AccountState::Offline => "offline",
        AccountState::Blocked => "blocked",
    };
    let mut user = account.user.as_deref().map_or_else(String::new, plain);
    match account.vip_type {
        Some(1) => user += " (member)",
        Some(2) => user += " (super member)",
        _ => {}
    }
    let space = account.quota.map_or_else(String::new, |quota| {
        let share = percent(quota.used, quota.total);
        format!("{} of {} used, {share}", bytes(quota.used), bytes(quota.total))
    });
    (vec![plain(&account.name), state.to_owned(), user, space], account.reason.clone())
}

fn folders(status: &Status, look: &Look) -> Vec<Row> {
    let all = status.folders.iter();
    all.map(|folder| self::folder(folder, look)).collect()
}

fn folder(folder: &Folder, look: &Look) -> Row {
    let state = match folder.state {
        FolderState::Watching => "watched",
        FolderState::Polling => "looked at now and then",
        FolderState::Scanning => "being looked at",
        FolderState::Missing => "missing",
        FolderState::Suspicious => "suspiciously empty",
        FolderState::Denied => "not readable",
    };
    let counts = folder.counts;
    let mut line = progress(
        (counts.backed_up, counts.files),
        (counts.waiting, counts.bytes_waiting),
        counts.failed,
        counts.skipped,
    );
    if let Some(scan) = &folder.last_scan {
        line += &format!(", last look {}", look.when(scan));
    }
    (
        vec![plain(&folder.path), format!("to {}", plain(&folder.account)), state.to_owned(), line],
        folder.reason.clone(),
    )
}

/// The file's own name: the whole path would push the bar off the screen.
pub(super) fn short_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    plain(&name.map_or_else(|| path.into(), |name| name.to_string_lossy()))
}

/// What is being done with a file, in one word.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Hashing => "reading",
        Stage::Sending => "sending",
        Stage::Finishing => "finishing",
    }
}

fn active(active: &Active) -> Row {
    let cells = vec![
        short_name(&active.path),
        bar(active.done, active.size, 20),
        percent(active.done, active.size),
        format!("of {}", bytes(active.size)),
        stage(active.stage).to_owned(),
    ];
    (cells, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Counts, Device, Quota, TotalCounts, Totals};

    const NOW: &str = "2026-11-21T18:00:00Z";
    const NOW_SECS: i64 = 1_795_284_000;

    fn text(status: &Status) -> String {
        status.text(&Look::without_colour(NOW_SECS))
    }

    fn busy() -> Status {
        let counts = Counts {
            files: 2000,
            bytes: 40 << 30,
            backed_up: 1204,
            waiting: 790,
            failed: 4,
            skipped: 2,
            bytes_waiting: 5 << 28,
        };
        Status {
            version: "0.1.0".to_owned(),
            state: State::BackingUp,
            reason: None,
            since: "2026-11-21T17:50:00Z".to_owned(),
            device: Device::default(),
            accounts: vec![Account {
                name: "home".to_owned(),
                provider: "baidu".to_owned(),
                state: AccountState::Ready,
                user: Some("张三".to_owned()),
                vip_type: Some(2),
                quota: Some(Quota { used: 120 << 30, total: 2 << 40 }),
                reason: None,
            }],
            folders: vec![
                Folder {
                    path: "/volume1/photo".to_owned(),
                    label: "photo".to_owned(),
                    account: "home".to_owned(),
                    state: FolderState::Watching,
                    reason: None,
                    counts,
                    last_scan: Some("2026-11-21T17:00:00Z".to_owned()),
                },
                Folder {
                    path: "/mnt/usb\u{1b}[2J".to_owned(),
                    label: "usb".to_owned(),
                    account: "home".to_owned(),
                    state: FolderState::Missing,
                    reason: Some("is the disk plugged in?".to_owned()),
                    ..Folder::default()
                },
            ],
            active: vec![Active {
                path: "/volume1/photo/IMG_0001.JPG".to_owned(),
                size: 3 << 20,
                done: 5 << 18,
                stage: Stage::Sending,
            }],
            totals: Totals {
                counts: TotalCounts::from(counts),
                bytes_sent: 7 << 29,
                instant: 12,
                rate: 2 << 20,
                eta_secs: Some(640),
            },
        }
    }

    #[test]
    fn the_time_in_these_tests_is_the_one_it_says() {
        assert_eq!(NOW.parse::<jiff::Timestamp>().ok().map(|now| now.as_second()), Some(NOW_SECS));
    }

    #[test]
    fn a_busy_agent_tells_how_far_it_is() {
        assert_eq!(
            text(&busy()),
            "\
Backing up, since 10 min ago
  next: xpand queue --state failed

  Files  1,204 of 2,000 backed up, 790 waiting (1.3 GiB), 4 failed, 2 skipped
  Speed  2.0 MiB/s, about 11 min left
  Sent   3.5 GiB since the agent started; 12 files the cloud had already

Accounts
  home  ready  张三 (super member)  120 GiB of 2.0 TiB used, 5%

Folders
  /volume1/photo     to home  watched  1,204 of 2,000 backed up, 790 waiting (1.3 GiB), 4 failed, 2 skipped, last look 60 min ago
  /mnt/usb\\u{1b}[2J  to home  missing  no files
    is the disk plugged in?

Now
  IMG_0001.JPG  [########------------]  41%  of 3.0 MiB  sending
"
        );
    }

    #[test]
    fn what_needs_a_person_comes_first_with_the_command_to_type() {
        let mut status = Status {
            state: State::NeedsLogin,
            reason: Some("home is not logged in".to_owned()),
            since: NOW.to_owned(),
            accounts: vec![Account { name: "home".to_owned(), ..Account::default() }],
            ..Status::default()
        };
        assert_eq!(
            text(&status),
            "\
Needs a login
  home is not logged in
  next: xpand account login home

Accounts
  home  needs a login
"
        );
        status.state = State::NeedsBind;
        status.accounts[0].state = AccountState::Unbound;
        status.reason = None;
        assert_eq!(
            head(&status, &Look::without_colour(NOW_SECS)),
            "Needs to be bound\n  next: xpand device bind --account home\n"
        );
    }

    #[test]
    fn not_everything_is_backed_up_when_something_failed() {
        let mut status = Status { state: State::Idle, ..Status::default() };
        status.totals.counts.failed = 1;
        assert!(text(&status).starts_with("Backed up, but for what failed\n"), "{}", text(&status));
    }

    #[test]
    fn an_agent_with_nothing_to_do_is_short() {
        let status = Status { state: State::Idle, ..Status::default() };
        assert_eq!(text(&status), "Everything is backed up\n");
        let look = Look { colour: true, now_secs: NOW_SECS };
        assert_eq!(status.text(&look), "\u{1b}[32mEverything is backed up\u{1b}[0m\n");
    }
}
