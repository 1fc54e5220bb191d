//! Sending a picture: create, the presigned address, the slice, completion.

use bytes::Bytes;

use super::*;
use crate::cloud::Slice;
use crate::cloud::pan123::upload::{Announced, Created, Told};

fn announced() -> Announced<'static> {
    Announced { parent: "F", name: "测试图床.jpg", md5: Md5::of("content"), size: 7 }
}

fn slice(bytes: &'static str) -> Slice {
    let piece = futures_util::stream::iter([Ok(Bytes::from_static(bytes.as_bytes()))]);
    Slice { number: 0, length: bytes.len() as u64, body: Box::pin(piece) }
}

#[tokio::test]
async fn create_says_what_the_documents_ask_for_and_either_has_the_content_or_wants_it() {
    let server = Server::start(|seen| match asked(seen)["filename"].as_str() {
        Some("known.jpg") => ok(json!({"fileID": "A", "reuse": true, "sliceSize": 104_857_600})),
        Some("odd.jpg") => ok(json!({"reuse": false, "preuploadID": "", "sliceSize": 1})),
        Some("none.jpg") => ok(json!({"reuse": true, "fileID": ""})),
        _ => ok(json!({"fileID": "", "reuse": false, "preuploadID": "P/1=", "sliceSize": 104_857_600})),
    })
    .await;
    let (oss, _) = open(&server);
    let created = oss.create(&announced()).await.unwrap();
    assert_eq!(created, Created::Session { preupload_id: "P/1=".into(), slice_size: 104_857_600 });
    let md5 = Md5::of("content").to_string();
    let body = json!({"parentFileID": "F", "filename": "测试图床.jpg", "etag": md5, "size": 7, "type": 1});
    assert_eq!((server.last().call(), asked(&server.last())), ("POST /upload/v1/oss/file/create", body));
    let known = Announced { name: "known.jpg", ..announced() };
    assert_eq!(oss.create(&known).await.unwrap(), Created::Reused("A".into()));
    for (name, lacks) in [("odd.jpg", "preuploadID"), ("none.jpg", "fileID")] {
        let error = oss.create(&Announced { name, ..announced() }).await.unwrap_err();
        assert_eq!(error.to_string(), format!("create: the answer has no {lacks}"));
    }
}

/// A server that gives out `address` for a slice, and answers its PUT with `status`.
async fn storage(status: u16, address: &'static str) -> Server {
    Server::start(move |seen| match seen.call() {
        "POST /upload/v1/oss/file/get_upload_url" => {
            let host = seen.header("host").unwrap();
            ok(json!({"presignedURL": address.replace("HERE", &format!("http://{host}")), "isMultipart": false}))
        }
        _ => (status, String::new()),
    })
    .await
}

#[tokio::test]
async fn a_slice_goes_to_the_presigned_address_with_its_length_and_nothing_of_ours() {
    let server = storage(200, "HERE/123-846/e6?X-Amz-Signature=a%2Fb%20c").await;
    let (oss, _) = open(&server);
    oss.put("P", slice("content")).await.unwrap();
    let [first, put] = server.seen().try_into().unwrap();
    assert_eq!(asked(&first), json!({"preuploadID": "P", "sliceNo": 1}));
    assert_eq!(put.head.lines().next(), Some("PUT /123-846/e6?X-Amz-Signature=a%2Fb%20c HTTP/1.1"));
    assert_eq!(put.body, b"content");
    assert_eq!(put.header("content-length"), Some("7"));
    assert_eq!(put.header("content-type"), Some("application/octet-stream"));
    for ours in ["authorization", "platform", "transfer-encoding"] {
        assert_eq!(put.header(ours), None, "{ours}");
    }
}

#[tokio::test]
async fn what_the_storage_says_decides_whether_the_slice_goes_again_or_the_whole_picture() {
    let again = Kind::Busy { after: Some(Duration::ZERO) };
    for (status, kind, words) in [
        (
            403,
            again,
            "put: the presigned address is too old or not accepted: another one is asked for (HTTP 403)",
        ),
        (404, Kind::Expired, "put: the upload is not known any more (HTTP 404)"),
        (503, Kind::Busy { after: None }, "put: the cloud failed (HTTP 503)"),
        (302, Kind::Broken, "put: the cloud sent us elsewhere, which it never should (HTTP 302)"),
        (411, Kind::Broken, "put: the cloud did not understand the request (HTTP 411)"),
    ] {
        let server = storage(status, "HERE/x").await;
        let (oss, _) = open(&server);
        let error = oss.put("P", slice("content")).await.unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (kind, words));
    }
}

#[tokio::test]
async fn no_slice_goes_to_an_address_that_is_not_safe() {
    for address in ["http://m74.123624.com/x", "ftp://HERE/x", "x", "", "https://user:word@m74.123624.com/x"]
    {
        let server = storage(200, address).await;
        let (oss, _) = open(&server);
        let error = oss.put("P", slice("content")).await.unwrap_err();
        assert_eq!((error.kind, server.seen().len()), (Kind::Broken, 1), "{address}");
    }
}

#[tokio::test]
async fn the_result_of_an_upload_is_there_when_it_has_an_id() {
    let server = Server::start(move |seen| match (seen.call(), asked(seen)["preuploadID"].as_str()) {
        ("POST /upload/v1/oss/file/upload_complete", _) => {
            ok(json!({"async": true, "completed": false, "fileID": ""}))
        }
        (_, Some("P1")) => ok(json!({"completed": false, "fileID": ""})),
        (_, Some("P2")) => no(20103, "文件正在校验中"),
        // Completed without an id is not completed (field notes 8.3).
        (_, Some("P3")) => ok(json!({"completed": true, "fileID": ""})),
        _ => ok(json!({"completed": true, "fileID": "A"})),
    })
    .await;
    let (oss, _) = open(&server);
    assert_eq!(oss.complete("P4").await.unwrap(), Told::Later);
    for (id, told) in
        [("P1", Told::Later), ("P2", Told::Again), ("P3", Told::Later), ("P4", Told::Made("A".into()))]
    {
        assert_eq!(oss.result(id).await.unwrap(), told, "{id}");
        assert_eq!(server.last().call(), "POST /upload/v1/oss/file/upload_async_result");
        assert_eq!(asked(&server.last()), json!({"preuploadID": id}));
    }
}

#[tokio::test]
async fn content_that_is_not_what_was_announced_and_an_upload_that_is_forgotten_begin_again() {
    for (answer, words) in [
        (no(1, "文件上传失败"), "what arrived is not what was announced (code 1)"),
        (no(1, "preuploadID不存在或已失效"), "the upload is not known any more (code 1)"),
        (no(5066, ""), "there is no such file or folder (code 5066)"),
        (no(1, "分片未上传: [1]"), "not all of the file has arrived (code 1)"),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let (oss, _) = open(&server);
        for (error, call) in [
            (oss.complete("P").await.unwrap_err(), "upload_complete"),
            (oss.result("P").await.unwrap_err(), "upload_async_result"),
        ] {
            assert_eq!((error.kind, error.to_string()), (Kind::Expired, format!("{call}: {words}")));
        }
    }
    let server = Server::start(|_| ok(json!({"async": false, "completed": true, "fileID": "A"}))).await;
    let (oss, _) = open(&server);
    assert_eq!(oss.complete("P").await.unwrap(), Told::Made("A".into()));
}
