//! What is told later than it is asked: pictures that the cloud still checks, and what was listed for whoever
//! brings it home.

use super::drive::{Rig, made, upload};
use crate::cloud::give_back::Asked;
use crate::cloud::{Begin, Drive, Finish, GiveBack};

#[tokio::test]
async fn a_picture_that_is_still_checked_is_asked_for_again_and_after_a_restart_too() {
    let mut rig = Rig::new().await;
    rig.send(&upload("/nas/a.jpg", "1")).await.unwrap();
    rig.things.lock().unwrap().checks = true;
    // One goes under its own name, and one beside another's.
    for (path, own) in [("/nas/b.jpg", "/nas/b.jpg"), ("/nas/a.jpg", "/nas/a(1).jpg")] {
        let file = upload(path, own);
        let Begin::Send { session, .. } = rig.begin(&file).await.unwrap() else { panic!() };
        let Finish::Making { session } = rig.oss.finish(&file, &session).await.unwrap() else { panic!() };
        let still = rig.oss.made(&file, &session).await.unwrap();
        assert_eq!(still, Finish::Making { session: session.clone() });
        rig.again();
        let begun = rig.oss.begin(&file, Some(&session)).await.unwrap();
        assert_eq!(begun, Begin::Making { session: session.clone() });
        let seen = rig.calls().len();
        rig.things.lock().unwrap().checks = false;
        let Begin::Present(stored) = rig.oss.begin(&file, Some(&session)).await.unwrap() else { panic!() };
        assert_eq!(
            (stored.path.as_str(), rig.calls()[seen..].join(" ")),
            (own, "upload_async_result detail".into())
        );
        assert_eq!(made(rig.oss.made(&file, &session).await.unwrap()), stored);
        rig.things.lock().unwrap().checks = true;
    }
    // One of which upload_complete says "still verifying" is completed once more (field notes 8.2).
    rig.things.lock().unwrap().verifies = 2;
    let file = upload("/nas/v.jpg", "v");
    let Begin::Send { session, .. } = rig.begin(&file).await.unwrap() else { panic!() };
    let Finish::Making { session } = rig.oss.finish(&file, &session).await.unwrap() else { panic!() };
    rig.again();
    assert!(matches!(rig.oss.begin(&file, Some(&session)).await.unwrap(), Begin::Making { .. }));
    rig.things.lock().unwrap().checks = false;
    assert_eq!(made(rig.oss.made(&file, &session).await.unwrap()).path, "/nas/v.jpg");
    // What the cloud does not know any more is announced, and so is what was never whole, or ends in no words.
    rig.things.lock().unwrap().checks = false;
    // The same session would be asked for ever.
    let wordless = ["wordless whole", "strange whole", "deleted whole", "taken whole", "broken whole"];
    for session in ["forgotten whole", "P0", "", "forgotten again /nas/x.jpg"].into_iter().chain(wordless) {
        let begun = rig.oss.begin(&upload("/nas/c.jpg", session), Some(session)).await.unwrap();
        assert!(matches!(begun, Begin::Send { .. }), "{session}: {begun:?}");
    }
    // "fileID不为0" (上传完成): there is none yet.
    let begun = rig.oss.begin(&upload("/nas/d.jpg", "none"), Some("none whole")).await.unwrap();
    assert!(matches!(begun, Begin::Making { .. }), "{begun:?}");
}

#[tokio::test]
async fn a_picture_that_is_checked_keeps_others_of_its_content_out_of_its_folder_after_a_restart_too() {
    let mut rig = Rig::new().await;
    let (one, other) = (upload("/nas/a.jpg", "1"), upload("/nas/b.jpg", "1"));
    rig.things.lock().unwrap().checks = true;
    let Begin::Send { session, .. } = rig.begin(&one).await.unwrap() else { panic!() };
    let Finish::Making { session } = rig.oss.finish(&one, &session).await.unwrap() else { panic!() };
    rig.again();
    assert!(matches!(rig.oss.begin(&one, Some(&session)).await.unwrap(), Begin::Making { .. }));
    let Begin::Send { session: aside, .. } = rig.begin(&other).await.unwrap() else { panic!() };
    rig.things.lock().unwrap().checks = false;
    let paths = [
        made(rig.oss.made(&one, &session).await.unwrap()).path,
        made(rig.oss.finish(&other, &aside).await.unwrap()).path,
    ];
    assert_eq!(paths[0], "/nas/a.jpg");
    assert!(paths[1].starts_with("/nas/%="), "{paths:?}");
    assert_eq!(rig.files().len(), 2);
}

#[tokio::test]
async fn what_is_brought_home_is_listed_and_not_asked_for_one_by_one() {
    let rig = Rig::new().await;
    let mut files = Vec::new();
    for number in 0..30 {
        let path = format!("/nas/{number}.jpg");
        let id = rig.send(&upload(&path, &path)).await.unwrap().id;
        files.push(Asked { id, path });
    }
    let alone = rig.send(&upload("/nas/sub/a.jpg", "1")).await.unwrap();
    let alone = Asked { id: alone.id, path: alone.path };
    let gone = Asked { id: "file99".into(), path: "/nas/gone.jpg".into() };
    rig.things.lock().unwrap().page = 10;
    let asked = [&files[..], &[gone.clone(), alone.clone()]].concat();
    let mark = rig.calls().len();
    let items = rig.oss.details(&asked).await.unwrap();
    assert_eq!(items.len(), 31);
    for file in files.iter().chain([&alone]) {
        let item = items.iter().find(|item| item.fs_id == file.id).unwrap();
        assert_eq!(item.path, file.path);
    }
    let calls = rig.calls()[mark..].join(" ");
    assert_eq!(calls, "list list list list detail detail", "{calls}");
    // Whoever asks again hears what is so now; a listing that was just read answers too, each of it once.
    rig.things.lock().unwrap().all.retain(|thing| thing.id != files[0].id);
    let mark = rig.calls().len();
    assert_eq!(rig.oss.details(&files[..1]).await.unwrap(), []);
    assert_eq!(rig.calls()[mark..], ["detail"]);
    let page = rig.oss.items("/nas", None).await.unwrap();
    let of_page: Vec<Asked> = page
        .entries
        .iter()
        .filter(|item| !item.isdir)
        .map(|item| Asked { id: item.fs_id.clone(), path: item.path.clone() })
        .collect();
    let mark = rig.calls().len();
    assert_eq!(rig.oss.details(&of_page).await.unwrap().len(), of_page.len());
    assert_eq!(rig.calls().len(), mark);
}
