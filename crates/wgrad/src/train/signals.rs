//! Ctrl-C and requests to end, for as long as a fit wants to hear of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

/// Hears SIGINT (Ctrl-C) and SIGTERM until it is dropped.
#[derive(Debug)]
pub(super) struct Signals {
    asked: Arc<AtomicBool>,
    /// Until it is dropped.
    #[cfg(any(unix, windows))]
    _listener: handlers::Listener,
}

impl Signals {
    /// From now on the first signal only sets a flag. A second one ends the process, as the first would have without this.
    pub(super) fn listen() -> Result<Self, Error> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(any(unix, windows))]
        let _listener = handlers::Listener::new(&asked).map_err(|e| Error::Model {
            what: "Fit::stop_on_signals".to_owned(),
            reason: format!("the system refuses a handler for signals: {e}"),
        })?;
        Ok(Self {
            asked,
            #[cfg(any(unix, windows))]
            _listener,
        })
    }

    /// Whether a signal has come.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(any(unix, windows))]
mod handlers {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    use signal_hook::SigId;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::low_level::unregister;

    const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

    /// What the whole process shares: a handler that was installed once cannot be taken away again, so between fits it does what
    /// would happen without one.
    struct Shared {
        /// Whether a signal ends the process.
        ends: Arc<AtomicBool>,
        listeners: Mutex<usize>,
    }

    static SHARED: OnceLock<Shared> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());

    fn shared() -> io::Result<&'static Shared> {
        let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = SHARED.get() {
            return Ok(shared);
        }
        let ends = Arc::new(AtomicBool::new(true));
        for signal in SIGNALS {
            // In this order, the signal that sets the flag is not the one that ends the process.
            flag::register_conditional_default(signal, Arc::clone(&ends))?;
            flag::register(signal, Arc::clone(&ends))?;
        }
        Ok(SHARED.get_or_init(|| Shared { ends, listeners: Mutex::new(0) }))
    }

    #[derive(Debug)]
    pub(super) struct Listener(Vec<SigId>);

    impl Listener {
        pub(super) fn new(asked: &Arc<AtomicBool>) -> io::Result<Self> {
            let shared = shared()?;
            let mut count = shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            // Dropping it takes away what was registered, should one of them be refused.
            let mut listener = Self(vec![]);
            *count += 1;
            drop(count);
            for signal in SIGNALS {
                listener.0.push(flag::register(signal, Arc::clone(asked))?);
            }
            shared.ends.store(false, Ordering::SeqCst);
            Ok(listener)
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            for id in self.0.drain(..) {
                unregister(id);
            }
            if let Some(shared) = SHARED.get() {
                let mut count = shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
                *count = count.saturating_sub(1);
                if *count == 0 {
                    shared.ends.store(true, Ordering::SeqCst);
                }
            }
        }
    }
}
