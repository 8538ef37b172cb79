//! What a normal client feels while others attack: its latency without and with each attack, in turns.
//!
//!     cargo bench --bench load -- --attack
//!
//! The normal client asks for one user at a time, at a pace far below any limit, from an address of its own. The
//! server has the limits as shipped, except that without access control all callers count as one token.
//!
//! Then attackers who have a token, against a server that wants one and records each look before it answers.

mod attackers;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use attackers::{Attack, Siege, Turns};
use futures::future::try_join_all;
use serde_json::json;

use crate::client::{Connection, graphql_request};
use crate::contender::{Contender, Running};
use crate::generator::Exchange;
use crate::loads;
use crate::options::Options;
use crate::population::Population;
use crate::postgres::Postgres;
use crate::procfs::memory;
use crate::report::{self, Spread, percentile};
use crate::{population, postgres};

/// Connections of the normal client.
const CONNECTIONS: usize = 4;
/// Between an answer and the next question, on each of them: 200 requests a second at most.
const PAUSE: Duration = Duration::from_millis(20);
/// How many people are read again and again, in pages of a hundred; and one page in so long: the limit on looks as shipped.
const SAME: usize = 1_000;
const PACE: Duration = Duration::from_millis(100);
/// As many as fit into a request.
const REFUSED: usize = 78;
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
    print_columns();
    let mut wrong = 0;
    let limited = contender
        .clone()
        .with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN", "0")
        .with("OUBLIETTE_LIMITS__LOOKS_PER_SECOND_PER_TOKEN", "0");
    for attack in Attack::ALL {
        let server = limited.start().await?;
        wrong += measure(&attack, &server, &exchanges, postgres, options).await?;
    }
    wrong += by_token(&contender, &population, postgres, options).await?;
    println!("\n{wrong} wrong answers to the normal client.");
    Ok(if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_columns() {
    println!(
        "| attack | p50, ms | p99, ms | max, ms | p50 / without | p99 / without | p99 / without, of each round: median (min–max) | attackers' answers per second | events stored per second: refusals, all | server's peak memory, MiB |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
}

/// The same with access control, an audit trail of reads, and attackers who have a token. Limits are as shipped, but for that
/// of different users within a minute: the normal client asks for more.
async fn by_token(
    contender: &Contender,
    population: &Population,
    postgres: &Postgres,
    options: &Options,
) -> anyhow::Result<u64> {
    let guarded = contender.guarded("normal", "required")?;
    let unlimited = guarded.clone().unlimited().start().await?;
    let [one, _] = loads::all([None, None]);
    let exchanges = one.prepare(&unlimited, population, options).await?;
    let pages = loads::walk(&unlimited, population.len()).await?;
    drop(unlimited);
    let reader = guarded.token("reader", "users:read")?;
    let page =
        "query($after: String) { users(first: 100, after: $after) { nodes { emailMasked phoneMasked } } }";
    let pages =
        pages.iter().take(SAME.div_ceil(100)).map(|after| graphql_request(Some(&reader), page, after));
    let pages: Arc<[_]> = pages.collect();
    let nobody = guarded.token("nobody", "audit:read")?;
    let forget = |n| format!("f{n}: forgetUser(id: \"01890a5d-ac96-774b-bcce-b302099a8057\") {{ digest }} ");
    let refused = format!("mutation {{ {} }}", (0..REFUSED).map(forget).collect::<String>());
    let refused: Arc<[_]> = [graphql_request(Some(&nobody), &refused, &json!({}))].into();
    println!("\nWith tokens, and `audit.reads = \"required\"`:\n");
    print_columns();
    let mut wrong = 0;
    for turns in [
        Turns { title: "the same 1,000 people, at the limit", requests: pages.clone(), every: PACE },
        Turns { title: "the same 1,000 people, as fast as it goes", requests: pages, every: Duration::ZERO },
        Turns { title: "78 refused mutations a request", requests: refused, every: Duration::ZERO },
    ] {
        let server = guarded.start().await?;
        wrong += measure(&Attack::Requests(turns), &server, &exchanges, postgres, options).await?;
    }
    Ok(wrong)
}

/// How many events the trail has: of refusals, and of all kinds.
fn events(postgres: &Postgres) -> anyhow::Result<[f64; 2]> {
    let count = |sql| anyhow::Ok(postgres.psql("oubliette", sql).parse()?);
    let refusals = count("SELECT count(*) FROM audit_events WHERE outcome = 'denied'")?;
    Ok([refusals, count("SELECT sequence FROM audit_head")?])
}

/// Measures in turns without and with an attack, and prints a row for each. Gives the number of wrong answers.
async fn measure(
    attack: &Attack,
    server: &Running,
    exchanges: &Arc<[Exchange]>,
    postgres: &Postgres,
    options: &Options,
) -> anyhow::Result<u64> {
    let duration = Duration::from_secs(options.seconds);
    let (mut without, mut with) = (Served::default(), Served::default());
    let mut answers = 0.0;
    let (mut ratios, mut stored) = (Vec::new(), [0.0; 2]);
    // To warm it up.
    ask_for(duration.min(BEFORE), server.address, exchanges).await?;
    for round in 0..options.rounds {
        eprintln!("{}: round {} of {}", attack.title(), round + 1, options.rounds);
        let mut alone = ask_for(duration, server.address, exchanges).await?;
        let siege = Siege::begin(attack, server.address)?;
        tokio::time::sleep(BEFORE).await;
        let recorded = events(postgres)?;
        let (before, began) = (siege.answers(), Instant::now());
        let mut beside = ask_for(duration, server.address, exchanges).await?;
        let elapsed = began.elapsed().as_secs_f64();
        answers += f64::from(siege.answers() - before) / elapsed;
        for (stored, (now, before)) in stored.iter_mut().zip(events(postgres)?.into_iter().zip(recorded)) {
            *stored += (now - before) / elapsed / f64::from(options.rounds);
        }
        siege.end()?;
        ratios.push(figures(&mut beside)[1] / figures(&mut alone)[1]);
        without.add(alone);
        with.add(beside);
    }
    let ratios = Spread::of(ratios).show(2);
    let ([p50, p99, max], [under_p50, under_p99, under_max]) = (figures(&mut without), figures(&mut with));
    let peak = f64::from(memory(server.process())?.peak) / 1024.0;
    println!("| without | {p50:.2} | {p99:.2} | {max:.2} | | | | | | |");
    println!(
        "| {} | {under_p50:.2} | {under_p99:.2} | {under_max:.2} | {:.2} | {:.2} | {ratios} | {:.0} | {:.1}, {:.0} | {peak:.0} |",
        attack.title(),
        under_p50 / p50,
        under_p99 / p99,
        answers / f64::from(options.rounds),
        stored[0],
        stored[1],
    );
    Ok(without.wrong + with.wrong)
}

/// Half of the answers, 99 of 100, and all of them took no longer, in milliseconds.
fn figures(served: &mut Served) -> [f64; 3] {
    served.latencies.sort_unstable();
    [0.5, 0.99, 1.0].map(|share| percentile(&served.latencies, share) / 1e3)
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
