// A matrix product, a workgroup of 64 for each tile: blocks of both operands are staged in workgroup memory, along k first, so
// that every invocation reads its rows and columns as vectors, whichever way the operands are stored. Every invocation loads
// one block of four by four of each operand per step, transposed in registers where needed.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
@group(0) @binding(2) var<storage, read> b1: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4f>;
var<workgroup> scratch: array<vec4f, 512>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let k_end = args[at + 1u].z;
    //# end
    // Which tile, which block this invocation loads, and the accumulators.
    //# hole start
    let k_start = 0u;
    let row = lane / 8u;
    let column = lane % 8u;
    let load = lane;
    var acc0_0 = vec4f(0.0);
    //# end
    for (var p = k_start; p < k_end; p +=
        //# hole step
        32u
        //# end
    ) {
        // The left operand's blocks are the first half of the memory, the right operand's the second.
        //# hole load
        scratch[load] = b0[load];
        scratch[256u + load] = b1[load];
        //# end
        workgroupBarrier();
        for (var q = 0u; q < 256u; q +=
            //# hole stride
            32u
            //# end
        ) {
            //# hole multiply
            acc0_0 += scratch[q + row].x * scratch[256u + q + column];
            //# end
        }
        workgroupBarrier();
    }
    //# hole epilogue
    b2[group * 64u + lane] = acc0_0;
    //# end
}
