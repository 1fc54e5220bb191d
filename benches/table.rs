//! The table of `docs/performance.md`: how fast and how light the agent is, beside the tools one would take instead.
//!
//! ```sh
//! cargo bench                       # every row, one after the other
//! cargo bench -- upload-fast flash  # some of them
//! cargo bench -- --table            # the same as Markdown, with the machine's name
//! cargo bench -- --small            # every row at a tenth of its size, to try it out
//! cargo bench -- --list             # what rows there are
//! cargo bench -- --cost             # what a file, a byte, a day and a fleet of boxes cost, as Markdown
//! cargo bench -- --cost fleet       # of that: files, bytes, rate, fleet
//! ```
//!
//! A row does its work with the real release binary on real files; the cloud is a local one, in a process of
//! its own, so that its cost is nobody else's. What is compared with something is measured in the same run, right
//! before or after it. The figures mean something on a machine that does nothing else.

mod cost;
mod rows;
mod yard;

use std::io::Write;
use std::process::ExitCode;

use rows::{ROWS, Row};
use yard::{Bench, Figure, Outcome, cloud, machine, markdown, peers};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == cloud::SERVE) {
        return cloud::serve(&args.split_off(1));
    }
    if args.first().is_some_and(|arg| arg == peers::MEET) {
        return peers::meet(&args.split_off(1));
    }
    // Cargo's own word to every benchmark.
    args.retain(|arg| arg != "--bench");
    let (options, names): (Vec<String>, Vec<String>) =
        args.into_iter().partition(|arg| arg.starts_with("--"));
    let known = ["--table", "--small", "--list", "--cost"];
    if let Some(strange) = options.iter().find(|option| !known.contains(&option.as_str())) {
        return refuse(&format!("{strange} is not known here, only {}", known.join(", ")));
    }
    let has = |option: &str| options.iter().any(|given| given == option);
    if has("--list") {
        ROWS.iter().for_each(|row| say(&format!("{:<16} {}", row.key, row.name)));
        return ExitCode::SUCCESS;
    }
    if has("--cost") {
        return match Bench::new(has("--small")).and_then(|bench| cost::tables(&bench, &names)) {
            Ok(tables) => {
                say(&tables);
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error.to_string()),
        };
    }
    if let Some(strange) = names.iter().find(|name| ROWS.iter().all(|row| row.key != **name)) {
        return refuse(&format!("there is no row {strange}; `cargo bench -- --list` names them"));
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.key);
    match run(ROWS.iter().filter(wanted).collect(), has("--small"), has("--table")) {
        Ok(code) => code,
        Err(error) => refuse(&error.to_string()),
    }
}

fn run(rows: Vec<&Row>, small: bool, table: bool) -> yard::Result<ExitCode> {
    let bench = Bench::new(small)?;
    if small {
        bench.say("at a tenth of its size, to try it out: \"to be\" is of the whole, and a start weighs ten times as much");
    }
    let mut done: Vec<(&Row, Figure)> = Vec::new();
    for row in rows {
        bench.say(&format!("{}: {}", row.name, row.workload));
        let figure = (row.run)(&bench).unwrap_or_else(|error| Figure::failed(&error.to_string()));
        // A table comes at the end of an hour: whoever waits for it sees each row as it is done.
        if table {
            bench.say(&figure.text(row.name))
        } else {
            say(&figure.text(row.name))
        }
        done.push((row, figure));
    }
    if table {
        say(&markdown(&done, &machine::name(bench.folder()), small));
    }
    let holds = done.iter().flat_map(|(_, figure)| &figure.measures).all(|one| one.outcome == Outcome::Holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refuse(words: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{words}");
    ExitCode::from(2)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
