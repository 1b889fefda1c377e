//! A layout of graphs in layers (Sugiyama, Tagawa & Toda 1981): nodes below their operands, an order in each layer in which few edges
//! cross, and long edges through places of their own in the layers between.

/// Where things stand: a layer, and a share of the width.
pub type Place = (usize, f64);

/// A layout.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Number of layers.
    pub layers: usize,
    /// The place of each node.
    pub places: Vec<Place>,
    /// From, to, and the way.
    pub edges: Vec<(usize, usize, Vec<Place>)>,
}

/// An edge: from, to, and its stops, both ends among them.
type Way = (usize, usize, Vec<usize>);

/// Rounds of ordering and of moving nodes below their neighbours.
const ROUNDS: usize = 24;

/// Lays out nodes given by their operands, all of which come earlier.
///
/// ```
/// use wgrad_examples::chart::lay_out;
///
/// let layout = lay_out(&[vec![], vec![], vec![0, 1]]);
/// assert_eq!(layout.layers, 2);
/// assert_eq!(layout.places[2].0, 1);
/// ```
pub fn lay_out(operands: &[Vec<usize>]) -> Layout {
    let layer_of = layer_of(operands);
    let layers = layer_of.iter().max().map_or(0, |last| last + 1);
    // Stops are the nodes, and places where long edges cross layers; neighbours of a stop lie one layer above or below.
    let mut stops = layer_of.clone();
    let mut links: Vec<(usize, usize)> = Vec::new();
    let mut ways: Vec<Way> = Vec::new();
    for (to, froms) in operands.iter().enumerate() {
        let mut unique = froms.clone();
        unique.sort_unstable();
        unique.dedup();
        for from in unique {
            let mut way = vec![from];
            for layer in layer_of[from] + 1..layer_of[to] {
                way.push(stops.len());
                stops.push(layer);
            }
            way.push(to);
            links.extend(way.windows(2).map(|pair| (pair[0], pair[1])));
            ways.push((from, to, way));
        }
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layers];
    for (stop, &layer) in stops.iter().enumerate() {
        rows[layer].push(stop);
    }
    order(&mut rows, &links, stops.len());
    let x = spread(&rows, &links, &ways, stops.len(), operands.len());
    let place = |stop: usize| (stops[stop], x[stop]);
    Layout {
        layers,
        places: (0..operands.len()).map(place).collect(),
        edges: ways.into_iter().map(|(from, to, way)| (from, to, way.into_iter().map(place).collect())).collect(),
    }
}

/// One below the lowest operand; what has no operands moves down to right above its first use.
fn layer_of(operands: &[Vec<usize>]) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::new();
    for froms in operands {
        layers.push(froms.iter().map(|&from| layers[from] + 1).max().unwrap_or(0));
    }
    for node in (0..operands.len()).filter(|&node| operands[node].is_empty()) {
        let users = operands.iter().zip(&layers).filter(|(froms, _)| froms.contains(&node));
        if let Some(first) = users.map(|(_, &layer)| layer).min() {
            layers[node] = first - 1;
        }
    }
    layers
}

/// Orders each row by the mean place of its neighbours in the row above, then below, again and again; the order with the fewest
/// crossings is kept.
fn order(rows: &mut [Vec<usize>], links: &[(usize, usize)], stops: usize) {
    let mut best = rows.to_vec();
    for round in 0..ROUNDS {
        let down = round % 2 == 0;
        for step in 1..rows.len() {
            let row = if down { step } else { rows.len() - 1 - step };
            let fixed = if down { row - 1 } else { row + 1 };
            let mut at = vec![None; stops];
            for (position, &stop) in rows[fixed].iter().enumerate() {
                at[stop] = Some(position as f64);
            }
            let mut keyed: Vec<(f64, usize)> = Vec::new();
            for (position, &stop) in rows[row].iter().enumerate() {
                keyed.push((
                    mean(neighbours(links, stop).filter_map(|other| at[other])).unwrap_or(position as f64),
                    stop,
                ));
            }
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = keyed.into_iter().map(|(_, stop)| stop).collect();
        }
        if crossings(rows, links, stops) < crossings(&best, links, stops) {
            best = rows.to_vec();
        }
    }
    rows.clone_from_slice(&best);
}

fn neighbours(links: &[(usize, usize)], stop: usize) -> impl Iterator<Item = usize> {
    let other = move |&(from, to): &(usize, usize)| {
        if from == stop {
            Some(to)
        } else if to == stop {
            Some(from)
        } else {
            None
        }
    };
    links.iter().filter_map(other)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn crossings(rows: &[Vec<usize>], links: &[(usize, usize)], stops: usize) -> usize {
    let (mut at, mut row_of) = (vec![0; stops], vec![0; stops]);
    for (row, members) in rows.iter().enumerate() {
        for (position, &stop) in members.iter().enumerate() {
            (at[stop], row_of[stop]) = (position, row);
        }
    }
    let cross = |&(a, b): &(usize, usize), &(c, d): &(usize, usize)| {
        row_of[a] == row_of[c] && ((at[a] < at[c] && at[b] > at[d]) || (at[a] > at[c] && at[b] < at[d]))
    };
    links.iter().enumerate().map(|(i, one)| links[..i].iter().filter(|other| cross(one, other)).count()).sum()
}

/// Places from 0 to 1 along the rows: near the neighbours, in order, and apart; a place that an edge passes takes less room than a node.
fn spread(rows: &[Vec<usize>], links: &[(usize, usize)], ways: &[Way], stops: usize, nodes: usize) -> Vec<f64> {
    let room = |stop: usize| if stop < nodes { 1.0 } else { 0.3 };
    let mut x = vec![0.0; stops];
    for row in rows {
        let mut end = 0.0;
        for &stop in row {
            x[stop] = end + room(stop) / 2.0;
            end += room(stop);
        }
        for &stop in row {
            x[stop] -= end / 2.0;
        }
    }
    for round in 0..ROUNDS {
        let order: Vec<usize> =
            if round % 2 == 0 { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for row in order {
            let row = &rows[row];
            let wanted: Vec<f64> = row
                .iter()
                .map(|&stop| mean(neighbours(links, stop).map(|other| x[other])).unwrap_or(x[stop]))
                .collect();
            // Pushed right until all fit, and pushed left until all fit; the middle of both keeps order and distance.
            let apart = |a: usize, b: usize| (room(row[a]) + room(row[b])) / 2.0;
            let (mut right, mut left) = (wanted.clone(), wanted);
            for i in 1..row.len() {
                right[i] = right[i].max(right[i - 1] + apart(i - 1, i));
            }
            for i in (1..row.len()).rev() {
                left[i - 1] = left[i - 1].min(left[i] - apart(i - 1, i));
            }
            for (i, &stop) in row.iter().enumerate() {
                x[stop] = (right[i] + left[i]) / 2.0;
            }
        }
    }
    for _ in 0..2 {
        for way in ways {
            straighten(way, rows, &mut x, room);
        }
    }
    let least = x.iter().copied().fold(f64::INFINITY, f64::min);
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (most - least).max(1e-9);
    x.into_iter().map(|at| (at - least) / width).collect()
}

/// Sets the places that a long edge passes one below another, if there is room for that between their neighbours.
fn straighten((_, _, way): &Way, rows: &[Vec<usize>], x: &mut [f64], room: impl Fn(usize) -> f64) {
    let [_, passed @ .., _] = way.as_slice() else { return };
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for &stop in passed {
        let Some((row, at)) = rows.iter().find_map(|row| Some((row, row.iter().position(|&other| other == stop)?)))
        else {
            return;
        };
        if let Some(&left) = at.checked_sub(1).and_then(|before| row.get(before)) {
            low = low.max(x[left] + (room(left) + room(stop)) / 2.0);
        }
        if let Some(&right) = row.get(at + 1) {
            high = high.min(x[right] - (room(right) + room(stop)) / 2.0);
        }
    }
    if let Some(middle) = mean(passed.iter().map(|&stop| x[stop])).filter(|_| low <= high) {
        for &stop in passed {
            x[stop] = middle.clamp(low, high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_below_their_operands_and_apart() {
        // A square with a diagonal and a constant that is used late.
        let operands = vec![vec![], vec![0], vec![0], vec![1, 2, 0], vec![], vec![3, 4, 4]];
        let Layout { layers, places, edges } = lay_out(&operands);
        assert_eq!(layers, 4);
        assert_eq!(places.iter().map(|place| place.0).collect::<Vec<_>>(), [0, 1, 1, 2, 2, 3]);
        assert_eq!(edges.len(), 7, "an operand that is used twice has one edge");
        for (from, to, way) in &edges {
            assert_eq!((way[0], way[way.len() - 1]), (places[*from], places[*to]));
            assert!(way.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{way:?}");
        }
        assert!((places[1].1 - places[2].1).abs() > 0.2 && (places[3].1 - places[4].1).abs() > 0.2, "{places:?}");
    }

    #[test]
    fn crossings_are_avoided() {
        let operands = vec![vec![], vec![], vec![1], vec![0]];
        let Layout { places, .. } = lay_out(&operands);
        assert_eq!(places[0].1 < places[1].1, places[3].1 < places[2].1, "{places:?}");
    }
}
