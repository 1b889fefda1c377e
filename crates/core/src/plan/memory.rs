//! Exact memory by class, known before anything is allocated.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::{Buffer, BufferClass};

/// Memory of a plan by class. Equal, to the byte, to what a backend allocates for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryReport {
    /// One row per class, in the order of [`BufferClass`].
    pub rows: Vec<MemoryRow>,
}

/// Memory of one class of buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRow {
    /// The class.
    pub class: BufferClass,
    /// How many buffers.
    pub buffers: usize,
    /// Their size together.
    pub bytes: usize,
}

impl MemoryReport {
    pub(crate) fn new(buffers: &[Buffer]) -> Self {
        let mut rows: BTreeMap<&BufferClass, MemoryRow> = BTreeMap::new();
        for buffer in buffers {
            let row = rows.entry(&buffer.class).or_insert_with(|| MemoryRow {
                class: buffer.class.clone(),
                buffers: 0,
                bytes: 0,
            });
            row.buffers += 1;
            row.bytes += buffer.size_bytes();
        }
        Self { rows: rows.into_values().collect() }
    }

    /// Bytes of all classes.
    pub fn total_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.bytes).sum()
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            writeln!(f, "{:<28} {:>3} {:>14} B", row.class.to_string(), row.buffers, row.bytes)?;
        }
        let buffers: usize = self.rows.iter().map(|row| row.buffers).sum();
        write!(f, "{:<28} {:>3} {:>14} B", "total", buffers, self.total_bytes())
    }
}
