//! Rows that are stored where data say.

use wgrad_core::plan::{Kernel, Place, Scatter};

use super::memory::Shared;

/// Elements that are copied at once.
const PIECE: usize = 64;

/// A kernel that scatters rows.
#[derive(Debug)]
pub(super) struct ScatterRows {
    /// Where the rows start, one after another.
    from: Place,
    /// Where their destinations start.
    index: Place,
    /// Where the table starts.
    table: Place,
    /// Rows to store.
    count: usize,
    /// Elements of a row.
    width: usize,
    /// Rows of the table.
    rows: usize,
}

impl ScatterRows {
    pub(super) fn new(kernel: &Kernel, scatter: &Scatter) -> Self {
        let (operand, store) = (&kernel.operands[0], &kernel.stores[0]);
        let offset = usize::try_from(operand.index.offset).expect("an operand starts inside of its buffer");
        Self {
            from: Place { buffer: operand.buffer, offset },
            index: scatter.index,
            table: store.place,
            count: kernel.space[0],
            width: kernel.space[1],
            rows: scatter.rows,
        }
    }

    /// One row after another, so that of several with one destination the last stays.
    pub(super) fn run(&self, memory: Shared<'_>) {
        let Self { from, index, table, count, width, rows } = *self;
        let mut piece = [0; PIECE];
        for i in 0..count {
            let to = memory.read_one(index.buffer.index(), signed(index.offset + i)) as usize;
            if to < rows {
                for start in (0..width).step_by(PIECE) {
                    let piece = &mut piece[..PIECE.min(width - start)];
                    memory.read(from.buffer.index(), signed(from.offset + i * width + start), piece);
                    memory.write(table.buffer.index(), signed(table.offset + to * width + start), piece);
                }
            }
        }
    }
}

fn signed(position: usize) -> i64 {
    i64::try_from(position).expect("buffers hold fewer than 2^63 elements")
}
