//! Failures of the device as values: error scopes where work can wait for them, callbacks for everything else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgrad_core::plan::BackendError;

use crate::device::Gpu;

/// Time for a device that refused to say that it is lost.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the driver reported outside of any error scope.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<(bool, String)>>,
}

impl Faults {
    /// Records what the device reports from now on.
    pub(crate) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self::default());
        let recorder = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            set(&recorder.lost, format!("{reason:?}: {message}"));
        });
        let recorder = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let out_of_memory = matches!(error, wgpu::Error::OutOfMemory { .. });
            set(&recorder.error, (out_of_memory, describe(&error)));
        }));
        faults
    }

    /// Fails if the device is lost, which is for good, or reported an error since the last call.
    pub(crate) fn check(&self, device: &str, during: &str) -> Result<(), BackendError> {
        if let Some(detail) = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(BackendError::DeviceLost { device: device.to_owned(), detail });
        }
        match self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((out_of_memory, detail)) => Err(error(device, during, out_of_memory, detail)),
            None => Ok(()),
        }
    }

    /// Whether there is an error that nobody was told of yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Notes that the device is gone.
    pub(crate) fn lose(&self, detail: String) {
        set(&self.lost, detail);
    }
}

/// Keeps the first report: later ones follow from it.
fn set<T>(slot: &Mutex<Option<T>>, value: T) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(value);
}

fn describe(error: &wgpu::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn error(device: &str, during: &str, out_of_memory: bool, detail: String) -> BackendError {
    let (device, during) = (device.to_owned(), during.to_owned());
    if out_of_memory {
        BackendError::OutOfMemory { device, during, detail }
    } else {
        BackendError::Device { device, during, detail }
    }
}

impl Gpu {
    /// Does something on the device, in turn, and reports what went wrong with it on this thread.
    pub(crate) async fn scoped<T>(&self, during: &str, f: impl FnOnce() -> T) -> Result<T, BackendError> {
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let value = self.in_turn(f);
        let internal = internal.pop();
        let memory = memory.pop();
        let validation = validation.pop();
        for (found, out_of_memory) in [(memory.await, true), (internal.await, false), (validation.await, false)] {
            if let Some(found) = found {
                return Err(error(&self.info.name, during, out_of_memory, describe(&found)));
            }
        }
        Ok(value)
    }
}
