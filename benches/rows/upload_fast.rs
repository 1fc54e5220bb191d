//! Upload on a fast link: the agent beside four loops of `curl -F` that send the same slices to the same cloud.
//!
//! Both run with everything in the page cache. The loops know all about the files already; the agent finds, reads and
//! hashes them first, and makes the files in the cloud at the end. So its processor time is compared with the loops' plus
//! `md5sum` twice over the same files: a file's MD5 and its slices'.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line, TOKEN};
use crate::yard::figure::Amount;
use crate::yard::process::{Cost, cost};
use crate::yard::{Bench, Figure, Measure, Result, files};

const PHOTO: u64 = 3_000_000;
const VIDEO: u64 = 500_000_000;
const SLICE: u64 = 4 << 20;
const LOOPS: usize = 4;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let curl = bench.tool("curl")?;
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let mut all = files::photos(&photos, 1, bench.sized(1000), PHOTO)?;
    all.extend(files::videos(&photos, 1 << 32, 4, bench.sized(VIDEO))?);
    let bytes = files::bytes(&all)?;
    let mebibytes = bytes as f64 / MIB;

    let loops = send_by_curl(bench, room.path(), &curl.program, &all)?;
    let summed = cost(Command::new("md5sum").args(&all))?;
    let cloud = Cloud::start(bench, &room.path().join("cloud"), Line::default())?;
    files::sync();
    let home = Home::new(&room.path().join("home"), &Setup::new(&photos, &cloud))?;
    let mut agent = home.start(bench)?;
    let took = agent.until_backed_up(all.len() as u64, Duration::from_mins(10))?.as_secs_f64();
    let cpu = agent.process.cpu_seconds()?;
    agent.end()?;
    cloud.check(bench, &all)?;

    let mut figure = Figure::default();
    let rate = |seconds: f64| Amount::new(mebibytes / seconds, "MiB/s");
    let name = format!("{LOOPS} loops of {}", curl.name);
    figure.add(Measure::at_least("rate", rate(took), &name, rate(loops.seconds), 0.9));
    let a_gib = |seconds: f64| Amount::new(seconds / mebibytes * 1024.0, "s/GiB");
    let beside = a_gib(2.0 * summed.cpu_seconds + loops.cpu_seconds);
    figure.add(Measure::at_most("processor time", a_gib(cpu), "md5sum twice and those loops", beside, 1.3));
    Ok(figure)
}

/// Cuts the files into slices, and sends them with so many loops of one curl a slice.
fn send_by_curl(bench: &Bench, room: &Path, curl: &Path, all: &[PathBuf]) -> Result<Cost> {
    let cut = room.join("cut");
    fs::create_dir(&cut)?;
    let cloud = Cloud::start(bench, &room.join("curl"), Line::default())?;
    let mut lines: Vec<String> = vec![String::new(); LOOPS];
    let mut turn = 0;
    for (number, path) in all.iter().enumerate() {
        let size = fs::metadata(path)?.len();
        let remote = format!("/apps/xpand/{number}");
        let session = precreate(bench, &cloud, &remote, size)?;
        let slices =
            if size <= SLICE { vec![path.clone()] } else { split(path, &cut.join(number.to_string()))? };
        for (part, slice) in slices.iter().enumerate() {
            let url = format!(
                "{}/rest/2.0/pcs/superfile2?method=upload&access_token={TOKEN}&type=tmpfile&path={remote}&uploadid={session}&partseq={part}",
                cloud.url
            );
            lines[turn % LOOPS] += &format!("{} {url}\n", slice.display());
            turn += 1;
        }
    }
    let mut script = String::new();
    for (number, lines) in lines.iter().enumerate() {
        let list = room.join(format!("list{number}"));
        fs::write(&list, lines)?;
        script += &format!(
            "(while read -r file url; do {} -s -S -f -F \"file=@$file\" \"$url\" >/dev/null || exit 1; done <{}) & all=\"$all $!\"\n",
            curl.display(),
            list.display()
        );
    }
    script += "for one in $all; do wait $one || exit 1; done\n";
    files::sync();
    let loops = cost(Command::new("sh").arg("-c").arg(script))?;
    drop(cloud);
    fs::remove_dir_all(room.join("curl"))?;
    fs::remove_dir_all(&cut)?;
    Ok(loops)
}

/// A session of a file cut into slices, whose MD5s nobody compares before `create`.
fn precreate(bench: &Bench, cloud: &Cloud, remote: &str, size: u64) -> Result<String> {
    let md5s: Vec<String> = (0..size.div_ceil(SLICE)).map(|part| format!("{part:032x}")).collect();
    let form = format!(
        "path={remote}&size={size}&isdir=0&autoinit=1&rtype=2&block_list={}",
        serde_json::to_string(&md5s)?
    );
    let url = format!("{}/rest/2.0/xpan/file?method=precreate&access_token={TOKEN}", cloud.url);
    let kind = "application/x-www-form-urlencoded";
    let text = bench.wait(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.post(url).header("Content-Type", kind).body(form).send().await?.text().await
    })?;
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer["uploadid"].as_str().ok_or_else(|| format!("precreate: {text}"))?.to_owned())
}

fn split(path: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(into)?;
    cost(Command::new("split").args(["-a", "4", "-d", "-b", "4M"]).arg(path).arg(into.join("s")))?;
    let mut slices = fs::read_dir(into)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    slices.sort();
    Ok(slices)
}
