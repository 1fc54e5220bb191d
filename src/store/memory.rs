//! A database in memory, for simulations: what is applied, what is flushed, and what a power cut leaves.
//!
//! It keeps sealed values and gives sled's own types back, so that all of the store but sled itself is run.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sled::IVec;
use tokio::sync::Notify;

use super::Gaps;

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// See the module. What happens to it at a crash makes another one: who was killed goes on with the old.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// What a reader sees.
    applied: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is on the disk.
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Applied since the last flush.
    unflushed: Vec<Changes>,
    born: bool,
    running: bool,
    gaps: Gaps,
    /// Ends the process at the so-many-th operation from now on.
    fuse: Option<u32>,
    /// What the process left when it came to its end.
    left: Option<Box<State>>,
}

impl Memory {
    /// As a killed process leaves it: what was applied is there.
    #[must_use]
    pub(crate) fn after_kill(&self) -> Self {
        Self { state: Mutex::new(self.left()), ended: Notify::new() }
    }

    /// As a power cut leaves it: what was flushed, and the first `kept` batches after it.
    #[must_use]
    pub(crate) fn after_power_cut(&self, kept: usize) -> Self {
        let mut state = self.left();
        let mut left = std::mem::take(&mut state.durable);
        state.unflushed.drain(..).take(kept).for_each(|changes| put(&mut left, changes));
        state.unflushed.clear();
        (state.applied, state.durable) = (left.clone(), left);
        Self { state: Mutex::new(state), ended: Notify::new() }
    }

    fn left(&self) -> State {
        let state = self.lock();
        let left = state.left.as_deref().unwrap_or(&state);
        State { fuse: None, left: None, ..left.clone() }
    }

    /// Batches that were applied and not flushed.
    #[must_use]
    pub(crate) fn unflushed(&self) -> usize {
        self.left().unflushed.len()
    }

    /// The process is to end at the `operations`-th write or flush from now on; `None`: it goes on.
    pub(crate) fn set_fuse(&self, operations: Option<u32>) {
        self.lock().fuse = operations;
    }

    /// The process ends here: what it writes from now on is not kept.
    pub(crate) fn end(&self) {
        self.lock().end();
        self.ended.notify_one();
    }

    /// Whether the process has come to its end.
    #[must_use]
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().left.is_some()
    }

    /// Waits until it has.
    pub(crate) async fn ended(&self) {
        while !self.is_ended() {
            self.ended.notified().await;
        }
    }

    /// Opens it: whether it was new, and whether the last end was an unclean one.
    pub(super) fn open(&self) -> (bool, bool) {
        let mut state = self.lock();
        let (new, unclean) = (!state.born, state.running);
        state.gaps.everything |= new;
        state.gaps.something |= unclean && !new;
        (state.born, state.running) = (true, true);
        (new, unclean)
    }

    pub(super) fn close(&self) {
        self.lock().running = false;
    }

    pub(super) fn gaps(&self) -> Gaps {
        self.lock().gaps
    }

    pub(super) fn set_gaps(&self, gaps: Gaps) {
        self.lock().gaps = gaps;
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<IVec> {
        self.lock().applied.get(key).map(|value| IVec::from(&value[..]))
    }

    pub(super) fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Option<(IVec, IVec)> {
        let state = self.lock();
        let found = state.applied.range(prefix.to_vec()..=key.to_vec()).next_back();
        found.map(pair)
    }

    pub(super) fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Vec<(IVec, IVec)> {
        let state = self.lock();
        let range = state.applied.range(from.to_vec()..);
        let within = range.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        within.map(pair).collect()
    }

    pub(super) fn apply(&self, changes: Changes) {
        let mut state = self.lock();
        put(&mut state.applied, changes.clone());
        state.unflushed.push(changes);
        self.burn(&mut state);
    }

    pub(super) fn flush(&self) {
        let mut state = self.lock();
        // The cut may come before the disk has it, or after.
        self.burn(&mut state);
        for changes in std::mem::take(&mut state.unflushed) {
            put(&mut state.durable, changes);
        }
        self.burn(&mut state);
    }

    fn burn(&self, state: &mut State) {
        if let Some(left) = &mut state.fuse {
            *left = left.saturating_sub(1);
            if *left == 0 {
                state.fuse = None;
                state.end();
                self.ended.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self) {
        if self.left.is_none() {
            self.left = Some(Box::new(self.clone()));
        }
    }
}

fn pair((key, value): (&Vec<u8>, &Vec<u8>)) -> (IVec, IVec) {
    (IVec::from(&key[..]), IVec::from(&value[..]))
}

fn put(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Opened, Store};

    fn put_number(store: &Store, number: u8) {
        store.apply(&vec![(vec![b'k', number], Some(vec![number]))]).unwrap();
    }

    fn numbers(memory: Memory) -> Vec<u8> {
        let store = Store::on(Arc::new(memory)).0;
        store.page(b"k", b"k", 9).unwrap().into_iter().map(|(key, _)| key[1]).collect()
    }

    #[test]
    fn a_kill_keeps_what_was_applied_and_a_power_cut_what_was_flushed() {
        let memory = Arc::new(Memory::default());
        let (store, opened) = Store::on(Arc::clone(&memory));
        assert_eq!(opened, Opened::New);
        put_number(&store, 1);
        store.flush().unwrap();
        put_number(&store, 2);
        put_number(&store, 3);
        assert_eq!(memory.unflushed(), 2);
        assert_eq!(numbers(memory.after_kill()), [1, 2, 3]);
        for (kept, left) in [(0, &[1][..]), (1, &[1, 2]), (9, &[1, 2, 3])] {
            assert_eq!(numbers(memory.after_power_cut(kept)), left);
        }
        // Out of the killed process comes nothing any more.
        memory.set_fuse(Some(1));
        put_number(&store, 4);
        put_number(&store, 5);
        assert!(memory.is_ended());
        assert_eq!(numbers(memory.after_kill()), [1, 2, 3, 4]);
    }

    #[test]
    fn only_a_clean_end_needs_no_look_at_the_cloud() {
        let memory = Arc::new(Memory::default());
        let (store, _) = Store::on(Arc::clone(&memory));
        store.looked().unwrap();
        store.close().unwrap();
        let (store, opened) = Store::on(Arc::clone(&memory));
        assert_eq!((opened, store.gaps()), (Opened::Clean, Gaps::default()));
        let (store, opened) = Store::on(Arc::new(memory.after_kill()));
        assert_eq!((opened, store.gaps()), (Opened::Unclean, Gaps { something: true, ..Gaps::default() }));
    }
}
