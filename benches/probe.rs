//! Tries.
#[path = "yard/library.rs"]
mod library;
use std::path::Path;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let yard = Path::new(&args[1]);
    let photos: u64 = args[2].parse().unwrap();
    let begun = Instant::now();
    match &*args[0] {
        "make" => {
            let root = library::kept(yard, photos, 1000).unwrap();
            println!("{root:?} {:?}", begun.elapsed());
        }
        "know" => {
            let root = library::kept(yard, photos, 1000).unwrap();
            let state = yard.join(format!("state-{photos}"));
            library::know(&state, &root, photos, "home", "/apps/xpand/photo").unwrap();
            println!("{:?}", begun.elapsed());
        }
        "serve" => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = cloudsim::Options { client_secret: "secret".into(), ..cloudsim::Options::default() };
                let sim = cloudsim::CloudSim::start(options).await.unwrap();
                sim.add_token("demo", "access", Some("refresh"), None).unwrap();
                println!("{}", sim.url());
                let root = yard.join(format!("library-{photos}"));
                let state = yard.join(format!("state-{photos}"));
                let accounts = xpand::account::Accounts::new(&state, xpand::clock::Clock::system());
                accounts.import("home", r#"{"access_token": "access", "refresh_token": "refresh"}"#).unwrap();
                let text = format!("[account.home]\nclient_id = \"demo\"\nclient_secret = \"secret\"\nendpoint = \"{}\"\n\
                  [[folder]]\npath = {root:?}\naccount=\"home\"\nlabel=\"photo\"\nremote=\"{{label}}/{{path}}\"\n\
                  [agent]\nstate_dir = {state:?}\nsocket = {:?}\n", sim.url(), yard.join(format!("sock-{photos}")));
                std::fs::write(yard.join(format!("config-{photos}.toml")), text).unwrap();
                std::future::pending::<()>().await;
            });
        }
        "walk" => {
            use xpand::backup::{filter::Filter, walk::*};
            let root = yard.join(format!("library-{photos}"));
            let n = Walk::new(&root, b"", std::sync::Arc::new(Filter::everything())).count();
            println!("walk {n} {:?}", begun.elapsed());
        }
        "scan" => {
            let root = yard.join(format!("library-{photos}"));
            let state = yard.join(format!("state-{photos}"));
            let (store, _) = xpand::store::Store::open(&state).unwrap();
            println!("open {:?}", begun.elapsed());
            let keeper =
                xpand::backup::keeper::Keeper::open(store.into(), std::time::Duration::from_secs(2)).unwrap();
            let begun = Instant::now();
            let folder = keeper.with(|queue| queue.folder(&root, "home")).unwrap();
            struct Blind(u64);
            impl xpand::backup::scan::Eyes for Blind {
                fn directory(&mut self, _: &[u8]) {}
                fn sighting(&mut self, _: xpand::content::FilePath, _: xpand::content::Fingerprint) {
                    self.0 += 1;
                }
            }
            let filter = std::sync::Arc::new(xpand::backup::filter::Filter::everything());
            static TAKES: std::sync::LazyLock<&'static xpand::cloud::Takes> =
                std::sync::LazyLock::new(|| xpand::cloud::of(xpand::config::Provider::Baidu).takes());
            let limits =
                xpand::backup::entry::Limits { min_size: 0, max_size: u64::MAX, tier: None, takes: *TAKES };
            let mut eyes = Blind(0);
            for _ in 0..3 {
                let begun = Instant::now();
                let scan = xpand::backup::scan::Scan {
                    folder,
                    root: &root,
                    filter: &filter,
                    limits,
                    keeper: &keeper,
                    cancelled: &false.into(),
                };
                let report = scan.look(b"", &mut eyes).unwrap();
                println!("scan {} files, {} seen, {:?}", report.files, eyes.0, begun.elapsed());
            }
            let _ = begun;
            std::sync::Arc::into_inner(keeper).unwrap().close().unwrap();
        }
        _ => panic!(),
    }
}
