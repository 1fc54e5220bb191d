//! Work that the cloud does after it has answered, and how far it is: GET /share/taskquery (field notes
//! 3.8; the documents only say that there is a taskid).
//!
//! A task waits and runs for `Options::task_time` on the cloud's clock, and its work is done at the end of
//! that, so a client that does not wait finds that nothing has changed yet. Tasks are in memory only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::manager::Job;
use crate::pan123;
use crate::request::Ask;
use crate::state::{Cloud, State};
use crate::transfer::SaveJob;

/// What a task does when its time has come.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// filemanager
    Manage(Job),
    /// transfer of a share
    Save(SaveJob),
}

/// What became of one item.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) path: String,
    pub(crate) errno: i64,
}

/// All tasks by taskid.
#[derive(Debug, Default)]
pub(crate) struct Tasks(BTreeMap<u64, Task>);

#[derive(Debug)]
struct Task {
    account: String,
    /// When it goes from pending to running, and when it is over.
    runs_ms: u64,
    ends_ms: u64,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Waiting(Work),
    Done(Vec<Outcome>),
}

impl Tasks {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn take_due(&mut self, now_ms: u64) -> Option<(u64, Work)> {
        self.0.iter().find_map(|(id, task)| match &task.progress {
            Progress::Waiting(work) if task.ends_ms <= now_ms => Some((*id, work.clone())),
            _ => None,
        })
    }
}

impl Cloud {
    /// Begins a task: its taskid, or 111 while the user has another one.
    pub(crate) fn begin(&self, state: &mut State, account: &str, work: Work) -> Result<u64, Refusal> {
        let waits = |task: &Task| matches!(task.progress, Progress::Waiting(_));
        if state.tasks.0.values().any(|task| task.account == account && waits(task)) {
            return Err(Refusal::errno_saying(111, "another async task is running"));
        }
        let taskid = 100_000_000_000_000 + state.dice.next() % 900_000_000_000_000;
        let (now, time) = (self.now_ms(), self.options.task_time.as_millis() as u64);
        let task = Task {
            account: account.into(),
            runs_ms: now + time / 2,
            ends_ms: now + time,
            progress: Progress::Waiting(work),
        };
        state.tasks.0.insert(taskid, task);
        Ok(taskid)
    }

    /// Does what is due. Called before anyone looks.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        while let Some((id, work)) = state.tasks.take_due(self.now_ms()) {
            let outcomes = match &work {
                Work::Manage(job) => job.run(state, self.now()),
                Work::Save(job) => job.run(state, self.now()),
            };
            if let Some(task) = state.tasks.0.get_mut(&id) {
                task.progress = Progress::Done(outcomes);
            }
        }
        if let Err(error) = pan123::upload::settle(state, self.now_ms()) {
            eprintln!("cloudsim: an upload that was being checked is lost: {error}");
        }
    }
}

/// GET /share/taskquery?taskid=…
pub(crate) fn taskquery(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let taskid = ask.query.need("taskid")?;
    let state = cloud.lock();
    let task = taskid
        .parse()
        .ok()
        .and_then(|id| state.tasks.0.get(&id))
        .filter(|task| task.account == account)
        .ok_or_else(|| Refusal::errno(36016))?;
    let (status, process, task_errno, list) = match &task.progress {
        Progress::Waiting(_) if cloud.now_ms() < task.runs_ms => ("pending", 0, 0, Vec::new()),
        Progress::Waiting(_) => ("running", 50, 0, Vec::new()),
        Progress::Done(outcomes) => {
            let failed = outcomes.iter().any(|outcome| outcome.errno != 0);
            let list: Vec<Value> = outcomes
                .iter()
                .map(|outcome| json!({"path": outcome.path, "error_code": outcome.errno}))
                .collect();
            // As the answer of the same call without a task: 12, look at each.
            (if failed { "failed" } else { "success" }, 100, if failed { 12 } else { 0 }, list)
        }
    };
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "status": status,
        "task_errno": task_errno,
        "process": process,
        "total": list.len(),
        "list": list,
    })))
}
