//! What characters of a text are, to people who type, paste and read it: <https://www.unicode.org/reports/tr44/>.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// Whether nobody sees it: marks of direction and width, soft hyphens, variation selectors, joiners.
pub(crate) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// A hyphen, a dash or a minus sign, of whatever script and length.
pub(crate) fn is_dash(c: char) -> bool {
    c == '\u{2212}' || category(c) == GeneralCategory::DashPunctuation
}

/// Whether it stands for itself in a text: a letter, a mark, a digit, punctuation, a symbol; nothing that controls how others are shown,
/// no space, nothing that has no meaning yet, or one of somebody's own.
pub(crate) fn is_printed(c: char) -> bool {
    use GeneralCategory as Category;
    let unprinted = matches!(
        category(c),
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::PrivateUse
            | Category::SpaceSeparator
            | Category::Surrogate
            | Category::Unassigned
    );
    !unprinted && !is_invisible(c)
}

/// Whether a text is one line that people can tell from another one: of what is [printed](is_printed), with spaces between.
pub(crate) fn is_line(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.chars().all(|c| c == ' ' || is_printed(c))
}

/// Whether a joiner may stand beside it: scripts spell with joiners, between letters and their marks.
pub(crate) fn is_joined(c: char) -> bool {
    !c.is_ascii() && is_printed(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}
