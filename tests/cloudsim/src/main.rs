//! The `cloudsim` command: a simulated cloud to try things against.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use cloudsim::demo::{Demo, Ended};
use cloudsim::{CloudSim, Locate, Options, Pan123Options, parse_duration, parse_size};

/// A local cloud that speaks the documents.
#[derive(Parser)]
#[command(name = "cloudsim", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until interrupted
    Serve(Serve),
    /// Play the whole story of a backup on this machine, and prove it
    Demo(Demo),
}

#[derive(clap::Args)]
struct Serve {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// Folder for uploaded files; they lie there under their cloud path
    #[arg(long)]
    data: PathBuf,
    /// Product name: everything is written below /apps/<APP>
    #[arg(long, default_value = "xpand")]
    app: String,
    /// Membership of new accounts
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    vip: u8,
    /// Waiting time before every call, for example 80ms
    #[arg(long, default_value = "0ms", value_parser = parse_duration)]
    latency: Duration,
    /// Bytes a second for all request bodies together, for example 5MiB
    #[arg(long, value_parser = parse_size)]
    bandwidth: Option<u64>,
    /// Drive size of new accounts
    #[arg(long, default_value = "2TiB", value_parser = parse_size)]
    quota: u64,
    /// Enforce the documents' calls per second, minute, hour and day
    #[arg(long)]
    limits: bool,
    /// Approve device codes at once
    #[arg(long)]
    auto_approve: bool,
    /// Answer `[]` instead of `[0]` to precreate of a one-slice file; some clients misread `[]`
    #[arg(long)]
    empty_block_list: bool,
    /// Port for downloads, and for slices and direct links of 123pan, of the same address; 0 takes any free one
    #[arg(long, default_value_t = 0)]
    cdn_port: u16,
    /// 123pan: sliceSize of uploads, for example 1MiB
    #[arg(long, default_value = "100MiB", value_parser = parse_size)]
    slice_size: u64,
    /// 123pan: uploads complete asynchronously, so much later, for example 1s
    #[arg(long, value_parser = parse_duration)]
    async_complete: Option<Duration>,
    /// Let locateupload name the address it was called at
    #[arg(long)]
    locate_own: bool,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Serve(serve) => run(serve),
        Command::Demo(demo) => return play(&demo),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloudsim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the demo; ^C lets it tidy up, a second one does not wait for that.
fn play(demo: &Demo) -> ExitCode {
    const INTERRUPTED: u8 = 130;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    std::thread::spawn(move || {
        while let Ok(()) = wait_for_signal() {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED.into());
            }
        }
    });
    let out = io::stdout();
    let live = out.is_terminal();
    match demo.play(Box::new(out), live, interrupted) {
        Ended::Proved => ExitCode::SUCCESS,
        Ended::Failed => ExitCode::FAILURE,
        Ended::Interrupted => INTERRUPTED.into(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn wait_for_signal() -> io::Result<()> {
    wait_for_end().await
}

#[tokio::main(flavor = "current_thread")]
async fn run(serve: Serve) -> io::Result<()> {
    let options = Options {
        listen: serve.listen,
        cdn_port: serve.cdn_port,
        data: Some(serve.data),
        app: serve.app,
        vip: serve.vip,
        latency: serve.latency,
        bandwidth: serve.bandwidth,
        quota: serve.quota,
        limits: serve.limits,
        auto_approve: serve.auto_approve,
        empty_block_list: serve.empty_block_list,
        locate: if serve.locate_own { Locate::Own } else { Locate::Nothing },
        pan123: Pan123Options {
            slice_size: serve.slice_size.max(1),
            async_delay: serve.async_complete,
            ..Pan123Options::default()
        },
        ..Options::default()
    };
    let sim = CloudSim::start(options).await?;
    println!("cloudsim serves {} from {}", sim.url(), sim.data_dir().display());
    wait_for_end().await?;
    sim.shutdown().await;
    Ok(())
}

/// ^C, or SIGTERM.
async fn wait_for_end() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
