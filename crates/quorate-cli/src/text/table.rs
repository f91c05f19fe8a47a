//! Tables: columns as wide as their widest cell, and no wider.

use crate::text::style::{Paint, Style};

/// A cell: its text, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) paint: Paint,
}

impl Cell {
    pub(crate) fn new(paint: Paint, text: impl Into<String>) -> Self {
        Self { text: text.into(), paint }
    }

    /// A cell without a colour; `-` if there is nothing to say.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        let text = if text.is_empty() { "-".to_owned() } else { text };
        Self::new(Paint::Plain, text)
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<Option<T>> for Cell {
    fn from(text: Option<T>) -> Self {
        text.map_or_else(|| Self::new(Paint::Faint, "-"), Self::plain)
    }
}

/// The side of its column that a cell stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<(&'static str, Side)>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Leaves out the columns in which no row says anything.
    pub(crate) fn without_empty(mut self) -> Self {
        let is_told = |column: &usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(*column));
            cells.into_iter().any(|cell| !["", "-"].contains(&&*cell.text))
        };
        let told: Vec<usize> = (0..self.columns.len()).filter(is_told).collect();
        self.columns = told.iter().map(|column| self.columns[*column]).collect();
        let kept =
            |row: &Vec<Cell>| told.iter().filter_map(|column| row.get(*column).cloned()).collect();
        self.rows = self.rows.iter().map(kept).collect();
        self
    }

    /// The widths of its columns.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let widest = |(column, (name, _)): (usize, &(&str, Side))| {
            let cells = self.rows.iter().filter_map(|row| row.get(column).map(Cell::width));
            cells.chain([name.chars().count()]).max().unwrap_or_default()
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    /// Its lines, the heading first; none ends in blanks.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let widths = self.widths();
        let heading: Vec<Cell> =
            self.columns.iter().map(|(name, _)| Cell::new(Paint::Faint, *name)).collect();
        let rows = std::iter::once(&heading).chain(&self.rows);
        rows.map(|row| self.line(row, &widths, style)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], style: Style) -> String {
        let mut line = String::new();
        for (index, ((cell, width), (_, side))) in
            row.iter().zip(widths).zip(&self.columns).enumerate()
        {
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            let between = if index > 0 { "  " } else { "" };
            let text = style.paint(cell.paint, &cell.text);
            match side {
                Side::Left if index + 1 == row.len() => line += &format!("{between}{text}"),
                Side::Left => line += &format!("{between}{text}{gap}"),
                Side::Right => line += &format!("{between}{gap}{text}"),
            }
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table =
            Table::new(&[("NAME", Side::Left), ("LAG", Side::Right), ("ADDRESS", Side::Left)]);
        table.rows.push(vec![Cell::plain("a"), Cell::plain("0"), Cell::plain("10.0.0.1:7101")]);
        table.rows.push(vec![
            Cell::new(Paint::Bad, "longer"),
            None::<&str>.into(),
            Cell::plain(""),
        ]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = table().lines(Style::PLAIN);
        assert_eq!(
            lines,
            ["NAME    LAG  ADDRESS", "a         0  10.0.0.1:7101", "longer    -  -",]
        );
    }

    #[test]
    fn colours_do_not_count_for_the_width() {
        let lines = table().lines(Style::COLOURED);
        assert_eq!(lines[2], "\u{1b}[31mlonger\u{1b}[0m    \u{1b}[2m-\u{1b}[0m  -");
        assert!(lines[1].starts_with("a         0  10."));
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        let mut table = table();
        table.rows[0][1] = Cell::plain("");
        let lines = table.without_empty().lines(Style::PLAIN);
        assert_eq!(lines[0], "NAME    ADDRESS");
    }
}
