//! Keeps the C library from hoarding what we have freed.
//!
//! glibc gives each thread a heap of its own and keeps what is freed there: after a thousand photos that
//! was 16 MiB of nothing. With one heap, given back when the work is done, an idle agent that knows
//! 100,000 files stays below 20 MiB. musl has one heap anyway, and there is nothing to do.

/// One heap for all threads. To be called before there are any.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    glibc::share_one_heap();
}

/// Gives free memory back to the system: for when work has ended.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    glibc::give_back();
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
mod glibc {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` of `malloc.h`.
    const ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(keep_bytes: usize) -> c_int;
    }

    pub(super) fn share_one_heap() {
        // SAFETY: a documented setting of glibc's allocator, made before there are other threads.
        unsafe { mallopt(ARENA_MAX, 1) };
    }

    pub(super) fn give_back() {
        // SAFETY: may be called at any time from any thread.
        unsafe { malloc_trim(0) };
    }
}
