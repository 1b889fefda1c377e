//! Tables of products as text: lines that say what adapter it is for, a line with the names of the columns, and a line for each rule.

use std::fmt;

use thiserror::Error;

use crate::choice::{Choice, ProductForm};
use crate::table::{AdapterClass, Classes, Layouts, Quantity, Range, Rule, Table};

/// First and last columns; those of the quantities are between them.
const BEFORE: [&str; 2] = ["class", "layout"];
const AFTER: [&str; 3] = ["form", "rows", "columns"];

/// Why a table is of no use.
///
/// ```
/// let error = wgrad_gpu::Table::parse("shape,kernel\n").unwrap_err().to_string();
/// assert_eq!(error, "line 1, column 1: 'shape' where the name of a column, 'class', should be");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// Text that is no table.
    #[error("line {line}, column {column}: {reason}")]
    Text {
        /// The line, the first being 1.
        line: usize,
        /// The character in it where the trouble starts, the first being 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A table that was measured on another adapter.
    #[error("it is for the adapter '{table}', but the device is '{device}'")]
    Adapter {
        /// The table's adapter.
        table: String,
        /// The device.
        device: String,
    },
    /// A table for another class of adapters.
    #[error("it is for adapters of class {}, but '{device}' is of class {}", table.name(), class.name())]
    Class {
        /// The table's class.
        table: AdapterClass,
        /// The device.
        device: String,
        /// Its class.
        class: AdapterClass,
    },
}

impl Table {
    /// Reads what [`Table`]'s `Display` writes: perhaps `adapter: name` and `class: name`, the names of the columns, then rules. Empty
    /// lines and those that start with `#` are left out. A range is `*` for any number, `8` for one, `8..`, `..8` or `8..16`, both ends
    /// included.
    ///
    /// ```
    /// use wgrad_gpu::{AdapterClass, Table};
    ///
    /// let text = "class: discrete
    /// class,layout,m,n,k,batch,results,work,tiles,form,rows,columns
    /// discrete,NT,64..,16..,*,*,*,*,*,tiled,32,32
    /// ";
    /// let table = Table::parse(text)?;
    /// assert_eq!((table.class, table.rules.len()), (Some(AdapterClass::Discrete), 1));
    /// assert_eq!(table.to_string(), text);
    /// let error = Table::parse(&text.replace("tiled", "tilde")).unwrap_err().to_string();
    /// assert_eq!(error, "line 3, column 33: 'tilde' is no form; there are small, subgroup, tiled");
    /// # Ok::<(), wgrad_gpu::TableError>(())
    /// ```
    ///
    /// # Errors
    /// [`TableError::Text`] at the first word that cannot be meant.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let mut table = Self { adapter: None, class: None, rules: vec![] };
        let mut named = false;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        for (number, line) in lines {
            let at = |column, reason| TableError::Text { line: number, column, reason };
            if named {
                table.rules.push(rule(line).map_err(|(column, reason)| at(column, reason))?);
            } else if let Some(name) = line.strip_prefix("adapter:") {
                table.adapter = Some(name.trim().to_owned());
            } else if let Some(name) = line.strip_prefix("class:") {
                let start = line.len() - name.trim_start().len() + 1;
                table.class = Some(class(name.trim()).map_err(|reason| at(start, reason))?);
            } else {
                columns(line).map_err(|(column, reason)| at(column, reason))?;
                named = true;
            }
        }
        if !named {
            let line = text.lines().count().max(1);
            let reason = "the line with the names of the columns is missing".to_owned();
            return Err(TableError::Text { line, column: 1, reason });
        }
        Ok(table)
    }

    /// Refuses a device that the table is not for.
    ///
    /// ```
    /// use wgrad_gpu::{AdapterClass, Table};
    ///
    /// let table = Table { class: Some(AdapterClass::Discrete), ..Table::built_in() };
    /// assert!(table.check("Radiant 9", AdapterClass::Discrete).is_ok());
    /// let error = table.check("llvmpipe", AdapterClass::Software).unwrap_err().to_string();
    /// assert_eq!(error, "it is for adapters of class discrete, but 'llvmpipe' is of class software");
    /// ```
    ///
    /// # Errors
    /// [`TableError::Adapter`] or [`TableError::Class`].
    pub fn check(&self, device: &str, class: AdapterClass) -> Result<(), TableError> {
        let Self { adapter, class: wanted, rules: _ } = self;
        if let Some(table) = adapter.as_ref().filter(|name| *name != device) {
            return Err(TableError::Adapter { table: table.clone(), device: device.to_owned() });
        }
        match wanted {
            Some(table) if *table != class => {
                Err(TableError::Class { table: *table, device: device.to_owned(), class })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, class, rules } = self;
        if let Some(name) = adapter {
            writeln!(f, "adapter: {name}")?;
        }
        if let Some(class) = class {
            writeln!(f, "class: {}", class.name())?;
        }
        writeln!(f, "{}", names().join(","))?;
        rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { classes, layouts, ranges, choice } = self;
        let class = match classes {
            Classes::All => "*",
            Classes::Hardware => "hardware",
            Classes::One(class) => class.name(),
        };
        write!(f, "{class},")?;
        for transposed in layouts.0 {
            f.write_str(transposed.map_or("*", |transposed| if transposed { "T" } else { "N" }))?;
        }
        for Range { least, most } in ranges {
            match (*least, *most) {
                (0, usize::MAX) => f.write_str(",*"),
                (least, usize::MAX) => write!(f, ",{least}.."),
                (least, most) if least == most => write!(f, ",{least}"),
                (0, most) => write!(f, ",..{most}"),
                (least, most) => write!(f, ",{least}..{most}"),
            }?;
        }
        let Choice { form, rows, columns } = choice;
        write!(f, ",{},{rows},{columns}", form.name())
    }
}

/// The names of all columns.
fn names() -> Vec<&'static str> {
    BEFORE.into_iter().chain(Quantity::ALL.map(Quantity::name)).chain(AFTER).collect()
}

/// The words between commas, each with its column.
fn words(line: &str) -> Vec<(usize, &str)> {
    let mut column = 1;
    let word = |text: &'_ str| {
        let start = column + text.chars().take_while(|c| c.is_whitespace()).count();
        column += text.chars().count() + 1;
        start
    };
    let starts: Vec<usize> = line.split(',').map(word).collect();
    starts.into_iter().zip(line.split(',').map(str::trim)).collect()
}

fn columns(line: &str) -> Result<(), (usize, String)> {
    let found = words(line);
    for (position, name) in names().into_iter().enumerate() {
        match found.get(position) {
            Some((_, word)) if *word == name => {}
            Some((column, word)) => {
                return Err((*column, format!("'{word}' where the name of a column, '{name}', should be")));
            }
            None => return Err((line.chars().count() + 1, format!("the column '{name}' is missing"))),
        }
    }
    match found.get(names().len()) {
        Some((column, word)) => Err((*column, format!("there is no column '{word}'"))),
        None => Ok(()),
    }
}

fn rule(line: &str) -> Result<Rule, (usize, String)> {
    let words = words(line);
    let wanted = names().len();
    if let Some((column, _)) = words.get(wanted) {
        return Err((*column, format!("a rule has {wanted} columns")));
    }
    let word = |position: usize| {
        let missing = || (line.chars().count() + 1, format!("a rule has {wanted} columns, this has {}", words.len()));
        words.get(position).copied().ok_or_else(missing)
    };
    let (column, text) = word(0)?;
    let classes = match text {
        "*" => Classes::All,
        "hardware" => Classes::Hardware,
        other => Classes::One(class(other).map_err(|reason| (column, reason))?),
    };
    let (column, text) = word(1)?;
    let layouts = layouts(text).ok_or_else(|| (column, format!("'{text}' is no layout: two of N, T and *")))?;
    let mut ranges = [Range::ALL; Quantity::ALL.len()];
    for (position, to) in ranges.iter_mut().enumerate() {
        let (column, text) = word(BEFORE.len() + position)?;
        *to = range(text).ok_or_else(|| (column, format!("'{text}' is no range: *, 8, 8.., ..8 or 8..16")))?;
    }
    let first = BEFORE.len() + ranges.len();
    let (column, text) = word(first)?;
    let form = ProductForm::ALL.into_iter().find(|form| form.name() == text).ok_or_else(|| {
        (column, format!("'{text}' is no form; there are {}", ProductForm::ALL.map(ProductForm::name).join(", ")))
    })?;
    let count = |position: usize| {
        let (column, text) = word(position)?;
        text.parse::<usize>().map_err(|_| (column, format!("'{text}' is no number of results")))
    };
    let choice = Choice { form, rows: count(first + 1)?, columns: count(first + 2)? };
    match choice.defect() {
        Some(reason) => Err((column, format!("there is no '{choice}': {reason}"))),
        None => Ok(Rule { classes, layouts, ranges, choice }),
    }
}

fn class(name: &str) -> Result<AdapterClass, String> {
    AdapterClass::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
        format!("'{name}' is no class; there are {}", AdapterClass::ALL.map(AdapterClass::name).join(", "))
    })
}

fn layouts(text: &str) -> Option<Layouts> {
    let one = |letter: char| match letter {
        'N' => Some(Some(false)),
        'T' => Some(Some(true)),
        '*' => Some(None),
        _ => None,
    };
    let letters = text.chars().map(one).collect::<Option<Vec<_>>>()?;
    Some(Layouts(letters.try_into().ok()?))
}

fn range(text: &str) -> Option<Range> {
    let number = |text: &str, otherwise: usize| if text.is_empty() { Some(otherwise) } else { text.parse().ok() };
    let range = match (text, text.split_once("..")) {
        ("*", _) => Range::ALL,
        (_, Some(("", ""))) => return None,
        (_, Some((least, most))) => Range { least: number(least, 0)?, most: number(most, usize::MAX)? },
        (_, None) => {
            let only = text.parse().ok()?;
            Range { least: only, most: only }
        }
    };
    (range.least <= range.most).then_some(range)
}

#[cfg(test)]
#[path = "table_text_tests.rs"]
mod tests;
