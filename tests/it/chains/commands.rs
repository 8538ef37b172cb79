//! `verify` and `head`, as people and programs call them.

use serde_json::Value;

use super::{Chain, Kind, on_both_chains, sound};
use crate::harness::TestStack;

on_both_chains!(verify_and_head_say_what_is_there);

async fn verify_and_head_say_what_is_there<K: Kind>(stack: TestStack) {
    let [entry, entries, _] = K::NAMES;
    let chain = Chain::<K>::of(stack, 4).await;
    let sandbox = &chain.site.sandbox;
    let command = |arguments: &[&str]| sandbox.admin(&[&[K::COMMAND], arguments].concat());
    let kept = &chain.head();
    let object: Value = serde_json::from_str(&command(&["head", "--json"]).stdout).unwrap();
    assert_eq!(format!("{}:{}", object["sequence"], object["digest"].as_str().unwrap()), *kept);
    assert_eq!(object.as_object().unwrap().len(), 2);

    let text = format!("4 {entries}, and nothing is wrong with them\nhead {kept}\n");
    assert_eq!(sandbox.admin_ok(&[K::COMMAND, "verify"]), text);
    assert_eq!(sandbox.admin_ok(&[K::COMMAND, "verify", "--head", kept]), text);
    assert_eq!(chain.verified(None), sound::<K>(4, kept));

    for (at, before) in [(3, format!("2 {entries}")), (2, format!("1 {entry}"))] {
        chain.sql(&format!("UPDATE ENTRIES SET actor = 'eve' WHERE sequence = {at}")).await;
        let wrong = command(&["verify"]);
        let expected = format!(
            "WRONG: {entry} {at} was changed: its digest is not that of what it says\n\
             before that, nothing is wrong with {before}\n"
        );
        assert_eq!((wrong.status, wrong.stdout), (Some(1), expected));
    }
    let wrong = chain.verified(None);
    assert_eq!(wrong[entries], 1, "{wrong}");
    assert_eq!(
        wrong["fault"]["text"],
        format!("{entry} 2 was changed: its digest is not that of what it says")
    );

    for typo in ["4", "4:00", &kept[..kept.len() - 1], &format!("-{kept}")] {
        let refused = command(&["verify", &format!("--head={typo}")]);
        let hint = format!("is not SEQUENCE:DIGEST, as `oubliette-admin {} head` prints it", K::COMMAND);
        assert_eq!(refused.status, Some(2), "{typo}");
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
}
