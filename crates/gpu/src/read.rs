//! Waiting for a buffer to be mapped, as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use wgrad_core::plan::BackendError;

use crate::device::Gpu;
use crate::error::LAST_WORDS;

/// Time after which a device that reports nothing is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

const DURING: &str = "reading back";

#[derive(Default)]
struct State {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

/// A mapping under way. Dropped before its end, as an async reader may be, it is called off, so that the buffer can be used again.
pub(crate) struct Mapping<'a> {
    gpu: &'a Gpu,
    buffer: &'a wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    /// How long one poll of the future may wait for the device.
    slice: Duration,
    start: Instant,
    /// The outcome was handed over.
    ended: bool,
    state: Arc<Mutex<State>>,
}

impl<'a> Mapping<'a> {
    /// Maps the first bytes of a buffer for reading, once a submission is done. No event reaches a native program by itself, so
    /// each poll of the future asks the device, waiting up to `slice` for it.
    pub(crate) fn new(
        gpu: &'a Gpu,
        buffer: &'a wgpu::Buffer,
        bytes: u64,
        submission: wgpu::SubmissionIndex,
        slice: Duration,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let mapped = move |result: Result<(), wgpu::BufferAsyncError>| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.result = Some(result.map_err(|e| e.to_string()));
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        };
        gpu.in_turn(|| buffer.map_async(wgpu::MapMode::Read, ..bytes, mapped));
        Self { gpu, buffer, submission, slice, start: Instant::now(), ended: false, state }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        let refused = matches!(self.state.lock().unwrap_or_else(PoisonError::into_inner).result, Some(Err(_)));
        if !self.ended && !refused {
            self.gpu.in_turn(|| self.buffer.unmap());
        }
    }
}

impl Future for Mapping<'_> {
    type Output = Result<(), BackendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { gpu, buffer: _, submission, slice, start, ended, state } = self.get_mut();
        gpu.poll(Some((Some(submission.clone()), *slice)));
        let result = state.lock().unwrap_or_else(PoisonError::into_inner).result.take();
        *ended |= result.is_some();
        match result {
            Some(Ok(())) => return Poll::Ready(Ok(())),
            Some(Err(detail)) => {
                // The device tells that it is lost only after all its work has ended.
                gpu.poll(Some((None, LAST_WORDS)));
                return Poll::Ready(gpu.check(DURING).and_then(|()| Err(gpu.failure(DURING, detail))));
            }
            None => {}
        }
        if let Err(error) = gpu.faults.check(&gpu.info.name, DURING) {
            return Poll::Ready(Err(error));
        }
        if start.elapsed() > PATIENCE {
            let detail = format!("no answer for {} s", PATIENCE.as_secs());
            return Poll::Ready(Err(gpu.failure(DURING, detail)));
        }
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.result.is_some() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        state.waker = Some(context.waker().clone());
        drop(state);
        if !cfg!(target_arch = "wasm32") {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
