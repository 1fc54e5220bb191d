//! What starts the agent again on boxes without systemd.

use super::*;

#[test]
fn what_does_not_end_is_killed_and_an_old_number_of_our_own_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // After a boot a process may have the number that is written down: this one.
    let status = "echo $$ >\"$0/keep.pid\"; exec \"$1\" status \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", status]).arg(dir).arg(root().join("packaging/keep.sh"));
    let (well, text) = said(&mut command);
    assert!(!well && text.contains("does not run"), "{text}");

    let program = format!("trap '' TERM; echo $$ >'{0}/number'; while :; do sleep 0.1; done", dir.display());
    let mut command = script("keep.sh");
    let mut keeper = command.arg("run").arg(dir).args(["sh", "-c", &program]).spawn().unwrap();
    let until = |is_so: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_so() {
            assert!(begun.elapsed().as_secs() < 60);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let number = || fs::read_to_string(dir.join("number")).unwrap_or_default().trim().to_owned();
    until(&|| !number().is_empty());
    let lives = || Path::new("/proc").join(number()).join("exe").exists();
    let term = || runs(Command::new("kill").arg(keeper.id().to_string()));
    term();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(lives() && dir.join("keep.pid").exists(), "the first one asks");
    term();
    until(&|| !dir.join("keep.pid").exists());
    assert!(keeper.wait().unwrap().success() && !lives());
}
