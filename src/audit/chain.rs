use uuid::Uuid;

use super::{content::Content, digest::digest, head::Head};

/// Events at their places in the chain, after a head.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    from: &'a Head,
    events: Vec<Content<'a>>,
    digests: Vec<[u8; 32]>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    pub(super) sequence: i64,
    pub(super) event: Content<'a>,
    pub(super) previous_digest: &'a [u8],
    pub(super) digest: &'a [u8],
}

impl<'a> Chain<'a> {
    pub(super) fn of<'e: 'a>(events: impl IntoIterator<Item = Content<'e>>, from: &'a Head) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let mut digests: Vec<[u8; 32]> = Vec::with_capacity(events.len());
        for (sequence, event) in (from.sequence + 1..).zip(&events) {
            let previous = digests.last().map_or(&*from.digest, <[u8; 32]>::as_slice);
            digests.push(digest(sequence, previous, event));
        }
        Self { from, events, digests }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn links(&self) -> impl Iterator<Item = Link<'_>> {
        let digests = self.digests.iter().map(<[u8; 32]>::as_slice);
        let previous = std::iter::once(&*self.from.digest).chain(digests.clone());
        let places = (self.from.sequence + 1..).zip(previous).zip(digests);
        self.events.iter().zip(places).map(|(event, ((sequence, previous_digest), digest))| Link {
            sequence,
            event: *event,
            previous_digest,
            digest,
        })
    }

    /// By which events that concern several subjects are found: each subject, and the event's place.
    pub(super) fn index(&self) -> impl Iterator<Item = (Uuid, i64)> {
        self.links().flat_map(|link| {
            // Most events have none.
            let several = (!link.event.subject_ids.is_empty()).then_some(link.event);
            several.into_iter().flat_map(move |event| {
                event.several().map(|subject| (subject, link.sequence)).collect::<Vec<_>>()
            })
        })
    }

    /// The head after them.
    pub(super) fn head(&self) -> Head {
        let last = self.links().last();
        last.map_or_else(
            || self.from.clone(),
            |link| Head { sequence: link.sequence, digest: link.digest.to_vec() },
        )
    }
}
