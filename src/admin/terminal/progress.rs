use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{emit, grouped, is_interactive, say, time};
use crate::{
    entity::key_operation,
    keys::sweep::{Controls, Counts, Failure, Tally},
};

/// The failures that are printed. All of them are in the file, if there is one.
const SHOWN: usize = 10;

const TICK: Duration = Duration::from_millis(200);
/// Where nobody watches: an object, or a line in a log.
const JSON_TICK: Duration = Duration::from_secs(1);
const LOG_TICK: Duration = Duration::from_secs(10);

/// Shows how a long run gets on, and lets people end it.
#[derive(Debug)]
pub(in crate::admin) struct Watch {
    json: bool,
    bar: ProgressBar,
    planned: u64,
    controls: Controls,
    failures: Arc<Failures>,
    started: Instant,
}

impl Watch {
    /// Over `planned` items. Failures also go to a file, one JSON object a line.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub(in crate::admin) fn new(planned: u64, json: bool, failures: Option<&Path>) -> anyhow::Result<Self> {
        let failures = Arc::new(Failures::new(failures)?);
        let on_failure = {
            let failures = failures.clone();
            Arc::new(move |failure: &Failure| failures.add(failure))
        };
        let bar = bar(planned, json);
        let on_wait = Arc::new(tell_of_others(bar.clone(), json));
        let controls = Controls {
            stop: CancellationToken::new(),
            tally: Arc::new(Tally::default()),
            on_failure,
            on_wait,
        };
        Ok(Self { json, bar, planned, controls, failures, started: Instant::now() })
    }

    pub(in crate::admin) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Since this began.
    pub(in crate::admin) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(in crate::admin) fn failures(&self) -> Arc<Failures> {
        self.failures.clone()
    }

    /// Awaits a run. Ctrl-C asks it to end; a second one does not wait for that.
    ///
    /// # Errors
    ///
    /// If it was told to end a second time.
    pub(in crate::admin) async fn during<T>(&self, run: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut ticks = tokio::time::interval(match () {
            () if self.json => JSON_TICK,
            () if is_interactive() => TICK,
            () => LOG_TICK,
        });
        ticks.tick().await;
        tokio::pin!(run);
        let ended = loop {
            tokio::select! {
                ended = &mut run => break ended,
                _ = ticks.tick() => self.show(),
                signal = interrupted() => {
                    signal?;
                    if self.controls.stop.is_cancelled() {
                        self.bar.finish_and_clear();
                        anyhow::bail!("ended at once; what was stored until now is stored");
                    }
                    self.controls.stop.cancel();
                    self.bar.suspend(|| say("ending: what is in hand is stored. Once more: at once"));
                }
            }
        };
        self.bar.finish_and_clear();
        self.failures.flush()?;
        Ok(ended)
    }

    fn show(&self) {
        let counts = self.controls.tally.counts();
        let Counts { done, changed, failed, calls, retries } = counts;
        let position = done + changed + failed;
        if self.json {
            let seconds = self.elapsed().as_secs_f64();
            emit(&json!({
                "event": "progress", "planned": self.planned, "done": done, "changed": changed,
                "failed": failed, "calls": calls, "retries": retries,
                "per_second": (rate(position, seconds) * 10.0).round() / 10.0,
                "seconds": (seconds * 10.0).round() / 10.0,
            }));
        } else if is_interactive() {
            self.bar.set_position(position);
            self.bar.set_message(trouble(failed, retries));
        } else {
            let of = grouped(self.planned.max(position));
            say(&format!("{} of {of}{}", grouped(position), trouble(failed, retries)));
        }
    }
}

fn bar(planned: u64, json: bool) -> ProgressBar {
    let target =
        if json || !is_interactive() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style =
        ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len}  {rate}  {eta_precise} left{msg}");
    let bar = ProgressBar::with_draw_target(Some(planned), target);
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // Writing to a string does not fail.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate))
}

/// Says of each other run once that it is waited for.
fn tell_of_others(bar: ProgressBar, json: bool) -> impl Fn(&[key_operation::Model]) {
    let told = Mutex::new(HashSet::new());
    move |others| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for other in others.iter().filter(|other| told.insert(other.id)) {
            let (kind, actor, started_at) = (&other.kind, &other.actor, time(other.started_at));
            if json {
                let event = json!({
                    "event": "waiting", "for": other.id.to_string(), "kind": kind, "actor": actor,
                    "started_at": started_at,
                });
                emit(&event);
            } else {
                let line = format!(
                    "waiting for the {kind} that {actor} began at {started_at}: it has claimed what is left. If it died, until it was silent for 10 s"
                );
                bar.suspend(|| say(&line));
            }
        }
    }
}

/// A failure's text, for those who look at the bar.
fn trouble(failed: u64, retries: u64) -> String {
    match (failed, retries) {
        (0, 0) => String::new(),
        (0, retries) => format!("  {} tried again", grouped(retries)),
        (failed, _) => format!("  {} FAILED", grouped(failed)),
    }
}

/// Per second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Ctrl-C, or what a service manager sends.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Keeps the failures of a run: some for the screen, all for a file.
#[derive(Debug)]
pub(in crate::admin) struct Failures {
    path: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: Option<std::io::BufWriter<File>>,
    shown: Vec<String>,
    count: usize,
    error: Option<std::io::Error>,
}

impl Failures {
    pub(in crate::admin) fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        let make = |path: &Path| {
            File::create(path).with_context(|| format!("cannot make the file `{}`", path.display()))
        };
        let file = path.map(make).transpose()?.map(std::io::BufWriter::new);
        let kept = Kept { file, shown: Vec::new(), count: 0, error: None };
        Ok(Self { path: path.map(Path::to_owned), kept: Mutex::new(kept) })
    }

    fn add(&self, failure: &Failure) {
        let object = json!({
            "subject": failure.id.subject.to_string(), "version": failure.id.version.get(),
            "kek_id": failure.kek_id.as_str(), "class": failure.class, "cause": failure.cause,
        });
        self.add_line(&object, &format!("data key {}: {}", failure.id, failure.cause));
    }

    /// Keeps a failure, as an object and as a line.
    pub(in crate::admin) fn add_line(&self, object: &serde_json::Value, line: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        if kept.shown.len() < SHOWN {
            kept.shown.push(line.to_owned());
        }
        if let Some(file) = &mut kept.file
            && let Err(error) = writeln!(file, "{object}")
        {
            kept.error = Some(error);
        }
    }

    /// Some of the failures, for people. Empty if there are none.
    pub(in crate::admin) fn lines(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text: String = kept.shown.iter().map(|line| format!("  {line}\n")).collect();
        let more = kept.count - kept.shown.len();
        match &self.path {
            _ if kept.count == 0 => {}
            Some(path) => text.push_str(&format!("  all of them: {}\n", path.display())),
            None if more > 0 => text.push_str(&format!("  and {more} more: --failures FILE lists all\n")),
            None => {}
        }
        text
    }

    pub(in crate::admin) fn flush(&self) -> anyhow::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = kept.file.as_mut().map_or(Ok(()), Write::flush);
        match kept.error.take() {
            Some(error) => Err(error),
            None => flushed,
        }
        .context("the list of failures cannot be written")
    }
}
