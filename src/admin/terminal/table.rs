use std::fmt::Write;

use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};

/// To which side a column's cells go.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) enum Align {
    Left,
    Right,
}

const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// Rows with aligned columns, the header first, in bold where there are colours.
pub(in crate::admin) fn table<const N: usize>(header: [(&str, Align); N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.map(|(name, _)| name)).add_rows(rows);
    for (column, (_, align)) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 2)).set_constraint(ColumnConstraint::ContentWidth);
        column.set_cell_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let line = line.trim_end();
        // Writing to a string does not fail.
        let _ = if number == 0 { writeln!(text, "{BOLD}{line}{PLAIN}") } else { writeln!(text, "{line}") };
    }
    text
}

/// A part of a whole, as a bar of blocks.
pub(in crate::admin) fn bar(part: u64, whole: u64) -> String {
    const WIDTH: u64 = 20;
    let filled = if whole == 0 { 0 } else { (part * WIDTH).div_ceil(whole) };
    (0..WIDTH).map(|cell| if cell < filled { '█' } else { '░' }).collect()
}
