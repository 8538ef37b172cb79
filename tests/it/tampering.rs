//! Whoever can write to the database can destroy values, and do nothing else with them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, is_long, on_every_stack, sized};

on_every_stack!(
    a_ciphertext_opens_in_its_own_place_only,
    flipped_bits_are_noticed,
    every_truncation_is_noticed,
    other_header_bytes_are_noticed,
    a_moved_or_damaged_data_key_opens_nothing,
);

/// Two users: the victim of an attack, and one who must not be touched by it.
struct Scene {
    app: TestApp,
    victim: Uuid,
    person: Person,
    bystander: Uuid,
    other: Person,
}

impl Scene {
    async fn set(stack: TestStack) -> Self {
        let app = TestApp::start(stack).await;
        let (person, other) = (Person::new(), Person::new());
        let (victim, bystander) = (app.create(&person).await, app.create(&other).await);
        Self { app, victim, person, bystander, other }
    }

    /// The victim's e-mail answers `DECRYPTION_FAILED`, and nothing else is affected.
    async fn assert_email_is_lost(&self, what: &str) {
        let answer = self.app.read(self.victim).await;
        assert_failed(&answer, &["email"], what);
        let expected = json!({ "id": self.victim, "username": self.person.username, "email": null, "phone": self.person.phone });
        assert_eq!(answer["data"]["user"], expected, "{what}");
        self.assert_bystander_is_fine(what).await;
    }

    async fn assert_bystander_is_fine(&self, what: &str) {
        let answer = self.app.read(self.bystander).await;
        let expected = json!({ "id": self.bystander, "username": self.other.username, "email": self.other.email, "phone": self.other.phone });
        assert_eq!(answer, json!({ "data": { "user": expected } }), "{what}");
    }
}

fn assert_failed(answer: &Value, fields: &[&str], what: &str) {
    let mut failed: Vec<_> =
        answer["errors"].as_array().unwrap_or_else(|| panic!("{what}: {answer}")).clone();
    failed.sort_by_key(|error| error["path"].to_string());
    assert_eq!(failed.len(), fields.len(), "{what}: {answer}");
    for (error, field) in failed.iter().zip(fields) {
        assert_eq!(error["extensions"], json!({ "code": "DECRYPTION_FAILED" }), "{what}");
        assert_eq!(error["path"], json!(["user", field]), "{what}");
        assert_eq!(
            error["message"], "this attribute cannot be decrypted",
            "{what}: one sentence for all causes"
        );
    }
}

async fn a_ciphertext_opens_in_its_own_place_only(stack: TestStack) {
    let scene = Scene::set(stack).await;
    let Scene { app, victim, bystander, .. } = &scene;
    let (email, phone) =
        (app.column(*victim, "email_encrypted").await, app.column(*victim, "phone_encrypted").await);
    let foreign = app.column(*bystander, "email_encrypted").await;

    app.set_column(*victim, "email_encrypted", &foreign).await;
    scene.assert_email_is_lost("another user's e-mail").await;
    app.set_column(*victim, "email_encrypted", &phone).await;
    scene.assert_email_is_lost("the same user's phone").await;

    // Between two users, both ways.
    app.set_column(*bystander, "email_encrypted", &email).await;
    app.set_column(*victim, "email_encrypted", &foreign).await;
    for id in [victim, bystander] {
        assert_failed(&app.read(*id).await, &["email"], "swapped between users");
    }
    // In its own place again, it opens again.
    app.set_column(*victim, "email_encrypted", &email).await;
    app.set_column(*bystander, "email_encrypted", &foreign).await;
    assert_eq!(app.read(*victim).await["data"]["user"]["email"], scene.person.email);
    scene.assert_bystander_is_fine("put back").await;
}

async fn flipped_bits_are_noticed(stack: TestStack) {
    let scene = Scene::set(stack).await;
    let sealed = scene.app.column(scene.victim, "email_encrypted").await;
    // Another bit of each byte, or all of them.
    for bit in (0..sealed.len() * 8).filter(|bit| is_long() || bit % 8 == bit / 8 % 8) {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        scene.app.set_column(scene.victim, "email_encrypted", &damaged).await;
        scene.assert_email_is_lost(&format!("bit {bit}")).await;
    }
}

async fn every_truncation_is_noticed(stack: TestStack) {
    let scene = Scene::set(stack).await;
    let sealed = scene.app.column(scene.victim, "email_encrypted").await;
    for length in 0..sealed.len() {
        scene.app.set_column(scene.victim, "email_encrypted", &sealed[..length]).await;
        scene.assert_email_is_lost(&format!("{length} bytes")).await;
    }
    let longer = [&sealed[..], &[0]].concat();
    scene.app.set_column(scene.victim, "email_encrypted", &longer).await;
    scene.assert_email_is_lost("one byte more").await;
}

async fn other_header_bytes_are_noticed(stack: TestStack) {
    let scene = Scene::set(stack).await;
    let sealed = scene.app.column(scene.victim, "email_encrypted").await;
    for position in 0..6 {
        for value in (0..=255).step_by(sized(15, 1)).filter(|value| *value != sealed[position]) {
            let mut damaged = sealed.clone();
            damaged[position] = value;
            scene.app.set_column(scene.victim, "email_encrypted", &damaged).await;
            scene.assert_email_is_lost(&format!("header byte {position} = {value}")).await;
        }
    }
}

async fn a_moved_or_damaged_data_key_opens_nothing(stack: TestStack) {
    let scene = Scene::set(stack).await;
    let Scene { app, victim, bystander, .. } = &scene;
    let (victim_key, bystander_key) = (app.literal(*victim), app.literal(*bystander));
    let evict = async || {
        let version = oubliette::envelope::KeyVersion::FIRST;
        let id = oubliette::envelope::DataKeyId { subject: (*victim).into(), version };
        app.keyring.evict(id.subject, [id]).await;
    };
    let rows = app.rows(&format!("SELECT wrapped FROM data_keys WHERE subject_id = {victim_key}")).await;
    let wrapped: Vec<u8> = rows[0].try_get("", "wrapped").unwrap();

    app.sql(&format!("UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE subject_id = {bystander_key}) WHERE subject_id = {victim_key}")).await;
    evict().await;
    assert_failed(&app.read(*victim).await, &["email", "phone"], "another subject's data key");

    for damage in [vec![], wrapped[..wrapped.len() - 1].to_vec(), [&[9], &wrapped[1..]].concat(), vec![0; 62]]
    {
        app.sql(&format!(
            "UPDATE data_keys SET wrapped = {} WHERE subject_id = {victim_key}",
            app.bytes(&damage)
        ))
        .await;
        evict().await;
        assert_failed(&app.read(*victim).await, &["email", "phone"], "a damaged data key");
    }
    app.sql(&format!("DELETE FROM data_keys WHERE subject_id = {victim_key}")).await;
    evict().await;
    assert_failed(&app.read(*victim).await, &["email", "phone"], "no data key");
    let update = "mutation($id: ID!) { updateUser(id: $id, input: { email: \"x@y.example\" }) { id } }";
    assert_eq!(
        app.code(update, json!({ "id": victim })).await,
        "DECRYPTION_FAILED",
        "nothing is sealed without a key"
    );
    scene.assert_bystander_is_fine("data keys damaged").await;
}
