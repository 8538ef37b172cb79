//! The report: Markdown, to be pasted into docs/performance.md.

use std::fs;
use std::time::Duration;

use crate::Pair;
use crate::loads::Load;
use crate::measure::{Results, Round};
use crate::options::Options;
use crate::postgres::Postgres;

/// Prints on what, and how, it is measured.
pub(crate) fn print_head(options: &Options, postgres: &Postgres) {
    let Options { seconds, rounds, connections, users, pool, .. } = options;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let version = postgres.psql("postgres", "SHOW server_version");
    println!("{processors} × {}, Linux {}, PostgreSQL {version}.", processor(), kernel());
    println!(
        "{users} users, {connections} connections, {pool} database connections per server, \
         {rounds} rounds of {seconds} s per server and load."
    );
}

/// Begins the part about one comparison.
pub(crate) fn print_comparison(names: &Pair<&str>) {
    println!("\n## {}, beside {}", names.tested, names.baseline);
}

/// Prints how long it takes to start.
pub(crate) fn print_starts(first: Duration, starts: &Pair<Vec<Duration>>) {
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1e3;
    let median = |times: &[Duration]| Spread::of(times.iter().map(milliseconds).collect()).show(0);
    println!("\n### Start\n");
    println!("| median (min–max) | Oubliette | bare |");
    println!("| --- | ---: | ---: |");
    println!("| the first start, on an empty database, ms | {:.0} | |", milliseconds(&first));
    let Pair { tested, baseline } = starts;
    println!("| start to healthy, ms | {} | {} |", median(tested), median(baseline));
}

/// Prints how the servers compare under a load.
pub(crate) fn print_load(load: &Load, names: &Pair<&str>, results: &Pair<Results>) {
    let Pair { tested, baseline } = names;
    println!("\n### {}\n", load.title);
    println!("`{}`\n", load.query);
    println!("| median (min–max) | {tested} | {baseline} | {tested} / {baseline} |");
    println!("| --- | ---: | ---: | ---: |");
    let ratios = print_rounds("requests per second", 0, results, |round| round.requests_per_second);
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        let milliseconds = |results: &Results| percentile(&results.latencies, share) / 1e3;
        print_figures(&format!("latency, ms: {name}"), 2, results, milliseconds);
    }
    print_rounds("CPU time per request, µs: server", 0, results, |round| round.server);
    print_rounds("CPU time per request, µs: PostgreSQL", 0, results, |round| round.database);
    print_rounds("CPU time per request, µs: load generator", 0, results, |round| round.generator);
    let mebibytes = |kibibytes: u32| f64::from(kibibytes) / 1024.0;
    print_figures("memory, MiB: idle", 1, results, |results| mebibytes(results.idle.resident));
    print_figures("memory, MiB: under load", 1, results, |results| mebibytes(results.loaded.resident));
    print_figures("memory, MiB: peak", 1, results, |results| mebibytes(results.loaded.peak));
    let round_by_round: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("\nRequests per second, {tested} / {baseline}, round by round: {}.", round_by_round.join(", "));
    if let Some(aim) = load.aim {
        let ratio = Spread::of(ratios).median;
        let verdict = if ratio >= aim { "reached" } else { "missed" };
        println!("Aim: {aim:.2} of the requests per second of {baseline}: {verdict} ({ratio:.3}).");
    }
    for (name, results) in [(tested, &results.tested), (baseline, &results.baseline)] {
        if let Some(complaint) = results.complaint() {
            println!("\n**{name} gave {complaint}**");
        }
    }
}

/// Prints a row of what was measured in each round; returns the ratio of each round to its counterpart.
fn print_rounds(
    name: &str,
    digits: usize,
    results: &Pair<Results>,
    figure: impl Fn(&Round) -> f64,
) -> Vec<f64> {
    let figures = |results: &Results| results.rounds.iter().map(&figure).collect::<Vec<_>>();
    let (tested, baseline) = (figures(&results.tested), figures(&results.baseline));
    let ratios: Vec<_> = tested.iter().zip(&baseline).map(|(one, other)| one / other).collect();
    let (tested, baseline, ratio) = (Spread::of(tested), Spread::of(baseline), Spread::of(ratios.clone()));
    println!("| {name} | {} | {} | {} |", tested.show(digits), baseline.show(digits), ratio.show(2));
    ratios
}

/// Prints a row of what was measured over all rounds.
fn print_figures(name: &str, digits: usize, results: &Pair<Results>, figure: impl Fn(&Results) -> f64) {
    let (tested, baseline) = (figure(&results.tested), figure(&results.baseline));
    println!("| {name} | {tested:.digits$} | {baseline:.digits$} | {:.2} |", tested / baseline);
}

/// The median of some figures and how far they are apart.
#[derive(Debug)]
pub(crate) struct Spread {
    minimum: f64,
    median: f64,
    maximum: f64,
}

impl Spread {
    /// There must be at least one figure.
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_unstable_by(f64::total_cmp);
        let last = figures.len() - 1;
        let median = f64::midpoint(figures[last / 2], figures[last.div_ceil(2)]);
        Self { minimum: figures[0], median, maximum: figures[last] }
    }

    pub(crate) fn show(&self, digits: usize) -> String {
        let Self { minimum, median, maximum } = self;
        format!("{median:.digits$} ({minimum:.digits$}–{maximum:.digits$})")
    }
}

/// The least figure that at least this share of the ascending ones do not exceed.
pub(crate) fn percentile(ascending: &[u32], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "there are less than 2^52 figures, and the share is between 0 and 1"
    )]
    let rank = (ascending.len() as f64 * share).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().map_or(f64::NAN, f64::from)
}

fn processor() -> String {
    let model = |cpuinfo: String| {
        let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?.to_owned();
        Some(line.split_once(": ")?.1.to_owned())
    };
    let known = fs::read_to_string("/proc/cpuinfo").ok().and_then(model);
    known.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
