use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::DbErr;
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

#[cfg(test)]
mod tests;

/// How many statements run at the same time before reads wait for the next one.
const LANES: usize = 2;

/// When those take longer than this, another one begins: a database that is far away, or reads from its disks, does better with
/// many at a time.
const ANOTHER_AFTER: Duration = Duration::from_millis(1);

/// Most reads in one statement.
const MOST: usize = 32;

/// Who waited for this long reads alone, too, and takes what comes first. So a connection that hangs holds up nobody for longer who has
/// another one.
const PATIENCE: Duration = Duration::from_millis(100);

/// Finds single rows. Those that are asked for while others are on their way are found by one statement, which begins after they were
/// asked for. So a busy server asks less often, and an idle one never waits.
///
/// What a statement of several does not find, since it failed, is read again by each one alone. Cheap to clone: all clones are one.
pub struct Together<K, V>(Arc<Shared<K, V>>);

/// What is found of some keys, in any order; nothing for those that there is nothing of. More may be found than was asked for.
pub type Found<K, V> = Pin<Box<dyn Future<Output = Result<Vec<(K, V)>, DbErr>> + Send>>;

/// What rows are found by.
pub trait Key: Copy + PartialEq + Send + 'static {}

impl<K: Copy + PartialEq + Send + 'static> Key for K {}

/// What is found.
pub trait Row: Clone + Send + 'static {}

impl<V: Clone + Send + 'static> Row for V {}

struct Shared<K, V> {
    find: Box<dyn Fn(Vec<K>) -> Found<K, V> + Send + Sync>,
    another_after: Duration,
    queue: Mutex<Queue<K, V>>,
}

struct Queue<K, V> {
    /// Statements that run.
    lanes: usize,
    /// When the last one of them began.
    began: Option<Instant>,
    waiting: VecDeque<Waiting<K, V>>,
}

struct Waiting<K, V> {
    key: K,
    answer: oneshot::Sender<Option<V>>,
}

/// How a read comes to its row.
enum Turn<K: Key, V: Row> {
    Alone(Lane<K, V>),
    WithOthers(oneshot::Receiver<Option<V>>),
}

impl<K: Key, V: Row> Together<K, V> {
    /// What `find` finds, by one statement for all keys that it is given.
    pub fn new(find: impl Fn(Vec<K>) -> Found<K, V> + Send + Sync + 'static) -> Self {
        Self::at_pace(find, ANOTHER_AFTER)
    }

    fn at_pace(
        find: impl Fn(Vec<K>) -> Found<K, V> + Send + Sync + 'static,
        another_after: Duration,
    ) -> Self {
        let queue = Queue { lanes: 0, began: None, waiting: VecDeque::new() };
        Self(Arc::new(Shared { find: Box::new(find), another_after, queue: Mutex::new(queue) }))
    }

    /// The row of a key; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn find(&self, key: K) -> Result<Option<V>, DbErr> {
        match self.turn(key) {
            Turn::Alone(_lane) => self.find_alone(key).await,
            Turn::WithOthers(answer) => self.find_with_others(key, answer).await,
        }
    }

    async fn find_with_others(
        &self,
        key: K,
        mut answer: oneshot::Receiver<Option<V>>,
    ) -> Result<Option<V>, DbErr> {
        for patience in [self.0.another_after, PATIENCE] {
            match timeout(patience, &mut answer).await {
                Ok(Ok(found)) => return Ok(found),
                // It failed.
                Ok(Err(_)) => return self.find_alone(key).await,
                Err(_) => self.begin_another(),
            }
        }
        tokio::select! {
            Ok(found) = answer => Ok(found),
            found = self.find_alone(key) => found,
        }
    }

    /// Begins another statement for those who wait, if those that run take long.
    fn begin_another(&self) {
        let mut queue = self.0.queue();
        if !queue.waiting.is_empty() && queue.begins(self.0.another_after) {
            drop(queue);
            tokio::spawn(Lane::run(self.0.clone()));
        }
    }

    fn turn(&self, key: K) -> Turn<K, V> {
        let mut queue = self.0.queue();
        let begins = queue.begins(self.0.another_after);
        if begins && queue.waiting.is_empty() {
            return Turn::Alone(Lane(self.0.clone()));
        }
        let (answer, receiver) = oneshot::channel();
        queue.waiting.push_back(Waiting { key, answer });
        drop(queue);
        if begins {
            tokio::spawn(Lane::run(self.0.clone()));
        }
        Turn::WithOthers(receiver)
    }

    async fn find_alone(&self, key: K) -> Result<Option<V>, DbErr> {
        let found = (self.0.find)(vec![key]).await?;
        Ok(found.into_iter().find_map(|(found, row)| (found == key).then_some(row)))
    }
}

impl<K, V> Clone for Together<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for Together<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

impl<K, V> Shared<K, V> {
    fn queue(&self) -> MutexGuard<'_, Queue<K, V>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Queue<K, V> {
    /// Whether another statement begins now.
    fn begins(&mut self, another_after: Duration) -> bool {
        let begins = self.lanes < LANES || self.began.is_none_or(|began| began.elapsed() >= another_after);
        if begins {
            self.lanes += 1;
            self.began = Some(Instant::now());
        }
        begins
    }

    /// Those who have waited longest. Who went away is passed over.
    fn next(&mut self) -> Vec<Waiting<K, V>> {
        let mut next = Vec::new();
        while next.len() < MOST
            && let Some(waiting) = self.waiting.pop_front()
        {
            if !waiting.answer.is_closed() {
                next.push(waiting);
            }
        }
        next
    }
}

/// A place for statements, one after the other, as long as somebody waits. Handed on when it is dropped: also if its statement was
/// cut off, or panicked.
struct Lane<K: Key, V: Row>(Arc<Shared<K, V>>);

impl<K: Key, V: Row> Lane<K, V> {
    async fn run(shared: Arc<Shared<K, V>>) {
        let lane = Self(shared);
        loop {
            let next = {
                let mut queue = lane.0.queue();
                queue.began = Some(Instant::now());
                queue.next()
            };
            if next.is_empty() {
                return;
            }
            let keys = next.iter().map(|waiting| waiting.key).collect();
            // After an error, each one finds its sender gone.
            if let Ok(found) = (lane.0.find)(keys).await {
                answer(next, found);
            }
        }
    }
}

impl<K: Key, V: Row> Drop for Lane<K, V> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        if !queue.waiting.is_empty() {
            if let Ok(runtime) = Handle::try_current() {
                drop(queue);
                // It is a lane from its first step on: a runtime that ends drops it before.
                runtime.spawn(Self::run(self.0.clone()));
                return;
            }
            queue.waiting.clear();
        }
        queue.lanes -= 1;
    }
}

/// Gives each one what it asked for.
fn answer<K: Key, V: Row>(mut waiting: Vec<Waiting<K, V>>, found: Vec<(K, V)>) {
    for (key, value) in found {
        let mut value = Some(value);
        let mut own = waiting.extract_if(.., |one| one.key == key).peekable();
        while let Some(one) = own.next() {
            // Who went away meanwhile misses nothing.
            let _ = one.answer.send(if own.peek().is_some() { value.clone() } else { value.take() });
        }
    }
    for one in waiting {
        let _ = one.answer.send(None);
    }
}
