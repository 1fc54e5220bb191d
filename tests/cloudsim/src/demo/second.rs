//! The story's last chapter but one: the same folder goes to a second cloud as well, 123pan, which keeps
//! pictures only.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::Step;
use super::agent::Agent;
use super::compare::some;
use super::follow::is_quiet;
use super::names::unescape;
use super::story::Story;
use super::tell::{number, plain};
use crate::StoredFile;
use crate::content_md5::md5_of;

/// What every name at 123pan begins with: device and label of the configuration.
const PREFIX: &str = "/Living room NAS/pictures/";
/// What 123pan takes (field notes 8.3).
const PICTURES: [&str; 9] = ["png", "gif", "jpg", "jpeg", "tif", "tiff", "webp", "svg", "bmp"];

impl Story<'_> {
    /// A second account for the folder, and what comes of it.
    pub(super) fn second_cloud(&mut self, agent: &mut Agent) -> Step {
        self.tell.step("The same folder, to a second cloud as well: 123pan, which keeps pictures only");
        let from = self.sim.calls().last().map_or(0, |call| call.n + 1);
        let text = self.home.configure_second(&self.sim, &self.library.root)?;
        self.tell.command("cat >> config.toml");
        self.tell.shown(&text);
        self.tell.command("xpand reload");
        let said = self.home.run(&["reload"])?;
        self.tell.prove(said.is_good(), "nobody has to log in: the application does", || said.words());
        let has_both =
            |status: &serde_json::Value| status["folders"].as_array().is_some_and(|all| all.len() == 2);
        let status = self.follow(agent, |status, _| has_both(status) && is_quiet(status))?;
        self.tell.progress_ended(&super::follow::lines(&status)[0]);

        let stored = self.at_123pan();
        let mut wrong = Vec::new();
        let mut there: BTreeMap<Vec<u8>, &StoredFile> = BTreeMap::new();
        for file in &stored {
            match file.path.strip_prefix(PREFIX).and_then(below) {
                Some(below) => drop(there.insert(below, file)),
                None => wrong.push(format!("{} is no name that xpand writes", file.path)),
            }
        }
        let wanted: Vec<Vec<u8>> = self.library.wanted().filter(|below| is_picture(below)).cloned().collect();
        for below in &wanted {
            let here = md5_of(&self.library.path(below))?;
            match there.remove(below) {
                Some(file) if file.md5 == here && file.overwritten == 0 => {}
                Some(file) => wrong.push(format!("{}: {} there, {here} here", plain(below), file.md5)),
                None => wrong.push(format!("{} is not there", plain(below))),
            }
        }
        wrong.extend(there.keys().map(|below| format!("{} should not be there", plain(below))));
        let words = format!("{} there too, each with the MD5 of its file", are(wanted.len()));
        self.tell.prove(wrong.is_empty(), &words, || some(&wrong));

        let left = self.library.wanted().count() - wanted.len();
        let counts = &status["folders"][1];
        let skipped = counts["skipped"].as_u64().unwrap_or(0);
        self.tell.prove(
            counts["backed_up"] == wanted.len() && counts["failed"] == 0 && skipped >= left as u64,
            &format!(
                "the {} that it does not take were skipped, and none failed",
                number(left, "other file")
            ),
            || counts.to_string(),
        );
        let calls = self.sim.calls_since(from);
        let sent = ["precreate", "superfile2", "create"].map(|method| super::evidence::count(&calls, method));
        self.tell.prove(sent == [0, 0, 0], "the first cloud was sent nothing for it", || format!("{sent:?}"));
        self.link(&stored)
    }

    /// A picture there has a link for everybody.
    fn link(&mut self, stored: &[StoredFile]) -> Step {
        let Some(file) = stored.first() else { return Ok(()) };
        self.tell.command(&format!("xpand image info '{}'", plain(file.path.as_bytes())));
        let said = self.home.run(&["image", "info", &file.path])?;
        self.tell.shown(&said.out);
        let is_told = said.out.contains(&format!("{}/", self.sim.cdn_url()));
        self.tell.prove(is_told, "each has its link, for whoever is to see it", || said.words());
        Ok(())
    }

    /// Every picture at the second cloud.
    pub(super) fn at_123pan(&self) -> Vec<StoredFile> {
        self.sim.pan123().files()
    }
}

/// `1 picture is`, `3 pictures are`
fn are(count: usize) -> String {
    format!("{} {}", number(count, "picture"), if count == 1 { "is" } else { "are" })
}

fn is_picture(below: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let ending = Path::new(OsStr::from_bytes(below)).extension().unwrap_or_default();
    PICTURES.contains(&ending.to_string_lossy().to_ascii_lowercase().as_str())
}

/// The path of a name there. A folder `%=...` is nobody's: in one folder 123pan keeps a content once, and its
/// second picture goes down there.
fn below(remote: &str) -> Option<Vec<u8>> {
    let folders: Vec<&str> = remote.split('/').filter(|folder| !folder.starts_with("%=")).collect();
    unescape(&folders.join("/"))
}
