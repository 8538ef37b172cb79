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

/// What the tags of an attribute's values need beside the index key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Second {
    /// Nothing.
    #[default]
    None,
    /// A MAC by the key backend: one call for each value that is written or looked for.
    Backend,
}

/// How people are found by an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchSettings {
    /// Whether they are.
    pub search: Search,
    /// Whether one person alone may have a value.
    pub unique: bool,
    /// What else its tags need.
    pub second: Second,
}

impl SearchSettings {
    /// Nobody is found.
    pub const NONE: Self = Self { search: Search::None, unique: false, second: Second::None };

    /// What was given, or these. In an error, the key that is wrong, and the end of a sentence that begins with it.
    pub(crate) fn given_or(
        self,
        search: Option<Search>,
        unique: Option<bool>,
        second: Option<Second>,
    ) -> Result<Self, (&'static str, &'static str)> {
        let search = search.unwrap_or(self.search);
        let unique = unique.unwrap_or(self.unique);
        let second = second.unwrap_or(self.second);
        if unique && search == Search::None {
            return Err((
                "unique",
                "needs search = \"exact\": without an index, nobody can tell who has a value",
            ));
        }
        if second != Second::None && search == Search::None {
            return Err(("second", "needs search = \"exact\": it is about an index"));
        }
        Ok(Self { search, unique, second })
    }
}
