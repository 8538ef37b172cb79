use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Failures, emit, is_interactive, say};
use crate::causes;

const TICK: Duration = Duration::from_millis(200);
/// Where nobody watches: an object, or a line in a log.
const JSON_TICK: Duration = Duration::from_secs(1);
const LOG_TICK: Duration = Duration::from_secs(10);

/// How far a long run has got.
pub(in crate::admin) trait Progress: Send + Sync {
    /// Where it is, of all that is to be done. What it counts is the bar's.
    fn position(&self) -> u64;

    /// What stands behind the bar.
    fn message(&self) -> String;

    /// A line for a log.
    fn line(&self) -> String;

    /// The fields of an object for `--json`, and what its rate counts.
    fn event(&self) -> (Value, u64);
}

/// How the bar of a run looks.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) enum Bar {
    /// So many of what the run deals with.
    Items(u64),
    /// A file of so many bytes; of no known size, if it is a stream.
    Bytes(Option<u64>),
}

/// Shows how a long run gets on, and lets people end it.
#[derive(Debug)]
pub(in crate::admin) struct Watch<P> {
    json: bool,
    bar: ProgressBar,
    progress: P,
    stop: CancellationToken,
    failures: Arc<Failures>,
    started: Instant,
}

impl<P: Progress> Watch<P> {
    /// Of a run that keeps its progress there. Failures also go to a file, one JSON object a line.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub(in crate::admin) fn new(
        progress: P,
        bar: Bar,
        json: bool,
        failures: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let (stop, failures) = (CancellationToken::new(), Arc::new(Failures::new(failures)?));
        Ok(Self { json, bar: bar.build(json), progress, stop, failures, started: Instant::now() })
    }

    pub(in crate::admin) fn progress(&self) -> &P {
        &self.progress
    }

    /// Is cancelled when the run is asked to end.
    pub(in crate::admin) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Since this began.
    pub(in crate::admin) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(in crate::admin) fn failures(&self) -> Arc<Failures> {
        self.failures.clone()
    }

    /// Prints a line for people without breaking the bar.
    pub(in crate::admin) fn tell(&self, line: &str) {
        self.teller()(line);
    }

    /// What does so from elsewhere.
    pub(in crate::admin) fn teller(&self) -> impl Fn(&str) + Send + Sync + use<P> {
        let bar = self.bar.clone();
        move |line| bar.suspend(|| say(line))
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
                    if self.stop.is_cancelled() {
                        self.bar.finish_and_clear();
                        anyhow::bail!("ended at once; what was stored until now is stored");
                    }
                    self.stop.cancel();
                    self.bar.suspend(|| say("ending: what is in hand is stored. Once more: at once"));
                }
            }
        };
        self.bar.finish_and_clear();
        if let Err(error) = self.failures.flush() {
            // What was done is said all the same.
            say(&format!("warning: {}", causes::line(&*error)));
        }
        Ok(ended)
    }

    fn show(&self) {
        if self.json {
            let seconds = self.elapsed().as_secs_f64();
            let (mut event, counted) = self.progress.event();
            event["event"] = "progress".into();
            event["per_second"] = json!(tenths(rate(counted, seconds)));
            event["seconds"] = json!(tenths(seconds));
            emit(&event);
        } else if is_interactive() {
            self.bar.set_position(self.progress.position());
            self.bar.set_message(self.progress.message());
        } else {
            say(&self.progress.line());
        }
    }
}

impl Bar {
    fn build(self, json: bool) -> ProgressBar {
        let is_shown = !json && is_interactive();
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let (planned, template) = match self {
            Self::Items(planned) => {
                (Some(planned), "{wide_bar} {human_pos}/{human_len}  {rate}  {eta_precise} left{msg}")
            }
            Self::Bytes(Some(size)) => {
                (Some(size), "{wide_bar} {binary_bytes}/{binary_total_bytes}  {eta_precise} left{msg}")
            }
            Self::Bytes(None) => (None, "{binary_bytes}  {elapsed_precise}{msg}"),
        };
        let bar = ProgressBar::with_draw_target(planned, target);
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Writing to a string does not fail.
            let _ = write!(text, "{:.0}/s", state.per_sec());
        };
        let style = ProgressStyle::with_template(template);
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate))
    }
}

/// Per second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub(in crate::admin) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Rounded, as objects have it.
pub(in crate::admin) fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
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
