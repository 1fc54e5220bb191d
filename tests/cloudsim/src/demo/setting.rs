//! Where the story plays: the folder, and the cloud on this machine.

use std::time::Duration;

use super::home::Home;
use super::library::Library;
use super::tell::{Tell, plain, size};
use super::{Demo, Step, Stop};
use crate::{CloudSim, Options};

/// The line until the kill, bytes a second: slow enough to hit the middle of a film.
const SLOW: u64 = 4 << 20;

/// The folder that is backed up: made, or the user's own.
pub(super) fn a_folder(demo: &Demo, home: &Home, tell: &mut Tell) -> Step<Library> {
    tell.step("A family's folder");
    let library = match &demo.photos {
        Some(photos) => Library::of_user(photos)
            .map_err(|error| Stop::Broken(format!("{} cannot be read: {error}", photos.display())))?,
        None => Library::make(&home.root.join("photos"))?,
    };
    let wanted = library.wanted().count();
    if wanted == 0 {
        return Err(Stop::Broken(format!("{} has no photos or videos", library.root.display())));
    }
    let what = if library.made { "made now in" } else { "yours, only read, in" };
    tell.say(&format!(
        "{} photos and videos, {}, {what} {}",
        wanted,
        size(library.bytes()),
        library.root.display()
    ));
    if library.made {
        tell.say("with odd names, an empty file, and the junk that NAS boxes leave in folders:");
        let odd = library.files.keys().filter(|below| below.starts_with(b"Odd names/"));
        let odd: Vec<String> = odd.map(|below| format!("\"{}\"", plain(&below[10..]))).collect();
        tell.shown(&odd.join("  "));
        if !library.refused.is_empty() {
            tell.say(&format!("this disk does not take the names {}", library.refused.join(", ")));
        }
    } else {
        tell.say(&format!("the local cloud keeps a copy below {}", home.root.display()));
    }
    Ok(library)
}

/// The cloud, and the configuration that leads to it.
pub(super) fn a_cloud(demo: &Demo, home: &Home, library: &Library, tell: &mut Tell) -> Step<CloudSim> {
    tell.step("A cloud drive on this machine, and xpand's configuration");
    let options = Options {
        data: Some(home.root.join("cloud")),
        bandwidth: Some(SLOW),
        code_interval: Duration::from_secs(1),
        tls: demo.tls.clone(),
        ..Options::default()
    };
    let sim = CloudSim::start_blocking(options)?;
    tell.say(&format!("it speaks Baidu Netdisk's documented API at {}, {}/s", sim.url(), size(SLOW)));
    let text = home.configure(&sim, &library.root)?;
    tell.command("cat config.toml");
    tell.shown(&text);
    Ok(sim)
}
