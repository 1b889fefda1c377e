//! A tensor of a backend held against the oracle's intervals.

use wgrad_core::{HostSlice, HostVec};
use wgrad_cpu_ref::oracle::{Bounded, Enclosure, Value};

/// How the elements of a backend's tensor lie in the intervals that the oracle gives them.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.mul(2.0)?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // A product with 2 is exact in any precision: the smallest share there is.
/// let comparison = compare(&program, &[HostSlice::F32(&[1.0, 2.5, -3.0])], device.backend())?;
/// let tally = comparison.results[0].tally;
/// assert_eq!((tally.elements, tally.checked(), tally.outside, tally.share()), (3, 3, 0, 0.0));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Elements of it.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub unchecked: usize,
    /// Elements outside their interval.
    pub outside: usize,
    /// Position of the first element outside.
    pub first_outside: Option<usize>,
    /// The element that used the largest share of its interval.
    pub worst: Option<Element>,
    /// The first element that the backend has as NaN, else the first that is infinite.
    pub non_finite: Option<Element>,
}

/// An element of a backend with what the oracle says about it.
///
/// ```
/// use wgrad::debug::Element;
///
/// // Of the distance that f32 may be off, a half; a value beyond it has more than 1.
/// let element = Element { position: 0, got: 1.5, value: 1.0, low: 0.0, high: 2.0 };
/// assert_eq!(element.share(), 0.5);
/// assert_eq!(Element { got: 4.0, ..element }.share(), 3.0);
/// assert_eq!(Element { got: f64::NAN, ..element }.share(), f64::INFINITY);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element {
    /// Its position, row-major.
    pub position: usize,
    /// The backend's.
    pub got: f64,
    /// The oracle's, in double precision.
    pub value: f64,
    /// Least value of a correct f32 backend; NaN if it must be NaN.
    pub low: f64,
    /// Greatest value of a correct f32 backend.
    pub high: f64,
}

impl Element {
    fn new(position: usize, got: f64, Enclosure { value, low, high }: Enclosure) -> Self {
        Self { position, got, value, low, high }
    }

    /// The distance of `got` from `value`, divided by the distance of the interval's end on that side: 0 is exact, more than 1
    /// is wrong. Infinite where nothing else than `value` is allowed, or `got` is NaN and must not be.
    pub fn share(&self) -> f64 {
        let Self { position: _, got, value, low, high } = *self;
        if got == value || (got.is_nan() && low.is_nan()) {
            return 0.0;
        }
        let (distance, allowed) = if got > value { (got - value, high - value) } else { (value - got, value - low) };
        // An infinity that is allowed has infinity over infinity, which counts as the end of the interval.
        match distance / allowed {
            share if !share.is_nan() => share,
            _ if low <= got && got <= high => 1.0,
            _ => f64::INFINITY,
        }
    }
}

impl Tally {
    /// Compares element by element. Elements that are missing count as NaN.
    pub(super) fn new(got: HostSlice<'_>, wanted: &Bounded) -> Self {
        let mut tally = Self { elements: wanted.len(), ..Self::default() };
        for (position, enclosure) in wanted.iter().enumerate() {
            let got = at(got, position).unwrap_or(f64::NAN);
            let element = Element::new(position, got, enclosure);
            if !got.is_finite() && tally.non_finite.is_none_or(|found| got.is_nan() && !found.got.is_nan()) {
                tally.non_finite = Some(element);
            }
            if enclosure.is_anything() {
                tally.unchecked += 1;
                continue;
            }
            if !enclosure.allows(got) {
                tally.outside += 1;
                tally.first_outside.get_or_insert(position);
            }
            if tally.worst.is_none_or(|worst| element.share() > worst.share()) {
                tally.worst = Some(element);
            }
        }
        tally
    }

    /// All of a tensor that cannot be judged.
    pub(super) fn unchecked(got: HostSlice<'_>) -> Self {
        Self { elements: got.len(), unchecked: got.len(), ..Self::default() }
    }

    /// Elements that were held against an interval.
    pub const fn checked(&self) -> usize {
        self.elements - self.unchecked
    }

    /// The largest share that an element used of its interval: see [`Element::share`]. 0 if none was compared.
    pub fn share(&self) -> f64 {
        self.worst.map_or(0.0, |worst| worst.share())
    }

    /// Whether an element lies outside its interval.
    pub const fn diverges(&self) -> bool {
        self.outside > 0
    }
}

/// An element in double precision.
pub(super) fn at(data: HostSlice<'_>, position: usize) -> Option<f64> {
    match data {
        HostSlice::F32(v) => v.get(position).map(|&x| f64::from(x)),
        HostSlice::U32(v) => v.get(position).map(|&x| f64::from(x)),
    }
}

/// Data as the oracle holds them.
pub(super) fn to_value(data: HostSlice<'_>) -> Value {
    match data {
        HostSlice::F32(v) => Value::F64(v.iter().map(|&x| f64::from(x)).collect()),
        HostSlice::U32(v) => Value::U32(v.to_vec()),
    }
}

/// A copy of borrowed data.
pub(super) fn to_vec(data: HostSlice<'_>) -> HostVec {
    match data {
        HostSlice::F32(v) => HostVec::F32(v.to_vec()),
        HostSlice::U32(v) => HostVec::U32(v.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::HostSlice;
    use wgrad_cpu_ref::oracle::{Bounded, Value};

    use super::{Element, Tally};

    fn share(got: f64, value: f64, low: f64, high: f64) -> f64 {
        Element { position: 0, got, value, low, high }.share()
    }

    #[test]
    fn shares_are_above_one_exactly_outside() {
        let (infinity, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(share(1.0, 1.0, 1.0, 1.0), 0.0);
        assert_eq!(share(1.5, 1.0, 0.0, 2.0), 0.5);
        assert_eq!(share(0.5, 1.0, 0.75, 9.0), 2.0);
        assert_eq!(share(1.5, 1.0, 1.0, 1.0), infinity);
        assert_eq!(share(nan, 1.0, 0.0, 2.0), infinity);
        assert_eq!(share(nan, nan, nan, nan), 0.0);
        assert_eq!(share(1.0, nan, nan, nan), infinity);
        // f32 overflows, and may.
        assert_eq!(share(infinity, 4e38, 3e38, infinity), 1.0);
        assert_eq!(share(infinity, infinity, infinity, infinity), 0.0);
        assert_eq!(share(1.0, infinity, infinity, infinity), infinity);
    }

    #[test]
    fn nan_and_missing_elements_do_not_pass() {
        let wanted = Bounded::input(Value::F64(vec![0.5, 1.0, 2.0]));
        assert!(!Tally::new(HostSlice::F32(&[0.5, 1.0, 2.0]), &wanted).diverges());
        let tally = Tally::new(HostSlice::F32(&[0.5, f32::NAN]), &wanted);
        assert_eq!((tally.elements, tally.outside, tally.first_outside), (3, 2, Some(1)));
        assert_eq!(tally.worst.map(|worst| worst.position), Some(1));
        assert_eq!(tally.non_finite.map(|element| element.position), Some(1));
    }
}
