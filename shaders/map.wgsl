// Every point on its own. An invocation takes one point, or four neighbours along the last axis; a workgroup takes `run`
// adjacent stretches, which a software driver likes, because its workgroups are costly.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let count = args[at + 1u].x;
    let run = 1u;
    let size = 64u;
    //# end
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        //# hole body
        b0[chunk] = b0[chunk] * 2.0;
        //# end
    }
    // What is left over when the points are not a multiple of four.
    //# hole tail
    //# end
}
