//! Documents as PDFs.

use cloudsim::{Fault, FaultKind};

use super::*;

/// Shows as this many parts.
fn put_document(rig: &Rig, path: &str, parts: usize) {
    let content = vec![7; parts * (64 << 10) - 10];
    rig.sim.put_file("demo", &format!("/apps/xpand/{path}"), &content).unwrap();
}

fn files(rig: &Rig) -> Vec<String> {
    let entries = fs::read_dir(rig.path("out")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_document_comes_home_as_a_pdf_of_one_or_several_parts() {
    let rig = Rig::ready(|_| {});
    put_document(&rig, "letter.docx", 1);
    put_document(&rig, "book.docx", 3);
    put(&rig, "notes.txt");
    put(&rig, "a.jpg");
    fs::create_dir(rig.path("out")).unwrap();
    let (letter, book) = (rig.path("out/letter.pdf"), rig.path("out/book.pdf"));
    let (letter, book) = (letter.to_str().unwrap(), book.to_str().unwrap());
    done(&rig, &["preview", "letter.docx", letter]);
    assert!(fs::read(letter).unwrap().starts_with(b"%PDF"));
    let mark = rig.mark();
    fails(
        &rig,
        &["preview", "letter.docx", letter],
        1,
        &["letter.pdf", "there is such a file", "--overwrite"],
    );
    assert!(rig.calls_after(mark, "method=newview").is_empty());
    // Into a folder it goes under the document's name.
    done(&rig, &["preview", "letter.docx", rig.path("out").to_str().unwrap(), "--overwrite"]);
    let out = done(&rig, &["preview", "--json", "book.docx", book]);
    assert_eq!(documents(&out).len(), 3);
    assert_eq!(files(&rig), ["book-1.pdf", "book-2.pdf", "book-3.pdf", "letter.pdf"]);
    // What has no preview.
    let mark = rig.mark();
    fails(&rig, &["preview", "notes.txt", book], 1, &["no preview of .txt files"]);
    assert!(rig.calls_after(mark, "").is_empty());
    fails(&rig, &["preview", "a.jpg", book], 1, &["/apps/xpand/a.jpg: there is no such document"]);
    fails(&rig, &["preview", "letter.docx", "/nowhere/x.pdf"], 1, &["/nowhere/x.pdf"]);
}

#[test]
fn a_preview_that_breaks_off_leaves_nothing() {
    let rig = Rig::ready(|_| {});
    put_document(&rig, "letter.docx", 1);
    fs::create_dir(rig.path("out")).unwrap();
    let letter = rig.path("out/letter.pdf");
    let cuts = [FaultKind::CutBody(100), FaultKind::CutBody(2), FaultKind::Errno(2)];
    for (kind, words) in cuts.into_iter().zip(["newview", "newview", "is no PDF (errno 2)"]) {
        rig.sim.fault(Fault::once("newview", kind)).unwrap();
        let args = ["preview", "letter.docx", letter.to_str().unwrap()];
        fails(&rig, &args, 1, &["/apps/xpand/letter.docx", words]);
        assert_eq!(files(&rig), [""; 0]);
    }
}
