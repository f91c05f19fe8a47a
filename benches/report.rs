//! What many measurements say together, and tables of it.

use std::env;

/// The value below which `part` (0 to 1) of the sorted `values` lie; 0 of none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    values[(part * last as f64).round() as usize]
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Whether a name contains one of the words on the command line, if there are any.
pub fn is_wanted(name: &str) -> bool {
    let mut words = env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

/// Medians of pairwise ratios, and how far they lie apart: the machine drifts, and what was
/// measured in one round has drifted together.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Ratio {
    let mut ratios: Vec<_> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
    ratios.sort_by(f64::total_cmp);
    Ratio {
        median: quantile(&ratios, 0.5),
        low: quantile(&ratios, 0.1),
        high: quantile(&ratios, 0.9),
    }
}

/// See [`ratio`].
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// The one in the middle.
    pub median: f64,
    /// A tenth of the rounds lies below.
    pub low: f64,
    /// A tenth of the rounds lies above.
    pub high: f64,
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

/// An aim, and whether it was reached.
pub fn verdict(value: f64, is_met: bool) -> String {
    format!("{value:.2}, {}", if is_met { "met" } else { "MISSED" })
}

/// Rows of a table, the first its head; in the form that docs/performance.md has.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with only a head.
    pub fn new(head: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(head.iter().map(|&cell| cell.to_owned()));
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column: usize| {
            self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                write!(f, "| {:<width$} ", cell(row, column))?;
            }
            writeln!(f, "|")?;
            if index == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
