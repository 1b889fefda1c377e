//! Index functions and guards along the lanes of a tile.
//!
//! A tile has lines of lanes. Along a line an index function is piecewise linear: it bends only where a quotient steps or a
//! remainder wraps. So a line is cut into runs, and a run is a contiguous, repeated or strided copy.

use wgrad_core::plan::{Guard, Index, Term};

use super::memory::Shared;

/// Where a tile lies and how far it reaches.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Coordinate of the first line along the line axis.
    pub(super) line: usize,
    /// How many lines.
    pub(super) lines: usize,
    /// Coordinate of the first lane along the lane axis.
    pub(super) lane: usize,
    /// How many lanes in a line.
    pub(super) lanes: usize,
}

/// An index function, taken apart by the axes of a tile.
pub(super) struct Walk {
    offset: i64,
    /// Terms on axes along which a tile does not extend.
    fixed: Vec<Term>,
    line: Slope,
    lane: Slope,
}

/// The part of an index function that depends on one axis.
struct Slope {
    /// Coefficient of the part that is linear everywhere.
    step: i64,
    /// Terms with a divisor or modulus.
    bent: Vec<Term>,
}

fn signed(v: usize) -> i64 {
    i64::try_from(v).expect("sizes fit in 63 bits")
}

fn term_at(term: &Term, coordinate: usize) -> i64 {
    let quotient = coordinate / term.divisor;
    term.coefficient * signed(term.modulus.map_or(quotient, |m| quotient % m))
}

impl Slope {
    fn new(index: &Index, axis: Option<usize>) -> Self {
        let mut slope = Self { step: 0, bent: Vec::new() };
        for term in index.terms.iter().filter(|t| Some(t.axis) == axis) {
            if term.divisor == 1 && term.modulus.is_none() {
                slope.step += term.coefficient;
            } else {
                slope.bent.push(*term);
            }
        }
        slope
    }

    fn at(&self, coordinate: usize) -> i64 {
        self.step * signed(coordinate) + self.bent.iter().map(|t| term_at(t, coordinate)).sum::<i64>()
    }

    /// How far from a coordinate the function stays linear.
    fn straight(&self, coordinate: usize) -> usize {
        let period = |t: &Term| if t.divisor > 1 { t.divisor } else { t.modulus.unwrap_or(usize::MAX) };
        self.bent.iter().map(|t| period(t) - coordinate % period(t)).min().unwrap_or(usize::MAX)
    }

    /// The coefficient inside a straight run.
    fn inclination(&self) -> i64 {
        self.step + self.bent.iter().filter(|t| t.divisor == 1).map(|t| t.coefficient).sum::<i64>()
    }
}

impl Walk {
    /// Takes an index function apart for tiles whose lines and lanes extend along the given axes.
    pub(super) fn new(index: &Index, line_axis: Option<usize>, lane_axis: Option<usize>) -> Self {
        let fixed = |t: &&Term| Some(t.axis) != line_axis && Some(t.axis) != lane_axis;
        Self {
            offset: index.offset,
            fixed: index.terms.iter().filter(fixed).copied().collect(),
            line: Slope::new(index, line_axis),
            lane: Slope::new(index, lane_axis),
        }
    }

    /// The part that is the same in the whole tile.
    fn base(&self, point: &[usize]) -> i64 {
        self.offset + self.fixed.iter().map(|t| term_at(t, point[t.axis])).sum::<i64>()
    }

    /// The value at the first lane, as u32.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "u32 values wrap")]
    pub(super) fn at_first(&self, point: &[usize], span: Span) -> u32 {
        (self.base(point) + self.line.at(span.line) + self.lane.at(span.lane)) as u32
    }

    /// Whether lanes count up by one throughout the tile.
    pub(super) fn is_contiguous(&self, span: Span) -> bool {
        let lines_follow = span.lines == 1 || (self.line.bent.is_empty() && self.line.step == signed(span.lanes));
        self.lane.bent.is_empty() && self.lane.step == 1 && lines_follow
    }

    /// Writes the values as u32.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "u32 values wrap")]
    pub(super) fn coordinates(&self, point: &[usize], span: Span, out: &mut [u32]) {
        let base = self.base(point);
        for (line, out) in out.chunks_exact_mut(span.lanes).enumerate() {
            let line_base = base + self.line.at(span.line + line);
            for_runs(
                span,
                |lane| self.lane.straight(lane),
                |done, lane, len| {
                    let mut value = (line_base + self.lane.at(lane)) as u32;
                    let step = self.lane.inclination() as u32;
                    for out in &mut out[done..done + len] {
                        *out = value;
                        value = value.wrapping_add(step);
                    }
                },
            );
        }
    }
}

/// Cuts a line into runs: calls `f(lanes before it, its first coordinate, its length)`.
#[inline(always)]
fn for_runs(span: Span, straight: impl Fn(usize) -> usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut done = 0;
    while done < span.lanes {
        let lane = span.lane + done;
        let len = straight(lane).min(span.lanes - done);
        f(done, lane, len);
        done += len;
    }
}

/// A guard, taken apart like its index function.
pub(super) struct GuardWalk {
    walk: Walk,
    low: i64,
    high: i64,
    step: i64,
}

/// A guard in one run: which lanes it can hold in, and whether each of those needs a look at the step.
struct Window {
    first: i64,
    slope: i64,
    low: i64,
    step: i64,
}

impl Window {
    fn holds(&self, lane: usize) -> bool {
        (self.first + self.slope * signed(lane) - self.low) % self.step == 0
    }
}

impl GuardWalk {
    pub(super) fn new(guard: &Guard, line_axis: Option<usize>, lane_axis: Option<usize>) -> Self {
        Self {
            walk: Walk::new(&guard.index, line_axis, lane_axis),
            low: guard.low,
            high: guard.high,
            step: signed(guard.step),
        }
    }

    /// Narrows `bounds` to the lanes of a run in which the range test holds, and says how the step's test goes on.
    fn window(&self, line_base: i64, lane: usize, len: usize, bounds: &mut (usize, usize)) -> Window {
        let first = line_base + self.walk.lane.at(lane);
        let slope = self.walk.lane.inclination();
        let len = signed(len);
        // The lanes i with low ≤ first + slope·i < high.
        let (from, to) = match slope.signum() {
            0 if self.low <= first && first < self.high => (0, len),
            0 => (0, 0),
            1 => (ceil_div(self.low - first, slope), ceil_div(self.high - first, slope)),
            _ => (ceil_div(first - self.high + 1, -slope), ceil_div(first - self.low + 1, -slope)),
        };
        let clamp = |v: i64| usize::try_from(v.clamp(0, len)).expect("just clamped");
        *bounds = (bounds.0.max(clamp(from)), bounds.1.min(clamp(to)));
        Window { first, slope, low: self.low, step: self.step }
    }

    /// Writes 1 where the guard holds, else 0.
    pub(super) fn mask(&self, point: &[usize], span: Span, out: &mut [u32]) {
        let base = self.walk.base(point);
        out.fill(0);
        for (line, out) in out.chunks_exact_mut(span.lanes).enumerate() {
            let line_base = base + self.walk.line.at(span.line + line);
            for_runs(
                span,
                |lane| self.walk.lane.straight(lane),
                |done, lane, len| {
                    let mut bounds = (0, len);
                    let window = self.window(line_base, lane, len, &mut bounds);
                    for i in bounds.0..bounds.1 {
                        out[done + i] = u32::from(window.holds(i));
                    }
                },
            );
        }
    }
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0)
}

/// A load, compiled.
pub(super) struct Access {
    pub(super) buffer: usize,
    pub(super) walk: Walk,
    pub(super) guards: Vec<GuardWalk>,
    pub(super) row: Option<RowChoice>,
    /// Whether the elements may be used where they are, if they are contiguous (see `views`).
    pub(super) in_place: bool,
}

/// A table row chosen by data.
pub(super) struct RowChoice {
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// How the values that choose lie: one for all, one a line, one a lane of the line, or one each.
    pub(super) by: ChoiceBy,
}

/// Which of a tile's lanes share a choice of row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ChoiceBy {
    All,
    Line,
    Lane,
    Each,
}

impl RowChoice {
    fn shift(&self, value: u32) -> i64 {
        signed((value as usize).min(self.rows.saturating_sub(1)) * self.stride)
    }
}

/// The part of a choice that concerns one line.
#[derive(Clone, Copy)]
enum Shift<'a> {
    Fixed(i64),
    PerLane(&'a RowChoice, &'a [u32]),
}

impl Access {
    /// Where the lanes of a tile begin, if they may be used in place and are contiguous there.
    pub(super) fn in_place(&self, point: &[usize], span: Span) -> Option<i64> {
        let Self { buffer: _, walk, guards, row, in_place } = self;
        let whole = *in_place && guards.is_empty() && row.is_none() && walk.is_contiguous(span);
        whole.then(|| walk.base(point) + walk.line.at(span.line) + walk.lane.at(span.lane))
    }

    /// The element that belongs to the first lane of all, if the elements are used in place and each lane's is the one behind the lane's
    /// before it, where there is one line only.
    pub(super) fn follows_from(&self) -> Option<i64> {
        let Self { buffer: _, walk: Walk { offset, fixed: _, line: _, lane }, guards, row, in_place } = self;
        let follow = *in_place && guards.is_empty() && row.is_none() && lane.bent.is_empty() && lane.step == 1;
        follow.then_some(*offset)
    }

    /// Fills the lanes of a tile. `choices` are the values of the row choice.
    pub(super) fn load(&self, memory: Shared<'_>, point: &[usize], span: Span, choices: &[u32], out: &mut [u32]) {
        let Self { buffer, walk, guards, row, in_place: _ } = self;
        if row.as_ref().is_some_and(|row| row.rows == 0) {
            return out.fill(0);
        }
        let base = walk.base(point);
        let straight = guards.is_empty() && row.is_none() && walk.lane.bent.is_empty();
        if straight && walk.is_contiguous(span) {
            let start = base + walk.line.at(span.line) + walk.lane.at(span.lane);
            return memory.read(*buffer, start, out);
        }
        for (line, out) in out.chunks_exact_mut(span.lanes).enumerate() {
            let coordinate = span.line + line;
            let line_base = base + walk.line.at(coordinate);
            if straight {
                read_run(memory, *buffer, line_base + walk.lane.at(span.lane), walk.lane.step, out);
                continue;
            }
            let shift = match row {
                None => Shift::Fixed(0),
                Some(row) => match row.by {
                    ChoiceBy::All => Shift::Fixed(row.shift(choices[0])),
                    ChoiceBy::Line => Shift::Fixed(row.shift(choices[line])),
                    ChoiceBy::Lane => Shift::PerLane(row, choices),
                    ChoiceBy::Each => Shift::PerLane(row, &choices[line * span.lanes..]),
                },
            };
            let straight = |lane| {
                let guards = guards.iter().map(|g| g.walk.lane.straight(lane));
                guards.fold(walk.lane.straight(lane), usize::min)
            };
            for_runs(span, straight, |done, lane, len| {
                let start = line_base + walk.lane.at(lane);
                let guard_base = |g: &GuardWalk| g.walk.base(point) + g.walk.line.at(coordinate);
                self.load_run(memory, start, (lane, done), guard_base, shift, &mut out[done..done + len]);
            });
        }
    }

    /// Fills one run, in which index and guards are linear. It starts at coordinate `lane`, `done` lanes into its line.
    fn load_run(
        &self,
        memory: Shared<'_>,
        start: i64,
        (lane, done): (usize, usize),
        guard_base: impl Fn(&GuardWalk) -> i64,
        shift: Shift<'_>,
        out: &mut [u32],
    ) {
        let len = out.len();
        let mut bounds = (0, len);
        let mut stepped = false;
        for guard in &self.guards {
            let window = guard.window(guard_base(guard), lane, len, &mut bounds);
            stepped |= window.step > 1;
        }
        let (from, to) = (bounds.0, bounds.1.max(bounds.0));
        out[..from].fill(0);
        out[to..].fill(0);
        let slope = self.walk.lane.inclination();
        let at = |i: usize| start + slope * signed(i);
        match shift {
            Shift::Fixed(shift) if !stepped => {
                read_run(memory, self.buffer, at(from) + shift, slope, &mut out[from..to]);
            }
            Shift::Fixed(_) | Shift::PerLane(..) => {
                for i in from..to {
                    let holds = |g: &GuardWalk| g.window(guard_base(g), lane, len, &mut (0, len)).holds(i);
                    let shift = match shift {
                        Shift::Fixed(shift) => shift,
                        Shift::PerLane(row, choices) => row.shift(choices[done + i]),
                    };
                    let valid = !stepped || self.guards.iter().all(holds);
                    out[i] = if valid { memory.read_one(self.buffer, at(i) + shift) } else { 0 };
                }
            }
        }
    }
}

/// Copies one linear run out of a buffer.
#[inline(always)]
fn read_run(memory: Shared<'_>, buffer: usize, start: i64, step: i64, out: &mut [u32]) {
    match step {
        _ if out.is_empty() => {}
        0 => {
            let value = memory.read_one(buffer, start);
            out.fill(value);
        }
        1 => memory.read(buffer, start, out),
        _ => memory.read_strided(buffer, start, step, out),
    }
}
