// map_one: tanh(x) + y, [5, 7] and [7]: rows that are no multiple of four, point by point.
//
// Written for hardware without subgroups: map_one.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 35 0 7 36 | 0 5 7
// The plan, with the buffers named as below:
//   map %4 over [5, 7]
//     v0 = f32 b0[0 + 7*i0 + i1]
//     v1 = tanh v0
//     v2 = f32 b0[36 + i1]
//     v3 = add v1 v2
//     b1+0 <- v3

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
fn get_f32_b0(i: u32) -> f32 { return b0[i]; }
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
fn put_f32_b1(i: u32, v: f32) { b1[i] = v; }

fn is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

fn keep_nan_f32(y: f32, x: f32) -> f32 {
    return select(y, x, is_nan_f32(x));
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

fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let p = (((-6.0946415e-3 * z + 2.0995755e-2) * z - 5.3850610e-2) * z + 0.13332768) * z - 0.33333328;
    let a = min(abs(x), f32(10.0));
    let far = 1.0 - 2.0 / (exp_f32(2.0 * a) + 1.0);
    let signed = select(far, -far, x < f32(0.0));
    return keep_nan_f32(select(signed, (p * z) * x + x, abs(x) < f32(0.625)), x);
}

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk;
        let c1 = x % n10;
        let cr1 = x / n10;
        let c0 = cr1;
        let v0 = get_f32_b0(n5 + n6 * c0 + c1);
        let v1 = tanh_f32(v0);
        let v2 = get_f32_b0(n7 + c1);
        let v3 = v1 + v2;
        put_f32_b1(n8 + x, v3);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
