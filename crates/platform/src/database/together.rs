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

#[cfg(test)]
mod tests {
    use tokio::{
        sync::Semaphore,
        task::{JoinHandle, yield_now},
    };

    use super::*;

    const ABSENT: u32 = 13;
    /// Found whatever was asked for, before and after what was.
    const OTHER: u32 = 1_000;
    const ANOTHER: u32 = 0;
    const WRONG: u32 = 66;
    const PANICS: u32 = 99;

    /// A table of numbers, each with its double. A statement waits until it is let through.
    struct Table {
        together: Together<u32, u32>,
        statements: Arc<Mutex<Vec<Vec<u32>>>>,
        gate: Arc<Semaphore>,
    }

    impl Table {
        /// Of which no statement seems to take long.
        fn new() -> Self {
            Self::at_pace(Duration::from_hours(1))
        }

        fn at_pace(another_after: Duration) -> Self {
            let (statements, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
            let find = {
                let (statements, gate) = (statements.clone(), gate.clone());
                move |keys: Vec<u32>| -> Found<u32, u32> {
                    statements.lock().unwrap().push(keys.clone());
                    let gate = gate.clone();
                    Box::pin(async move {
                        gate.acquire().await.unwrap().forget();
                        assert!(!keys.contains(&PANICS), "as it was told to");
                        if keys.contains(&WRONG) {
                            return Err(DbErr::Custom("wrong".to_owned()));
                        }
                        let mut found: Vec<_> =
                            keys.iter().filter(|key| **key != ABSENT).map(|key| (*key, key * 2)).collect();
                        // As of a statement: each row once, in its own order, and more than was asked for.
                        found.extend([(OTHER, 1), (ANOTHER, 1)]);
                        found.sort_unstable_by(|one, other| other.cmp(one));
                        found.dedup();
                        Ok(found)
                    })
                }
            };
            let together = Together::at_pace(find, another_after);
            Self { together, statements, gate }
        }

        /// Asks for these, one after the other, and returns when all of them wait.
        async fn ask(&self, keys: &[u32]) -> Vec<JoinHandle<Result<Option<u32>, DbErr>>> {
            let mut asked = Vec::new();
            for &key in keys {
                let together = self.together.clone();
                asked.push(tokio::spawn(async move { together.find(key).await }));
                yield_now().await;
            }
            asked
        }

        fn statements(&self) -> Vec<Vec<u32>> {
            self.statements.lock().unwrap().clone()
        }
    }

    async fn answers(asked: Vec<JoinHandle<Result<Option<u32>, DbErr>>>) -> Vec<Option<u32>> {
        let mut answers = Vec::new();
        for one in asked {
            answers.push(one.await.unwrap().unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn who_asks_while_two_statements_run_is_answered_by_the_next_one() {
        let table = Table::new();
        let asked = table.ask(&[1, 2, 3, 4, ABSENT, 3]).await;
        assert_eq!(table.statements(), [vec![1], vec![2]], "these did not wait");
        table.gate.add_permits(10);
        assert_eq!(answers(asked).await, [Some(2), Some(4), Some(6), Some(8), None, Some(6)]);
        assert_eq!(table.statements(), [vec![1], vec![2], vec![3, 4, ABSENT, 3]]);
        // And nobody waits where nobody else asks.
        assert_eq!(table.together.find(5).await.unwrap(), Some(10));
        assert_eq!(table.together.find(ABSENT).await.unwrap(), None);
        assert_eq!(table.statements()[3..], [vec![5], vec![ABSENT]]);
    }

    #[tokio::test]
    async fn an_error_is_only_who_asked_for_it() {
        let table = Table::new();
        let mut asked = table.ask(&[1, 2, 3, WRONG, 4]).await;
        table.gate.add_permits(10);
        assert!(asked.remove(3).await.unwrap().is_err());
        assert_eq!(answers(asked).await, [Some(2), Some(4), Some(6), Some(8)]);
        let mut alone = table.statements().split_off(3);
        alone.sort_unstable();
        assert_eq!(alone, [[3], [4], [WRONG]]);
    }

    #[tokio::test]
    async fn a_panic_is_only_who_asked_for_it() {
        let table = Table::new();
        let mut asked = table.ask(&[1, 2, 3, PANICS, 4]).await;
        table.gate.add_permits(10);
        assert!(asked.remove(3).await.unwrap_err().is_panic());
        assert_eq!(answers(asked).await, [Some(2), Some(4), Some(6), Some(8)]);
        assert_eq!(table.together.0.queue().lanes, 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_others_their_answers() {
        let table = Table::new();
        let mut asked = table.ask(&[1, 2, 3, 4, 5]).await;
        // One who waits, and both whose statements run.
        for gone in [3, 1, 0] {
            asked.remove(gone).abort();
        }
        yield_now().await;
        table.gate.add_permits(10);
        assert_eq!(answers(asked).await, [Some(6), Some(10)]);
        assert!(table.statements().iter().all(|keys| !keys.contains(&4)), "nobody wants it any more");
        assert_eq!(table.together.0.queue().lanes, 0);
    }

    #[tokio::test]
    async fn what_takes_long_holds_up_nobody_else() {
        let table = Table::at_pace(Duration::from_millis(20));
        let asked = table.ask(&[1, 2, 3, 4]).await;
        assert_eq!(table.statements(), [vec![1], vec![2]]);
        // Nobody else comes, and both hang.
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(table.statements()[2..], [[3, 4]], "another one begins");
        tokio::time::sleep(PATIENCE + Duration::from_millis(70)).await;
        let mut alone = table.statements().split_off(3);
        alone.sort_unstable();
        assert_eq!(alone, [[3], [4]], "who waited reads alone");
        table.gate.add_permits(10);
        assert_eq!(answers(asked).await, [Some(2), Some(4), Some(6), Some(8)]);
        assert_eq!(table.together.0.queue().lanes, 0);
    }

    #[tokio::test]
    async fn who_reads_alone_in_the_end_takes_what_comes_first() {
        let table = Table::at_pace(Duration::from_millis(1));
        let asked = table.ask(&[1, 2, 3]).await;
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(table.statements(), [[1], [2], [3], [3]]);
        // The first three, in their order.
        table.gate.add_permits(3);
        assert_eq!(answers(asked).await, [Some(2), Some(4), Some(6)]);
    }

    #[tokio::test]
    async fn a_statement_has_so_many_keys_at_most() {
        let table = Table::new();
        let keys: Vec<_> = (100..=102 + 2 * u32::try_from(MOST).unwrap()).collect();
        let asked = table.ask(&keys).await;
        table.gate.add_permits(keys.len());
        assert_eq!(answers(asked).await.len(), keys.len());
        let lengths: Vec<_> = table.statements().iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, MOST, MOST, 1]);
    }
}
