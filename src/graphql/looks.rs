use std::collections::{BTreeMap, BTreeSet};

use async_graphql::indexmap::IndexMap;

use crate::{
    attributes::AttributeName,
    audit::{Action, MAX_SUBJECTS, NewEvent, Origin, Outcome},
    envelope::SubjectId,
};

/// What a request looked at: which attributes of whom.
#[derive(Debug, Default)]
pub(super) struct Looks {
    values: Vec<(SubjectId, Outcome, AttributeName)>,
    pages: Vec<PageLook>,
}

/// The same attributes of each of some subjects, all of them opened.
#[derive(Debug)]
pub(super) struct PageLook {
    /// In any order, each once.
    pub(super) attributes: Vec<AttributeName>,
    /// In any order, each once.
    pub(super) subjects: Vec<SubjectId>,
}

impl Looks {
    /// One value was opened, or was to be.
    pub(super) fn add(&mut self, subject: SubjectId, outcome: Outcome, attribute: AttributeName) {
        self.values.push((subject, outcome, attribute));
    }

    /// The same values of several subjects were opened.
    pub(super) fn add_page(&mut self, page: PageLook) {
        self.pages.push(page);
    }

    /// What is to be recorded: one event for all subjects of whom the same attributes were looked at, and with the same outcome, by the
    /// hundred. In an order that tells nothing of the one in which values were opened.
    pub(super) fn into_events(self, origin: &Origin) -> Vec<NewEvent> {
        let mut events = Vec::new();
        for ((mut attributes, outcome), subjects) in self.into_groups() {
            attributes.sort_unstable();
            for subjects in subjects.chunks(MAX_SUBJECTS) {
                let event =
                    NewEvent::new(origin, Action::ReadPii).about_each(subjects).attributes(&attributes);
                events.push(event.outcome(outcome).times(u32::try_from(subjects.len()).unwrap_or(u32::MAX)));
            }
        }
        events
    }

    fn into_groups(self) -> BTreeMap<(Vec<AttributeName>, Outcome), Vec<SubjectId>> {
        let Self { values, mut pages } = self;
        if values.is_empty() && pages.len() <= 1 {
            return pages.drain(..).map(|page| ((page.attributes, Outcome::Ok), page.subjects)).collect();
        }
        // Somebody may have been looked at in several places.
        let mut of_each: IndexMap<_, BTreeSet<_>> = IndexMap::new();
        for (subject, outcome, attribute) in values {
            of_each.entry((subject, outcome)).or_default().insert(attribute);
        }
        for PageLook { attributes, subjects } in pages {
            for subject in subjects {
                of_each.entry((subject, Outcome::Ok)).or_default().extend(attributes.iter().cloned());
            }
        }
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((subject, outcome), attributes) in of_each {
            groups.entry((attributes.into_iter().collect(), outcome)).or_default().push(subject);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_out_however_many_there_are_and_nobody_is_named_twice() {
        let subjects: Vec<_> = (0..150).map(|_| SubjectId::generate()).collect();
        let [email, phone] = ["email", "phone"].map(AttributeName::plain);
        let mut looks = Looks::default();
        // Two pages with people in common, and one of them looked at once more.
        for page in [&subjects[..90], &subjects[60..]] {
            looks.add_page(PageLook { attributes: vec![email.clone()], subjects: page.to_vec() });
        }
        looks.add(subjects[0], Outcome::Ok, phone);
        looks.add(subjects[0], Outcome::Failed, email);
        let events = looks.into_events(&Origin::new("ada"));
        // 149 in two, and the two of the one of whom something else was seen.
        assert_eq!(events.len(), 4, "{events:?}");
        let told = format!("{events:?}");
        let times = |subject: &SubjectId| told.matches(&subject.to_string()).count();
        assert!(subjects[1..].iter().all(|subject| times(subject) == 1), "{told}");
    }
}
