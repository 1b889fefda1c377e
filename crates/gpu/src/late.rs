//! Reading small values back while the device works.

use std::sync::{Arc, Mutex, PoisonError};

use wgrad_core::HostVec;
use wgrad_core::plan::{BackendError, Source, check_source};
use wgrad_core::{DType, TensorType};

use crate::error::LAST_WORDS;
use crate::session::GpuSession;

const DURING: &str = "reading back";

/// A value on its way to the host.
#[derive(Debug)]
pub(crate) struct Late {
    tag: u64,
    dtype: DType,
    bytes: u64,
    /// What became of the mapping of the buffer that the value is copied to.
    mapped: Arc<Mutex<Option<Result<(), String>>>>,
}

impl GpuSession {
    /// What an earlier call asked for, if it has arrived; asks for the value if nothing is on its way.
    pub(crate) fn read_small_late(&mut self, source: Source, tag: u64) -> Result<Option<(HostVec, u64)>, BackendError> {
        self.gpu.check(DURING)?;
        let (ty, place) = check_source(&self.plan, source)?;
        let bytes = ty.shape.len() as u64 * 4;
        let Some(staging) = self.late_readback.filter(|_| bytes > 0) else { return self.read_now(source, tag) };
        if bytes > self.buffers[staging.index()].size() {
            return self.read_now(source, tag);
        }
        let arrived = match self.late.take() {
            Some(late) => self.arrived(late, staging.index())?,
            None => None,
        };
        if self.late.is_none() {
            self.send_collected()?;
            self.late = Some(self.ask_for(&ty, place.buffer.index(), place.offset as u64 * 4, staging.index(), tag));
            self.counters.reads += 1;
            self.gpu.faults.check(&self.gpu.info.name, DURING)?;
        }
        Ok(arrived)
    }

    fn read_now(&mut self, source: Source, tag: u64) -> Result<Option<(HostVec, u64)>, BackendError> {
        wgrad_core::plan::Session::read(self, source).map(|value| Some((value, tag)))
    }

    /// The value, if it is here; else it goes on being waited for.
    fn arrived(&mut self, late: Late, staging: usize) -> Result<Option<(HostVec, u64)>, BackendError> {
        let outcome = late.mapped.lock().unwrap_or_else(PoisonError::into_inner).take();
        match outcome {
            None => {
                self.late = Some(late);
                Ok(None)
            }
            Some(Err(detail)) => {
                // The device tells that it is lost only after all its work has ended.
                self.gpu.poll(Some((None, LAST_WORDS)));
                self.gpu.check(DURING)?;
                Err(self.gpu.failure(DURING, detail))
            }
            Some(Ok(())) => {
                let Late { tag, dtype, bytes, mapped: _ } = late;
                let staging = &self.buffers[staging];
                self.gpu.in_turn(|| {
                    let view =
                        staging.get_mapped_range(..bytes).map_err(|e| self.gpu.failure(DURING, e.to_string()))?;
                    let words = view.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    let value = HostVec::from_words(dtype, words);
                    drop(view);
                    staging.unmap();
                    Ok(Some((value, tag)))
                })
            }
        }
    }

    /// Lets the device copy a value to where the host can map it, after all that was sent.
    fn ask_for(&self, ty: &TensorType, buffer: usize, offset: u64, staging: usize, tag: u64) -> Late {
        let bytes = ty.shape.len() as u64 * 4;
        let mapped = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&mapped);
        self.gpu.in_turn(|| {
            let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&self.buffers[buffer], offset, &self.buffers[staging], 0, bytes);
            let index = self.gpu.send([encoder.finish()]);
            self.buffers[staging].map_async(wgpu::MapMode::Read, ..bytes, move |result| {
                let result = result.map_err(|e: wgpu::BufferAsyncError| e.to_string());
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            });
            self.gpu.ask(&index);
        });
        Late { tag, dtype: ty.dtype, bytes, mapped }
    }
}
