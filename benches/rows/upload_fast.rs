//! Upload on a fast link: the agent beside four loops of `curl -F` that send the same slices to the same cloud.
//!
//! Both run with everything in the page cache. The loops know all about the files already; the agent finds, reads and
//! hashes them first. So its processor time is compared with the loops' plus `md5sum` twice over the same files: a file's
//! MD5 and its slices'.
//!
//! The agent is done when the files are made (`create`), which is more than the loops do. In turns, and the quickest of
//! each counts: a machine that others share is slow at times.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use xpand::content::Md5;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line, TOKEN};
use crate::yard::figure::Amount;
use crate::yard::process::{Cost, cost};
use crate::yard::{Bench, Figure, Measure, Result, files};

const PHOTO: u64 = 3_000_000;
const VIDEO: u64 = 500_000_000;
const SLICE: u64 = 4 << 20;
const LOOPS: usize = 4;
/// Turns.
const ROUNDS: usize = 3;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let curl = bench.tool("curl")?;
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let mut all = files::photos(&photos, 1, bench.sized(1000), PHOTO)?;
    all.extend(files::videos(&photos, 1 << 32, 4, bench.sized(VIDEO))?);
    let bytes = files::bytes(&all)?;
    let mebibytes = bytes as f64 / MIB;

    let slices = cut(&all, &room.path().join("cut"))?;
    let (mut loops, mut agent, mut summed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        loops.push(send_by_curl(bench, room.path(), &curl.program, &all, &slices)?);
        agent.push(send_by_agent(bench, room.path(), &photos, &all)?);
        summed.push(cost(Command::new("md5sum").args(&all))?.cpu_seconds);
    }

    let mut figure = Figure::default();
    let rate = |turns: &[Cost]| {
        let seconds = least(turns.iter().map(|turn| turn.seconds));
        Amount::new(mebibytes / seconds, "MiB/s")
    };
    let name = format!("{LOOPS} loops of {}", curl.name);
    figure.add(Measure::at_least("rate", rate(&agent), &name, rate(&loops), 0.9));
    let cpu = |turns: &[Cost]| least(turns.iter().map(|turn| turn.cpu_seconds));
    let a_gib = |seconds: f64| Amount::new(seconds / mebibytes * 1024.0, "s/GiB");
    let beside = a_gib(2.0 * least(summed) + cpu(&loops));
    let own = a_gib(cpu(&agent));
    figure.add(Measure::at_most("processor time", own, "md5sum twice and those loops", beside, 1.3));
    Ok(figure)
}

fn least(of: impl IntoIterator<Item = f64>) -> f64 {
    of.into_iter().fold(f64::MAX, f64::min)
}

/// The agent finds the files and backs them up.
fn send_by_agent(bench: &Bench, room: &Path, photos: &Path, all: &[PathBuf]) -> Result<Cost> {
    let cloud = Cloud::start(bench, &room.join("cloud"), Line::default())?;
    files::sync();
    let home = Home::new(&room.join("home"), &Setup::new(photos, &cloud))?;
    let mut agent = home.start(bench)?;
    let seconds = agent.until_backed_up(all.len() as u64, Duration::from_mins(10))?.as_secs_f64();
    let cpu_seconds = agent.process.cpu_seconds()?;
    agent.end()?;
    cloud.check(bench, all)?;
    drop(cloud);
    fs::remove_dir_all(room.join("cloud"))?;
    fs::remove_dir_all(room.join("home"))?;
    Ok(Cost { seconds, cpu_seconds, out: String::new() })
}

/// The slices of each file, as files of their own in `into`.
fn cut(all: &[PathBuf], into: &Path) -> Result<Vec<Vec<PathBuf>>> {
    all.iter()
        .enumerate()
        .map(|(number, path)| {
            let is_one = fs::metadata(path)?.len() <= SLICE;
            if is_one { Ok(vec![path.clone()]) } else { split(path, &into.join(number.to_string())) }
        })
        .collect()
}

/// Sends the slices with so many loops of one curl a slice; then makes the files, so that they can be looked at.
fn send_by_curl(
    bench: &Bench,
    room: &Path,
    curl: &Path,
    all: &[PathBuf],
    slices: &[Vec<PathBuf>],
) -> Result<Cost> {
    let cloud = Cloud::start(bench, &room.join("curl"), Line::default())?;
    let mut lines: Vec<String> = vec![String::new(); LOOPS];
    let mut files = Vec::new();
    let mut turn = 0;
    for (number, (path, slices)) in all.iter().zip(slices).enumerate() {
        let file = Sent::begin(bench, &cloud, number, path)?;
        for (part, slice) in slices.iter().enumerate() {
            let (url, remote, uploadid) = (&cloud.url, &file.remote, &file.uploadid);
            let url = format!(
                "{url}/rest/2.0/pcs/superfile2?method=upload&access_token={TOKEN}&type=tmpfile&path={remote}&uploadid={uploadid}&partseq={part}",
            );
            lines[turn % LOOPS] += &format!("{} {url}\n", slice.display());
            turn += 1;
        }
        files.push(file);
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
    bench.wait(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let make = |file| Sent::make(file, &client, &cloud);
        stream::iter(&files).map(make).buffer_unordered(LOOPS).try_for_each(|()| async { Ok(()) }).await
    })?;
    cloud.check(bench, all)?;
    drop(cloud);
    fs::remove_dir_all(room.join("curl"))?;
    Ok(loops)
}

/// A file that goes to the cloud without the agent.
struct Sent {
    remote: String,
    size: u64,
    /// MD5s of its slices as JSON.
    block_list: String,
    uploadid: String,
}

impl Sent {
    fn begin(bench: &Bench, cloud: &Cloud, number: usize, path: &Path) -> Result<Self> {
        let (remote, size) = (format!("/apps/xpand/{number}"), fs::metadata(path)?.len());
        let mut reader = File::open(path)?;
        let mut md5s = Vec::new();
        for _ in 0..size.div_ceil(SLICE) {
            let mut slice = Vec::new();
            Read::by_ref(&mut reader).take(SLICE).read_to_end(&mut slice)?;
            md5s.push(Md5::of(slice).to_string());
        }
        let file = Self { remote, size, block_list: serde_json::to_string(&md5s)?, uploadid: String::new() };
        let answer = bench.wait(async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            file.ask(&client, cloud, "precreate").await
        })?;
        let uploadid = answer["uploadid"].as_str().ok_or_else(|| format!("precreate: {answer}"))?.to_owned();
        Ok(Self { uploadid, ..file })
    }

    async fn make(&self, client: &reqwest::Client, cloud: &Cloud) -> Result<()> {
        let answer = self.ask(client, cloud, "create").await?;
        if answer["errno"] == 0 { Ok(()) } else { Err(format!("create: {answer}").into()) }
    }

    async fn ask(&self, client: &reqwest::Client, cloud: &Cloud, method: &str) -> Result<Value> {
        let Self { remote, size, block_list, uploadid } = self;
        let form = format!(
            "path={remote}&size={size}&isdir=0&autoinit=1&rtype=2&block_list={block_list}&uploadid={uploadid}"
        );
        let url = format!("{}/rest/2.0/xpan/file?method={method}&access_token={TOKEN}", cloud.url);
        let sent = client.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        Ok(serde_json::from_str(&sent.send().await?.text().await?)?)
    }
}

fn split(path: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(into)?;
    cost(Command::new("split").args(["-a", "4", "-d", "-b", "4M"]).arg(path).arg(into.join("s")))?;
    let mut slices = fs::read_dir(into)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    slices.sort();
    Ok(slices)
}
