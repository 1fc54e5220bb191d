//! Document previews: method=newinfo and method=newview at `lodocpreview` ("获取文档列表", 文档预览流程).

use hyper::header::CONTENT_LENGTH;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, Reply, page};
use crate::download::{LINK_LIFE_SECS, Wanted, put, sign};
use crate::entry::Entry;
use crate::names;
use crate::request::Ask;
use crate::state::Cloud;

/// "不支持预览的文件格式".
const UNSUPPORTED: [&str; 37] = [
    "txt", "as", "sh", "c", "cpp", "h", "cs", "asp", "css", "pas", "diff", "patch", "erl", "groovy", "java",
    "jsp", "js", "json", "pl", "php", "py", "rb", "sass", "scss", "scala", "sql", "vb", "xml", "xhtml",
    "html", "htm", "md", "less", "lua", "go", "bat", "wml",
];

/// Bytes of the document that one part shows.
const PART: u64 = 64 << 10;

/// A preview has no more parts than this.
const MOST_PARTS: u64 = 50;

/// What the signatures of previews begin with.
const DOC: &str = "FDTAER";

const REGION: &str = "Yangquan";

/// `docpreview` and `lodocpreview` of doclist.
pub(crate) fn links(item: &mut Map<String, Value>, base: &str, entry: &Entry, uk: u64, now: u64) {
    let docpreview = link(base, entry, uk, now);
    item.insert("lodocpreview".into(), json!(format!("{docpreview}&type=pdf&from=lo")));
    item.insert("docpreview".into(), json!(docpreview));
}

/// `docpreview` alone.
pub(crate) fn link(base: &str, entry: &Entry, uk: u64, now: u64) -> String {
    format!(
        "{base}/doc/{}?fid={uk}-250528-{}&time={now}&rt=pr&sign={}&expires=8h&chkbd=0&chkv=0",
        entry.cloud_md5,
        entry.fs_id,
        sign(DOC, entry, uk, now)
    )
}

/// GET /doc/<md5>?…: needs no token, the address is signed.
pub(crate) fn preview(cloud: &Cloud, ask: &Ask) -> Reply {
    let wanted = Wanted { kind: DOC, time: "time", prefix: "/doc/", life_secs: LINK_LIFE_SECS };
    let (path, md5, parts) = {
        let state = cloud.lock();
        let (_, entry, _) = wanted.find(cloud, &state, ask)?;
        let parts = entry.size.div_ceil(PART).clamp(1, MOST_PARTS);
        (entry.path.clone(), entry.cloud_md5.clone(), parts)
    };
    let wrong = |_| Refusal::pcs(31023);
    let query = &ask.query;
    if query.get("type") != Some("pdf") || query.get("from") != Some("lo") {
        return Err(Refusal::pcs(31023));
    }
    if names::category(&path) != 4 || UNSUPPORTED.contains(&names::extension(&path).as_str()) {
        return Err(Refusal::pcs(31390));
    }
    let key_of = |part: u64| format!("n-lodocview-qd-lo-{md5}-convert-pdf-part-{part}");
    match ask.api_method() {
        "newinfo" => {
            query.need("part_index").map_err(wrong)?;
            let part = query.number::<u64>("part_index").map_err(wrong)?.unwrap_or_default();
            if part >= parts {
                return Err(Refusal::pcs(31023));
            }
            Ok(Answer::with_number_id(json!({
                "page_num": parts,
                "status": "HITNDB",
                "ndb_key": key_of(part),
                "region": REGION,
            })))
        }
        "newview" => {
            let key = query.need("ndb_key").map_err(wrong)?;
            // The example writes it in small letters.
            if !query.need("region").map_err(wrong)?.eq_ignore_ascii_case(REGION) {
                return Err(Refusal::pcs(31023));
            }
            let part = (0..parts).find(|part| key == key_of(*part)).ok_or_else(|| Refusal::pcs(31066))?;
            let pdf = pdf(&format!("part {} of {parts}", part + 1));
            let length = pdf.len().to_string();
            let mut response = page(200, "application/pdf", pdf);
            put(&mut response, CONTENT_LENGTH, length);
            Ok(Answer::page(response))
        }
        _ => Err(Refusal::pcs(3)),
    }
}

/// A page with one line of text: the smallest thing that viewers open.
fn pdf(text: &str) -> String {
    let drawn = format!("BT /F1 24 Tf 72 720 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{drawn}\nendstream", drawn.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut pdf = "%PDF-1.4\n".to_owned();
    let mut places = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        places.push(pdf.len());
        pdf.push_str(&format!("{} 0 obj\n{object}\nendobj\n", number + 1));
    }
    let table = pdf.len();
    pdf.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1));
    for place in &places {
        pdf.push_str(&format!("{place:010} 00000 n \n"));
    }
    pdf.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        places.len() + 1
    ));
    pdf
}
