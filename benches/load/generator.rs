//! The load generator: a closed loop over kept-alive connections, each asking again once it is answered.
//!
//! Every answer is compared, byte for byte, with the one known to be right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::client::Connection;

/// How much longer than planned a round may take before something must have stuck.
const GRACE: Duration = Duration::from_secs(30);

/// A request and its only right answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// What happened in a round, or on one of its connections.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Of each answer, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// How many answers were wrong.
    pub(crate) wrong: u64,
    /// The first wrong answer.
    pub(crate) example: Option<String>,
}

/// Asks random ones of the questions, over so many connections, for so long.
pub(crate) async fn run(
    address: SocketAddr,
    exchanges: &Arc<[Exchange]>,
    connections: u32,
    duration: Duration,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let mut seeds = StdRng::seed_from_u64(seed);
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in open {
        let random = StdRng::from_rng(&mut seeds);
        tasks.spawn(ask_until(begin + duration, connection, Arc::clone(exchanges), random));
    }
    let mut total = Outcome::default();
    let all = async {
        while let Some(outcome) = tasks.join_next().await {
            total.add(outcome??);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(duration + GRACE, all).await.context("the server has stopped answering")??;
    total.elapsed = begin.elapsed();
    Ok(total)
}

async fn ask_until(
    deadline: Instant,
    mut connection: Connection,
    exchanges: Arc<[Exchange]>,
    mut random: StdRng,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut now = Instant::now();
    while now < deadline {
        let exchange = &exchanges[random.random_range(0..exchanges.len())];
        let asked = now;
        let answer = connection.ask(&exchange.request).await?;
        now = Instant::now();
        outcome.latencies.push(microseconds(now - asked));
        if answer.status != 200 || answer.body != exchange.answer {
            outcome.wrong += 1;
            let example = || format!("status {}: {}", answer.status, answer.text());
            outcome.example.get_or_insert_with(example);
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.wrong += other.wrong;
        self.example = self.example.take().or(other.example);
    }
}

fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
