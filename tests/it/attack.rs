//! Hostile input against a real server with the limits as shipped, while a normal client beside it goes on
//! asking for a user. The plain run attacks a debug build; `tests/run --long`, an optimised one.
//!
//! Each hostile request must get a clear error that blames the client, soon, in few bytes; and all of them
//! together must cost the server little memory, no data key, and no panic. What one limit does exactly is in
//! `http/limits` and `transport/connections`, ten thousand idle connections among it.

mod bodies;
mod brackets;
mod bystander;
mod documents;
mod exchange;
mod flood;
mod heads;
mod kept;
mod slow;
mod target;
mod values;

use std::time::{Duration, Instant};

use bystander::Bystander;
use exchange::{Answer, exchange};
use futures::{StreamExt, stream};
use serde_json::Value;
use target::Target;

/// A request as it goes over the wire, and how it must be refused.
struct Attack {
    name: String,
    request: Vec<u8>,
    /// What is sent again and again after the request, until the server answers.
    endless: Option<Vec<u8>>,
    status: u16,
    /// The error's code; none: the HTTP library refuses it, with an empty body.
    code: Option<&'static str>,
    /// A piece of the error's message.
    says: &'static str,
}

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";
const BAD: &str = "BAD_REQUEST";

/// The largest body of a request: `http.max_body_bytes` as shipped.
const LARGEST_BODY: usize = 256 * 1024;

/// Longest time for one answer of a debug build on a busy machine. The server's own limit is 10 s, and it does
/// not stop what does not wait.
const SOON: Duration = Duration::from_secs(5);
/// Largest answer to one hostile request, head included.
const LARGEST_ANSWER: usize = 64 * 1024;
/// How many hostile requests are sent at the same time.
const AT_ONCE: usize = 4;
/// How much more memory than before all of them the server may ever have taken: some for each at the same time, and
/// what it keeps of the last ones.
const MEMORY_MIB: u64 = 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_are_refused_while_others_are_served() {
    let target = Target::start(&[]).await;
    let token = target.token("attacker", "users:read,users:write,pii:read");
    let bystander = Bystander::start(&target).await;
    let (calls, memory) = (target.backend_calls().await, target.memory());

    let attacks = [
        documents::attacks(&token),
        values::attacks(&token),
        brackets::attacks(&token),
        bodies::attacks(&token),
        heads::attacks(&token),
    ];
    let attacks: Vec<_> = attacks.into_iter().flatten().collect();
    let ask = async |attack: &Attack| {
        let began = Instant::now();
        let answer = exchange(&target, &attack.request, attack.endless.as_deref()).await;
        let problem = attack.problem(answer.as_ref(), began.elapsed())?;
        Some(format!("{}: {problem}", attack.name))
    };
    let asked = stream::iter(&attacks).map(ask).buffer_unordered(AT_ONCE);
    let failures: Vec<_> = asked.filter_map(async |failure| failure).collect().await;

    let served = bystander.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {} requests", attacks.len());
    served.assert_well();
    target.assert_unharmed();
    assert_eq!(target.backend_calls().await, calls, "no data key was opened for it");
    let grown = target.memory().peak.saturating_sub(memory.resident) / 1024;
    assert!(grown < MEMORY_MIB, "the server took {grown} MiB more");
}

impl Attack {
    /// What is wrong with the answer.
    fn problem(&self, answer: Option<&Answer>, took: Duration) -> Option<String> {
        let Some(Answer { status, length, body }) = answer else { return Some("no answer".to_owned()) };
        if took > SOON {
            return Some(format!("it took {took:?}"));
        }
        if *length > LARGEST_ANSWER {
            return Some(format!("{length} bytes: {body:.300}"));
        }
        let told = match self.code {
            None => body.is_empty(),
            Some(code) => {
                let answer: Value = serde_json::from_str(body).unwrap_or_default();
                let first = &answer["errors"][0];
                let message = first["message"].as_str().unwrap_or_default();
                first["extensions"]["code"] == code
                    && message.contains(self.says)
                    && answer.get("data").is_none()
            }
        };
        if told && *status == self.status { None } else { Some(format!("{status}: {body:.300}")) }
    }
}
