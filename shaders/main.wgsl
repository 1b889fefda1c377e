// One dispatch: independent kernels side by side, told apart by the number of the workgroup.
//
// `args` is the dispatch's block of argument words, those of each kernel from `at` on. They start with: the number of the first workgroup
// that is not its own, the width of the grid, a zero, the number of its first workgroup. Kernels that differ in their words only share a part.

//# hole bindings
@group(0) @binding(0) var<uniform> args: array<vec4u, 1>;
@group(0) @binding(1) var<storage, read_write> b0: array<u32>;
//# end

//# hole parts
fn part_0(group: u32, lane: u32, at: u32) {
    b0[group * 64u + lane] = lane;
}
//# end

@compute @workgroup_size(
//# hole size
64
//# end
)
fn main(@builtin(workgroup_id) id: vec3u,
//# hole lane
@builtin(local_invocation_index) lane: u32
//# end
) {
    // Workgroups are counted through a grid of two dimensions, because one holds 65,535; those past the end do nothing.
    //# hole group
    let group = id.y * args[0u].y + id.x;
    //# end
    //# hole choose
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
    //# end
}
