//! Holds the source to the map in `src/lib.rs`: who may name whom, one reader of the clock, one writer to
//! the terminal, files that say what they are for and stay small.
//!
//! A failure here says what to do about it. If the map is to change, change the table and `src/lib.rs`.
#![allow(clippy::unwrap_used)]

#[path = "architecture/supply.rs"]
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module, and the others whose names may stand in it. What is not here may name nobody.
const ARROWS: &[(&str, &[&str])] = &[
    ("account", &["clock", "cloud", "config", "durable"]),
    (
        "agent",
        &[
            "account", "backup", "clock", "cloud", "config", "content", "control", "device", "durable",
            "memory", "remote", "status", "store",
        ],
    ),
    ("backup", &["clock", "cloud", "config", "content", "durable", "remote", "status", "store"]),
    (
        "cli",
        &[
            "account", "agent", "backup", "clock", "cloud", "config", "content", "control", "device",
            "durable", "fetch", "memory", "remote", "status", "store",
        ],
    ),
    ("cloud", &["clock", "config", "content", "durable", "remote"]),
    ("config", &["content", "remote"]),
    ("control", &["status"]),
    ("device", &["account", "cloud", "config", "content", "durable"]),
    ("fetch", &["clock", "cloud", "content"]),
    ("remote", &["content"]),
    ("store", &["durable"]),
];

/// Files may be this long.
const LINES: usize = 500;

/// The only places that may say so.
const CLOCK: &str = "src/clock.rs";
const TERMINAL: &str = "src/cli";

#[test]
fn nobody_names_a_module_above_or_beside_it() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let modules: BTreeSet<String> = sources("src").iter().filter_map(|file| file.module.clone()).collect();
    let mut wrong = Vec::new();
    for file in sources("src") {
        let Some(module) = &file.module else { continue };
        for (line, named) in file.names(&modules) {
            if named != *module && !allowed.get(module.as_str()).is_some_and(|all| all.contains(&&*named)) {
                wrong.push(format!("{}:{line}: {module} names crate::{named}", file.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that are not on the map:\n  {}\nMove what is needed further down (content, status, …), or hand it in \
         from above; only if the map itself is wrong, change it in src/lib.rs and in ARROWS here.",
        wrong.join("\n  ")
    );
}

#[test]
fn every_arrow_of_the_table_is_used() {
    let modules: BTreeSet<String> = sources("src").iter().filter_map(|file| file.module.clone()).collect();
    let mut used = BTreeSet::new();
    for file in sources("src") {
        let Some(module) = file.module.clone() else { continue };
        used.extend(file.names(&modules).into_iter().map(|(_, named)| (module.clone(), named)));
    }
    for (module, _) in ARROWS {
        assert!(modules.contains(*module), "there is no module {module} any more: take it out of ARROWS");
    }
    // The two at the top may use whatever is below; for the others the table is to be tight.
    for (module, all) in ARROWS.iter().filter(|(module, _)| !matches!(*module, "agent" | "cli")) {
        for named in *all {
            let is_used = used.contains(&((*module).to_owned(), (*named).to_owned()));
            let planned =
                (*module, *named) == ("remote", "content") || (*module, *named) == ("device", "account");
            assert!(is_used || planned, "{module} does not name {named} any more: take it out of ARROWS");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in all_files() {
        let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        assert!(first.starts_with("//!"), "{} must begin with `//!` and a sentence", file.name);
        let words = first.trim_start_matches("//!").split_whitespace().count();
        assert!(words >= 3, "{}: \"{first}\" says too little", file.name);
    }
}

#[test]
fn no_file_is_longer_than_one_thing_needs() {
    let long: Vec<_> = all_files()
        .into_iter()
        .map(|file| (file.text.lines().count(), file.name))
        .filter(|(lines, _)| *lines > LINES)
        .collect();
    assert!(long.is_empty(), "over {LINES} lines, which asks to be two things with two names: {long:?}");
}

#[test]
fn only_the_clock_reads_the_clock() {
    let readers =
        ["SystemTime::now", "Timestamp::now", "Zoned::now", "std::time::Instant", "UNIX_EPOCH.elapsed"];
    let mut wrong = Vec::new();
    for file in sources("src").iter().filter(|file| file.name != CLOCK && !file.is_test()) {
        for (line, text) in file.code() {
            let of_std = text.contains("use std::time::") && text.contains("Instant");
            if of_std || readers.iter().any(|reader| text.contains(reader)) {
                wrong.push(format!("{}:{line}: {}", file.name, text.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a second reader of the clock:\n  {}\nTake `now` as an argument or a Clock; for time-outs, tokio::time::Instant.",
        wrong.join("\n  ")
    );
}

#[test]
fn only_the_command_line_writes_to_the_terminal() {
    let writers =
        ["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout", "io::stderr", "stdout()"];
    let mut wrong = Vec::new();
    let inside = |file: &&Source| !file.name.starts_with(TERMINAL) && !file.is_test();
    for file in sources("src").iter().filter(inside) {
        for (line, text) in file.code() {
            if writers.iter().any(|writer| text.contains(writer)) {
                wrong.push(format!("{}:{line}: {}", file.name, text.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a second writer to the terminal:\n  {}\nLog through `tracing`, or return it to src/cli.",
        wrong.join("\n  ")
    );
}

/// The cloud's protocol and the database have words that nobody else may need to know.
#[test]
fn words_of_a_layer_stay_in_it() {
    let words = [
        ("sled::", "src/store"),
        ("reqwest::", "src/cloud"),
        ("superfile2\"", "src/cloud"),
        ("precreate\"", "src/cloud"),
        ("xpan::", "src/cloud"),
        ("pan123::", "src/cloud"),
        ("clap::", "src/cli"),
        ("hyper::server", "src/control"),
    ];
    for file in sources("src").iter().filter(|file| !file.is_test()) {
        for (line, text) in file.code() {
            for (word, home) in words {
                let at_home = file.name.starts_with(home);
                assert!(at_home || !text.contains(word), "{}:{line}: {word} belongs to {home}", file.name);
            }
        }
    }
}

/// What differs from cloud to cloud is told by its description and its traits, never asked by its name.
#[test]
fn nobody_but_the_clouds_asks_which_cloud_it_is() {
    let homes = ["src/cloud", "src/config/provider.rs"];
    let inside = |file: &&Source| !homes.iter().any(|home| file.name.starts_with(home)) && !file.is_test();
    for file in sources("src").iter().filter(inside) {
        for (line, text) in file.code() {
            let names_one = text.match_indices("Provider::").any(|(at, word)| {
                let name: Vec<char> = text[at + word.len()..].chars().take(2).collect();
                matches!(name[..], [first, second] if first.is_uppercase() && second.is_lowercase())
            });
            assert!(
                !names_one,
                "{}:{line}: {}\nTell it by `cloud::Cloud` or a trait.",
                file.name,
                text.trim()
            );
        }
    }
}

#[test]
fn the_readers_of_this_test_see_what_they_look_for() {
    let text = "use crate::{\n    store, // a comment with crate::cli\n    cloud::{self, Drive},\n};\n\
                fn x() { crate::agent::run() } // crate::device\n/* crate::control */ \"crate::status\";\n\
                #[cfg(test)]\nmod tests { use crate::cli; }\n";
    let file = Source { name: "src/backup/x.rs".into(), module: Some("backup".into()), text: text.into() };
    let modules = ["store", "cloud", "agent", "device", "cli", "control", "status"];
    let modules = modules.iter().map(|module| (*module).to_owned()).collect();
    let named: Vec<_> = file.names(&modules).into_iter().map(|(_, named)| named).collect();
    assert_eq!(named, ["store", "cloud", "agent"]);
    let top = Source {
        name: "src/cloud.rs".into(),
        module: Some("cloud".into()),
        text: "use super::agent;".into(),
    };
    assert_eq!(top.names(&modules), [(1, "agent".to_owned())]);
}

struct Source {
    name: String,
    /// The module below the crate; none for lib.rs and main.rs.
    module: Option<String>,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.name.ends_with("tests.rs")
    }

    /// Lines with their numbers, without comments, texts and what is only built for tests.
    fn code(&self) -> Vec<(usize, String)> {
        let mut lines = Vec::new();
        for (at, line) in self.text.lines().enumerate() {
            if line.trim() == "#[cfg(test)]" && self.text.lines().nth(at + 1).is_some_and(is_module) {
                break;
            }
            let mut code = String::new();
            let mut chars = line.chars().peekable();
            let mut in_text = false;
            while let Some(char) = chars.next() {
                match char {
                    '\\' if in_text => drop(chars.next()),
                    '"' => in_text = !in_text,
                    '/' if !in_text && matches!(chars.peek(), Some('/' | '*')) => break,
                    _ if in_text => {}
                    _ => code.push(char),
                }
                if char == '"' {
                    code.push('"');
                }
            }
            lines.push((at + 1, code));
        }
        lines
    }

    /// Which of `modules` are named, and where.
    fn names(&self, modules: &BTreeSet<String>) -> Vec<(usize, String)> {
        if self.is_test() {
            return Vec::new();
        }
        let code = self.code();
        let joined: String = code.iter().map(|(_, line)| format!("{line}\n")).collect();
        let line_of = |at: usize| code[joined[..at].matches('\n').count()].0;
        let is_top = self.name == format!("src/{}.rs", self.module.as_deref().unwrap_or(""))
            || self.name.ends_with("/mod.rs") && self.name.matches('/').count() == 2;
        let mut roots = vec!["crate::"];
        if is_top {
            roots.push("super::");
        }
        let mut found = Vec::new();
        for root in roots {
            for (at, _) in joined.match_indices(root) {
                let rest = &joined[at + root.len()..];
                for name in heads(rest) {
                    if modules.contains(&name) {
                        found.push((line_of(at), name));
                    }
                }
            }
        }
        found
    }
}

fn is_module(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("mod ") || line.starts_with("#[")
}

/// The first words of a path, or of each path in braces: `a::b` is `a`, `{a, b::{c, d}}` is `a` and `b`.
fn heads(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let Some(inside) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut heads, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, char) in inside.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(word(&inside[from..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(word(&inside[from..at]));
                from = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn sources(below: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                let second = name.split('/').nth(1).unwrap_or("").trim_end_matches(".rs").to_owned();
                let module = (!matches!(second.as_str(), "lib" | "main")).then_some(second);
                files.push(Source { text: fs::read_to_string(path).unwrap(), module, name });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn all_files() -> Vec<Source> {
    [sources("src"), sources("tests"), sources("benches")].into_iter().flatten().collect()
}
