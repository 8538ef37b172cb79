use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// In the place of subject ids.
const EVERYBODY: &str = "everybody";

/// Which data keys were replaced by fresh ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Those that had been made before this time, by the database's clock.
    pub made_before: DateTime<Utc>,
    /// Of these subjects; of everybody, if there is no list.
    pub subjects: Option<Vec<Uuid>>,
}

/// The last line of an entry, without its newline.
impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.made_before.to_rfc3339_opts(SecondsFormat::Micros, true))?;
        match &self.subjects {
            None => write!(f, " {EVERYBODY}"),
            Some(subjects) => subjects.iter().try_for_each(|subject| write!(f, " {subject}")),
        }
    }
}

impl FromStr for Rotation {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (time, subjects) = line.split_once(' ').ok_or(())?;
        let subjects = if subjects == EVERYBODY {
            None
        } else {
            Some(subjects.split(' ').map(|subject| subject.parse().map_err(drop)).collect::<Result<_, _>>()?)
        };
        Ok(Self { made_before: time.parse().map_err(drop)?, subjects })
    }
}
