use super::{Chain, Kind, documented_digest, on_both_chains, sound};
use crate::harness::TestStack;

on_both_chains!(
    anybody_can_check_a_digest,
    an_untouched_chain_is_sound,
    a_changed_entry_is_found,
    a_deleted_entry_is_found,
    a_deleted_tail_is_found,
    a_tail_that_was_deleted_with_the_head_is_found_by_a_kept_head,
    a_reordered_pair_is_found,
    a_chain_that_was_written_anew_is_found_by_a_kept_head,
    what_was_slipped_in_is_found,
    a_head_that_is_wrong_is_found,
    a_head_that_is_gone_is_found,
);

async fn anybody_can_check_a_digest<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 3).await;
    let mut previous = vec![0; 32];
    for (expected, mut row) in (1..).zip(chain.rows().await) {
        let digest = documented_digest::<K>(&row);
        assert_eq!(K::place(&mut row), (&mut { expected }, &mut previous, &mut digest.clone()));
        previous = digest;
    }
    assert_eq!(chain.head(), format!("3:{}", hex::encode(previous)));
}

async fn an_untouched_chain_is_sound<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::empty(stack).await;
    let mut kept = vec![chain.head()];
    assert_eq!(chain.verified(None), sound::<K>(0, &kept[0]), "an empty one, too");
    assert_eq!(kept[0], format!("0:{}", "00".repeat(32)));
    for count in [1, 3] {
        chain.grow(count).await;
        kept.push(chain.head());
    }
    // Longer than what is read together.
    chain.lengthen(2500).await;
    kept.push(chain.head());
    chain.grow(1).await;
    kept.push(chain.head());
    for kept in &kept {
        assert_eq!(chain.fault_against(kept), "nothing", "{kept}");
    }
    assert_eq!(chain.verified(None), sound::<K>(2501, &kept[4]));
}

async fn a_changed_entry_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 5).await;
    let id = if chain.is_postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let (subject, digest) = (format!("subject_id = {id}"), format!("digest = {}", chain.zeros()));
    let row = chain.rows().await.remove(2);
    for change in K::CHANGES.iter().copied().chain([&*subject, &*digest]) {
        chain.sql(&format!("UPDATE ENTRIES SET {change} WHERE sequence = 3")).await;
        assert_eq!(chain.fault(), "3 changed", "{change}");
        chain.sql("DELETE FROM ENTRIES WHERE sequence = 3").await;
        chain.insert(vec![row.clone()]).await;
    }
    assert_eq!(chain.fault(), "nothing");
    // With a digest that fits again, the next one does not follow it.
    chain.sql("UPDATE ENTRIES SET actor = 'eve' WHERE sequence = 3").await;
    let mut changed = chain.rows().await.remove(2);
    *K::place(&mut changed).2 = documented_digest::<K>(&changed);
    chain.sql("DELETE FROM ENTRIES WHERE sequence = 3").await;
    chain.insert(vec![changed]).await;
    assert_eq!(chain.fault(), "4 unlinked");
}

async fn a_deleted_entry_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 4).await;
    chain.lengthen(2100).await;
    assert_eq!(chain.fault(), "nothing");
    chain.sql("DELETE FROM ENTRIES WHERE sequence = 1500").await;
    assert_eq!(chain.fault(), "1500 missing");
    // Closing the gap does not help.
    chain.sql("UPDATE ENTRIES SET sequence = 1500 WHERE sequence = 1501").await;
    assert_eq!(chain.fault(), "1500 unlinked");
    chain.sql("DELETE FROM ENTRIES WHERE sequence = 1").await;
    assert_eq!(chain.fault(), "1 missing");
    chain.sql("DELETE FROM ENTRIES").await;
    assert_eq!(chain.fault(), "1 missing");
}

async fn a_deleted_tail_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 6).await;
    chain.sql("DELETE FROM ENTRIES WHERE sequence > 4").await;
    assert_eq!(chain.fault(), "5 missing");
}

async fn a_tail_that_was_deleted_with_the_head_is_found_by_a_kept_head<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 6).await;
    let kept = chain.head();
    chain.sql("DELETE FROM ENTRIES WHERE sequence > 4").await;
    chain.move_head("4").await;
    assert_eq!(chain.fault(), "nothing");
    assert_eq!(chain.fault_against(&kept), "5 missing");
    // Others write on.
    chain.grow(3).await;
    assert_eq!(chain.fault(), "nothing");
    assert_eq!(chain.fault_against(&kept), "6 not_the_kept");
}

async fn a_reordered_pair_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 6).await;
    for (from, to) in [(3, 100), (4, 3), (100, 4)] {
        chain.sql(&format!("UPDATE ENTRIES SET sequence = {to} WHERE sequence = {from}")).await;
    }
    assert_eq!(chain.fault(), "3 unlinked");
}

async fn a_chain_that_was_written_anew_is_found_by_a_kept_head<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 6).await;
    let kept = chain.head();
    chain
        .forge(2, |all| {
            all.remove(2);
        })
        .await;
    assert_eq!(chain.fault(), "nothing", "it is sound in itself");
    assert_eq!(chain.fault_against(&kept), "6 missing");
    chain.grow(3).await;
    let verified = chain.verified(Some(&kept));
    assert_eq!(super::fault_in(&verified), "6 not_the_kept");
    assert_eq!(verified[K::NAMES[1]], 5, "what is sound ends before it");
    let text = format!(
        "{} 6 is not the one whose digest was kept elsewhere: the {} was written anew",
        K::NAMES[0],
        K::NAMES[2]
    );
    assert_eq!(verified["fault"]["text"], text);
}

async fn what_was_slipped_in_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 3).await;
    let mut slipped = K::another(&chain.rows().await[2]);
    let (sequence, previous_digest, digest) = K::place(&mut slipped);
    (*sequence, *previous_digest) = (4, digest.clone());
    *K::place(&mut slipped).2 = documented_digest::<K>(&slipped);
    chain.insert(vec![slipped]).await;
    assert_eq!(chain.fault(), "4 beyond_the_head");
    chain.sql("DELETE FROM ENTRIES WHERE sequence = 4").await;
    // Before the first, as if it followed nothing.
    let mut slipped = K::another(&chain.rows().await[2]);
    let (sequence, previous_digest, _) = K::place(&mut slipped);
    (*sequence, *previous_digest) = (0, vec![0; 32]);
    *K::place(&mut slipped).2 = documented_digest::<K>(&slipped);
    chain.insert(vec![slipped]).await;
    assert_eq!(chain.fault(), "0 unlinked");
}

async fn a_head_that_is_wrong_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 3).await;
    chain.sql(&format!("UPDATE HEAD SET digest = {}", chain.zeros())).await;
    assert_eq!(chain.fault(), "3 not_the_head");
    chain.move_head("2").await;
    assert_eq!(chain.fault(), "3 beyond_the_head", "it was put back");
}

async fn a_head_that_is_gone_is_found<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 3).await;
    chain.sql("DELETE FROM HEAD").await;
    assert_eq!(chain.fault(), "1 headless");
    let error = chain.site.sandbox.admin_error(&[K::COMMAND, "head"]);
    assert!(error.contains("'s head is gone from the database"), "{error}");
}
