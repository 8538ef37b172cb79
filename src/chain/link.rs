use super::{
    ChainFault, Entry, Head, Problem,
    entry::{USUAL_LENGTH, digest, write},
};

/// An entry at its place, as it was chained or as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a, E> {
    pub(crate) sequence: i64,
    pub(crate) previous_digest: &'a [u8],
    pub(crate) digest: &'a [u8],
    pub(crate) entry: E,
}

impl<E: Entry> Link<'_, E> {
    /// The head after it, if it is what was chained after `before`.
    ///
    /// # Errors
    ///
    /// What is wrong: [`Problem::Missing`], [`Problem::Unlinked`], [`Problem::Changed`].
    pub(crate) fn follow(&self, before: &Head) -> Result<Head, ChainFault> {
        let next = before.sequence + 1;
        if self.sequence > next {
            return Err(Problem::Missing.at(next));
        }
        if self.sequence < next || self.previous_digest != before.digest {
            return Err(Problem::Unlinked.at(self.sequence));
        }
        let mut text = String::with_capacity(USUAL_LENGTH);
        let says = digest(self.sequence, self.previous_digest, &self.entry, &mut text);
        if !self.entry.is_canonical() || self.digest != says {
            return Err(Problem::Changed.at(self.sequence));
        }
        Ok(self.head())
    }

    /// What its digest is taken over.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        write(self.sequence, self.previous_digest, &self.entry, &mut text);
        text
    }
}

impl<E> Link<'_, E> {
    /// The head after it, whatever it is.
    pub(super) fn head(&self) -> Head {
        Head { sequence: self.sequence, digest: self.digest.to_vec() }
    }
}
