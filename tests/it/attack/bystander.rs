use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::{SOON, target::Target};
use crate::harness::Person;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(30);

/// A normal client: asks for one user, again and again, until it is stopped.
pub(super) struct Bystander {
    stop: watch::Sender<bool>,
    asking: JoinHandle<Served>,
}

/// How a normal client was served.
#[derive(Debug, Default)]
pub(super) struct Served {
    answers: usize,
    wrong: Vec<String>,
    slowest: Duration,
}

impl Bystander {
    pub(super) async fn start(target: &Target) -> Self {
        let token = target.token("bystander", "users:read,users:write,pii:read");
        let person = Person::new();
        let id = target.create(&token, &person).await;
        let query = "query($id: ID!) { user(id: $id) { id username email phone } }";
        let request = target.ask(&token, query, &json!({ "id": id }));
        let user =
            json!({ "id": id, "username": person.username, "email": person.email, "phone": person.phone });
        let right = json!({ "data": { "user": user } });

        let (stop, stopped) = watch::channel(false);
        let asking = tokio::spawn(async move {
            let mut served = Served::default();
            while !*stopped.borrow() {
                let began = Instant::now();
                let request = request.try_clone().expect("its body is no stream");
                let answer = async {
                    let response = request.timeout(4 * SOON).send().await?;
                    Ok::<_, reqwest::Error>((response.status(), response.json::<Value>().await?))
                };
                let answer = answer.await;
                served.slowest = served.slowest.max(began.elapsed());
                served.answers += 1;
                if !matches!(&answer, Ok((StatusCode::OK, body)) if *body == right) {
                    served.wrong.push(format!("{answer:?}"));
                }
                tokio::time::sleep(PAUSE).await;
            }
            served
        });
        Self { stop, asking }
    }

    pub(super) async fn stop(self) -> Served {
        self.stop.send_replace(true);
        self.asking.await.unwrap()
    }
}

impl Served {
    pub(super) fn assert_well(&self) {
        assert_eq!(self.wrong, Vec::<String>::new(), "of {} answers", self.answers);
        assert!(self.answers >= 20, "{self:?}");
        assert!(self.slowest < SOON, "{self:?}");
    }
}
