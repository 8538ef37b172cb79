//! How people are found by a value: which of its spellings are the same, and whether one alone may have it.

mod email;
mod matching;
mod settings;

pub use matching::{Matching, TagInput};
pub use settings::{Search, SearchSettings, Second};
