use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anyhow::{Context, ensure};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    MAX_LINE,
    columns::{Column, Columns, Target, shown},
    line::{Cell, Line, Problem},
    source::{Lines, Text},
};

/// One JSON object a line.
pub(super) struct JsonLines {
    reader: BufReader<Text>,
    columns: Arc<Columns>,
    line: Vec<u8>,
    number: u64,
    position: u64,
}

impl JsonLines {
    pub(super) fn new(text: Text, columns: Arc<Columns>) -> Self {
        let reader = BufReader::with_capacity(64 << 10, text);
        Self { reader, columns, line: Vec::new(), number: 0, position: 0 }
    }

    fn line(&self, number: u64) -> Line {
        let (mut cells, mut problems) = (Vec::new(), Vec::new());
        let members = match serde_json::from_slice(&self.line) {
            Ok(Object(members)) => members,
            Err(error) => {
                // Not its own words, which may repeat a value.
                let problem = format!("is not a JSON object, at character {}", error.column());
                return Line { number, cells, problems: vec![Problem::of_all(problem)] };
            }
        };
        let (mut is_whole, mut given): (_, Vec<&Arc<Column>>) = (true, Vec::new());
        for (name, value) in members {
            let column = self.columns.get(&name);
            match (&*name, &value) {
                // They may be called otherwise where they come from.
                _ if column.is_some() => {}
                ("masked", Value::Bool(false)) | ("errors", Value::List(0)) => continue,
                ("masked" | "errors", _) => {
                    is_whole = false;
                    problems.push(Problem::of_all(if name == "masked" { MASKED } else { UNREADABLE }));
                    continue;
                }
                _ => {}
            }
            let Some(column) = column else {
                problems.push(Problem::of(&shown(&name), UNKNOWN));
                continue;
            };
            column.was_there.store(true, Relaxed);
            if given.iter().any(|known| known.is_same(column)) {
                problems.push(Problem::of(&column.name, "is given twice"));
                continue;
            }
            given.push(column);
            match value {
                _ if column.target == Target::Ignored => {}
                Value::Null => {}
                Value::Text(text) if text.is_empty() => {}
                Value::Text(text) => cells.push(Cell { column: column.clone(), text }),
                Value::Bool(_) | Value::List(_) | Value::Other => {
                    problems.push(Problem::of(&column.name, "is neither a text, in quotes, nor null"));
                }
            }
        }
        if !is_whole {
            // Whose it is is known; what they have is not.
            cells.retain(|cell: &Cell| matches!(cell.column.target, Target::Id | Target::Username));
        }
        Line { number, cells, problems }
    }
}

const MASKED: &str = "is masked: `oubliette-admin users export --reveal` writes what can be imported";
const UNREADABLE: &str = "has values that did not open where it was exported";
const UNKNOWN: &str =
    "is not known here: --map COLUMN=ATTRIBUTE says what it is, --ignore COLUMN leaves it out";

impl Lines for JsonLines {
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            self.line.clear();
            let mut bounded = (&mut self.reader).take(MAX_LINE as u64 + 1);
            let read = bounded.read_until(b'\n', &mut self.line);
            let number = self.number + 1;
            let read = read.with_context(|| format!("the file cannot be read, at line {number}"))?;
            if read == 0 {
                return Ok(None);
            }
            ensure!(read <= MAX_LINE, "line {number} has more than 16 MiB");
            (self.number, self.position) = (number, self.position + read as u64);
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.line(number)));
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }
}

/// The members of an object, each as often as it is there.
struct Object(Vec<(String, Value)>);

/// What a member may be.
enum Value {
    Null,
    Text(String),
    Bool(bool),
    /// Of so many.
    List(usize),
    Other,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut length = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    length += 1;
                }
                Ok(Value::List(length))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
