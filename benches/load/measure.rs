//! The measuring: both servers side by side, in turns, round by round.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::Pair;
use crate::contender::{Contender, Running};
use crate::generator::{self, Exchange};
use crate::loads::Load;
use crate::options::Options;
use crate::population::Population;
use crate::postgres::Postgres;
use crate::procfs::{Memory, cpu_time, cpu_time_with_children, memory};

/// How long a server is left alone before its idle memory is read.
const REST: Duration = Duration::from_millis(500);

/// How long nothing happens before a round.
const QUIET: Duration = Duration::from_millis(300);

/// Processor time that is nothing, within [`QUIET`].
const NOTHING: Duration = Duration::from_millis(15);

/// How long at most each server is warmed up under load before the first round.
const WARM_UP: Duration = Duration::from_secs(2);

/// What was measured of one server under one load.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) rounds: Vec<Round>,
    /// Of all rounds, in microseconds, ascending.
    pub(crate) latencies: Vec<u32>,
    /// Before the first request.
    pub(crate) idle: Memory,
    /// The most at the end of a round, and the peak since the start.
    pub(crate) loaded: Memory,
    wrong: u64,
    example: Option<String>,
}

/// What was measured of one server in one round. Times are in microseconds of processor time per request.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) server: f64,
    pub(crate) database: f64,
    pub(crate) generator: f64,
}

impl Results {
    /// Whether any answer was wrong.
    pub(crate) fn wrong(&self) -> bool {
        self.wrong > 0
    }

    /// How many were, with an example.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.example.as_ref().map(|example| format!("{} wrong answers, such as {example}", self.wrong))
    }
}

/// Starts and kills each server a few times, in turns; returns how long each took to be healthy.
pub(crate) async fn starts(
    contenders: &Pair<Contender>,
    options: &Options,
) -> anyhow::Result<Pair<Vec<Duration>>> {
    let mut times = Pair { tested: Vec::new(), baseline: Vec::new() };
    for _ in 0..options.starts {
        times.tested.push(contenders.tested.start().await?.started_in);
        times.baseline.push(contenders.baseline.start().await?.started_in);
    }
    Ok(times)
}

/// Measures both servers, freshly started and warmed, under a load.
pub(crate) async fn load(
    load: &Load,
    contenders: &Pair<Contender>,
    population: &Population,
    postgres: &Postgres,
    options: &Options,
) -> anyhow::Result<Pair<Results>> {
    let postmaster = postmaster(postgres)?;
    let mut tested = Subject::start(&contenders.tested, postmaster).await?;
    let mut baseline = Subject::start(&contenders.baseline, postmaster).await?;
    tested.warm_up(load, population, options).await?;
    baseline.warm_up(load.baseline.as_deref().unwrap_or(load), population, options).await?;
    for round in 0..options.rounds {
        eprintln!("{}: round {} of {}", load.title, round + 1, options.rounds);
        // Whoever went first goes second next time, so that a drift favours neither.
        let order = if round % 2 == 0 { [&mut tested, &mut baseline] } else { [&mut baseline, &mut tested] };
        for subject in order {
            subject.round(options, round.into()).await?;
        }
    }
    Ok(Pair { tested: tested.finish(), baseline: baseline.finish() })
}

/// A server being measured.
#[derive(Debug)]
struct Subject {
    server: Running,
    postmaster: u32,
    exchanges: Arc<[Exchange]>,
    results: Results,
}

impl Subject {
    async fn start(contender: &Contender, postmaster: u32) -> anyhow::Result<Self> {
        let server = contender.start().await?;
        tokio::time::sleep(REST).await;
        let idle = memory(server.process())?;
        let results = Results { idle, ..Results::default() };
        Ok(Self { server, postmaster, exchanges: Arc::new([]), results })
    }

    async fn warm_up(
        &mut self,
        load: &Load,
        population: &Population,
        options: &Options,
    ) -> anyhow::Result<()> {
        self.exchanges = load.prepare(&self.server, population, options).await?;
        let duration = WARM_UP.min(Duration::from_secs(options.seconds));
        let Options { connections, .. } = *options;
        generator::run(self.address(), &self.exchanges, connections, duration, u64::MAX).await?;
        Ok(())
    }

    async fn round(&mut self, options: &Options, seed: u64) -> anyhow::Result<()> {
        let duration = Duration::from_secs(options.seconds);
        self.settle().await?;
        let before = self.cpu_times()?;
        let outcome =
            generator::run(self.address(), &self.exchanges, options.connections, duration, seed).await?;
        let after = self.cpu_times()?;
        let memory = memory(self.server.process())?;

        let requests = f64::from(u32::try_from(outcome.latencies.len())?);
        let each = |index: usize| after[index].saturating_sub(before[index]).as_secs_f64() * 1e6 / requests;
        let results = &mut self.results;
        results.rounds.push(Round {
            requests_per_second: requests / outcome.elapsed.as_secs_f64(),
            server: each(0),
            database: each(1),
            generator: each(2),
        });
        results.loaded.resident = results.loaded.resident.max(memory.resident);
        results.loaded.peak = memory.peak;
        results.latencies.extend(outcome.latencies);
        results.wrong += outcome.wrong;
        results.example = results.example.take().or(outcome.example);
        Ok(())
    }

    /// Waits until what the round before has left to do is done: it is not this round's. PostgreSQL does it for both.
    async fn settle(&self) -> anyhow::Result<()> {
        loop {
            let [_, before, _] = self.cpu_times()?;
            tokio::time::sleep(QUIET).await;
            let [_, after, _] = self.cpu_times()?;
            if after.saturating_sub(before) < NOTHING {
                return Ok(());
            }
        }
    }

    fn finish(mut self) -> Results {
        self.results.latencies.sort_unstable();
        self.results
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Of the server, of PostgreSQL, and of this process.
    fn cpu_times(&self) -> anyhow::Result<[Duration; 3]> {
        let server = cpu_time(self.server.process())?;
        let database = cpu_time_with_children(self.postmaster)?;
        Ok([server, database, cpu_time(std::process::id())?])
    }
}

/// The process id of PostgreSQL's first process, the parent of the others.
fn postmaster(postgres: &Postgres) -> anyhow::Result<u32> {
    let file = fs::read_to_string(postgres.data_dir().join("postmaster.pid"))?;
    Ok(file.lines().next().context("postmaster.pid is empty")?.parse()?)
}
