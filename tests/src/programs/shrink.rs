//! From a program that fails to the smallest one that does, printed as a test.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::ValueTree;

use super::build::build;
use super::check::{Expected, check};
use super::recipe::Recipe;
use crate::engine::Engine;

/// Recipes that are tried, at most.
const TRIES_MAX: usize = 4000;

/// What is left of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The smallest recipes found that fail as one program: most often a single one.
    pub recipes: Vec<Recipe>,
    /// What is wrong with them.
    pub message: String,
    /// Recipes that were tried.
    pub tries: usize,
    graph: String,
    plan: String,
}

impl Culprit {
    fn new(engine: &Engine, recipes: Vec<Recipe>, message: String, tries: usize) -> Self {
        let program = build(&recipes.iter().collect::<Vec<_>>()).map(|case| case.program);
        let (graph, plan) = match &program {
            Ok(program) => {
                let plan = caught(|| engine.plan(program)).map(|plan| plan.to_string());
                (program.graph.to_string(), plan.unwrap_or_else(|error| error))
            }
            Err(error) => (error.to_string(), String::new()),
        };
        Self { recipes, message, tries, graph, plan }
    }

    /// A test that fails as long as the defect is there.
    pub fn test(&self) -> String {
        let recipes: Vec<String> = self.recipes.iter().map(|recipe| format!("        {},\n", recipe.code())).collect();
        format!(
            "use wgrad_core::{{Binary, Compare, Reduce, Unary}};\n\
             use wgrad_tests::engine::all_engines;\n\
             use wgrad_tests::programs::recipe::{{Composite, Leaf, Make, Move, Part, Recipe, Rule, Step}};\n\
             use wgrad_tests::programs::verdict;\n\n\
             #[test]\n\
             fn a_random_program_agrees() {{\n    \
                 let recipes = vec![\n{}    ];\n    \
                 for engine in all_engines() {{\n        \
                     assert_eq!(verdict(&engine, &recipes), Ok(()), \"{{}}\", engine.name);\n    \
                 }}\n\
             }}\n",
            recipes.concat()
        )
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        writeln!(f, "\nthe smallest of {} programs tried, as a test:\n\n{}", self.tries, self.test())?;
        writeln!(f, "its graph:\n\n{}", self.graph)?;
        write!(f, "its plan:\n\n{}", self.plan)
    }
}

/// Whether recipes, as one program, agree with the oracle on an engine. A panic is a failure like any other.
///
/// # Errors
/// What is wrong.
pub fn verdict(engine: &Engine, recipes: &[Recipe]) -> Result<(), String> {
    caught(|| {
        let expected = recipes.iter().cloned().map(Expected::of).collect::<Result<Vec<_>, _>>()?;
        check(engine, &expected.iter().collect::<Vec<_>>()).map(drop).map_err(|difference| difference.message)
    })
}

/// The smallest recipe that fails on an engine, of those that proptest finds on the way down from one that fails. `None` if that
/// one does not fail.
pub fn shrink(engine: &Engine, mut tree: Box<dyn ValueTree<Value = Recipe>>) -> Option<Culprit> {
    let fault = |recipe: &Recipe| verdict(engine, std::slice::from_ref(recipe)).err();
    let mut best = tree.current();
    let mut message = fault(&best)?;
    let mut tries = 1;
    let mut more = tree.simplify();
    while more && tries < TRIES_MAX {
        let recipe = tree.current();
        tries += 1;
        more = match fault(&recipe) {
            Some(found) => {
                (best, message) = (recipe, found);
                tree.simplify()
            }
            None => tree.complicate(),
        };
    }
    // What could not be left out before other things had become simpler.
    while let Some((recipe, found)) =
        best.smaller().into_iter().take(TRIES_MAX.saturating_sub(tries)).find_map(|recipe| {
            tries += 1;
            fault(&recipe).map(|found| (recipe, found))
        })
    {
        (best, message) = (recipe, found);
    }
    Some(Culprit::new(engine, vec![best], message, tries))
}

/// The fewest recipes that fail together, each with as little as possible in it. `None` if they do not fail.
pub fn shrink_together(engine: &Engine, mut recipes: Vec<Recipe>) -> Option<Culprit> {
    let mut message = verdict(engine, &recipes).err()?;
    let mut tries = 1;
    let fewer = |recipes: &[Recipe], tries: &mut usize| {
        let without = (0..recipes.len()).map(|at| [&recipes[..at], &recipes[at + 1..]].concat());
        let smaller = (0..recipes.len()).flat_map(|at| {
            let put = move |recipe: Recipe| {
                let mut recipes = recipes.to_vec();
                recipes[at] = recipe;
                recipes
            };
            recipes[at].smaller().into_iter().map(put)
        });
        without.chain(smaller).take(TRIES_MAX.saturating_sub(*tries)).find_map(|recipes| {
            *tries += 1;
            verdict(engine, &recipes).err().map(|found| (recipes, found))
        })
    };
    while let Some((found, why)) = fewer(&recipes, &mut tries) {
        (recipes, message) = (found, why);
    }
    Some(Culprit::new(engine, recipes, message, tries))
}

/// A panic as an error.
pub(super) fn caught<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}
