// dropout: x / 0.75 where random bits of a key and the element's number say so, else 0, [40, 64]: no mask is stored.
//
// Written for hardware without subgroups: map_four.
// Started as 10 x 1 workgroups of 64 invocations, with these words:
//   10 10 0 0 | 640 2560 2561 2562 | 2563 0 0 3 | 0 2560
// The plan, with the buffers named as below:
//   map %13 over [40, 64]
//     v0 = u32 b0[2560]
//     v1 = u32 b0[2561]
//     v2 = u32 b0[2562]
//     v3 = u32 b0[2563]
//     v4 = random_bits [v0 v1 v2 v3] stream 3 at 0 + 64*i0 + i1
//     v5 = 256u
//     v6 = div v4 v5
//     v7 = f32 v6
//     v8 = 5.9604645e-8
//     v9 = mul v7 v8
//     v10 = 0.75
//     v11 = lt v9 v10
//     v12 = f32 v11
//     v13 = f32 b0[0 + 64*i0 + i1]
//     v14 = mul v12 v13
//     v15 = 1.3333334
//     v16 = mul v14 v15
//     b1+0 <- v16

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4u>;
fn get_vec4f_b0(i: u32) -> vec4f { return bitcast<vec4f>(b0[i >> 2u]); }
fn get_u32_b0(i: u32) -> u32 { return b0[i >> 2u][i & 3u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }

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
    let v0 = get_u32_b0(n5);
    let v1 = get_u32_b0(n6);
    let v2 = get_u32_b0(n7);
    let v3 = get_u32_b0(n8);
    let v5 = 256u;
    let v8 = 5.9604645e-8f;
    let v10 = 0.75f;
    let v15 = 1.3333334f;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk * 4u;
        let v4 = philox(vec4u((n10 + x) >> 2u, n11, v2, v3), vec2u(v0, v1));
        let v6 = v4 / max(vec4u(v5), vec4u(1u));
        let v7 = vec4f(v6);
        let v9 = v7 * vec4f(v8);
        let v11 = select(vec4u(0u), vec4u(1u), v9 < vec4f(v10));
        let v12 = vec4f(v11);
        let v13 = get_vec4f_b0(n9 + x);
        let v14 = v12 * v13;
        let v16 = v14 * vec4f(v15);
        put_vec4f_b1(n12 + x, v16);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
