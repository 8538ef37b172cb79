use serde::{Deserialize, Serialize};

/// Whether people are found by an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// They are not.
    None,
    /// By the whole value, in any of the spellings that mean the same.
    Exact,
}

/// How people are found by an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchSettings {
    /// Whether they are.
    pub search: Search,
    /// Whether one person alone may have a value.
    pub unique: bool,
}

impl SearchSettings {
    /// Nobody is found.
    pub const NONE: Self = Self { search: Search::None, unique: false };

    /// What was given, or these. In an error, the key that is wrong, and the end of a sentence that begins with it.
    pub(crate) fn given_or(
        self,
        search: Option<Search>,
        unique: Option<bool>,
    ) -> Result<Self, (&'static str, &'static str)> {
        let search = search.unwrap_or(self.search);
        let unique = unique.unwrap_or(self.unique);
        if unique && search == Search::None {
            return Err((
                "unique",
                "needs search = \"exact\": without an index, nobody can tell who has a value",
            ));
        }
        Ok(Self { search, unique })
    }
}
