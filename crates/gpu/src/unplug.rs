//! Taking devices away, for tests of what becomes of those who use them.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use crate::device::Gpu;

thread_local! {
    /// The devices that this thread has opened.
    static OPENED: RefCell<Vec<Weak<Gpu>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn remember(gpu: &Arc<Gpu>) {
    OPENED.with_borrow_mut(|opened| {
        opened.retain(|gpu| gpu.strong_count() > 0);
        opened.push(Arc::downgrade(gpu));
    });
}

/// Takes away all devices that this thread has opened and that are in use, as unplugging them would; how many there were. For tests of
/// code that sees no more of a device than that it is a [`Backend`](wgrad_core::plan::Backend); the others have
/// [`GpuBackend::destroy`](crate::GpuBackend::destroy).
#[doc(hidden)]
pub fn destroy_devices_of_this_thread() -> usize {
    let opened: Vec<Arc<Gpu>> = OPENED.with_borrow(|opened| opened.iter().filter_map(Weak::upgrade).collect());
    opened.iter().for_each(|gpu| gpu.device.destroy());
    opened.len()
}
