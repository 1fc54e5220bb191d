//! A person at a terminal: a pseudo-terminal that shows what a command asks, and types the answer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::Rig;
use super::process::Said;

impl Rig {
    /// Runs a command at a terminal, types `answer` once it shows `question`, and returns what came to stdout
    /// (a pipe), and as `err` everything that the terminal has shown.
    pub fn answered(&self, args: &[&str], question: &str, answer: &str) -> Said {
        self.at_terminal(args, question, |terminal, _| terminal.write_all(answer.as_bytes()).unwrap())
    }

    /// Runs a command at a terminal and does something to both once it shows `question`; returns what
    /// [`Rig::answered`] does.
    pub fn at_terminal(&self, args: &[&str], question: &str, act: impl FnOnce(&mut File, &Child)) -> Said {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut command = self.command(args);
        command.stdin(slave.try_clone().unwrap()).stderr(Stdio::from(slave)).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Ours of the terminal's other end is closed, so that its end is seen.
        drop(command);
        let mut master = File::from(master);
        let (mut shown, mut act, mut piece) = (Vec::new(), Some(act), [0; 1024]);
        // The end of a terminal is an error (EIO).
        while let Ok(count @ 1..) = master.read(&mut piece) {
            shown.extend_from_slice(&piece[..count]);
            if String::from_utf8_lossy(&shown).contains(question)
                && let Some(act) = act.take()
            {
                act(&mut master, &child);
            }
        }
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = child.wait().unwrap().code();
        // Whatever it did to the terminal is undone, however it ended.
        let modes = tcgetattr(&master).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON), "{modes:?}");
        Said { code, out, err: String::from_utf8_lossy(&shown).into_owned() }
    }
}
