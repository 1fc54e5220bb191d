//! What sled 0.34 needs of `parking_lot` 0.11, on the standard library's locks; the root's `[patch.crates-io]` puts it
//! in that crate's place.
//!
//! sled keeps eight threads that write, and each of them wakes every second to see whether there is work - on a box
//! with nothing to do, for years. Whoever has work for them rings for them anyway, so here [`Condvar::wait_until`]
//! waits for that ring alone. What a lock held when its holder panicked is whole, as `parking_lot` has it too.

use std::sync::{self, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// A shared lock for readers, as the standard library has it.
pub type RwLockReadGuard<'a, T> = sync::RwLockReadGuard<'a, T>;
/// An exclusive lock for a writer.
pub type RwLockWriteGuard<'a, T> = sync::RwLockWriteGuard<'a, T>;

/// `parking_lot::Mutex`
#[derive(Default, Debug)]
pub struct Mutex<T>(sync::Mutex<T>);

/// `parking_lot::MutexGuard`
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    /// None only while it is lent to the standard library, which gives another back.
    guard: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// Around `value`.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits until nobody else has it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { guard: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    /// None when somebody else has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard { guard: Some(guard) }),
            Err(TryLockError::Poisoned(poisoned)) => Some(MutexGuard { guard: Some(poisoned.into_inner()) }),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.guard {
            Some(guard) => guard,
            None => unreachable!("a guard is lent only within a call that has it exclusively"),
        }
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.guard {
            Some(guard) => guard,
            None => unreachable!("a guard is lent only within a call that has it exclusively"),
        }
    }
}

/// `parking_lot::RwLock`
#[derive(Default, Debug)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// Around `value`.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else reads or writes.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `parking_lot::Condvar`
#[derive(Default, Debug)]
pub struct Condvar(sync::Condvar);

/// Whether the time was over when a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// It was.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Waits for a ring; others may have the lock meanwhile. May return without one.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(lent) = guard.guard.take() {
            guard.guard = Some(self.0.wait(lent).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The same, and not for longer than `most`.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, most: Duration) -> WaitTimeoutResult {
        let Some(lent) = guard.guard.take() else { return WaitTimeoutResult(false) };
        let (back, result) = self.0.wait_timeout(lent, most).unwrap_or_else(PoisonError::into_inner);
        guard.guard = Some(back);
        WaitTimeoutResult(result.timed_out())
    }

    /// Waits for a ring however long it takes, and tells whether it was later than `until`: see the crate.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult(Instant::now() >= until)
    }

    /// Rings for all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn whoever_waits_for_work_gets_it_when_it_comes_however_late() {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let working = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let mut work = shared.0.lock();
                // Long over.
                let until = Instant::now();
                while *work == 0 {
                    shared.1.wait_until(&mut work, until);
                }
                *work += 1;
            }
        });
        let other = Condvar::new();
        assert!(other.wait_for(&mut shared.0.lock(), Duration::from_millis(1)).timed_out(), "nobody rings");
        *shared.0.lock() = 1;
        shared.1.notify_all();
        assert!(working.join().is_ok());
        assert_eq!(*shared.0.lock(), 2);
        assert!(shared.0.try_lock().is_some());
    }

    #[test]
    fn a_lock_whose_holder_panicked_can_be_taken() {
        let lock = Arc::new(Mutex::new(1));
        let held = Arc::clone(&lock);
        let panicked = thread::spawn(move || {
            let _held = held.lock();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*lock.lock(), 1);
        assert_eq!(lock.try_lock().map(|value| *value), Some(1));
    }
}
