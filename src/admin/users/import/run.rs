use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use futures::{StreamExt, stream};
use serde_json::json;
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    columns::Columns,
    line::{Checked, Problem},
    progress::ImportProgress,
    seen::Seen,
    source::Lines,
};
use crate::{
    admin::{
        pace::PeoplePace,
        terminal::{Failures, Watch},
    },
    causes,
    envelope::SubjectId,
    users::{Import, Imported, ImportedUser},
};

/// Most people in one transaction.
const MAX_BATCH: usize = 1000;
/// Most bytes of the file, about, of which a batch is made.
const MAX_BATCH_BYTES: u64 = 1 << 20;
/// Batches in hand: while the database stores one, the values of the next are sealed.
const IN_HAND: usize = 2;

/// Goes through a file.
pub(super) struct Run<'a> {
    import: Import,
    columns: Arc<Columns>,
    /// Most people a second.
    max_rate: Option<u32>,
    watch: &'a Watch<ImportProgress>,
    /// Asked for by whoever watches, or since something failed.
    stop: CancellationToken,
    /// The whole file was dealt with.
    is_drained: AtomicBool,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The whole file was dealt with.
    Completed,
    /// It was asked to end.
    Interrupted,
    /// Something failed that the rest would fail of, too.
    Stopped(String),
}

/// Some people of the file, in its order.
#[derive(Debug)]
struct Batch {
    lines: Vec<Checked>,
    /// Where it ends.
    position: u64,
}

/// What is left of the file.
struct Rest {
    batches: mpsc::Receiver<anyhow::Result<Batch>>,
    seen: Seen,
    pace: PeoplePace,
}

/// What became of them.
struct Done {
    /// Each line's number, the id that it gives, and what is wrong with it; nothing if it became a user that is to be brought in.
    lines: Vec<(u64, Option<SubjectId>, Vec<Problem>)>,
    /// Those users' outcomes, in the order of their lines.
    outcomes: VecDeque<Imported>,
    position: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        import: Import,
        columns: Arc<Columns>,
        max_rate: Option<u32>,
        watch: &'a Watch<ImportProgress>,
    ) -> Self {
        let (stop, is_drained) = (watch.stop().child_token(), AtomicBool::new(false));
        Self { import, columns, max_rate, watch, stop, is_drained }
    }

    /// Deals with all people of the file, or as many as it is let. What is in hand is always finished.
    pub(super) async fn run(&self, lines: Box<dyn Lines>) -> anyhow::Result<Ended> {
        let seen = Seen::new().await?;
        let pace = PeoplePace::new(self.max_rate);
        let size = pace.batch_size(MAX_BATCH);
        let (sender, batches) = mpsc::channel(1);
        // Not one of the runtime's threads, since nobody waits for this one: it may be waiting for standard input.
        let reader = thread::spawn(move || read(lines, size, &sender));
        let rest = Rest { batches, seen, pace };
        let batches = stream::unfold(rest, |rest| self.next(rest));
        let mut done = pin!(batches.map(|batch| self.bring(batch)).buffered(IN_HAND));
        let mut stopped = None;
        while let Some(done) = done.next().await {
            match done {
                Ok(done) => self.tell(done),
                Err(error) => {
                    // The first cause is the one; those in hand are awaited.
                    if stopped.is_none() {
                        let cause = causes::line(&*error);
                        self.watch.tell(&format!("stopping: {cause}"));
                        stopped = Some(cause);
                    }
                    self.stop.cancel();
                }
            }
        }
        if let Some(cause) = stopped {
            return Ok(Ended::Stopped(cause));
        }
        if !self.is_drained.load(Relaxed) {
            return Ok(Ended::Interrupted);
        }
        match reader.join() {
            Ok(()) => Ok(Ended::Completed),
            Err(_) => anyhow::bail!("the rest of the file could not be read"),
        }
    }

    /// The next batch, when it is time for it; none if there are no more, or the run is to end.
    async fn next(&self, mut rest: Rest) -> Option<(anyhow::Result<Batch>, Rest)> {
        let Some(batch) = self.stop.run_until_cancelled(rest.batches.recv()).await? else {
            self.is_drained.store(true, Relaxed);
            return None;
        };
        let batch = match batch {
            Ok(mut batch) => rest.seen.check(&mut batch.lines, &self.columns).await.map(|()| batch),
            Err(error) => Err(error),
        };
        self.stop.run_until_cancelled(sleep_until(rest.pace.not_before())).await?;
        rest.pace.begin(batch.as_ref().map_or(0, |batch| batch.lines.len()));
        Some((batch, rest))
    }

    async fn bring(&self, batch: anyhow::Result<Batch>) -> anyhow::Result<Done> {
        let Batch { lines, position } = batch?;
        let mut users: Vec<ImportedUser> = Vec::with_capacity(lines.len());
        let split = lines.into_iter().map(|line| {
            let (number, id) = (line.number, line.id);
            let problems = match line.into_user() {
                Ok(user) => {
                    users.push(user);
                    Vec::new()
                }
                Err(problems) => problems,
            };
            (number, id, problems)
        });
        let lines = split.collect();
        let outcomes = if users.is_empty() { Vec::new() } else { self.import.bring(users).await? };
        Ok(Done { lines, outcomes: outcomes.into(), position })
    }

    /// Counts what became of people, and lists those who are not here as the file has them.
    fn tell(&self, Done { lines, mut outcomes, position }: Done) {
        let (progress, failures) = (self.watch.progress(), self.watch.failures());
        for (number, given, problems) in lines {
            if !problems.is_empty() {
                progress.count_refused();
                for problem in problems {
                    list(&failures, number, "refused", &problem, given);
                }
                continue;
            }
            let Some(outcome) = outcomes.pop_front() else { continue };
            progress.count(&outcome);
            let problem = |field: &str, problem: &str| Problem::of(self.columns.name_of(field), problem);
            match outcome {
                Imported::Created(_) | Imported::Same(_) => {}
                Imported::Different(id, differences) => {
                    for one in differences {
                        let problem = problem(&one.field, one.problem);
                        list(&failures, number, "different", &problem, Some(id));
                    }
                }
                Imported::Refused { field, problem: why } => {
                    list(&failures, number, "refused", &problem(&field, &why), given);
                }
            }
        }
        progress.reach(position);
    }
}

fn list(failures: &Failures, number: u64, outcome: &str, problem: &Problem, user: Option<SubjectId>) {
    let Problem { column, problem } = problem;
    let object = json!({
        "line": number, "outcome": outcome, "column": column, "problem": problem,
        "user": user.map(|id| id.to_string()),
    });
    let of = column.as_ref().map(|column| format!("{column} ")).unwrap_or_default();
    failures.add(&object, &format!("line {number}: {of}{problem}"));
}

/// Reads the file to its end, or until nobody wants more of it.
fn read(mut lines: Box<dyn Lines>, size: usize, batches: &mpsc::Sender<anyhow::Result<Batch>>) {
    let mut began = lines.position();
    let mut batch = Vec::with_capacity(size);
    loop {
        let line = match lines.next() {
            Ok(line) => line,
            Err(error) => {
                // Those before it are brought in all the same.
                let position = lines.position();
                let sent = batches.blocking_send(Ok(Batch { lines: batch, position }));
                // Nobody is there to be told.
                let _ = sent.and_then(|()| batches.blocking_send(Err(error)));
                return;
            }
        };
        let is_last = line.is_none();
        batch.extend(line.map(super::line::Line::check));
        let position = lines.position();
        if is_last || batch.len() >= size || position - began >= MAX_BATCH_BYTES {
            let lines = std::mem::replace(&mut batch, Vec::with_capacity(size));
            if batches.blocking_send(Ok(Batch { lines, position })).is_err() || is_last {
                return;
            }
            began = position;
        }
    }
}
