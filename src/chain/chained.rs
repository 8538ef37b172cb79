use super::{
    Entry, Head, Link,
    entry::{USUAL_LENGTH, digest},
};

/// New entries at their places, after a head.
#[derive(Debug)]
pub(crate) struct Chained<'a, E> {
    from: &'a Head,
    entries: Vec<E>,
    digests: Vec<[u8; 32]>,
}

impl<'a, E: Entry> Chained<'a, E> {
    /// Chains entries, in their order.
    pub(crate) fn after(from: &'a Head, entries: impl IntoIterator<Item = E>) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut digests: Vec<[u8; 32]> = Vec::with_capacity(entries.len());
        let mut text = String::with_capacity(USUAL_LENGTH);
        for (sequence, entry) in (from.sequence + 1..).zip(&entries) {
            let previous = digests.last().map_or(&*from.digest, <[u8; 32]>::as_slice);
            digests.push(digest(sequence, previous, entry, &mut text));
        }
        Self { from, entries, digests }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each of them, the first first.
    pub(crate) fn links(&self) -> impl Iterator<Item = Link<'_, &E>> {
        let digests = self.digests.iter().map(<[u8; 32]>::as_slice);
        let previous = std::iter::once(&*self.from.digest).chain(digests.clone());
        let places = (self.from.sequence + 1..).zip(previous).zip(digests);
        let links = places.zip(&self.entries);
        links.map(|(((sequence, previous_digest), digest), entry)| Link {
            sequence,
            previous_digest,
            digest,
            entry,
        })
    }

    /// The head after them.
    pub(crate) fn head(&self) -> Head {
        self.links().last().map_or_else(|| self.from.clone(), |link| link.head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Problem;

    struct Line(&'static str);

    impl Entry for Line {
        fn write_format(&self, text: &mut String) {
            text.push_str("a test 1");
        }

        fn write_lines(&self, text: &mut String) {
            text.push_str(self.0);
            text.push('\n');
        }

        fn is_canonical(&self) -> bool {
            self.0 != "odd"
        }
    }

    /// The figures come from `printf 'a test 1\n<64 zeros>\n1\none\n' | sha256sum`, and so on.
    #[test]
    fn entries_are_chained_one_after_another() {
        let from = Head::genesis();
        let chained = Chained::after(&from, ["one", "two"].map(Line));
        let digests: Vec<_> = chained.links().map(|link| hex::encode(link.digest)).collect();
        assert_eq!(
            digests,
            [
                "d46b1536df51201613bd8f7a4e4a8f87fbba42c6069be39d481456bcdd0a240c",
                "ffb063b288354fe77cd254c0a685eb48987e57d3f347a4bc3f960ba70723843f"
            ]
        );
        let previous: Vec<_> = chained.links().map(|link| hex::encode(link.previous_digest)).collect();
        assert_eq!(previous, ["00".repeat(32), digests[0].clone()]);
        assert_eq!((chained.len(), chained.head().to_string()), (2, format!("2:{}", digests[1])));
        // In two batches as in one.
        let from_one = Chained::after(&from, [Line("one")]).head();
        assert_eq!(Chained::after(&from_one, [Line("two")]).head(), chained.head());
        assert_eq!(Chained::<Line>::after(&from_one, []).head(), from_one);
    }

    #[test]
    fn only_what_was_chained_follows() {
        let from = Head { sequence: 6, digest: vec![7; 32] };
        let chained = Chained::after(&from, [Line("one")]);
        let link = chained.links().next().unwrap();
        let Link { sequence, previous_digest, digest, .. } = link;
        let with = |sequence, previous_digest, digest, says| {
            Link { sequence, previous_digest, digest, entry: Line(says) }
                .follow(&from)
                .map_err(|fault| (fault.sequence, fault.problem))
        };
        assert_eq!(with(sequence, previous_digest, digest, "one"), Ok(chained.head()));
        assert_eq!(with(9, previous_digest, digest, "one"), Err((7, Problem::Missing)));
        assert_eq!(with(6, previous_digest, digest, "one"), Err((6, Problem::Unlinked)));
        assert_eq!(with(7, &[8; 32], digest, "one"), Err((7, Problem::Unlinked)));
        assert_eq!(with(7, previous_digest, &[8; 32], "one"), Err((7, Problem::Changed)));
        assert_eq!(with(7, previous_digest, digest, "two"), Err((7, Problem::Changed)));
        // Though its digest fits.
        let odd = Chained::after(&from, [Line("odd")]);
        let fits = odd.links().next().unwrap().digest;
        assert_eq!(with(7, previous_digest, fits, "odd"), Err((7, Problem::Changed)));
    }
}
