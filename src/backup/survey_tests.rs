//! The listing of everything a drive has, against a plain sorted map.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::MAX_VALUE;

const TOP: &str = "/apps/x/photo";

fn tops() -> Vec<String> {
    vec![TOP.to_owned()]
}

fn file(path: &str, size: u64) -> Entry {
    let md5 = (!size.is_multiple_of(7)).then(|| Md5::of(path).to_string());
    Entry { id: size.to_string(), path: path.to_owned(), size, is_folder: false, md5 }
}

fn everything(survey: &Survey, store: &Store) -> Vec<Entry> {
    let mut all = Vec::new();
    survey
        .walk(store, "", |entry| {
            all.push(entry.clone());
            true
        })
        .unwrap();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_in_any_order_make_the_sorted_whole(
        pages in proptest::collection::vec(
            proptest::collection::vec(("[ab(_]{1,3}(/[a-c]{1,40}){0,3}", 0_u64..1000), 0..60),
            1..12,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let (survey, other) = (Survey::of("home", "1"), Survey::of("home", "12"));
        let mut progress = survey.open(&store, &tops(), 1).unwrap();
        let mut beside = other.open(&store, &tops(), 1).unwrap();
        let page = Page { entries: vec![file(&format!("{TOP}/b"), 1)], next: None };
        other.add(&store, &mut beside, page, 1).unwrap();
        let mut model = BTreeMap::new();
        for (number, page) in pages.into_iter().enumerate() {
            let entries: Vec<_> =
                page.into_iter().map(|(below, size)| file(&format!("{TOP}/{below}"), size)).collect();
            model.extend(entries.iter().map(|entry| (entry.path.clone(), entry.clone())));
            let page = Page { entries, next: Some(Cursor::at(number as u64 + 1)) };
            survey.add(&store, &mut progress, page, 1).unwrap();
            prop_assert_eq!(&survey.open(&store, &tops(), 2).unwrap(), &progress);
        }
        prop_assert_eq!(everything(&survey, &store), model.into_values().collect::<Vec<_>>());
        for (key, payload) in store.page(b"r", b"r", usize::MAX).unwrap() {
            prop_assert!(payload.unwrap().len() <= MAX_VALUE, "{:?}", key);
        }
        prop_assert_eq!(everything(&other, &store).len(), 1);
        clear(&store).unwrap();
        prop_assert!(everything(&survey, &store).is_empty());
    }

    #[test]
    fn junk_is_no_record_and_no_panic(junk: Vec<u8>) {
        let _ = unpack(&junk);
        let _ = Progress::read(&junk, &tops());
    }
}

#[test]
fn a_thousand_files_in_order_are_written_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path()).unwrap();
    let survey = Survey::of("home", "1");
    let mut progress = survey.open(&store, &tops(), 1).unwrap();
    for page in 0..5 {
        let entry = |n: u64| file(&format!("{TOP}/2024/{:02}/IMG_{n:05}.JPG", n / 500), 1_000_000 + n);
        let entries: Vec<_> = (page * 1000..(page + 1) * 1000).map(entry).collect();
        let found = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let mut batch = Batch::new();
        survey.merge(&store, found, &mut batch).unwrap();
        let bytes: usize = batch.iter().map(|(key, value)| key.len() + value.as_ref().unwrap().len()).sum();
        assert!(bytes < 100_000, "{bytes} bytes for a thousand files");
        store.apply(&batch).unwrap();
    }
    assert_eq!(everything(&survey, &store).len(), 5000);
    progress.top = 1;
    assert_eq!(progress.next_top(), None);
}

#[test]
fn a_listing_that_was_left_alone_or_is_of_other_folders_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path()).unwrap();
    let survey = Survey::of("home", "1");
    let begin = |now_ms| {
        let mut progress = survey.open(&store, &tops(), now_ms).unwrap();
        let page = Page { entries: vec![file(&format!("{TOP}/a"), 1)], next: Some(Cursor::at(7)) };
        survey.add(&store, &mut progress, page, now_ms).unwrap();
    };
    begin(1000);
    assert_eq!(survey.open(&store, &tops(), 2000).unwrap().after, Some(Cursor::at(7)));
    for (tops, now_ms) in
        [(tops(), 1000 + LEFT_ALONE_MS + 1), (tops(), 999), (vec!["/apps/x/b".to_owned()], 2000)]
    {
        let fresh = survey.open(&store, &tops, now_ms).unwrap();
        assert_eq!((&fresh.after, fresh.files, fresh.next_top()), (&None, 0, Some(&*tops[0])));
        assert!(everything(&survey, &store).is_empty());
        remove_all(&store, b"R").unwrap();
        begin(1000);
    }
}
