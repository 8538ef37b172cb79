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
    finds: Vec<Find>,
}

/// Somebody was looked for by a value.
#[derive(Debug)]
pub(super) struct Find {
    /// By which attribute.
    pub(super) attribute: AttributeName,
    /// Who was found.
    pub(super) subjects: Vec<SubjectId>,
    /// Whether anybody can say.
    pub(super) outcome: Outcome,
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

    /// Somebody was looked for.
    pub(super) fn add_find(&mut self, find: Find) {
        self.finds.push(find);
    }

    /// What is to be recorded: one event for all subjects of whom the same attributes were looked at, and with the same outcome, by the
    /// hundred. In an order that tells nothing of the one in which values were opened.
    pub(super) fn into_events(mut self, origin: &Origin) -> Vec<NewEvent> {
        let mut events = find_events(std::mem::take(&mut self.finds), origin);
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
        let Self { values, mut pages, .. } = self;
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

/// One event for all look-ups by an attribute that found nobody, and one for those that found one user each, by the hundred; one for each that found
/// several. Its count is that of look-ups.
fn find_events(finds: Vec<Find>, origin: &Origin) -> Vec<NewEvent> {
    let mut groups: BTreeMap<_, (u32, Vec<SubjectId>)> = BTreeMap::new();
    let mut singles: BTreeMap<_, usize> = BTreeMap::new();
    for (place, Find { attribute, subjects, outcome }) in finds.into_iter().enumerate() {
        let part = match subjects.len() {
            0 => 0,
            1 => {
                let number = singles.entry(attribute.clone()).or_default();
                *number += 1;
                1 + (*number - 1) / MAX_SUBJECTS
            }
            _ => usize::MAX - place,
        };
        let (count, found) = groups.entry((attribute, outcome, part)).or_default();
        *count = count.saturating_add(1);
        found.extend(subjects);
    }
    let event = |((attribute, outcome, part), (count, subjects)): ((_, _, usize), (u32, Vec<SubjectId>))| {
        let event = NewEvent::new(origin, Action::Find).attributes(&[attribute]).outcome(outcome);
        let event = event.about_each(&subjects).times(count);
        if outcome == Outcome::Ok { event.target(if part > 0 { HIT } else { MISS }) } else { event }
    };
    groups.into_iter().map(event).collect()
}

/// Somebody was found.
const HIT: &str = "hit";
/// Nobody was found.
const MISS: &str = "miss";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_who_is_found_is_in_an_event_and_look_ups_are_counted_once() {
        let subjects: Vec<_> = (0..350).map(|_| SubjectId::generate()).collect();
        let mut looks = Looks::default();
        let mut find = |found: &[SubjectId]| {
            let (attribute, subjects) = (AttributeName::plain("email"), found.to_vec());
            looks.add_find(Find { attribute, subjects, outcome: Outcome::Ok });
        };
        subjects[..150].iter().for_each(|one| find(std::slice::from_ref(one)));
        subjects[150..].chunks(100).for_each(&mut find);
        (0..3).for_each(|_| find(&[]));
        let events = looks.into_events(&Origin::new("ada"));
        // A hundred and fifty, a page each, and those who are nobody.
        assert_eq!(events.len(), 2 + 2 + 1, "{events:?}");
        let told = format!("{events:?}");
        assert!(subjects.iter().all(|subject| told.matches(&subject.to_string()).count() == 1), "{told}");
        let counts = [100, 50, 3].map(|count| format!("count: {count},"));
        assert!(counts.iter().all(|count| told.contains(count)), "{told}");
    }

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
