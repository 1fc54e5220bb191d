//! The binary: parse, run, exit code. See `cli` for what can be typed, `lib` for the map.

use std::process::ExitCode;

fn main() -> ExitCode {
    xpand::cli::main().into()
}
