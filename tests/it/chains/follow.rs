//! A server that follows the ledger takes what was chained after the place that is known, and nothing else.

use oubliette::{
    chain::Head,
    ledger::{self, News},
};

use super::{Chain, kind::Ledger};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(only_what_was_chained_is_learned);

async fn only_what_was_chained_is_learned(stack: TestStack) {
    let chain = Chain::<Ledger>::of(stack, 5).await;
    let rows = chain.rows().await;
    let place = |index: usize| Head { sequence: rows[index].sequence, digest: rows[index].digest.clone() };
    let (known, end) = (place(1), place(4));
    let after = async |known: &Head| ledger::after(&chain.site.db, known).await.unwrap();
    let is_replaced = async || matches!(after(&known).await, News::Replaced(_));

    assert!(matches!(after(&end).await, News::Nothing));
    let News::Erased(erased, place) = after(&known).await else { panic!("the ledger goes on") };
    assert_eq!(place, end);
    let learned: Vec<_> = erased.iter().map(|entry| (entry.subject, entry.erased_at)).collect();
    let expected: Vec<_> =
        rows[2..].iter().map(|row| (row.subject_id.unwrap().into(), row.erased_at)).collect();
    assert_eq!(learned, expected);
    for entry in &erased {
        assert_eq!(entry.destroyed.len(), 1);
        assert_eq!(entry.destroyed[0].subject, entry.subject);
    }
    let News::Erased(all, _) = after(&Head::genesis()).await else { panic!("the ledger has entries") };
    assert_eq!(all.len(), 5);

    // One of them was changed, is missing, or is another.
    chain.sql("UPDATE ENTRIES SET actor = 'eve' WHERE sequence = 4").await;
    assert!(is_replaced().await);
    chain.sql("DELETE FROM ENTRIES WHERE sequence = 4").await;
    assert!(is_replaced().await);
    chain.insert(vec![rows[3].clone()]).await;
    assert!(!is_replaced().await);
    // All are sound, and follow another entry than the known one.
    chain
        .forge(1, |all| {
            all[1].actor = "eve".to_owned();
        })
        .await;
    assert_eq!(chain.fault(), "nothing");
    assert!(is_replaced().await);
}
