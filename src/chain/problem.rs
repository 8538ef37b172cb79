use strum::EnumIter;

use super::Words;

/// The first thing that is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// The place.
    pub sequence: i64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, EnumIter, PartialEq, Eq)]
pub enum Problem {
    /// The next one is there, or the database's head says so, or the one kept elsewhere.
    Missing,
    /// What is stored is not what the digest was taken over.
    Changed,
    /// A table beside the chain, by which entries are found, says otherwise.
    Misindexed,
    /// It names another digest than the one before it has.
    Unlinked,
    /// The chain is sound, and another one than that of which the head was kept.
    NotTheKept,
    /// The chain is sound, and the head's digest is another.
    NotTheHead,
    /// It was written without moving the head, or the head was put back.
    BeyondTheHead,
    /// The head's row was removed.
    Headless,
}

impl ChainFault {
    /// A sentence about it.
    #[must_use]
    pub fn text(&self, words: &Words) -> String {
        let Words { chain, entry, index, .. } = words;
        let problem = match self.problem {
            Problem::Missing => "is missing: it was deleted",
            Problem::Changed => "was changed: its digest is not that of what it says",
            Problem::Misindexed => &format!("is not found from {index} were changed"),
            Problem::Unlinked => "does not follow the one before it: one of the two was replaced, or moved",
            Problem::NotTheKept => {
                &format!("is not the one whose digest was kept elsewhere: the {chain} was written anew")
            }
            Problem::NotTheHead => "has another digest than the database's head: one of the two was replaced",
            Problem::BeyondTheHead => {
                "is beyond the database's head: it was slipped in, or the head was put back"
            }
            Problem::Headless => "and all others cannot be told to be complete: the database's head is gone",
        };
        format!("{entry} {} {problem}", self.sequence)
    }
}

impl Problem {
    pub(crate) fn at(self, sequence: i64) -> ChainFault {
        ChainFault { sequence, problem: self }
    }

    /// A name for scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Misindexed => "misindexed",
            Self::Unlinked => "unlinked",
            Self::NotTheKept => "not_the_kept",
            Self::NotTheHead => "not_the_head",
            Self::BeyondTheHead => "beyond_the_head",
            Self::Headless => "headless",
        }
    }
}
