//! What a normal client feels while others attack: its latency without and with each attack, in turns.
//!
//!     cargo bench --bench load -- --attack
//!
//! The normal client asks for one user at a time, at a pace far below any limit, from an address of its own. The
//! server has the limits as shipped, except that without access control all callers count as one token.

mod attackers;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use attackers::{Attack, Siege};
use futures::future::try_join_all;

use crate::client::Connection;
use crate::contender::{Contender, Running};
use crate::generator::Exchange;
use crate::loads;
use crate::options::Options;
use crate::procfs::memory;
use crate::report::{self, percentile};
use crate::{population, postgres};

/// Connections of the normal client.
const CONNECTIONS: usize = 4;
/// Between an answer and the next question, on each of them: 200 requests a second at most.
const PAUSE: Duration = Duration::from_millis(20);
/// How long an attack has lasted before anything is measured.
const BEFORE: Duration = Duration::from_secs(2);

/// How the normal client was served.
#[derive(Debug, Default)]
struct Served {
    /// Of each answer, in microseconds.
    latencies: Vec<u32>,
    /// How many answers were wrong, or did not come.
    wrong: u64,
}

/// Measures, and prints a table. Fails if the normal client was answered wrongly.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    eprintln!("starting PostgreSQL");
    let postgres = postgres::server();
    postgres.create_database("oubliette");
    let contender = Contender::oubliette(&postgres.url("oubliette"), postgres.directory(), options);
    // The users are created, and asked for once, as fast as it goes.
    let unlimited = contender.clone().unlimited().start().await?;
    eprintln!("creating {} users", options.users);
    let population = population::create(unlimited.address, options).await?;
    let [one, _] = loads::all([None, None]);
    let exchanges = one.prepare(&unlimited, &population, options).await?;
    drop(unlimited);

    report::print_head(options, postgres);
    println!(
        "A normal client on {CONNECTIONS} connections, with {} ms between requests.\n",
        PAUSE.as_millis()
    );
    println!(
        "| attack | p50, ms | p99, ms | max, ms | p50 / without | p99 / without | attackers' answers per second | server's peak memory, MiB |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut wrong = 0;
    let limited = contender.with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN", "0");
    for attack in Attack::ALL {
        let server = limited.start().await?;
        wrong += measure(attack, &server, &exchanges, options).await?;
    }
    println!("\n{wrong} wrong answers to the normal client.");
    Ok(if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures in turns without and with an attack, and prints a row for each. Gives the number of wrong answers.
async fn measure(
    attack: Attack,
    server: &Running,
    exchanges: &Arc<[Exchange]>,
    options: &Options,
) -> anyhow::Result<u64> {
    let duration = Duration::from_secs(options.seconds);
    let (mut without, mut with) = (Served::default(), Served::default());
    let mut answers = 0.0;
    // To warm it up.
    ask_for(duration.min(BEFORE), server.address, exchanges).await?;
    for round in 0..options.rounds {
        eprintln!("{}: round {} of {}", attack.title(), round + 1, options.rounds);
        without.add(ask_for(duration, server.address, exchanges).await?);
        let siege = Siege::begin(attack, server.address)?;
        tokio::time::sleep(BEFORE).await;
        let (before, began) = (siege.answers(), Instant::now());
        with.add(ask_for(duration, server.address, exchanges).await?);
        answers += f64::from(siege.answers() - before) / began.elapsed().as_secs_f64();
        siege.end()?;
    }
    let figures = |served: &mut Served| {
        served.latencies.sort_unstable();
        [0.5, 0.99, 1.0].map(|share| percentile(&served.latencies, share) / 1e3)
    };
    let ([p50, p99, max], [under_p50, under_p99, under_max]) = (figures(&mut without), figures(&mut with));
    let peak = f64::from(memory(server.process())?.peak) / 1024.0;
    println!("| without | {p50:.2} | {p99:.2} | {max:.2} | | | | |");
    println!(
        "| {} | {under_p50:.2} | {under_p99:.2} | {under_max:.2} | {:.2} | {:.2} | {:.0} | {peak:.0} |",
        attack.title(),
        under_p50 / p50,
        under_p99 / p99,
        answers / f64::from(options.rounds),
    );
    Ok(without.wrong + with.wrong)
}

/// Asks as the normal client does, for so long.
async fn ask_for(
    duration: Duration,
    address: SocketAddr,
    exchanges: &Arc<[Exchange]>,
) -> anyhow::Result<Served> {
    let deadline = Instant::now() + duration;
    let clients = (0..CONNECTIONS).map(|client| async move {
        let mut connection = Connection::open(address).await?;
        let mut served = Served::default();
        for exchange in exchanges.iter().cycle().skip(client).step_by(CONNECTIONS) {
            if Instant::now() > deadline {
                break;
            }
            let asked = Instant::now();
            let answer = connection.ask(&exchange.request).await.context("the normal client was cut off")?;
            let right = answer.status == 200 && answer.body == exchange.answer;
            served.latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            served.wrong += u64::from(!right);
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(served)
    });
    let mut all = Served::default();
    for served in try_join_all(clients).await? {
        all.add(served);
    }
    Ok(all)
}

impl Served {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.wrong += other.wrong;
    }
}
