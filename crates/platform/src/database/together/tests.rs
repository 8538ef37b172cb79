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

    /// Waits for so many statements.
    async fn until(&self, count: usize) {
        while self.statements().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
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
    let table = Table::at_pace(Duration::from_millis(100));
    let asked = table.ask(&[1, 2, 3, 4]).await;
    // Nobody else comes, and all of them hang.
    table.until(3).await;
    assert_eq!(table.statements()[..3], [vec![1], vec![2], vec![3, 4]], "another one begins");
    table.until(5).await;
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
    table.until(4).await;
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
