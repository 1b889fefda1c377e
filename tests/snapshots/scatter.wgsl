// scatter: SparseAdam on the rows of a table [50, 8] that a step gathers: the new rows of the table and of its state are stored.
//
// Written for hardware without subgroups: scatter, scatter, scatter.
// Started as 3 x 1 workgroups of 64 invocations, with these words:
//   1 3 0 0 | 48 0 8 0 | 6 8 4 50 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0
//   0 0 0 0 | 0 0 0 0 | 2 3 0 1 | 48 0 8 0 | 6 8 4 50 | 0 0 0 0
//   0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 3 3 0 2 | 48 0 8 0
//   6 8 4 50
// The plan, with the buffers named as below:
//   scatter %40 over [6, 8], row i0 to row u32 b1[4 + i0] of 50
//     v0 = f32 b0[0 + 8*i0 + i1]
//     b2+0 <- v0
//   scatter %27 over [6, 8], row i0 to row u32 b1[4 + i0] of 50
//     v0 = f32 b3[0 + 8*i0 + i1]
//     b4+0 <- v0
//   scatter %33 over [6, 8], row i0 to row u32 b1[4 + i0] of 50
//     v0 = f32 b5[0 + 8*i0 + i1]
//     b6+0 <- v0

@group(0) @binding(0) var<uniform> args: array<vec4u, 32>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
fn get_f32_b0(i: u32) -> f32 { return b0[i]; }
@group(0) @binding(2) var<storage, read> b1: array<u32>;
fn get_u32_b1(i: u32) -> u32 { return b1[i]; }
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
fn put_f32_b2(i: u32, v: f32) { b2[i] = v; }
@group(0) @binding(4) var<storage, read> b3: array<f32>;
fn get_f32_b3(i: u32) -> f32 { return b3[i]; }
@group(0) @binding(5) var<storage, read_write> b4: array<f32>;
fn put_f32_b4(i: u32, v: f32) { b4[i] = v; }
@group(0) @binding(6) var<storage, read> b5: array<f32>;
fn get_f32_b5(i: u32) -> f32 { return b5[i]; }
@group(0) @binding(7) var<storage, read_write> b6: array<f32>;
fn put_f32_b6(i: u32, v: f32) { b6[i] = v; }

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let n11 = args[at + 2u].w;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk;
        let c1 = x % n9;
        let cr1 = x / n9;
        let c0 = cr1;
        let v0 = get_f32_b0(n5 + n6 * c0 + c1);
        let to = get_u32_b1(n10 + c0);
        var is_last = to < n11;
        for (var later = c0 + 1u; is_last && later < n8; later += 1u) {
            is_last = get_u32_b1(n10 + later) != to;
        }
        if (is_last) {
            put_f32_b2(n7 + to * n9 + c1, v0);
        }
    }
}

fn part_1(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let n11 = args[at + 2u].w;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk;
        let c1 = x % n9;
        let cr1 = x / n9;
        let c0 = cr1;
        let v0 = get_f32_b3(n5 + n6 * c0 + c1);
        let to = get_u32_b1(n10 + c0);
        var is_last = to < n11;
        for (var later = c0 + 1u; is_last && later < n8; later += 1u) {
            is_last = get_u32_b1(n10 + later) != to;
        }
        if (is_last) {
            put_f32_b4(n7 + to * n9 + c1, v0);
        }
    }
}

fn part_2(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let n11 = args[at + 2u].w;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk;
        let c1 = x % n9;
        let cr1 = x / n9;
        let c0 = cr1;
        let v0 = get_f32_b5(n5 + n6 * c0 + c1);
        let to = get_u32_b1(n10 + c0);
        var is_last = to < n11;
        for (var later = c0 + 1u; is_last && later < n8; later += 1u) {
            is_last = get_u32_b1(n10 + later) != to;
        }
        if (is_last) {
            put_f32_b6(n7 + to * n9 + c1, v0);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
    else if (group < args[8u].x) {
        part_1(group - args[8u].w, lane, 8u);
    }
    else if (group < args[16u].x) {
        part_2(group - args[16u].w, lane, 16u);
    }
}
