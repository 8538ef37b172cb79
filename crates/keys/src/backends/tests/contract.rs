//! With the five methods alone, everything else works.

use super::{super::*, context, fake};
use crate::{KekId, KeyContext, WrappedKey};

async fn class_of_unwrap(backend: &dyn KeyBackend, wrapped: &WrappedKey, context: &KeyContext) -> ErrorClass {
    backend.unwrap(wrapped, context).await.unwrap_err().class
}

#[tokio::test]
async fn a_generated_key_opens_in_its_own_context_only() {
    let backend = fake("one", 1);
    let (own, other) = (context(), context());
    let key = backend.generate(&own).await.unwrap();
    assert_eq!(key.wrapped.kek_id, backend.current(&own).await.unwrap());
    assert_eq!(backend.unwrap(&key.wrapped, &own).await.unwrap().expose(), key.material.expose());
    assert_eq!(class_of_unwrap(&backend, &key.wrapped, &other).await, ErrorClass::ContextMismatch);
    let branch = KeyContext::new("branch", [("branch", "7".to_owned())]);
    assert_eq!(class_of_unwrap(&backend, &key.wrapped, &branch).await, ErrorClass::ContextMismatch);
    assert_ne!(backend.generate(&own).await.unwrap().material.expose(), key.material.expose());
}

#[tokio::test]
async fn a_rewrap_keeps_the_key_and_changes_the_wrapping() {
    let backend = fake("one", 2);
    let (own, other) = (context(), context());
    let key = backend.generate(&own).await.unwrap();
    for shard in [0, 1] {
        let to = backend.kek_id(shard);
        let moved = backend.rewrap(&key.wrapped, &own, &to).await.unwrap();
        assert_eq!(moved.kek_id, to);
        assert_ne!(moved.bytes, key.wrapped.bytes);
        assert_eq!(backend.unwrap(&moved, &own).await.unwrap().expose(), key.material.expose());
        assert_eq!(class_of_unwrap(&backend, &moved, &other).await, ErrorClass::ContextMismatch);
        let refused = backend.rewrap(&key.wrapped, &other, &to).await.unwrap_err();
        assert_eq!(refused.class, ErrorClass::ContextMismatch);
    }
    let nowhere = backend.rewrap(&key.wrapped, &own, &KekId::new("fake:gone/0")).await;
    assert_eq!(nowhere.unwrap_err().class, ErrorClass::KeyNotFound);
}

#[tokio::test]
async fn each_of_many_has_its_own_result_in_its_place() {
    let backend = fake("one", 1);
    let contexts: Vec<_> = (0..5).map(|_| context()).collect();
    let made: Vec<_> = backend.generate_many(&contexts).await.into_iter().map(Result::unwrap).collect();
    // The third is asked for in the context of the fourth.
    let ask = |position: usize| &contexts[if position == 2 { 3 } else { position }];
    let keys: Vec<_> = made.iter().enumerate().map(|(position, key)| (&key.wrapped, ask(position))).collect();
    let to = backend.kek_id(0);
    let (opened, moved) = (backend.unwrap_many(&keys).await, backend.rewrap_many(&keys, &to).await);
    assert_eq!((opened.len(), moved.len()), (5, 5));
    for (position, (opened, moved)) in opened.into_iter().zip(moved).enumerate() {
        if position == 2 {
            assert_eq!(opened.unwrap_err().class, ErrorClass::ContextMismatch);
            assert_eq!(moved.unwrap_err().class, ErrorClass::ContextMismatch);
            continue;
        }
        assert_eq!(opened.unwrap().expose(), made[position].material.expose());
        let again = backend.unwrap(&moved.unwrap(), &contexts[position]).await.unwrap();
        assert_eq!(again.expose(), made[position].material.expose());
    }
}

#[tokio::test]
async fn a_check_makes_a_key_and_opens_it() {
    let backend = fake("one", 1);
    assert_eq!(backend.check().await.unwrap(), backend.kek_id(0));
    assert_eq!(backend.calls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn a_backend_shares_its_realm_with_nobody_unless_it_says_so() {
    assert_eq!(fake("one", 1).realm(), fake("one", 1).realm());
    assert_ne!(fake("one", 1).realm(), fake("two", 1).realm());
}
