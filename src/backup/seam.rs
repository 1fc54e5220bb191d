//! Where a simulation takes the place of the machine: the disks, the blocking threads, and chance.
//!
//! In the product this is nothing but tokio's `spawn_blocking` under another name. In tests a thread may
//! be [`Simulated`]: then what would block runs at once on that thread, the source folders are the
//! simulation's, and so is chance; a run depends on nothing but its seed (`agent/simulation`).

#[cfg(not(test))]
pub(crate) use tokio::task::spawn_blocking;

#[cfg(test)]
pub(crate) use simulated::*;

#[cfg(test)]
mod simulated {
    use std::cell::RefCell;
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::rc::Rc;
    use std::sync::Arc;

    use tokio::task::JoinHandle;

    use crate::backup::filter::Filter;
    use crate::backup::walk::Step;
    use crate::cloud::Drive;
    use crate::content::Fingerprint;

    /// What stands in for the machine.
    pub(crate) trait Machine {
        /// As `disk::stat_one`.
        fn stat_one(&self, root: &Path, below: &[u8]) -> io::Result<Option<Fingerprint>>;
        /// As `disk::open_one`.
        fn open_one(&self, root: &Path, below: &[u8]) -> io::Result<File>;
        /// As `disk::fingerprint`.
        fn fingerprint(&self, file: &File) -> io::Result<(Fingerprint, bool)>;
        /// As `Walk::new`.
        fn walk(&self, root: &Path, start: &[u8], filter: &Arc<Filter>) -> Box<dyn Iterator<Item = Step>>;
        /// As `scan::is_bare`.
        fn is_bare(&self, root: &Path) -> bool;
        /// As `verdict::spread`.
        fn spread(&self) -> f64;
        /// The cloud of every account; they are all logged in.
        fn drive(&self) -> Arc<dyn Drive>;
        /// Whether the process that asks is still alive. What a killed one had begun does not go on.
        fn life(&self) -> u64;
    }

    thread_local! {
        static MACHINE: RefCell<Option<Rc<dyn Machine>>> = const { RefCell::new(None) };
    }

    /// The machine of this thread, when it is simulated.
    pub(crate) fn machine() -> Option<Rc<dyn Machine>> {
        MACHINE.with_borrow(Clone::clone)
    }

    /// This thread is simulated until the value is dropped.
    pub(crate) struct Simulated;

    impl Simulated {
        /// From here on `machine` is what this thread works on.
        pub(crate) fn on(machine: Rc<dyn Machine>) -> Self {
            MACHINE.set(Some(machine));
            Self
        }
    }

    impl Drop for Simulated {
        fn drop(&mut self) {
            MACHINE.set(None);
        }
    }

    /// As tokio's; on a simulated thread `work` is done there, in its turn.
    pub(crate) fn spawn_blocking<T, F>(work: F) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let Some(life) = machine().map(|machine| machine.life()) else {
            return tokio::task::spawn_blocking(work);
        };
        tokio::spawn(async move {
            if machine().is_none_or(|machine| machine.life() != life) {
                // It was killed meanwhile.
                std::future::pending::<()>().await;
            }
            work()
        })
    }
}
