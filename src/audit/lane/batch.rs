use chrono::{DateTime, Utc};

use crate::{
    audit::{
        Action, NewEvent, Outcome,
        content::{Content, VERSION},
    },
    envelope::SubjectId,
};

/// Events that are written together, in two blocks of memory however many there are. Thousands of small ones that
/// stay in use push what everybody else uses out of the processor's cache.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct Batch {
    texts: String,
    events: Vec<Packed>,
    weight: usize,
}

/// An event whose texts are in the batch, one after another.
#[derive(Clone, Debug)]
struct Packed {
    occurred_at: DateTime<Utc>,
    action: Action,
    subject: Option<SubjectId>,
    count: i32,
    outcome: Outcome,
    /// Of the actor, several subjects' ids, the attributes, the target and the request's id, in bytes.
    lengths: [usize; 5],
}

impl Batch {
    pub(in crate::audit) fn push(&mut self, event: &NewEvent) {
        let texts = event.texts();
        self.weight += event.weight();
        self.texts.extend(texts);
        self.events.push(Packed {
            occurred_at: event.occurred_at,
            action: event.action,
            subject: event.subject,
            count: event.count,
            outcome: event.outcome,
            lengths: texts.map(str::len),
        });
    }

    pub(in crate::audit) fn clear(&mut self) {
        self.texts.clear();
        self.events.clear();
        self.weight = 0;
    }

    /// Of all events: see [`NewEvent::weight`].
    pub(in crate::audit) fn weight(&self) -> usize {
        self.weight
    }

    pub(in crate::audit) fn len(&self) -> usize {
        self.events.len()
    }

    pub(in crate::audit) fn iter(&self) -> impl Iterator<Item = Content<'_>> {
        let mut rest = self.texts.as_str();
        self.events.iter().map(move |event| {
            let [actor, subject_ids, attributes, target, request_id] = event.lengths.map(|length| {
                let (text, after) = rest.split_at(length);
                rest = after;
                text
            });
            Content {
                version: VERSION,
                occurred_at: event.occurred_at,
                actor,
                action: event.action.as_str(),
                subject_id: event.subject.map(Into::into),
                subject_ids,
                count: event.count,
                attributes,
                target,
                request_id,
                outcome: event.outcome.as_str(),
            }
        })
    }
}

impl<'a> Extend<&'a NewEvent> for Batch {
    fn extend<T: IntoIterator<Item = &'a NewEvent>>(&mut self, events: T) {
        for event in events {
            self.push(event);
        }
    }
}

impl<'a> FromIterator<&'a NewEvent> for Batch {
    fn from_iter<T: IntoIterator<Item = &'a NewEvent>>(events: T) -> Self {
        let mut batch = Self::default();
        batch.extend(events);
        batch
    }
}
