//! `cargo demo`, as the README's first command plays it, with the binary that is built already.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use cloudsim::demo::{Demo, Ended};

/// Keeps what the demo says, for when it fails.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn play(demo: &Demo) -> (Ended, String) {
    let said = Said::default();
    let ended = demo.play(Box::new(said.clone()), false, Arc::new(AtomicBool::new(false)));
    let text = String::from_utf8_lossy(&said.0.lock().unwrap()).into_owned();
    println!("{text}");
    assert_no_token("what the demo says", &text);
    (ended, text)
}

/// Films, here: logs are smaller.
const LARGE: u64 = 2 << 20;

/// The local cloud's tokens look like Baidu's: a number, and twice 32 hexadecimal digits.
fn assert_no_token(place: &str, text: &str) {
    for (at, _) in text.match_indices("12") {
        let word: Vec<char> = text[at..].chars().take(4 + 32 + 1 + 32).collect();
        let is_token = word.len() == 69
            && matches!(word[..4], ['1', '2', '1' | '2', '.'])
            && word[4..].iter().all(|c| c.is_ascii_hexdigit() || *c == '.');
        assert!(!is_token, "a token in {place}, at {at}");
    }
    // Those of the second cloud begin alike, as the documents' example does.
    assert!(!text.contains("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."), "a token in {place}");
}

/// Looks into everything that a demo left, but where tokens belong: the account's own file and the cloud's.
fn assert_no_token_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let homes = ["accounts/home.json", "accounts/pictures.json", ".cloudsim/state.json"];
        let is_home =
            homes.into_iter().chain([".cloudsim/pan123/state.json"]).any(|home| path.ends_with(home));
        if path.is_dir() {
            assert_no_token_below(&path);
        } else if path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < LARGE) && !is_home {
            let bytes = std::fs::read(&path).unwrap();
            assert_no_token(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

fn demo() -> Demo {
    Demo { xpand: Some(env!("CARGO_BIN_EXE_xpand").into()), plain: true, ..Demo::default() }
}

#[test]
fn every_proof_of_the_demo_holds_and_nothing_it_leaves_has_a_token_in_it() {
    let kept = tempfile::tempdir().unwrap();
    let (ended, _) = play(&Demo { keep: Some(kept.path().into()), ..demo() });
    assert_eq!(ended, Ended::Proved);
    assert!(std::fs::metadata(kept.path().join("agent.log")).unwrap().len() > 0);
    assert_no_token_below(kept.path());
}

#[test]
fn the_users_own_pictures_are_backed_up_and_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("a \"quoted\" name.jpg", b"\xff\xd8\xff\xe0 a picture");
    write("b.png", b"\x89PNG\r\n\x1a\n another");
    write("half.mp4.part", b"not yet");
    write("empty.jpg", b"");
    let photos = Some(folder.path().into());
    let (ended, text) = play(&Demo { photos, ..demo() });
    assert_eq!(ended, Ended::Proved);
    assert!(text.contains("2 photos and videos"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn a_demo_that_cannot_begin_says_why() {
    let missing = Some("/nowhere/photos".into());
    let (ended, text) = play(&Demo { photos: missing, ..demo() });
    assert_eq!(ended, Ended::Failed);
    assert!(text.contains("/nowhere/photos cannot be read"), "{text}");
    let full = tempfile::tempdir().unwrap();
    std::fs::write(full.path().join("x"), "x").unwrap();
    let (ended, text) = play(&Demo { keep: Some(full.path().into()), ..demo() });
    assert_eq!(ended, Ended::Failed);
    assert!(text.contains("is not empty"), "{text}");
    assert!(Path::new("/nowhere").symlink_metadata().is_err());
}
