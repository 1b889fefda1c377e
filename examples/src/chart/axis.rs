//! Axes: their ranges, and where ticks stand on them.

/// Pixels that a label of a logarithmic axis needs.
const LABEL: f64 = 24.0;

/// One axis of a panel.
///
/// ```
/// use wgrad_examples::chart::Axis;
///
/// assert_eq!(Axis::linear("step", 0.0, 100.0).share(25.0), 0.25);
/// assert_eq!(Axis::log("loss", 1.0, 100.0).ticks(60.0).len(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it says, and the unit where there is one.
    pub name: String,
    low: f64,
    high: f64,
    scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

impl Axis {
    /// Evenly spaced numbers.
    pub fn linear(name: &str, low: f64, high: f64) -> Self {
        Self { name: name.to_owned(), low, high, scale: Scale::Linear }
    }

    /// Evenly spaced powers; both ends are above 0.
    pub fn log(name: &str, low: f64, high: f64) -> Self {
        Self { name: name.to_owned(), low, high, scale: Scale::Log }
    }

    /// Where a value stands: 0 at the low end, 1 at the high one. On a logarithmic axis, 0 and less stand far below.
    pub fn share(&self, value: f64) -> f64 {
        let at = |v: f64| match self.scale {
            Scale::Linear => v,
            Scale::Log => v.max(1e-60).log10(),
        };
        if value.is_nan() { f64::NAN } else { (at(value) - at(self.low)) / (at(self.high) - at(self.low)) }
    }

    /// Values with their labels, for an axis of that many pixels.
    pub fn ticks(&self, pixels: f64) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(pixels),
            Scale::Log => self.log_ticks(pixels),
        }
    }

    fn linear_ticks(&self, pixels: f64) -> Vec<(f64, String)> {
        let raw = (self.high - self.low) / (pixels / 42.0).clamp(3.0, 8.0);
        let power = raw.log10().floor();
        let unit = 10.0_f64.powf(power);
        let (digit, step) = [1.0, 2.0, 5.0, 10.0]
            .map(|digit| (digit, digit * unit))
            .into_iter()
            .find(|&(_, step)| step >= 0.999 * raw)
            .unwrap_or((10.0, 10.0 * unit));
        let power = if digit == 10.0 { power + 1.0 } else { power };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of digits")]
        let digits = (-power).max(0.0) as usize;
        let mut ticks = Vec::new();
        let mut number = (self.low / step - 1e-6).ceil();
        while number * step <= self.high + 1e-6 * step {
            // Adding 0 makes -0 a 0.
            let value = number * step + 0.0;
            ticks.push((value, label(value, digits)));
            number += 1.0;
        }
        ticks
    }

    /// Every power of ten, or some of them where there are too many; where there are hardly any, some numbers between them.
    fn log_ticks(&self, pixels: f64) -> Vec<(f64, String)> {
        let (low, high) = (self.low.log10(), self.high.log10());
        let inside = |value: &f64| *value >= self.low * 0.999_999 && *value <= self.high * 1.000_001;
        #[expect(clippy::cast_possible_truncation, reason = "exponents are small")]
        let (first, last) = ((low + 1e-6).floor() as i32, (high + 1e-6).floor() as i32);
        if high - low < 2.5 {
            for digits in [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0]] {
                let all = (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10.0_f64.powi(power)));
                let ticks: Vec<_> = all.filter(inside).map(|value| (value, format!("{}", rounded(value)))).collect();
                if ticks.len() as f64 * LABEL <= pixels && ticks.len() <= 10 {
                    return ticks;
                }
            }
        }
        let steps = [1, 2, 3, 5, 10, 20];
        let step = steps.into_iter().find(|step| (high - low) / f64::from(*step) <= pixels / 28.0).unwrap_or(20);
        let powers = (first..=last).filter(|power| power.rem_euclid(step) == 0);
        let ticks = powers.map(|power| (10.0_f64.powi(power), power_of_ten(power)));
        ticks.filter(|(value, _)| inside(value)).collect()
    }
}

/// A number without the digits that rounding leaves behind.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn label(value: f64, digits: usize) -> String {
    format!("{value:.digits$}").replace('-', "−")
}

/// `10` with an exponent; powers near 1 as plain numbers.
///
/// ```
/// use wgrad_examples::chart::power_of_ten;
///
/// assert_eq!([2, -12].map(power_of_ten), ["100", "10⁻¹²"]);
/// ```
pub fn power_of_ten(power: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    match power {
        -2..=3 => format!("{}", 10.0_f64.powi(power)),
        _ => {
            let digits = power.unsigned_abs().to_string();
            let raised = digits.bytes().map(|digit| DIGITS[usize::from(digit - b'0')]);
            let sign = (power < 0).then_some('⁻');
            "10".chars().chain(sign).chain(raised).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, pixels: f64) -> Vec<String> {
        axis.ticks(pixels).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::linear("", -1.0, 1.0), 250.0), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(&Axis::linear("", -4.0, 4.0), 175.0), ["−4", "−2", "0", "2", "4"]);
        assert_eq!(labels(&Axis::linear("", 0.0, 1000.0), 300.0), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(&Axis::log("", 1e-3, 10.0), 300.0), ["10⁻³", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels(&Axis::log("", 1e-16, 1e4), 200.0).len(), 7);
        assert_eq!(labels(&Axis::log("", 0.5, 6.0), 200.0), ["0.5", "0.7", "1", "1.5", "2", "3", "4", "5"]);
        assert_eq!(labels(&Axis::log("", 0.5, 60.0), 200.0), ["0.5", "1", "2", "5", "10", "20", "50"]);
    }

    #[test]
    fn values_stand_where_they_belong() {
        assert_eq!(Axis::linear("", 2.0, 4.0).share(2.5), 0.25);
        assert!((Axis::log("", 0.01, 100.0).share(1.0) - 0.5).abs() < 1e-12);
        assert!(Axis::log("", 0.01, 100.0).share(0.0) < -1.0);
        assert!(Axis::log("", 0.01, 100.0).share(f64::NAN).is_nan());
    }
}
