//! The buffers of a session, and the one door through which threads share them.
//!
//! Kernels load and store disjoint or equal elements of the same buffers from several threads, which slices cannot express.
//! All raw pointers of the CPU backend are in this file. Every access is checked against the buffer's length; what the type
//! system cannot check is that no two threads touch an element that one of them writes, and that is the promise asked of
//! whoever calls [`Memory::share`].

#![expect(
    unsafe_code,
    reason = "several threads write disjoint elements of one buffer; see the module's documentation"
)]

use std::collections::TryReserveError;
use std::marker::PhantomData;
use std::ptr::NonNull;

use wgrad_core::plan::Buffer;

/// Multiplications below which a bare product stays on one thread.
const PARALLEL_WORK: usize = 2_000_000;

/// Words between two addresses of the alignment wanted, a cache line.
const LINE_WORDS: usize = 16;

/// The buffers of a session.
pub(super) struct Memory {
    buffers: Vec<Words>,
}

/// One buffer. The storage is only kept alive; every access goes through the pointer.
struct Words {
    first: NonNull<u32>,
    len: usize,
    _storage: Vec<u32>,
}

impl Words {
    fn zeroed(len: usize) -> Result<Self, TryReserveError> {
        // Only to learn whether there is so much: zeros come without being written, but not with an error.
        Vec::<u32>::new().try_reserve_exact(len + LINE_WORDS)?;
        let mut storage = vec![0u32; len + LINE_WORDS];
        let skip = storage.as_ptr().align_offset(LINE_WORDS * 4).min(LINE_WORDS);
        let first = NonNull::from(&mut storage[skip..]).cast::<u32>();
        Ok(Self { first, len, _storage: storage })
    }
}

// SAFETY: `Words` owns its storage, and the pointer only points into it, so it may move between threads.
unsafe impl Send for Words {}
// SAFETY: a shared `Words` gives access only through `Shared`, whose maker has promised that threads do not conflict.
unsafe impl Sync for Words {}

impl Memory {
    /// Zeroed buffers of the plan, aligned to cache lines, and after them one of `scratch` words.
    pub(super) fn new(buffers: &[Buffer], scratch: usize) -> Result<Self, TryReserveError> {
        let lens = buffers.iter().map(|b| b.len).chain([scratch]);
        Ok(Self { buffers: lens.map(Words::zeroed).collect::<Result<_, _>>()? })
    }

    /// Words of a buffer, for the host.
    pub(super) fn words(&mut self, buffer: usize, start: usize, len: usize) -> &mut [u32] {
        let words = &mut self.buffers[buffer];
        assert!(start <= words.len && len <= words.len - start, "place beyond its buffer");
        // SAFETY: the range is inside the storage, which is initialised and outlives the borrow of `self`; `&mut self` says
        // that nothing else accesses the buffers meanwhile.
        unsafe { std::slice::from_raw_parts_mut(words.first.as_ptr().add(start), len) }
    }

    /// Access for several threads.
    ///
    /// # Safety
    /// While the result or a copy of it is in use, no thread may read or write an element that another one writes, unless
    /// something orders the two accesses.
    pub(super) unsafe fn share(&mut self) -> Shared<'_> {
        Shared { buffers: &self.buffers, _exclusive: PhantomData }
    }
}

/// The buffers during a run. Methods panic on an access beyond a buffer's end, which a plan never asks for.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    buffers: &'a [Words],
    _exclusive: PhantomData<&'a mut Memory>,
}

impl Shared<'_> {
    /// The address of element `start`, after checking that `span` elements from there exist.
    #[inline(always)]
    fn at(self, buffer: usize, start: i64, span: usize) -> *mut u32 {
        let words = &self.buffers[buffer];
        let start = usize::try_from(start).expect("index below 0");
        assert!(start <= words.len && span <= words.len - start, "access beyond the buffer's end");
        // SAFETY: just checked to be inside the storage or one past its end.
        unsafe { words.first.as_ptr().add(start) }
    }

    /// Copies contiguous elements out.
    #[inline(always)]
    pub(super) fn read(self, buffer: usize, start: i64, out: &mut [u32]) {
        let from = self.at(buffer, start, out.len());
        // SAFETY: `at` checked the range; registers never overlap buffers; no thread writes these elements now (`share`).
        unsafe { std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
    }

    /// Contiguous elements where they are. While the result is in use, its elements must not be written: those who compile kernels see
    /// to that for the thread itself (`views::mark`), whoever calls [`Memory::share`] for the others.
    #[inline(always)]
    pub(super) fn view(&self, buffer: usize, start: i64, len: usize) -> &[u32] {
        let from = self.at(buffer, start, len);
        // SAFETY: `at` checked the range, which is initialised; nothing writes it now, as said above.
        unsafe { std::slice::from_raw_parts(from, len) }
    }

    /// Lets a function fill contiguous elements where they are. It must not reach them in another way meanwhile: whoever calls has compared
    /// with the places of all operands.
    #[inline(always)]
    pub(super) fn fill_by(self, buffer: usize, start: i64, len: usize, f: impl FnOnce(&mut [u32])) {
        let to = self.at(buffer, start, len);
        // SAFETY: `at` checked the range, which is initialised; nothing else reads or writes it now, as said above.
        f(unsafe { std::slice::from_raw_parts_mut(to, len) });
    }

    /// Copies elements that are `step` apart out.
    #[inline(always)]
    pub(super) fn read_strided(self, buffer: usize, start: i64, step: i64, out: &mut [u32]) {
        let Some(last) = out.len().checked_sub(1) else { return };
        let reach = step * i64::try_from(last).expect("tiles are small");
        let low = start.min(start + reach);
        let span = usize::try_from(reach.abs()).expect("just made positive") + 1;
        let mut from = self.at(buffer, low, span);
        let step = isize::try_from(step).expect("steps fit");
        // SAFETY: `at` checked everything between the lowest and the highest element; the walk starts at one end, reaches
        // the other with the last lane, and only then steps on by wrapping arithmetic; no thread writes these elements now.
        unsafe {
            if step < 0 {
                from = from.add(span - 1);
            }
            for lane in out {
                *lane = *from;
                from = from.wrapping_offset(step);
            }
        }
    }

    /// One element.
    #[inline(always)]
    pub(super) fn read_one(self, buffer: usize, index: i64) -> u32 {
        let from = self.at(buffer, index, 1);
        // SAFETY: `at` checked the index; no thread writes this element now (`share`).
        unsafe { *from }
    }

    /// Copies contiguous elements in.
    #[inline(always)]
    pub(super) fn write(self, buffer: usize, start: i64, from: &[u32]) {
        let to = self.at(buffer, start, from.len());
        // SAFETY: `at` checked the range; registers never overlap buffers; no other thread accesses these elements now.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) }
    }

    /// Sets contiguous elements to one value.
    #[inline(always)]
    pub(super) fn fill(self, buffer: usize, start: i64, len: usize, value: u32) {
        let to = self.at(buffer, start, len);
        for i in 0..len {
            // SAFETY: `at` checked the range; no other thread accesses these elements now.
            unsafe { *to.add(i) = value }
        }
    }

    /// Copies elements in, `step` apart.
    #[inline(always)]
    pub(super) fn write_strided(self, buffer: usize, start: i64, step: usize, from: &[u32]) {
        let Some(last) = from.len().checked_sub(1) else { return };
        let to = self.at(buffer, start, last * step + 1);
        for (i, &value) in from.iter().enumerate() {
            // SAFETY: `at` checked through the last of these elements; no other thread accesses them now.
            unsafe { *to.add(i * step) = value }
        }
    }

    /// `out = a · b` for matrices in place; zeros if `k` is 0.
    pub(super) fn multiply(self, job: &Multiply) {
        let Multiply { m, n, k, out, a, b } = job;
        if *m == 0 || *n == 0 {
            return;
        }
        let address = |view: &View, rows: usize, columns: usize| {
            let span = if rows == 0 || columns == 0 {
                0
            } else {
                (rows - 1) * view.row_stride + (columns - 1) * view.column_stride + 1
            };
            let start = i64::try_from(view.start).expect("offsets fit");
            self.at(view.buffer, start, span).cast::<f32>()
        };
        let strides = |view: &View| {
            let stride = |s: usize| isize::try_from(s).expect("strides fit");
            (stride(view.column_stride), stride(view.row_stride))
        };
        assert!(out.buffer != a.buffer && out.buffer != b.buffer, "a product into its own operand");
        let (out_columns, out_rows) = strides(out);
        let (a_columns, a_rows) = strides(a);
        let (b_columns, b_rows) = strides(b);
        // SAFETY: `address` checked that every element of the three matrices lies in its buffer; the result lies in another
        // buffer than the operands, so nothing read is written; no other thread writes the operands or accesses the result
        // (`share`), and words are valid floats of the same size and alignment.
        unsafe {
            gemm::gemm(
                *m,
                *n,
                *k,
                address(out, *m, *n),
                out_columns,
                out_rows,
                false,
                address(a, *m, *k).cast_const(),
                a_columns,
                a_rows,
                address(b, *k, *n).cast_const(),
                b_columns,
                b_rows,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

/// A matrix in a buffer.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) buffer: usize,
    pub(super) start: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

/// One matrix product.
#[derive(Clone, Copy)]
pub(super) struct Multiply {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) out: View,
    pub(super) a: View,
    pub(super) b: View,
}

/// `c <- a·b` of matrices stored row by row, `[m, k]` times `[k, n]`, by the library that products come from and nothing around it:
/// what a benchmark compares steps with.
///
/// # Panics
/// If a slice has fewer elements than its matrix.
pub fn bare_product([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    let fits = |rows: usize, columns: usize, len: usize| rows.checked_mul(columns).is_some_and(|needed| needed <= len);
    assert!(
        fits(m, k, a.len()) && fits(k, n, b.len()) && fits(m, n, c.len()),
        "a slice is too short for [{m},{k}]·[{k},{n}]"
    );
    let parallelism = if m * k * n < PARALLEL_WORK { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
    let stride = |columns: usize| isize::try_from(columns).expect("no slice is longer");
    // SAFETY: the assertion shows that each matrix lies within its slice, and `c` is borrowed for writing.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride(n),
            false,
            a.as_ptr(),
            1,
            stride(k),
            b.as_ptr(),
            1,
            stride(n),
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
