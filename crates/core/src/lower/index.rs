//! Arithmetic on [`Index`] functions over a kernel's space. Every operation gives a normal form: terms sorted by axis, no zero
//! coefficients, no terms of axes of size 1, quotient and remainder of one coordinate joined where they belong together.

use crate::plan::{Index, Term};

fn signed(v: usize) -> i64 {
    i64::try_from(v).expect("sizes fit in 32 bits")
}

fn unsigned(v: i64) -> usize {
    usize::try_from(v).expect("checked not to be negative")
}

/// `Σ coordinate(axis) · stride` of a row-major tensor over the first `axes` axes of the space.
pub(super) fn identity(space: &[usize], axes: usize) -> Index {
    let mut index = Index::constant(0);
    let mut stride = 1;
    for axis in (0..axes).rev() {
        index.terms.push(Term { coefficient: stride, axis, divisor: 1, modulus: None });
        stride *= signed(space[axis].max(1));
    }
    normal(index, space)
}

/// The position of a row-major tensor's element given by one index per axis.
pub(super) fn ravel(coords: &[Index], shape: &[usize], space: &[usize]) -> Index {
    let mut sum = Index::constant(0);
    let mut stride = 1;
    for (coord, &size) in coords.iter().zip(shape).rev() {
        sum = add(&sum, &scale(coord, stride), space);
        stride *= signed(size.max(1));
    }
    normal(sum, space)
}

/// The coordinates of a row-major tensor's element, or `None` where they have no closed form.
pub(super) fn unravel(position: &Index, shape: &[usize], space: &[usize]) -> Option<Vec<Index>> {
    let mut stride: usize = shape.iter().map(|&s| s.max(1)).product();
    let mut coords = Vec::with_capacity(shape.len());
    for (axis, &size) in shape.iter().enumerate() {
        stride /= size.max(1);
        coords.push(if size == 1 {
            Index::constant(0)
        } else {
            let quotient = divide(position, stride, space)?;
            if axis == 0 { quotient } else { remainder(&quotient, size, space)? }
        });
    }
    Some(coords)
}

pub(super) fn add(a: &Index, b: &Index, space: &[usize]) -> Index {
    let terms = a.terms.iter().chain(&b.terms).copied().collect();
    normal(Index { offset: a.offset + b.offset, terms }, space)
}

pub(super) fn scale(a: &Index, factor: i64) -> Index {
    let terms = a.terms.iter().map(|t| Term { coefficient: t.coefficient * factor, ..*t }).collect();
    Index { offset: a.offset * factor, terms }
}

/// `⌊index / by⌋`, or `None` without closed form.
pub(super) fn divide(index: &Index, by: usize, space: &[usize]) -> Option<Index> {
    if by <= 1 {
        return Some(index.clone());
    }
    let q = signed(by);
    let (whole, rest): (Vec<Term>, Vec<Term>) = index.terms.iter().partition(|t| t.coefficient % q == 0);
    let mut out = Index { offset: index.offset.div_euclid(q), terms: whole };
    for term in &mut out.terms {
        term.coefficient /= q;
    }
    let rest = Index { offset: index.offset.rem_euclid(q), terms: rest };
    let (low, high) = range(&rest, space);
    if low >= 0 && high < q {
        return Some(normal(out, space));
    }
    // ⌊(t·x + low)/q⌋ = ⌊x/(q/t)⌋ for 0 ≤ low < t, t dividing q.
    let (term, _) = leading(&rest, q, space)?;
    let divisor = unsigned(q / term.coefficient);
    let modulus = match term.modulus {
        None => None,
        Some(m) if m % divisor == 0 => Some(m / divisor),
        Some(_) => return None,
    };
    out.terms.push(Term { coefficient: 1, axis: term.axis, divisor: term.divisor * divisor, modulus });
    Some(normal(out, space))
}

/// `index mod by`, or `None` without closed form.
pub(super) fn remainder(index: &Index, by: usize, space: &[usize]) -> Option<Index> {
    if by <= 1 {
        return Some(Index::constant(0));
    }
    let q = signed(by);
    let (low, high) = range(index, space);
    if low >= 0 && high < q {
        return Some(index.clone());
    }
    let terms: Vec<Term> = index.terms.iter().filter(|t| t.coefficient % q != 0).copied().collect();
    let rest = Index { offset: index.offset.rem_euclid(q), terms };
    let (low, high) = range(&rest, space);
    if low >= 0 && high < q {
        return Some(normal(rest, space));
    }
    // (t·x + low) mod q = t·(x mod q/t) + low for 0 ≤ low < t, t dividing q.
    let (term, low) = leading(&rest, q, space)?;
    let wanted = unsigned(q / term.coefficient);
    if let Some(m) = term.modulus
        && m % wanted != 0
    {
        return None;
    }
    Some(add(&low, &Index { offset: 0, terms: vec![Term { modulus: Some(wanted), ..term }] }, space))
}

/// The term with the greatest coefficient, if that divides `q`, and the rest, if that stays below the coefficient.
fn leading(index: &Index, q: i64, space: &[usize]) -> Option<(Term, Index)> {
    let term = *index.terms.iter().max_by_key(|t| t.coefficient)?;
    let low = Index { offset: index.offset, terms: index.terms.iter().filter(|t| **t != term).copied().collect() };
    let (least, greatest) = range(&low, space);
    let fits = term.coefficient > 0 && q % term.coefficient == 0 && least >= 0 && greatest < term.coefficient;
    fits.then_some((term, low))
}

/// Least and greatest value over the space (of a space without points: of its first point).
pub(super) fn range(index: &Index, space: &[usize]) -> (i64, i64) {
    index.terms.iter().fold((index.offset, index.offset), |(low, high), t| {
        let reach = t.coefficient * signed(term_max(t, space));
        if reach >= 0 { (low, high + reach) } else { (low + reach, high) }
    })
}

/// Greatest value of a term without its coefficient.
fn term_max(term: &Term, space: &[usize]) -> usize {
    let quotient = space[term.axis].saturating_sub(1) / term.divisor;
    match term.modulus {
        Some(m) => quotient.min(m - 1),
        None => quotient,
    }
}

/// The normal form.
pub(super) fn normal(mut index: Index, space: &[usize]) -> Index {
    for term in &mut index.terms {
        if term.modulus.is_some_and(|m| space[term.axis].saturating_sub(1) / term.divisor < m) {
            term.modulus = None;
        }
    }
    index.terms.retain(|t| t.coefficient != 0 && term_max(t, space) > 0);
    index.terms.sort_by_key(|t| (t.axis, t.divisor, t.modulus));
    let mut terms: Vec<Term> = Vec::with_capacity(index.terms.len());
    for term in index.terms {
        match terms.last_mut() {
            Some(last) if (last.axis, last.divisor, last.modulus) == (term.axis, term.divisor, term.modulus) => {
                last.coefficient += term.coefficient;
            }
            _ => terms.push(term),
        }
    }
    terms.retain(|t| t.coefficient != 0);
    if let Some((low, high, joined)) = joinable(&terms) {
        terms[low] = joined;
        terms.remove(high);
        return normal(Index { offset: index.offset, terms }, space);
    }
    Index { offset: index.offset, terms }
}

/// `k·((x/d) mod B) + k·B·((x/(d·B)) mod M)  =  k·((x/d) mod B·M)`.
fn joinable(terms: &[Term]) -> Option<(usize, usize, Term)> {
    for (i, low) in terms.iter().enumerate() {
        let Some(base) = low.modulus else { continue };
        for (j, high) in terms.iter().enumerate() {
            if high.axis == low.axis
                && high.divisor == low.divisor * base
                && high.coefficient == low.coefficient * signed(base)
            {
                let modulus = high.modulus.map(|m| m * base);
                return Some((i, j, Term { modulus, ..*low }));
            }
        }
    }
    None
}

/// The index with its axes renumbered.
pub(super) fn rename(index: &Index, axes: &[usize], space: &[usize]) -> Index {
    let terms = index.terms.iter().map(|t| Term { axis: axes[t.axis], ..*t }).collect();
    normal(Index { offset: index.offset, terms }, space)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(space: &[usize]) -> Vec<Vec<usize>> {
        let mut all = vec![vec![]];
        for &size in space {
            all = all.into_iter().flat_map(|p| (0..size).map(move |i| [p.clone(), vec![i]].concat())).collect();
        }
        all
    }

    #[test]
    fn ravel_then_unravel_is_the_identity() {
        let space = [3, 4, 5];
        let coords: Vec<Index> = (0..3).map(Index::axis).collect();
        let position = ravel(&coords, &space, &space);
        assert_eq!(position, identity(&space, 3));
        assert_eq!(unravel(&position, &space, &space).unwrap(), coords);
    }

    #[test]
    fn reshapes_through_a_linear_axis_agree_with_arithmetic() {
        let space = [60];
        let linear = Index::axis(0);
        let coords = unravel(&linear, &[3, 4, 5], &space).unwrap();
        for p in points(&space) {
            let [i, j, k] = [p[0] / 20, p[0] / 5 % 4, p[0] % 5].map(signed);
            assert_eq!(coords.iter().map(|c| c.at(&p)).collect::<Vec<_>>(), [i, j, k]);
        }
        // Back together it is one plain term again, so that contiguous reads are seen as such.
        assert_eq!(ravel(&coords, &[3, 4, 5], &space), linear);
        // Transposed, the values stay right.
        let transposed = ravel(&[coords[2].clone(), coords[0].clone(), coords[1].clone()], &[5, 3, 4], &space);
        for p in points(&space) {
            assert_eq!(transposed.at(&p), signed((p[0] % 5) * 12 + p[0] / 5));
        }
    }

    #[test]
    fn what_has_no_closed_form_is_refused() {
        let space = [4, 6];
        // [4,6] as [3,8]: the row (6i+j)/8 is not a sum of terms in i and j.
        assert_eq!(unravel(&identity(&space, 2), &[3, 8], &space), None);
        let coords = unravel(&identity(&space, 2), &[2, 2, 6], &space).unwrap();
        for p in points(&space) {
            let want = [p[0] / 2, p[0] % 2, p[1]].map(signed);
            assert_eq!(coords.iter().map(|c| c.at(&p)).collect::<Vec<_>>(), want);
        }
        let coords = unravel(&identity(&space, 2), &[4, 2, 3], &space).unwrap();
        for p in points(&space) {
            let want = [p[0], p[1] / 3, p[1] % 3].map(signed);
            assert_eq!(coords.iter().map(|c| c.at(&p)).collect::<Vec<_>>(), want);
        }
    }
}
