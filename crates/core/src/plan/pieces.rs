//! Dispatches in pieces, where not all that they read fits into the staging texture.

use crate::plan::staging::{PANEL_COLUMNS_MIN, int};
use crate::plan::{Buffer, Dispatch, Index, Inst, Kernel, Kind, MatMul, Matrix, STAGING_ROW_WORDS, Staged, Term};

/// What starting another dispatch costs, in words copied to the texture.
const WORDS_PER_PIECE: usize = 1 << 18;
/// Words to which the rows of a copy from a buffer have to be aligned.
const PITCH_UNIT: usize = 64;

impl Dispatch {
    /// The dispatch in pieces that run one after another, so that what each wants to stage fits into so many rows: first its kernels by
    /// themselves, then maps and rows cut along their outermost axis, and products into parts of their result. What cannot be cut stays whole.
    pub fn pieces(&self, buffers: &[Buffer], rows_max: usize) -> Vec<Self> {
        let fits = |dispatch: &Self| wanted(dispatch, buffers).1 <= rows_max;
        if rows_max == 0 || fits(self) {
            return vec![self.clone()];
        }
        let (mut groups, mut cut): (Vec<Self>, Vec<Self>) = (vec![], vec![]);
        for kernel in &self.kernels {
            let alone = Self { kernels: vec![kernel.clone()] };
            if !fits(&alone) {
                cut.extend(parts(&alone, kernel, buffers, rows_max).unwrap_or_else(|| vec![alone]));
                continue;
            }
            let together = groups.last().map(|group| [&group.kernels[..], &alone.kernels].concat());
            match together.map(|kernels| Self { kernels }).filter(fits) {
                Some(more) => groups.splice(groups.len() - 1.., [more]).for_each(drop),
                None => groups.push(alone),
            }
        }
        groups.extend(cut);
        groups
    }
}

/// How many ranges of buffers a dispatch wants to stage, and how many rows of the texture these take.
fn wanted(dispatch: &Dispatch, buffers: &[Buffer]) -> (usize, usize) {
    let wanted = dispatch.staged(buffers, usize::MAX);
    (wanted.len(), wanted.iter().map(Staged::rows).sum())
}

/// The parts of a kernel that does not fit.
fn parts(alone: &Dispatch, kernel: &Kernel, buffers: &[Buffer], rows_max: usize) -> Option<Vec<Dispatch>> {
    let kernels = match &kernel.kind {
        Kind::Map | Kind::Rows => {
            let (ranges, rows) = wanted(alone, buffers);
            // Each range may take a row more than its share.
            let room = rows_max.checked_sub(ranges).filter(|room| *room > 0)?;
            let unit = match kernel.space.split_first()?.1 {
                [] => STAGING_ROW_WORDS,
                // Where a part starts has to be a multiple of four elements, as loads and stores in fours need it.
                inner => [1, 4, 2, 4][inner.iter().product::<usize>() % 4],
            };
            let len = kernel.space[0].div_ceil(rows.div_ceil(room)).next_multiple_of(unit);
            along(kernel, 0, len)?
        }
        Kind::MatMul(matmul) => {
            let Cut { sizes: [m, n], rows_first } = Cut::of(matmul, rows_max)?;
            let rank = kernel.space.len();
            let [(outer, outer_len), (inner, inner_len)] =
                if rows_first { [(rank - 2, m), (rank - 1, n)] } else { [(rank - 1, n), (rank - 2, m)] };
            let bands = along(kernel, outer, outer_len)?;
            let parts = bands.iter().map(|band| along(band, inner, inner_len));
            parts.collect::<Option<Vec<_>>>()?.concat()
        }
        Kind::Scatter(_) => return None,
    };
    Some(kernels.into_iter().map(|kernel| Dispatch { kernels: vec![kernel] }).collect())
}

/// How a product is cut.
struct Cut {
    /// Rows and columns of a part.
    sizes: [usize; 2],
    /// Whether all parts with the same rows come one after another, and not those with the same columns.
    rows_first: bool,
}

impl Cut {
    /// The cut whose operands fit into the texture with the fewest words copied, if there is one.
    fn of(matmul: &MatMul, rows_max: usize) -> Option<Self> {
        let MatMul { batch, m, n, k, k_chunk: _, a, b, stored: _ } = matmul;
        if !batch.is_empty() {
            return None;
        }
        let sizes = |len: usize| {
            let smaller = (PANEL_COLUMNS_MIN.ilog2()..=STAGING_ROW_WORDS.ilog2()).map(|log| 1 << log);
            std::iter::once(len).chain(smaller.filter(move |&size| size < len))
        };
        let mut best: Option<(usize, Self)> = None;
        for rows in sizes(*m) {
            for columns in sizes(*n) {
                let (Some(of_a), Some(of_b)) =
                    (staged_rows(a, a.transposed, rows, *m, *k), staged_rows(b, !b.transposed, columns, *n, *k))
                else {
                    continue;
                };
                if of_a + of_b > rows_max {
                    continue;
                }
                let (bands, columns_of_parts) = (m.div_ceil(rows), n.div_ceil(columns));
                let words_a = bands * of_a * STAGING_ROW_WORDS;
                let words_b = columns_of_parts * of_b * STAGING_ROW_WORDS;
                // What stays while the other changes is copied once.
                let by_rows = words_a + words_b.saturating_mul(if columns_of_parts == 1 { 1 } else { bands });
                let by_columns = words_b + words_a.saturating_mul(if bands == 1 { 1 } else { columns_of_parts });
                let pieces = (bands * columns_of_parts).saturating_mul(WORDS_PER_PIECE);
                let cost = by_rows.min(by_columns).saturating_add(pieces);
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, Self { sizes: [rows, columns], rows_first: by_rows <= by_columns }));
                }
            }
        }
        best.map(|(_, cut)| cut).filter(|cut| cut.sizes != [*m, *n])
    }
}

/// Rows of the texture for so many of an operand's rows or columns, of which `all` are there; `None` if they cannot be copied. `along` says
/// that they lie side by side in stored rows.
fn staged_rows(matrix: &Matrix, along: bool, len: usize, all: usize, k: usize) -> Option<usize> {
    let Matrix { place, transposed: _, leading, batch_strides: _ } = matrix;
    if !(place.offset.is_multiple_of(4) && leading.is_multiple_of(4)) {
        return None;
    }
    let words = match (along, len < all) {
        (true, true) => {
            let pitch = leading * (STAGING_ROW_WORDS / len);
            (all.is_multiple_of(4) && pitch.is_multiple_of(PITCH_UNIT)).then_some(k * len)?
        }
        (true, false) => k.saturating_sub(1) * leading + all,
        (false, _) => len.saturating_sub(1) * leading + k,
    };
    Some(words.div_ceil(STAGING_ROW_WORDS))
}

/// A kernel cut along an axis into parts of so many points, if its index functions allow it.
fn along(kernel: &Kernel, axis: usize, len: usize) -> Option<Vec<Kernel>> {
    let size = kernel.space[axis];
    (0..size).step_by(len).map(|start| part(kernel, axis, start, len.min(size - start))).collect()
}

/// The part of a kernel from a coordinate on.
fn part(whole: &Kernel, axis: usize, start: usize, len: usize) -> Option<Kernel> {
    let mut kernel = whole.clone();
    kernel.space[axis] = len;
    for operand in &mut kernel.operands {
        shift(&mut operand.index, axis, start)?;
        operand.guards.iter_mut().try_for_each(|guard| shift(&mut guard.index, axis, start))?;
    }
    for inst in &mut kernel.body {
        match inst {
            Inst::Coord(index) | Inst::RandomBits { index, state: _, stream: _ } => shift(index, axis, start)?,
            Inst::Guard(guard) => shift(&mut guard.index, axis, start)?,
            Inst::Const(..)
            | Inst::Load(_)
            | Inst::Acc
            | Inst::Fold(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => {}
        }
    }
    let inner = |sizes: &[usize]| sizes.iter().product::<usize>();
    match &mut kernel.kind {
        Kind::Map => kernel.stores.iter_mut().for_each(|store| store.place.offset += start * inner(&whole.space[1..])),
        Kind::Rows => {
            let levels = whole.levels();
            let (row, outer) = whole.space.split_last().filter(|(_, outer)| !outer.is_empty())?;
            for store in &mut kernel.stores {
                let of_row = if levels[store.value.index()].per_element { *row } else { 1 };
                store.place.offset += start * inner(&outer[1..]) * of_row;
            }
        }
        Kind::MatMul(matmul) => {
            let is_row = axis == whole.space.len() - 2;
            let (matrix, size) = if is_row { (&mut matmul.a, &mut matmul.m) } else { (&mut matmul.b, &mut matmul.n) };
            // Rows of the left operand are `leading` apart and columns of the right one lie side by side; transposed, the other way round.
            let stride = if is_row == matrix.transposed { 1 } else { matrix.leading };
            matrix.place.offset += start * stride;
            *size = len;
            let step = if is_row { matmul.stored[1] } else { 1 };
            kernel.stores.iter_mut().for_each(|store| store.place.offset += start * step);
        }
        Kind::Scatter(_) => return None,
    }
    Some(kernel)
}

/// Makes an index function count from a coordinate on. `None` where it is not a function of the same form.
fn shift(index: &mut Index, along: usize, start: usize) -> Option<()> {
    for Term { coefficient, axis: _, divisor, modulus } in index.terms.iter().filter(|term| term.axis == along) {
        let steps = start / divisor;
        let whole = start.is_multiple_of(*divisor);
        match modulus {
            None if whole => index.offset += coefficient * int(steps),
            Some(modulus) if whole && steps.is_multiple_of(*modulus) => {}
            None | Some(_) => return None,
        }
    }
    Some(())
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
