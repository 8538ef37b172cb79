//! From one kind of backend to another, while a server serves.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::future::join_all;
use oubliette::keys::local::KeyFile;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::harness::{Person, Server, Site, TestStack, kms_backend, kms_proxy, local_backend, localstack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_to_kms_and_back_while_a_server_serves() {
    there_and_back(TestStack::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_to_kms_and_back_while_a_server_serves() {
    there_and_back(TestStack::postgres()).await;
}

async fn there_and_back(stack: TestStack) {
    let proxy = kms_proxy().await;
    let arn = localstack().create_key().await;
    let backends = format!("{}{}", local_backend("local"), kms_backend("kms", &arn, &proxy));
    let mut site = Site::new(stack, "local", &backends).await;
    KeyFile::create(&site.sandbox.path("data/local.toml")).unwrap();
    let people = Mutex::new(Vec::new());
    {
        let server = site.sandbox.start().await;
        for _ in 0..300 {
            let person = Person::new();
            let id = server.create(&person).await;
            people.lock().unwrap().push((id, person));
        }
    }
    for active in ["kms", "local"] {
        site = site.configure(active, &backends);
        let server = site.sandbox.start().await;
        let life = Life {
            server: &server,
            people: &people,
            over: AtomicBool::new(false),
            deeds: AtomicUsize::new(0),
        };
        let rewrap = async {
            // Some deeds first, so that they are under way.
            while life.deeds.load(SeqCst) < 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let before = life.deeds.load(SeqCst);
            let arguments = ["keys", "rewrap", "--yes", "--json", "--max-rate", "200", "--batch-size", "20"];
            let moved = site.done_beside(&arguments).await;
            assert!(life.deeds.load(SeqCst) > before + 20, "the server served meanwhile");
            life.over.store(true, SeqCst);
            moved
        };
        let (moved, ..) = tokio::join!(rewrap, life.read(), life.read(), life.create(), life.update());
        assert!(moved["done"].as_u64().unwrap() >= 300, "{moved}");
        assert_eq!((&moved["left"], &moved["failed"]), (&0.into(), &0.into()), "{moved}");
        let keys = site.data_keys().await;
        assert!(keys.iter().all(|key| key.kek_id.starts_with(if active == "kms" {
            "arn:"
        } else {
            "local:"
        })));
        drop(server);
        // The old backend is not needed any more.
        let alone = if active == "kms" { kms_backend("kms", &arn, &proxy) } else { local_backend("local") };
        site = site.configure(active, &alone);
        let users = people.lock().unwrap().len();
        site.verify(users);
    }
}

/// What goes on at a server.
struct Life<'a> {
    server: &'a Server,
    people: &'a Mutex<Vec<(String, Person)>>,
    over: AtomicBool,
    deeds: AtomicUsize,
}

impl Life<'_> {
    async fn read(&self) {
        self.go_on(async || {
            let (id, person) = self.anybody();
            let answer = self.server.read(&id).await;
            let user = &answer["data"]["user"];
            assert_eq!(
                (&user["email"], &user["phone"]),
                (&json!(person.email), &json!(person.phone)),
                "{answer}"
            );
        })
        .await;
    }

    async fn create(&self) {
        self.go_on(async || {
            let person = Person::new();
            let id = self.server.create(&person).await;
            self.people.lock().unwrap().push((id, person));
            tokio::time::sleep(Duration::from_millis(20)).await;
        })
        .await;
    }

    /// The same value, sealed anew.
    async fn update(&self) {
        self.go_on(async || {
            let (id, person) = self.anybody();
            let query = "mutation($id: ID!, $email: String) {
                updateUser(id: $id, input: { email: $email }) { email }
            }";
            let variables = json!({ "id": id, "email": person.email });
            let answer = self.server.try_graphql(query, variables).await.unwrap();
            assert_eq!(answer["data"]["updateUser"]["email"], person.email, "{answer}");
        })
        .await;
    }

    async fn go_on(&self, deed: impl AsyncFn()) {
        while !self.over.load(SeqCst) {
            join_all([deed(), deed()]).await;
            self.deeds.fetch_add(2, SeqCst);
        }
    }

    fn anybody(&self) -> (String, Person) {
        self.people.lock().unwrap().choose(&mut rand::rng()).unwrap().clone()
    }
}
