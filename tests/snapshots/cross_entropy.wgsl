// cross_entropy: mean cross-entropy of logits [32, 10] with labels: every row's loss and gradient in one kernel.
//
// Written for hardware without subgroups: rows_one.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 32 10 0 10 | 320 352 0 0 | 4 32
// The plan, with the buffers named as below:
//   rows (3 folds) %10 %18 %19 %8 %23 %40 over [32, 10]
//     v0 = f32 b0[0 + 10*i0 + i1]
//     v1 = fold max v0
//     v2 = abs v1
//     v3 = 3.4028235e38
//     v4 = le v2 v3
//     v5 = 0.0
//     v6 = select v4 v1 v5
//     v7 = sub v0 v6
//     v8 = exp v7
//     v9 = fold sum v8
//     v10 = 0 + i1
//     v11 = u32 b0[320 + i0]
//     v12 = eq v10 v11
//     v13 = select v12 v0 v5
//     v14 = fold sum v13
//     v15 = log v9
//     v16 = add v15 v6
//     v17 = sub v16 v14
//     v18 = f32 b0[352]
//     v19 = 0.03125
//     v20 = mul v18 v19
//     v21 = div v20 v9
//     v22 = mul v21 v8
//     v23 = neg v20
//     v24 = select v12 v23 v5
//     v25 = add v22 v24
//     b2+0 <- v17
//     b1+4 <- v25

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
fn get_f32_b0(i: u32) -> f32 { return bitcast<f32>(b0[i]); }
fn get_u32_b0(i: u32) -> u32 { return b0[i]; }
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
fn put_f32_b1(i: u32, v: f32) { b1[i] = v; }
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
fn put_f32_b2(i: u32, v: f32) { b2[i] = v; }

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

fn keep_nan_vec4f(y: vec4f, x: vec4f) -> vec4f {
    return select(y, x, is_nan_vec4f(x));
}

fn keep_nan_f32(y: f32, x: f32) -> f32 {
    return select(y, x, is_nan_f32(x));
}

fn max_vec4f(a: vec4f, b: vec4f) -> vec4f {
    return keep_nan_vec4f(keep_nan_vec4f(max(a, b), b), a);
}

fn max_f32(a: f32, b: f32) -> f32 {
    return keep_nan_f32(keep_nan_f32(max(a, b), b), a);
}

fn exp_vec4f(x: vec4f) -> vec4f {
    let c = clamp(x, vec4f(-104.0), vec4f(89.0));
    let n = floor(c * 1.44269504 + 0.5);
    let r = (c - n * 0.693359375) + n * 2.12194440e-4;
    let p = (((1.3926927e-3 * r + 8.3637741e-3) * r + 4.1666549e-2) * r + 0.16666573) * r + 0.5;
    let y = (p * r) * r + r + 1.0;
    let whole = vec4i(n);
    let half = whole >> vec4u(1u);
    let low = bitcast<vec4f>((half + 127) << vec4u(23u));
    let high = bitcast<vec4f>((whole - half + 127) << vec4u(23u));
    return keep_nan_vec4f((y * low) * high, x);
}

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

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let n11 = args[at + 2u].w;
    let n12 = args[at + 3u].x;
    let n13 = args[at + 3u].y;
    let row_length = n5;
    let size = 64u;
    let count = n4;
    let item = group * size + lane;
    if (item < count) {
        let row = item;
        let v3 = 3.4028234663852886e38f;
        let v5 = 0.0f;
        let v11 = get_u32_b0(n8 + row);
        let v18 = get_f32_b0(n9);
        let v19 = 0.03125f;
        let v20 = v18 * v19;
        let v23 = -(v20);
        var f1_0 = vec4f(bitcast<f32>(4286578688u | args[at].z));
        var t1 = bitcast<f32>(4286578688u | args[at].z);
        var f14_0 = vec4f(0.0);
        var t14 = 0.0;
        for (var j = 0u; j < (n5 & 0xfffffffcu); j += 4u) {
            let v0_0 = vec4f(
                get_f32_b0(n6 + n7 * row + j),
                get_f32_b0(n6 + n7 * row + (j + 1u)),
                get_f32_b0(n6 + n7 * row + (j + 2u)),
                get_f32_b0(n6 + n7 * row + (j + 3u))
            );
            let v10_0 = vec4u(n10 + j, n10 + (j + 1u), n10 + (j + 2u), n10 + (j + 3u));
            let v12_0 = select(vec4u(0u), vec4u(1u), v10_0 == vec4u(v11));
            let v13_0 = select(vec4f(v5), v0_0, v12_0 != vec4u(0u));
            f1_0 = max_vec4f(f1_0, v0_0);
            f14_0 = f14_0 + v13_0;
        }
        for (var j = (n5 & 0xfffffffcu); j < n5; j += 1u) {
            let v0_t = get_f32_b0(n6 + n7 * row + j);
            let v10_t = n10 + j;
            let v12_t = select(u32(0u), u32(1u), v10_t == v11);
            let v13_t = select(v5, v0_t, v12_t != u32(0u));
            t1 = max_f32(t1, v0_t);
            t14 = t14 + v13_t;
        }
        let v1 = max_f32(max_f32(max_f32(f1_0.x, f1_0.y), max_f32(f1_0.z, f1_0.w)), t1);
        let v14 = (((f14_0.x + f14_0.y) + (f14_0.z + f14_0.w)) + t14);
        let v2 = abs(v1);
        let v4 = select(u32(0u), u32(1u), v2 <= v3);
        let v6 = select(v5, v1, v4 != u32(0u));
        var f9_0 = vec4f(0.0);
        var t9 = 0.0;
        for (var j = 0u; j < (n5 & 0xfffffffcu); j += 4u) {
            let v0_0 = vec4f(
                get_f32_b0(n6 + n7 * row + j),
                get_f32_b0(n6 + n7 * row + (j + 1u)),
                get_f32_b0(n6 + n7 * row + (j + 2u)),
                get_f32_b0(n6 + n7 * row + (j + 3u))
            );
            let v7_0 = v0_0 - vec4f(v6);
            let v8_0 = exp_vec4f(v7_0);
            f9_0 = f9_0 + v8_0;
        }
        for (var j = (n5 & 0xfffffffcu); j < n5; j += 1u) {
            let v0_t = get_f32_b0(n6 + n7 * row + j);
            let v7_t = v0_t - v6;
            let v8_t = exp_f32(v7_t);
            t9 = t9 + v8_t;
        }
        let v9 = (((f9_0.x + f9_0.y) + (f9_0.z + f9_0.w)) + t9);
        let v15 = log_f32(v9);
        let v16 = v15 + v6;
        let v17 = v16 - v14;
        let v21 = v20 / v9;
        for (var j = 0u; j < (n5 & 0xfffffffcu); j += 4u) {
            let v0_0 = vec4f(
                get_f32_b0(n6 + n7 * row + j),
                get_f32_b0(n6 + n7 * row + (j + 1u)),
                get_f32_b0(n6 + n7 * row + (j + 2u)),
                get_f32_b0(n6 + n7 * row + (j + 3u))
            );
            let v7_0 = v0_0 - vec4f(v6);
            let v8_0 = exp_vec4f(v7_0);
            let v10_0 = vec4u(n10 + j, n10 + (j + 1u), n10 + (j + 2u), n10 + (j + 3u));
            let v12_0 = select(vec4u(0u), vec4u(1u), v10_0 == vec4u(v11));
            let v22_0 = vec4f(v21) * v8_0;
            let v24_0 = select(vec4f(v5), vec4f(v23), v12_0 != vec4u(0u));
            let v25_0 = v22_0 + v24_0;
            let at_0 = row * n5 + j;
            put_f32_b1(n12 + at_0 + 0u, (v25_0).x);
            put_f32_b1(n12 + at_0 + 1u, (v25_0).y);
            put_f32_b1(n12 + at_0 + 2u, (v25_0).z);
            put_f32_b1(n12 + at_0 + 3u, (v25_0).w);
        }
        for (var j = (n5 & 0xfffffffcu); j < n5; j += 1u) {
            let v0_t = get_f32_b0(n6 + n7 * row + j);
            let v7_t = v0_t - v6;
            let v8_t = exp_f32(v7_t);
            let v10_t = n10 + j;
            let v12_t = select(u32(0u), u32(1u), v10_t == v11);
            let v22_t = v21 * v8_t;
            let v24_t = select(v5, v23, v12_t != u32(0u));
            let v25_t = v22_t + v24_t;
            let at_t = row * n5 + j;
            put_f32_b1(n12 + at_t, v25_t);
        }
        put_f32_b2(n11 + row, v17);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
