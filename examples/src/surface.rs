//! Functions of two variables as surfaces: heights, ways down, lines of equal height; all computed by the engine.

use anyhow::{Context, Result};
use wgrad::optim::{Optimization, State};
use wgrad::plan::{PrepareOptions, Source};
use wgrad::{
    Builder, Device, Entry, EntryId, FeedId, Fetch, GraphError, HostSlice, Init, Program, Role, Tensor, TensorType,
    lower,
};

use crate::runs::Prepared;

/// Heights `[n]` at points `[n, 2]`.
pub type Surface<'a> = &'a dyn for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>, GraphError>;

/// A way down.
#[derive(Debug, Clone, Default)]
pub struct Descent {
    /// Every point, the start included.
    pub points: Vec<(f64, f64)>,
    /// The height at each of them.
    pub heights: Vec<f64>,
}

/// Heights at some points.
///
/// # Errors
/// If the surface gives no heights of points, or the device fails.
pub fn heights(device: &Device, surface: Surface<'_>, points: &[[f32; 2]]) -> Result<Vec<f64>> {
    let builder = Builder::new();
    let at = builder.feed("points", TensorType::f32([points.len(), 2]))?;
    let heights = surface(at)?.id();
    let mut prepared = Prepared::new(device, builder, &[heights])?;
    let found = prepared.run(&[HostSlice::F32(points.as_flattened())])?;
    Ok(found.concat().into_iter().map(f64::from).collect())
}

/// Steps of an optimizer from a start.
///
/// ```
/// use wgrad::optim::Sgd;
/// use wgrad_examples::surface::descend;
///
/// let device = wgrad_examples::runs::cpu()?;
/// let optimizer = Sgd { learning_rate: 0.25, ..Sgd::default() };
/// let descent = descend(&device, &|points| points.square()?.sum(&[1], false), [2.0, 4.0], &optimizer.into(), 1)?;
/// assert_eq!(descent.points, [(2.0, 4.0), (1.0, 2.0)]);
/// assert_eq!(descent.heights, [20.0, 5.0]);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// If the surface gives no heights of points, the optimizer does not take a matrix of one row, or the device fails.
pub fn descend(
    device: &Device,
    surface: Surface<'_>,
    start: [f32; 2],
    optimization: &Optimization,
    steps: u64,
) -> Result<Descent> {
    let builder = Builder::new();
    let point = builder.variable("point", TensorType::f32([1, 2]), Init::F32(start.into()), Role::Parameter)?;
    let state = State::declare(&builder, optimization, &[point])?;
    // Some optimizers want the gradient elsewhere than at the parameter.
    let ahead = state.points()?;
    let gradients = builder.grad(surface(ahead[0])?.sum_all()?, &ahead)?;
    let updates = state.updates(&gradients)?;
    let fetches = [("point", point), ("height", surface(point)?)];
    let fetches = fetches.map(|(name, node)| Fetch { name: name.to_owned(), node: node.id() }).to_vec();
    let feeds = vec![FeedId::from_index(0)];
    let entries = vec![Entry { name: "step".to_owned(), feeds, fetches, updates }];
    let plan = lower(&Program { graph: builder.into_graph(), entries }, device.backend().target())?;
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let step = EntryId::from_index(0);
    let mut descent = Descent::default();
    for number in 1..=steps + 1 {
        session.run(step, &[HostSlice::F32(&optimization.scalars_f32(number.into()))])?;
        let mut read = |position| session.read(Source::Fetch(step, position))?.into_f32().context("a float");
        let (point, height) = (read(0)?, read(1)?);
        descent.points.push((f64::from(point[0]), f64::from(point[1])));
        descent.heights.push(f64::from(height[0]));
    }
    Ok(descent)
}

/// A surface that is a bowl: quadratic, with a minimum.
#[derive(Debug, Clone, Copy)]
pub struct Bowl {
    minimum: (f64, f64),
    /// The height there.
    pub lowest: f64,
    /// Second derivatives: by x, by x and y, by y.
    curvature: [f64; 3],
}

impl Bowl {
    /// Measures a surface at its minimum, going a little along both axes.
    ///
    /// # Errors
    /// As [`heights`].
    pub fn measure(device: &Device, surface: Surface<'_>, [x, y]: [f32; 2], [dx, dy]: [f32; 2]) -> Result<Self> {
        let at = heights(device, surface, &[[x, y], [x + dx, y], [x, y + dy], [x + dx, y + dy]])?;
        let (wide, high) = (f64::from(dx), f64::from(dy));
        let (along_x, along_y, both) = (at[1] - at[0], at[2] - at[0], at[3] - at[0]);
        let mixed = (both - along_x - along_y) / (wide * high);
        Ok(Self {
            minimum: (f64::from(x), f64::from(y)),
            lowest: at[0],
            curvature: [2.0 * along_x / wide.powi(2), mixed, 2.0 * along_y / high.powi(2)],
        })
    }

    /// The curvatures along the steepest and the flattest direction: eigenvalues of the matrix of second derivatives.
    pub fn extremes(&self) -> [f64; 2] {
        let [a, b, c] = self.curvature;
        let (middle, spread) = ((a + c) / 2.0, ((a - c) / 2.0).hypot(b));
        [middle + spread, middle - spread]
    }

    /// How much steeper it is one way than another.
    pub fn condition(&self) -> f64 {
        let [steep, flat] = self.extremes();
        steep / flat
    }

    /// The line on which the bowl is that much higher than at its minimum: an ellipse, by the Cholesky factor of the curvature.
    pub fn contour(&self, above: f64) -> Vec<(f64, f64)> {
        let [a, b, c] = self.curvature;
        let (l11, l21) = (a.sqrt(), b / a.sqrt());
        let l22 = (c - l21 * l21).sqrt();
        let radius = (2.0 * above).sqrt();
        let angles = (0..=120).map(|i| f64::from(i) * std::f64::consts::TAU / 120.0);
        let point = |angle: f64| {
            let v = radius * angle.sin() / l22;
            let u = (radius * angle.cos() - l21 * v) / l11;
            (self.minimum.0 + u, self.minimum.1 + v)
        };
        angles.map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::cpu;

    fn slanted(points: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
        let to = points.builder().constant_f64(&[1.0, 1.0, 1.0, -1.0], [2, 2])?;
        let scale = points.builder().constant_f64(&[2.0, 0.5], [2])?;
        points.sub(1.0)?.matmul(to)?.square()?.mul(scale)?.sum(&[1], false)
    }

    /// `2(u + v)² + (u - v)²/2` with `u = x - 1`, `v = y - 1` has the second derivatives 5, 3 and 5.
    #[test]
    fn bowls_are_measured() {
        let device = cpu().unwrap();
        let bowl = Bowl::measure(&device, &slanted, [1.0, 1.0], [0.5, 0.25]).unwrap();
        for (found, wanted) in bowl.curvature.into_iter().zip([5.0, 3.0, 5.0]) {
            assert!((found - wanted).abs() < 1e-4, "{bowl:?}");
        }
        assert!((bowl.condition() - 4.0).abs() < 1e-4, "{bowl:?}");
        #[expect(clippy::cast_possible_truncation, reason = "points are single precision")]
        let contour: Vec<_> = bowl.contour(3.0).into_iter().map(|(x, y)| [x as f32, y as f32]).collect();
        for height in heights(&device, &slanted, &contour).unwrap() {
            assert!((height - 3.0).abs() < 1e-3, "{height} is not 3");
        }
    }
}
