//! Reading the trail.

use oubliette::audit::{Action, EventPageRequest, Filter, NewEvent, Origin, page};

use super::{events, migrated, reads, trail};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(pages_are_walked_and_filtered);

async fn pages_are_walked_and_filtered(stack: TestStack) {
    let db = migrated(&stack).await;
    let trail = trail(&db);
    trail.record_durably(&[reads("ada", 3), reads("bob", 3)].concat()).await.unwrap();
    let subject = events(&db).await[4].subject_id.unwrap();
    let again = NewEvent::new(&Origin::new("ada"), Action::Forget).about(subject.into());
    trail.record_durably(&[again]).await.unwrap();
    let sequences = async |filter: &Filter, size, after, before| {
        let page = page(&db, filter, EventPageRequest { size, after, before }).await.unwrap();
        (page.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), page.has_next)
    };
    let all = Filter::default();
    assert_eq!(sequences(&all, 4, None, None).await, (vec![1, 2, 3, 4], true));
    assert_eq!(sequences(&all, 4, Some(4), None).await, (vec![5, 6, 7], false));
    assert_eq!(sequences(&all, 4, Some(4), Some(6)).await, (vec![5], false));
    assert_eq!(sequences(&all, 0, None, None).await, (vec![], true));
    let ada = Filter { actor: Some("ada".to_owned()), ..Filter::default() };
    assert_eq!(sequences(&ada, 3, None, None).await, (vec![1, 2, 3], true));
    assert_eq!(sequences(&ada, 3, Some(3), None).await, (vec![7], false));
    let about = Filter { subject: Some(subject.into()), ..Filter::default() };
    assert_eq!(sequences(&about, 9, None, None).await, (vec![5, 7], false));
    let both = Filter { actor: ada.actor.clone(), ..about };
    assert_eq!(sequences(&both, 9, None, None).await, (vec![7], false));
    let moment = events(&db).await[6].occurred_at;
    let since = Filter { since: Some(moment), ..Filter::default() };
    assert_eq!(sequences(&since, 9, None, None).await, (vec![7], false));
    let until = Filter { until: Some(moment), ..Filter::default() };
    assert_eq!(sequences(&until, 9, None, None).await.0, [1, 2, 3, 4, 5, 6]);
}
