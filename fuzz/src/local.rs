//! What lies on our own disk: the configuration, tokens, the device, the pause, records, pictures.

use std::cell::RefCell;
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use xpand::account::Accounts;
use xpand::agent::gate::{Gate, Open};
use xpand::backup::entry;
use xpand::backup::exif;
use xpand::backup::filter::Filter;
use xpand::backup::job::Job;
use xpand::backup::media;
use xpand::clock::{Clock, Now};
use xpand::config::{self, Config, ConfigError, Hours};
use xpand::content::{FilePath, FolderId};
use xpand::device::Device;
use xpand::remote::template::Template;
use xpand::store::{Malformed, Reader, Writer};

use super::{folder, pieces};

/// A configuration file.
pub fn config(data: &[u8]) {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(folder);
    let file = FOLDER.path().join("config.toml");
    fs::write(&file, data).expect("a temporary file");
    let _ = Config::socket_in(&file);
    match Config::read(&file) {
        Ok(config) => {
            for folder in &config.folders {
                folder.remote.parse::<Template>().expect("a template that was checked");
                Filter::new(folder).expect("patterns that were checked");
                assert!(config.account(&folder.account).is_some(), "an account that was checked");
            }
        }
        Err(error @ ConfigError::Mistakes { .. }) => {
            let words = error.to_string();
            let ConfigError::Mistakes { mistakes, .. } = error else { return };
            assert!(!mistakes.is_empty(), "{words}");
            let lines = data.iter().filter(|&&byte| byte == b'\n').count() + 1;
            assert!(mistakes.iter().all(|at| (1..=lines).contains(&at.line) && at.column >= 1), "{words}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// The files of the state folder: a token file, an import, the device, the pause.
pub fn files(data: &[u8]) {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = folder();
        fs::create_dir(folder.path().join("accounts")).expect("a folder");
        folder
    });
    let [tokens, device, pause] = pieces(data);
    let path = FOLDER.path();
    fs::write(path.join("accounts/home.json"), tokens).expect("a temporary file");
    fs::write(path.join("device.json"), device).expect("a temporary file");
    fs::write(path.join("paused"), pause).expect("a temporary file");
    let accounts = Accounts::new(path, Clock::system());
    let _ = accounts.state("home");
    let _ = accounts.list();
    if let Ok(text) = std::str::from_utf8(tokens) {
        let _ = accounts.state(text);
        let _ = accounts.import("other", text);
    }
    let kind = config::Device { kind: "7".into(), name: "box".into(), serial: None };
    let device = Device::new(path, Some(&kind));
    let _ = (device.state(), device.binding("home"));
    let hours = [Hours { from: 60, to: 120 }];
    for now_ms in [0, i64::MAX / 4, i64::MIN / 4] {
        let open = Gate::open(path).is_open(&hours, Now { wall_ms: now_ms, steady_ms: 0 });
        if let Open::Yes(Some(until)) | Open::No(_, Some(until)) = open {
            assert!(until > now_ms, "{open:?} at {now_ms}");
        }
    }
}

/// A record of the store: a page of the index, a job and its slices.
pub fn records(data: &[u8]) {
    if let Ok(entries) = entry::unpack(data) {
        assert_eq!(entry::unpack(&entry::pack(&entries)).as_ref(), Ok(&entries));
    }
    let [record, slices] = pieces(data);
    let path = FilePath { folder: FolderId(1), below: b"a/b.jpg".as_slice().into() };
    let read = Job::read(path, record, |_| Ok::<_, ()>(Some(slices.to_vec()))).expect("no error of ours");
    if let Ok(job) = read {
        let mut batch = Vec::new();
        job.write(&mut batch, true);
        job.remove(&mut batch);
    }
    let mut reader = Reader::new(data);
    while !reader.is_empty() {
        let read = match data.len() % 5 {
            0 => reader
                .number()
                .map(|number| assert_eq!(again(|w| w.number(number), |r| r.number()), Ok(number))),
            1 => reader
                .signed()
                .map(|number| assert_eq!(again(|w| w.signed(number), |r| r.signed()), Ok(number))),
            2 => reader.bytes().map(|bytes| assert!(bytes.len() < data.len())),
            3 => reader.text().map(|text| assert!(text.len() < data.len())),
            _ => reader.byte().map(|_| ()),
        };
        if read.is_err() {
            break;
        }
    }
}

/// What is written, read.
fn again<T>(
    write: impl FnOnce(&mut Writer) -> &mut Writer,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut writer = Writer::new();
    write(&mut writer);
    read(&mut Reader::new(&writer.finish()))
}

/// A picture or film: its kind by its head, and what it says of itself.
pub fn pictures(data: &[u8]) {
    thread_local! {
        static FILE: RefCell<fs::File> = RefCell::new(tempfile::tempfile_in(folder().path()).expect("a file"));
    }
    let sniffed = media::sniff(&data[..data.len().min(media::SNIFF_BYTES)]);
    let _ = media::decide(data, sniffed);
    FILE.with_borrow_mut(|file| {
        file.set_len(0).expect("a temporary file");
        file.write_all_at(data, 0).expect("a temporary file");
        file.rewind().expect("a temporary file");
        file.flush().expect("a temporary file");
        let Some(info) = exif::exif_info(file) else { return };
        if let Some((year, month, day)) = exif::taken(&info) {
            assert!(year <= 9999 && (1..=12).contains(&month) && (1..=31).contains(&day), "{info:?}");
        }
        let texts = [&info.date_time_original, &info.date_time_digitized, &info.date_time, &info.model];
        assert!(texts.into_iter().flatten().all(|text| text.chars().count() <= 64), "{info:?}");
    });
}
