// map_four_masked: exp(x), [7]: four points at a time, the last three masked.
//
// Written for hardware without subgroups: map_four_masked.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 1 0 0 7 | 3
// The plan, with the buffers named as below:
//   map %1 over [7]
//     v0 = f32 b0[0 + i0]
//     v1 = exp v0
//     b1+0 <- v1

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn get_vec4f_b1(i: u32) -> vec4f { return b1[i >> 2u]; }
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn keep_nan_vec4f(y: vec4f, x: vec4f) -> vec4f {
    return select(y, x, is_nan_vec4f(x));
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

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk * 4u;
        let v0 = get_vec4f_b0(n5 + x);
        let v1 = exp_vec4f(v0);
        put_vec4f_b1(n6 + x, v1);
    }
    if (group == 0u && lane < 1u) {
        let chunk = n4 + lane;
        let x = chunk * 4u;
        let v0 = get_vec4f_b0(n5 + (x + min(0u, n8 - 1u)));
        let v1 = exp_vec4f(v0);
        let inside = vec4u(0u, 1u, 2u, 3u) < vec4u(n8);
        put_vec4f_b1(n6 + x, select(get_vec4f_b1(n6 + x), v1, inside));
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
