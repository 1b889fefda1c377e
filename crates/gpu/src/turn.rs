//! Turns at OpenGL, which wgpu lets one thread use at a time.
//!
//! wgpu panics where a thread waits for another one's use of OpenGL for more than six seconds, as it may while a driver compiles a
//! large kernel. Here threads wait for each other before they call wgpu, as long as it takes.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use crate::device::Gpu;

static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether it is this thread's turn.
    static MINE: Cell<bool> = const { Cell::new(false) };
}

/// Ends this thread's turn, also when it panics.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        MINE.set(false);
    }
}

fn in_turn<T>(f: impl FnOnce() -> T) -> T {
    if MINE.get() {
        return f();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    MINE.set(true);
    let _mine = Mine;
    f()
}

impl Gpu {
    /// Does something that reaches the driver; with OpenGL, while no other thread does. Calls may be nested.
    pub(crate) fn in_turn<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.info.interface == wgpu::Backend::Gl.to_str() { in_turn(f) } else { f() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{MINE, in_turn};

    #[test]
    fn one_thread_at_a_time() {
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let before = in_turn(|| {
                            let before = inside.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            in_turn(|| inside.fetch_sub(1, Ordering::SeqCst));
                            before
                        });
                        assert_eq!(before, 0, "two threads at once");
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_ends_the_turn() {
        let result = std::thread::spawn(|| in_turn(|| panic!("on purpose"))).join();
        assert!(result.is_err());
        assert!(std::panic::catch_unwind(|| in_turn(|| panic!("on purpose"))).is_err());
        assert!(!MINE.get());
        assert_eq!(in_turn(|| 7), 7);
    }
}
