//! The plan as text: what runs, on what, in which order. Meant to be read and to be compared in tests.

use std::fmt;

use crate::dtype::DType;
use crate::plan::{Dispatch, Guard, Index, Inst, Kernel, Kind, MatMul, Matrix, Operand, Plan, Scatter, Term, ValueId};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan for {}", self.target.name)?;
        for (id, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "  b{id}: {} x 4 B, {}", buffer.len, buffer.class)?;
        }
        for variable in &self.variables {
            writeln!(
                f,
                "  variable '{}' {} at {}+{}",
                variable.name, variable.ty, variable.place.buffer, variable.place.offset
            )?;
        }
        for entry in &self.entries {
            writeln!(f, "entry '{}': {} dispatches", entry.name, entry.dispatches.len())?;
            for feed in &entry.feeds {
                writeln!(f, "  feed '{}' {} at {}+{}", feed.name, feed.ty, feed.place.buffer, feed.place.offset)?;
            }
            for (i, dispatch) in entry.dispatches.iter().enumerate() {
                writeln!(f, "  dispatch {i}")?;
                fmt::Display::fmt(dispatch, f)?;
            }
            for fetch in &entry.fetches {
                writeln!(f, "  fetch '{}' {} at {}+{}", fetch.name, fetch.ty, fetch.place.buffer, fetch.place.offset)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernels.iter().try_for_each(|kernel| fmt::Display::fmt(kernel, f))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {} over {:?}", self.label, self.space)?;
        if let Kind::MatMul(matmul) = &self.kind {
            write!(f, ", {matmul}")?;
        }
        if let Kind::Scatter(Scatter { index, rows }) = &self.kind {
            write!(f, ", row i0 to row u32 {}[{} + i0] of {rows}", index.buffer, index.offset)?;
        }
        writeln!(f)?;
        for (i, inst) in self.body.iter().enumerate() {
            write!(f, "      {} = ", ValueId::from_index(i))?;
            match inst {
                Inst::Const(DType::F32, bits) => writeln!(f, "{:?}", f32::from_bits(*bits))?,
                Inst::Const(DType::U32, bits) => writeln!(f, "{bits}u")?,
                Inst::Load(operand) => writeln!(f, "{}", self.operands[*operand])?,
                Inst::Coord(index) => writeln!(f, "{index}")?,
                Inst::Guard(guard) => writeln!(f, "{guard}")?,
                Inst::Acc => writeln!(f, "product")?,
                Inst::Fold(op, x) => writeln!(f, "fold {op} {x}")?,
                Inst::Unary(op, x) => writeln!(f, "{op} {x}")?,
                Inst::Binary(op, a, b) => writeln!(f, "{op} {a} {b}")?,
                Inst::Compare(op, a, b) => writeln!(f, "{op} {a} {b}")?,
                Inst::Select(c, a, b) => writeln!(f, "select {c} {a} {b}")?,
                Inst::Cast(dtype, x) => writeln!(f, "{dtype} {x}")?,
                Inst::RandomBits { state: [a, b, c, d], stream, index } => {
                    writeln!(f, "random_bits [{a} {b} {c} {d}] stream {stream} at {index}")?;
                }
            }
        }
        for store in &self.stores {
            writeln!(f, "      {}+{} <- {}", store.place.buffer, store.place.offset, store.value)?;
        }
        Ok(())
    }
}

impl Kind {
    /// Its name, for tables and files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Rows => "rows",
            Self::MatMul(_) => "matmul",
            Self::Scatter(_) => "scatter",
        }
    }
}

impl fmt::Display for MatMul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}x{}x{}] {} · {}", self.m, self.k, self.n, self.a, self.b)?;
        if !self.batch.is_empty() {
            write!(f, " batch {:?}", self.batch)?;
        }
        if self.splits() > 1 {
            write!(f, " in {} partial sums", self.splits())?;
        }
        Ok(())
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{} / {}", self.place.buffer, self.place.offset, self.leading)?;
        f.write_str(if self.transposed { " transposed" } else { "" })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[{}", self.dtype, self.buffer, self.index)?;
        if let Some(row) = &self.row {
            write!(f, " + {} * {} of {} rows", row.value, row.stride, row.rows)?;
        }
        f.write_str("]")?;
        self.guards.iter().try_for_each(|guard| write!(f, " if {guard}"))
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}..{}", self.index, self.low, self.high)?;
        if self.step > 1 { write!(f, " step {}", self.step) } else { Ok(()) }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.offset)?;
        self.terms.iter().try_for_each(|term| write!(f, " + {term}"))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.coefficient != 1 {
            write!(f, "{}*", self.coefficient)?;
        }
        write!(f, "i{}", self.axis)?;
        if self.divisor != 1 {
            write!(f, "/{}", self.divisor)?;
        }
        match self.modulus {
            Some(modulus) => write!(f, "%{modulus}"),
            None => Ok(()),
        }
    }
}
