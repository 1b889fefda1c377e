// Scalar functions of generated code.
//
// Functions whose name ends in `_f32` are also used four at a time: the generator replaces the type names f32, u32, i32 and
// bool by their vectors of four, so these bodies have no branches, and constants that meet a comparison, `select`, `min`,
// `max` or a bit operation are written with their type. Only + - * / and bit operations are used where drivers are known to
// be inaccurate; NaN is found by its bits, because a comparison may be assumed never to see one.

fn is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

// `y` where `x` is a number, else `x`.
fn keep_nan_f32(y: f32, x: f32) -> f32 {
    return select(y, x, is_nan_f32(x));
}

fn max_f32(a: f32, b: f32) -> f32 {
    return keep_nan_f32(keep_nan_f32(max(a, b), b), a);
}

fn min_f32(a: f32, b: f32) -> f32 {
    return keep_nan_f32(keep_nan_f32(min(a, b), b), a);
}

fn relu_f32(x: f32) -> f32 {
    return keep_nan_f32(max(x, f32(0.0)), x);
}

fn sign_f32(x: f32) -> f32 {
    let positive = select(f32(0.0), f32(1.0), x > f32(0.0));
    return keep_nan_f32(select(positive, f32(-1.0), x < f32(0.0)), x);
}

// e^x = 2^n e^r with |r| <= ln(2)/2, n in two halves so that neither factor leaves the range.
fn exp_f32(x: f32) -> f32 {
    let c = clamp(x, f32(-104.0), f32(89.0));
    let n = floor(c * 1.44269504 + 0.5);
    let r = (c - n * 0.693359375) + n * 2.12194440e-4;
    let p = (((1.3926927e-3 * r + 8.3637741e-3) * r + 4.1666549e-2) * r + 0.16666573) * r + 0.5;
    let y = (p * r) * r + r + 1.0;
    let whole = i32(n);
    let half = whole >> u32(1u);
    let low = bitcast<f32>((half + 127) << u32(23u));
    let high = bitcast<f32>((whole - half + 127) << u32(23u));
    return keep_nan_f32((y * low) * high, x);
}

// ln(x) = e ln(2) + ln(1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
fn log_f32(x: f32) -> f32 {
    let tiny = x < f32(1.17549435e-38);
    let bits = bitcast<u32>(select(x, x * 8388608.0, tiny));
    let shifted = bits - u32(0x3f3504f3u);
    let e = f32(bitcast<i32>(shifted) >> u32(23u)) - select(f32(0.0), f32(23.0), tiny);
    let f = bitcast<f32>((shifted & u32(0x007fffffu)) + u32(0x3f3504f3u)) - 1.0;
    let p = ((((((-7.9027437e-2 * f + 0.12622319) * f - 0.12998183) * f + 0.14214496) * f - 0.16641282) * f + 0.20001045) * f
        - 0.25000307) * f + 0.33333331;
    let square = f * f;
    let y = ((p * f) * square - 0.5 * square - e * 2.12194440e-4) + f + e * 0.693359375;
    let positive = bitcast<u32>(select(y, x, bitcast<u32>(x) == u32(0x7f800000u)));
    let defined = select(positive, u32(0xff800000u), x == f32(0.0));
    return keep_nan_f32(bitcast<f32>(select(defined, u32(0x7fc00000u), x < f32(0.0))), x);
}

fn rsqrt_f32(x: f32) -> f32 {
    return 1.0 / sqrt(x);
}

fn sigmoid_f32(x: f32) -> f32 {
    let e = exp_f32(-abs(x));
    return select(e, f32(1.0), x >= f32(0.0)) / (1.0 + e);
}

fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let p = (((-6.0946415e-3 * z + 2.0995755e-2) * z - 5.3850610e-2) * z + 0.13332768) * z - 0.33333328;
    let a = min(abs(x), f32(10.0));
    let far = 1.0 - 2.0 / (exp_f32(2.0 * a) + 1.0);
    let signed = select(far, -far, x < f32(0.0));
    return keep_nan_f32(select(signed, (p * z) * x + x, abs(x) < f32(0.625)), x);
}

fn erf_f32(x: f32) -> f32 {
    let z = x * x;
    let p = (((((7.8758749e-5 * z - 8.0168643e-4) * z + 5.1890872e-3) * z - 2.6854211e-2) * z + 0.11283594) * z
        - 0.37612626) * z + 0.12837917;
    let t = min(abs(x), f32(4.0));
    // ln(erfc(t)) on [1, 4]
    let q = (((((((1.6371514e-6 * t - 4.6058041e-5) * t + 5.9680566e-4) * t - 4.7595962e-3) * t + 2.6421135e-2) * t
        - 0.11008009) * t - 0.63182604) * t - 1.1302334) * t + 3.2013804e-4;
    let far = 1.0 - exp_f32(q);
    let signed = select(far, -far, x < f32(0.0));
    return keep_nan_f32(select(signed, p * x + x, abs(x) < f32(1.0)), x);
}

// Sine of x + quarters * pi/2.
fn sine_f32(x: f32, quarters: u32) -> f32 {
    let n = floor(x * 0.63661977 + 0.5);
    let reduced = ((x - n * 1.5703125) - n * 4.8375130e-4) - n * 7.5497900e-8;
    let r = clamp(reduced, f32(-0.8), f32(0.8));
    let z = r * r;
    let odd = ((-1.9582856e-4 * z + 8.3327247e-3) * z - 0.16666664) * z * r + r;
    let even = ((2.4542896e-5 * z - 1.3888279e-3) * z + 4.1666664e-2) * z * z - 0.5 * z + 1.0;
    let q = bitcast<u32>(i32(clamp(n, f32(-2147483000.0), f32(2147483000.0)))) + quarters;
    let y = select(odd, even, (q & u32(1u)) == u32(1u));
    let signed = bitcast<u32>(select(y, -y, (q & u32(2u)) == u32(2u)));
    let infinite = (bitcast<u32>(x) & u32(0x7fffffffu)) == u32(0x7f800000u);
    return keep_nan_f32(bitcast<f32>(select(signed, u32(0x7fc00000u), infinite)), x);
}

fn sin_f32(x: f32) -> f32 {
    return sine_f32(x, u32(0u));
}

fn cos_f32(x: f32) -> f32 {
    return sine_f32(x, u32(1u));
}

// C's pow: x^0 = 1 and 1^y = 1 even for NaN; a negative base with an integral exponent is defined.
fn pow_f32(a: f32, b: f32) -> f32 {
    let m = abs(a);
    let n = abs(b);
    let integral = floor(b) == b;
    // Up to 16 by multiplication, which is more accurate than the logarithm.
    let few = u32(min(n, f32(16.0)));
    let m2 = m * m;
    let m4 = m2 * m2;
    let m8 = m4 * m4;
    let p0 = select(f32(1.0), m, (few & u32(1u)) != u32(0u));
    let p1 = p0 * select(f32(1.0), m2, (few & u32(2u)) != u32(0u));
    let p2 = p1 * select(f32(1.0), m4, (few & u32(4u)) != u32(0u));
    let p3 = p2 * select(f32(1.0), m8, (few & u32(8u)) != u32(0u));
    let product = select(p3, m8 * m8, few == u32(16u));
    let power = select(product, 1.0 / product, b < f32(0.0));
    let general = select(exp_f32(b * log_f32(m)), f32(1.0), m == f32(1.0));
    let magnitude = select(general, power, integral & (n <= f32(16.0)));
    let odd = integral & (n < f32(16777216.0)) & ((u32(min(n, f32(16777216.0))) & u32(1u)) == u32(1u));
    let negative = a < f32(0.0);
    let signed = bitcast<u32>(select(magnitude, -magnitude, negative & odd));
    let real = keep_nan_f32(bitcast<f32>(select(signed, u32(0x7fc00000u), negative & !integral & (m < f32(3.4028234e38)))), b);
    return select(real, f32(1.0), (b == f32(0.0)) | (a == f32(1.0)));
}

// Truncated toward zero and saturated; 0 for NaN.
fn truncate_f32(x: f32) -> u32 {
    let whole = u32(clamp(x, f32(0.0), f32(4294967040.0)));
    let saturated = select(whole, u32(0xffffffffu), x >= f32(4294967296.0));
    return select(saturated, u32(0u), is_nan_f32(x));
}

// Not equal, true if either is NaN.
fn ne_f32(a: f32, b: f32) -> bool {
    return (a != b) | is_nan_f32(a) | is_nan_f32(b);
}

// The high and low half of a product.
fn multiply_wide(a: u32, b: u32) -> vec2u {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 16u);
    let other = a0 * b1 + (middle & 0xffffu);
    return vec2u(a1 * b1 + (middle >> 16u) + (other >> 16u), a * b);
}

fn philox_round(counter: vec4u, key: vec2u) -> vec4u {
    let p = multiply_wide(0xD2511F53u, counter.x);
    let q = multiply_wide(0xCD9E8D57u, counter.z);
    return vec4u(q.x ^ counter.y ^ key.x, q.y, p.x ^ counter.w ^ key.y, p.y);
}

// One block of Philox4x32-10. No loop: some drivers count the iterations of an invocation and stop.
fn philox(counter: vec4u, key: vec2u) -> vec4u {
    let step = vec2u(0x9E3779B9u, 0xBB67AE85u);
    let c1 = philox_round(counter, key);
    let c2 = philox_round(c1, key + step);
    let c3 = philox_round(c2, key + 2u * step);
    let c4 = philox_round(c3, key + 3u * step);
    let c5 = philox_round(c4, key + 4u * step);
    let c6 = philox_round(c5, key + 5u * step);
    let c7 = philox_round(c6, key + 6u * step);
    let c8 = philox_round(c7, key + 7u * step);
    let c9 = philox_round(c8, key + 8u * step);
    return philox_round(c9, key + 9u * step);
}
