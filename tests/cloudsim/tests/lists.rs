//! The lists by kind, by category and by word: pages, order, and what is left out.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::Options;
use common::*;
use serde_json::{Value, json};

/// Files whose times are a minute apart, oldest first.
async fn rig_with(files: &[(&str, usize)]) -> Rig {
    let rig = Rig::new(Options::default()).await;
    for (path, size) in files {
        rig.sim.put_file("demo", path, &vec![7; *size]).unwrap();
        rig.sim.advance(Duration::from_secs(60));
    }
    rig
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["server_filename"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_by_kind_show_one_kind_newest_first_and_page_by_page() {
    let rig = rig_with(&[
        ("/d/b.jpg", 30),
        ("/d/a.jpg", 20),
        ("/d/c.mp4", 10),
        ("/d/in/d.jpg", 10),
        ("/d/e.torrent", 1),
        ("/d/f.docx", 1),
    ])
    .await;
    let kind = async |method: &str, more: &str| {
        rig.get(&format!("/rest/2.0/xpan/file?method={method}&parent_path=/d&{more}")).await
    };
    assert_eq!(names(&kind("imagelist", "").await["info"]), ["a.jpg", "b.jpg"]);
    assert_eq!(names(&kind("imagelist", "recursion=1").await["info"]), ["d.jpg", "a.jpg", "b.jpg"]);
    assert_eq!(names(&kind("imagelist", "recursion=1&desc=0").await["info"]), ["b.jpg", "a.jpg", "d.jpg"]);
    assert_eq!(names(&kind("imagelist", "order=name&desc=0").await["info"]), ["a.jpg", "b.jpg"]);
    assert_eq!(names(&kind("imagelist", "order=size").await["info"]), ["b.jpg", "a.jpg"]);
    assert_eq!(names(&kind("videolist", "").await["info"]), ["c.mp4"]);
    assert_eq!(names(&kind("btlist", "").await["info"]), ["e.torrent"]);
    assert_eq!(names(&kind("doclist", "").await["info"]), ["f.docx"]);
    let page =
        async |n: u32| kind("imagelist", &format!("recursion=1&page={n}&num=2&order=name&desc=0")).await;
    assert_eq!(names(&page(1).await["info"]), ["d.jpg", "a.jpg"], "pages are always newest first");
    assert_eq!(names(&page(2).await["info"]), ["b.jpg"]);
    assert_eq!(page(3).await["info"], json!([]));
    assert_eq!(page(0).await["errno"], 2);
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=imagelist&parent_path=/none").await["errno"], -9);
    assert!(kind("imagelist", "").await["info"][0]["thumbs"].is_null());
    assert!(kind("imagelist", "web=1").await["info"][0]["thumbs"]["icon"].is_string());
    assert!(kind("doclist", "").await["info"][0]["docpreview"].is_null());
}

#[tokio::test]
async fn categories_are_counted_and_listed_with_a_cursor() {
    let rig =
        rig_with(&[("/d/a.jpg", 5), ("/d/b.PNG", 6), ("/d/in/c.jpg", 7), ("/d/d.docx", 1), ("/e.jpg", 2)])
            .await;
    let count = async |more: &str| rig.get(&format!("/api/categoryinfo?{more}")).await;
    assert_eq!(
        count("category=3&parent_path=/d").await["info"]["3"],
        json!({"total": 2, "size": 11, "count": 2})
    );
    assert_eq!(count("category=3&parent_path=/d&recursion=1").await["info"]["3"]["count"], 3);
    assert_eq!(count("category=3").await["info"]["3"]["count"], 4, "no parent_path: everything");
    assert_eq!(count("category=2").await["info"]["2"]["count"], 0);
    assert_eq!(count("category=8").await["errno"], 2);
    assert_eq!(count("").await["errno"], 2);
    let list =
        async |more: &str| rig.get(&format!("/rest/2.0/xpan/multimedia?method=categorylist&{more}")).await;
    let answer = list("category=3,4&parent_path=/d&recursion=1&limit=3").await;
    assert_eq!(names(&answer["list"]), ["d.docx", "c.jpg", "b.PNG"]);
    assert_eq!((&answer["cursor"], &answer["has_more"]), (&json!(3), &json!(1)));
    let answer = list("category=3,4&parent_path=/d&recursion=1&limit=3&start=3").await;
    assert_eq!(names(&answer["list"]), ["a.jpg"]);
    assert_eq!((&answer["cursor"], &answer["has_more"]), (&json!(4), &json!(0)));
    assert_eq!(names(&list("category=3&ext=png,gif&parent_path=/d").await["list"]), ["b.PNG"]);
    assert_eq!(
        names(&list("category=3&order=size&desc=0").await["list"]),
        ["e.jpg", "a.jpg", "b.PNG", "c.jpg"]
    );
    assert_eq!(list("category=3,x").await["errno"], 2);
    assert_eq!(list("category=3&parent_path=/none").await["errno"], -9);
}

#[tokio::test]
async fn search_looks_at_names_in_a_folder_or_below_it() {
    let rig = rig_with(&[("/d/Day one.jpg", 1), ("/d/day/two.jpg", 2), ("/d/day/day.mp4", 3)]).await;
    let search = async |more: &str| rig.get(&format!("/rest/2.0/xpan/file?method=search&{more}")).await;
    let answer = search("key=day&dir=/d").await;
    assert_eq!(names(&answer["list"]), ["Day one.jpg", "day"]);
    assert_eq!((&answer["has_more"], &answer["contentlist"]), (&json!(0), &json!([])));
    assert_eq!(names(&search("key=day&recursion=1").await["list"]), ["Day one.jpg", "day", "day.mp4"]);
    assert_eq!(names(&search("key=day&recursion=0&category=1").await["list"]), ["day.mp4"]);
    let answer = search("key=day&recursion=1&page=1&num=2").await;
    assert_eq!((names(&answer["list"]).len(), &answer["has_more"]), (2, &json!(1)));
    let answer = search("key=day&recursion=1&page=2&num=2").await;
    assert_eq!((names(&answer["list"]), &answer["has_more"]), (vec!["day.mp4"], &json!(0)));
    assert_eq!(search("key=day&dir=/none").await["errno"], -9);
    assert_eq!(search("key=").await["errno"], 2);
    let longest = "日".repeat(30);
    assert_eq!(search(&format!("key={longest}")).await["errno"], 0, "30 characters, not bytes");
    assert_eq!(search(&format!("key={longest}x")).await["errno"], 2);
    assert_eq!(search("key=day&device_id=unknown").await["errno"], 42101);
    let register = "/rest/2.0/xpan/device?method=register&device_type=2020073115900228875&device_addr=a";
    let device = rig.get(register).await["device_id"].as_str().unwrap().to_owned();
    assert_eq!(search(&format!("key=day&device_id={device}")).await["errno"], 0);
}
