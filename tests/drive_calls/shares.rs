//! Share links: made, opened, listed folder by folder, and saved to the own drive.

use std::time::Duration;

use xpand::cloud::files::{OnDup, Run, TaskStatus};
use xpand::cloud::shares::{Link, Period, Save};
use xpand::cloud::{Cursor, Kind};

use super::{Rig, names};

#[tokio::test]
async fn a_link_is_made_opened_and_read() {
    let rig = Rig::new().await;
    rig.put("/apps/xpand/a.jpg", b"photo");
    rig.put("/apps/xpand/b.zip", b"archive");
    let shares = rig.shares();
    let made = shares.set(&[rig.id("/apps/xpand/a.jpg")], Period::Week, "").await.unwrap();
    assert_eq!((made.expired_type, made.pwd.len()), (7, 4));
    let error = shares.set(&[rig.id("/apps/xpand/b.zip")], Period::Week, "").await.unwrap_err();
    assert_eq!((error.kind, error.number()), (Kind::Refused, Some(5)));
    let missing = shares.set(&["1".into()], Period::Day, "").await.unwrap_err();
    assert_eq!(missing.number(), Some(-3));

    let surl = made.link.rsplit('/').next().unwrap().to_owned();
    let short = Link::Short { surl, linksource: "zh".into() };
    let numbers = Link::Numbers { shareid: made.shareid.clone(), uk: made.uk.clone() };
    for link in [short, numbers] {
        let wrong = shares.verify(&link, "nope").await.unwrap_err();
        assert_eq!(wrong.to_string(), "share verify: the password of the share is wrong (errno -9)");
        let sekey = shares.verify(&link, &made.pwd).await.unwrap();
        assert!(!sekey.contains('%'), "{sekey}");
        let shared = shares.list(&link, &sekey, None, None).await.unwrap();
        assert_eq!((shared.shareid.as_str(), shared.uk.as_str()), (made.shareid.as_str(), made.uk.as_str()));
        assert_eq!((names(&shared.page), shared.page.entries[0].size), (vec!["a.jpg"], 5));
        let info = shares.info(&link, &sekey).await.unwrap();
        assert_eq!(
            (info.shareid.as_str(), info.expire_days, info.fcount),
            (&*made.shareid, Some(7), Some(1))
        );
        assert!(shares.list(&link, "wrong", None, None).await.is_err());
    }
    let unknown = Link::Short { surl: "nothing".into(), linksource: "zh".into() };
    let error = shares.verify(&unknown, &made.pwd).await.unwrap_err();
    assert_eq!(error.to_string(), "share verify: the share link is wrong (errno 105)");
    assert!(shares.info(&unknown, "").await.is_err());
    let own = Save {
        shareid: made.shareid.clone(),
        uk: made.uk.clone(),
        sekey: "wrong".into(),
        ids: vec![rig.id("/apps/xpand/a.jpg")],
        path: "/apps/xpand".into(),
        ondup: OnDup::Fail,
    };
    let wrong_key = shares.transfer(&own, Run::Sync).await.unwrap_err();
    assert_eq!(wrong_key.number(), Some(-9));
}

#[tokio::test]
async fn what_others_share_is_listed_folder_by_folder_and_saved_to_the_own_drive() {
    let rig = Rig::new().await;
    rig.sim.add_token("aunt", "ACCESS-2", None, None).unwrap();
    for number in 0..120 {
        rig.sim.put_file("aunt", &format!("/holiday/{number:03}.jpg"), b"photo").unwrap();
    }
    rig.sim.put_file("aunt", "/b.jpg", b"other").unwrap();
    let made = rig.sim.share("aunt", &["/holiday", "/b.jpg"], 0).unwrap();
    let link = Link::Numbers { shareid: made.shareid.to_string(), uk: made.uk.to_string() };
    let (files, shares) = (rig.files(), rig.shares());
    let sekey = shares.verify(&link, &made.pwd).await.unwrap();
    let top = shares.list(&link, &sekey, None, None).await.unwrap().page;
    assert_eq!((top.entries.len(), top.next), (2, None));
    let folder = top.entries.iter().find(|item| item.isdir).unwrap();
    let file = top.entries.iter().find(|item| !item.isdir).unwrap();
    let first = shares.list(&link, &sekey, Some(&folder.fs_id), None).await.unwrap().page;
    assert_eq!((first.entries.len(), first.next.clone()), (100, Some(Cursor::at(2))));
    let second = shares.list(&link, &sekey, Some(&folder.fs_id), first.next).await.unwrap().page;
    assert_eq!((second.entries.len(), second.next), (20, None));

    files.create_folder("/apps/xpand/saved").await.unwrap();
    let save = |ondup| Save {
        shareid: made.shareid.to_string(),
        uk: made.uk.to_string(),
        sekey: sekey.clone(),
        ids: vec![file.fs_id.clone()],
        path: "/apps/xpand/saved".into(),
        ondup,
    };
    let saved = shares.transfer(&save(OnDup::Fail), Run::Sync).await.unwrap();
    assert_eq!((saved.taskid, saved.saved.len(), saved.info[0].errno), (None, 1, 0));
    assert_eq!(saved.saved[0].1, "/apps/xpand/saved/b.jpg");
    assert_eq!(rig.sim.read("/apps/xpand/saved/b.jpg").unwrap(), b"other");
    let again = shares.transfer(&save(OnDup::Fail), Run::Sync).await.unwrap();
    assert_eq!((again.info[0].errno, again.info[0].meaning.as_str()), (10, "the file is there already"));
    let copy = shares.transfer(&save(OnDup::NewCopy), Run::Sync).await.unwrap();
    assert_eq!(copy.info[0].errno, 0);
    assert_ne!(copy.saved[0].1, "/apps/xpand/saved/b.jpg");
    let gone = Save { ids: vec!["1".into()], ..save(OnDup::Fail) };
    assert_eq!(shares.transfer(&gone, Run::Sync).await.unwrap_err().number(), Some(-3));

    let later = Save { ids: vec![folder.fs_id.clone()], ..save(OnDup::Fail) };
    let taskid = shares.transfer(&later, Run::Async).await.unwrap().taskid.unwrap();
    rig.sim.advance(Duration::from_secs(60));
    assert_eq!(files.taskquery(&taskid).await.unwrap().status, TaskStatus::Success);
    assert_eq!(rig.sim.read("/apps/xpand/saved/holiday/119.jpg").unwrap(), b"photo");
}
