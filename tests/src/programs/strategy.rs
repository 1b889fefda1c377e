//! The proptest strategy of recipes. What comes first shrinks first, and alternatives shrink towards earlier ones.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgrad_core::{Binary, Compare, Reduce, Unary};

use super::recipe::{Composite, LATEST, Leaf, Make, Move, Part, Recipe, Rule, Step};

/// Steps of a recipe, at most.
const STEPS_MAX: usize = 12;

/// Recipes by number, always the same ones for a seed.
#[derive(Debug)]
pub struct Recipes {
    strategy: BoxedStrategy<Recipe>,
    seed: u64,
}

impl Recipes {
    /// The recipes of a seed.
    pub fn new(seed: u64) -> Self {
        Self { strategy: recipes().boxed(), seed }
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Recipe {
        self.tree(number).current()
    }

    /// The same, able to shrink.
    ///
    /// # Panics
    /// Never: no value is filtered out.
    pub fn tree(&self, number: u64) -> Box<dyn ValueTree<Value = Recipe>> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, random);
        Box::new(self.strategy.new_tree(&mut runner).expect("no value is filtered out"))
    }
}

/// Any recipe.
pub fn recipes() -> impl Strategy<Value = Recipe> {
    let entries = counts(&[(5, 1..=1), (2, 2..=2), (1, 3..=3)], part().boxed());
    let runs = vec(any::<u8>(), 1..=3);
    let steps = counts(&[(3, 1..=4), (3, 5..=8), (1, 9..=STEPS_MAX)], step().boxed());
    let size = Union::new_weighted(vec![
        (12, (1_usize..=5).boxed()),
        (6, select(vec![6_usize, 7, 8, 9, 12, 16, 17]).boxed()),
        (2, select(vec![31_usize, 32, 33, 64, 65, 100]).boxed()),
        (1, Just(0).boxed()),
    ]);
    let variables = counts(&[(1, 0..=0), (4, 1..=2), (4, 3..=4)], leaf().boxed());
    let parts = (entries, runs, steps, variables, vec(leaf(), 0..=2));
    (parts, vec(size, 1..=3), any::<bool>(), any::<u8>()).prop_map(
        |((entries, runs, steps, variables, feeds), sizes, ties, data)| Recipe {
            entries,
            runs,
            steps,
            variables,
            feeds,
            sizes,
            ties,
            data,
        },
    )
}

/// Lists of lengths in one of several ranges, each with its weight.
fn counts<T: std::fmt::Debug + 'static>(
    ranges: &[(u32, RangeInclusive<usize>)],
    element: BoxedStrategy<T>,
) -> impl Strategy<Value = Vec<T>> + use<T> {
    Union::new_weighted(ranges.iter().map(|(weight, range)| (*weight, vec(element.clone(), range.clone()))).collect())
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let integers = Union::new_weighted(vec![(4, Just(false)), (1, Just(true))]);
    (axes(), integers, 0..LATEST).prop_map(|(axes, integers, tag)| Leaf { tag, integers, axes })
}

fn axes() -> impl Strategy<Value = Vec<u8>> {
    counts(&[(1, 0..=0), (3, 1..=1), (6, 2..=2), (2, 3..=3)], any::<u8>().boxed())
}

fn part() -> impl Strategy<Value = Part> {
    let moves = (any::<u8>(), any::<u8>()).prop_map(|(variable, value)| Move { variable, value });
    let moves = counts(&[(4, 0..=0), (1, 1..=3)], moves.boxed());
    let losses = counts(&[(1, 0..=0), (4, 1..=3)], any::<u8>().boxed());
    let fetches = vec(any::<u8>(), 0..=2);
    (moves, select(Rule::ALL), any::<bool>(), losses, fetches).prop_map(|(moves, rule, clip, losses, fetches)| Part {
        moves,
        rule,
        clip,
        losses,
        fetches,
    })
}

fn step() -> impl Strategy<Value = Step> {
    (make(), 0..LATEST).prop_map(|(make, tag)| Step { tag, make })
}

fn make() -> impl Strategy<Value = Make> {
    let integral: Vec<Binary> = Binary::ALL.iter().copied().filter(|&op| op != Binary::Pow).collect();
    let picks = || (any::<u8>(), any::<u8>());
    let masked = || (any::<u8>(), any::<u8>(), any::<u8>());
    let bits = || (any::<bool>(), any::<bool>());
    let moves = |make: fn(u8, u8) -> Make| picks().prop_map(move |(x, how)| make(x, how)).boxed();
    let shaped = |make: fn(Vec<u8>, u8) -> Make| (axes(), any::<u8>()).prop_map(move |(a, n)| make(a, n)).boxed();
    Union::new_weighted(vec![
        (9, (select(Unary::ALL), any::<u8>()).prop_map(|(op, x)| Make::Unary(op, x)).boxed()),
        (9, (select(Binary::ALL), picks()).prop_map(|(op, (x, y))| Make::Binary(op, x, y)).boxed()),
        (3, (select(Binary::ALL), picks()).prop_map(|(op, (x, n))| Make::Number(op, x, n)).boxed()),
        (3, (select(Compare::ALL), picks()).prop_map(|(op, (x, y))| Make::Compare(op, x, y)).boxed()),
        (3, masked().prop_map(|(m, x, y)| Make::Select(m, x, y)).boxed()),
        (
            6,
            (select(Reduce::ALL), picks(), any::<bool>())
                .prop_map(|(op, (x, axes), keep)| Make::Reduce(op, x, axes, keep))
                .boxed(),
        ),
        (4, (select(Composite::ALL), picks()).prop_map(|(f, (x, axis))| Make::Composite(f, x, axis)).boxed()),
        (6, (picks(), bits()).prop_map(|((a, b), (ta, tb))| Make::MatMul(a, b, ta, tb)).boxed()),
        (2, moves(Make::Broadcast)),
        (3, moves(Make::Reshape)),
        (3, moves(Make::Permute)),
        (3, moves(Make::Slice)),
        (3, moves(Make::Pad)),
        (3, (vec(any::<u8>(), 1..=3), any::<u8>()).prop_map(|(xs, axis)| Make::Concat(xs, axis)).boxed()),
        (3, moves(Make::Gather)),
        (3, masked().prop_map(|(x, i, rows)| Make::ScatterAdd(x, i, rows)).boxed()),
        (1, moves(Make::PickPerRow)),
        (1, moves(Make::Dropout)),
        (4, moves(Make::Gradient)),
        (1, any::<u8>().prop_map(Make::Detach).boxed()),
        (2, any::<u8>().prop_map(Make::ToFloats).boxed()),
        (2, any::<u8>().prop_map(Make::ToIntegers).boxed()),
        (3, (select(integral), picks()).prop_map(|(op, (x, y))| Make::Integers(op, x, y)).boxed()),
        (1, (select(Compare::ALL), picks()).prop_map(|(op, (x, y))| Make::CompareIntegers(op, x, y)).boxed()),
        (1, masked().prop_map(|(m, x, y)| Make::SelectIntegers(m, x, y)).boxed()),
        (1, shaped(Make::RandomBits)),
        (1, shaped(Make::Iota)),
        (1, shaped(Make::Constant)),
        (1, shaped(Make::Splat)),
    ])
}
