//! Where staged ranges lie, and that what is read there is what the buffers have.

use super::*;
use crate::philox::philox4x32;
use crate::plan::Panel;

const ROW: usize = STAGING_ROW_WORDS;

/// A range in rows of the texture.
fn range(buffer: usize, start: usize, rows: usize) -> Staged {
    Staged { buffer: BufferId::from_index(buffer), start: start * ROW, len: rows * ROW, panel: None }
}

fn steps(wanted: &[&[Staged]], writes: &[(usize, Write)]) -> Steps {
    let mut by_buffer: BTreeMap<BufferId, Vec<Write>> = BTreeMap::new();
    for (buffer, write) in writes {
        by_buffer.entry(BufferId::from_index(*buffer)).or_default().push(*write);
    }
    Steps::new(wanted.iter().map(|wanted| wanted.to_vec()).collect(), by_buffer)
}

fn write(step: usize, start: usize, rows: usize) -> Write {
    Write { step, low: start * ROW, high: (start + rows) * ROW }
}

/// What is copied before each dispatch.
fn copies(placements: &[Placement]) -> Vec<Vec<Staged>> {
    placements.iter().map(|placement| placement.copies.iter().map(|placed| placed.staged).collect()).collect()
}

#[test]
fn what_is_there_stays_and_what_is_read_last_makes_room() {
    let [a, b, c, d] = [0, 1, 2, 3].map(|buffer| range(buffer, 0, 2));
    let wanted: [&[Staged]; 6] = [&[a], &[b], &[c], &[a], &[b, d], &[c]];
    assert_eq!(copies(&steps(&wanted, &[]).best(8)), [vec![a], vec![b], vec![c], vec![], vec![d], vec![]]);
    // With room for three, `a` goes, which nobody reads any more; with room for two, `b` is read later than `a`.
    assert_eq!(copies(&steps(&wanted, &[]).best(6)), [vec![a], vec![b], vec![c], vec![], vec![d], vec![]]);
    assert_eq!(copies(&steps(&wanted, &[]).best(4)), [vec![a], vec![b], vec![c], vec![], vec![b, d], vec![c]]);
    // What was written is copied again, everywhere or in part.
    let written = steps(&wanted, &[(0, write(2, 1, 1)), (1, write(1, 5, 1))]);
    assert_eq!(copies(&written.best(8)), [vec![a], vec![b], vec![c], vec![a], vec![d], vec![]]);
}

#[test]
fn what_stays_makes_room_where_it_is_in_the_way() {
    // `b` is wanted and lies where both parts that are left are too small for `c`.
    let [a, b, c] = [range(0, 0, 2), range(1, 0, 2), range(2, 0, 4)];
    let placements = steps(&[&[a], &[b], &[b, c]], &[]).best(6);
    assert_eq!(copies(&placements), [vec![a], vec![b], vec![c]]);
    let placements = steps(&[&[a], &[b], &[b, c], &[a]], &[]).best(7);
    assert_eq!(copies(&placements).concat().len(), 5, "{placements:?}");
    assert_eq!(placements[2].reads.len(), 2);
}

#[test]
fn ranges_that_touch_are_copied_as_one() {
    // Layers forward and backward, and an update in two parts, the first of which writes what it read.
    let ([first, second], parts) = ([range(0, 0, 2), range(0, 2, 3)], [range(0, 0, 3), range(0, 3, 2)]);
    let wanted: [&[Staged]; 6] = [&[first], &[second], &[second], &[first], &[parts[0]], &[parts[1]]];
    let writes = [(0, write(4, 0, 3)), (0, write(5, 3, 2))];
    let placements = steps(&wanted, &writes).best(8);
    assert_eq!(copies(&placements), [vec![range(0, 0, 5)], vec![], vec![], vec![], vec![], vec![]]);
    let at: Vec<usize> = placements.iter().map(|placement| placement.reads[0].at / ROW).collect();
    assert_eq!(at, [0, 2, 2, 0, 0, 3]);
    // Where there is no room until it is read, it waits.
    let other = range(1, 0, 5);
    let placements = steps(&[&[first], &[first, other], &[second]], &[]).best(7);
    assert_eq!(copies(&placements), [vec![first], vec![other], vec![second]]);
    // What will be written before it is read does, too.
    let placements = steps(&[&[first], &[second]], &[(0, write(0, 4, 1))]).best(8);
    assert_eq!(copies(&placements), [vec![first], vec![second]]);
}

/// Some dispatches over some buffers: what is wanted fits, starts anywhere, overlaps, and is written in parts.
fn random(seed: u32, rows: usize) -> (Steps, usize) {
    let mut drawn = (0..).flat_map(|counter| philox4x32([counter, 0, 0, 0], [seed, 0]));
    let mut below = |limit: usize| drawn.next().unwrap_or(0) as usize % limit;
    let (mut wanted, mut writes) = (vec![], BTreeMap::<BufferId, Vec<Write>>::new());
    let dispatches = 4 + below(30);
    for step in 0..dispatches {
        let mut of_step: Vec<Staged> = vec![];
        for buffer in 0..1 + below(4) {
            let panel = (below(5) == 0).then(|| Panel { rows: 1 + below(3), pitch: 2 * ROW });
            let len = 4 + 4 * below(if panel.is_some() { ROW / 4 } else { rows * ROW / 16 });
            let staged = Staged { buffer: BufferId::from_index(buffer), start: 4 * below(3 * ROW / 4), len, panel };
            let taken: usize = of_step.iter().map(Staged::rows).sum();
            if taken + staged.rows() <= rows {
                of_step.push(staged);
            }
        }
        for _ in 0..below(3) {
            let (buffer, low) = (BufferId::from_index(below(4)), below(4 * ROW));
            writes.entry(buffer).or_default().push(Write { step, low, high: low + below(2 * ROW) });
        }
        wanted.push(of_step);
    }
    (Steps::new(wanted, writes), dispatches)
}

/// Plays the copies and compares what each dispatch reads in the texture with the buffers as they are then.
#[test]
fn what_is_read_in_the_texture_is_what_the_buffers_have() {
    let mut saved = 0;
    for seed in 0..200 {
        let rows = 4 + usize::try_from(seed % 13).expect("is small");
        let (steps, dispatches) = random(seed, rows);
        for ahead in [true, false] {
            let fresh = |buffer: u64| (0..(16 + rows) * ROW).map(|word| buffer << 32 | word as u64).collect();
            let mut buffers: Vec<Vec<u64>> = (0..4).map(fresh).collect();
            let mut texture = vec![u64::MAX; rows * ROW];
            let mut version = 4;
            let word = |staged: &Staged, at: usize| match staged.panel {
                Some(Panel { rows: 2.., pitch }) => {
                    let (row, column) = (at / staged.leading(), at % staged.leading());
                    (column < staged.len).then_some(staged.start + row * pitch + column)
                }
                Some(_) | None => Some(staged.start + at),
            };
            let size = |staged: &Staged| match staged.panel {
                Some(Panel { rows: rows @ 2.., pitch: _ }) => rows * staged.leading(),
                Some(_) | None => staged.len,
            };
            for (step, placement) in steps.place(rows, ahead).iter().enumerate() {
                for Placed { staged, at } in &placement.copies {
                    assert!(at.is_multiple_of(ROW), "copies begin rows");
                    for offset in 0..size(staged) {
                        if let Some(from) = word(staged, offset) {
                            texture[at + offset] = buffers[staged.buffer.index()][from];
                        }
                    }
                }
                assert_eq!(placement.reads.iter().map(|read| read.staged).collect::<Vec<_>>(), steps.wanted[step]);
                for Placed { staged, at } in &placement.reads {
                    for offset in 0..size(staged) {
                        if let Some(from) = word(staged, offset) {
                            let has = buffers[staged.buffer.index()][from];
                            assert_eq!(texture[at + offset], has, "seed {seed}, dispatch {step} of {dispatches}");
                        }
                    }
                }
                saved += placement.reads.len() - placement.copies.len().min(placement.reads.len());
                for (buffer, writes) in &steps.writes {
                    for Write { step: _, low, high } in writes.iter().filter(|write| write.step == step) {
                        version += 1;
                        for (value, word) in buffers[buffer.index()][*low..*high].iter_mut().zip(*low..) {
                            *value = version << 32 | word as u64;
                        }
                    }
                }
            }
        }
    }
    assert!(saved > 1000, "{saved} reads found what was there");
}
