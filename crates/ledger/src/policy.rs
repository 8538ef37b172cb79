use std::str::FromStr;

use signed_note::{StandardVerifier, Verifier, VerifierList};

/// Which logs are trusted: a c2sp.org/tlog-policy. Witnesses are not known yet, so that a policy that asks for them is refused. The default trusts nobody.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    logs: Vec<Log>,
}

#[derive(Clone)]
struct Log {
    /// As the policy has it.
    key: String,
    verifier: StandardVerifier,
}

/// A policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line of it.
    #[error("line {line} of the policy {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong, as the end of a sentence.
        problem: &'static str,
    },
    /// It trusts nobody.
    #[error("the policy names no log: `log NAME+ID+KEY`, as `oubliette-admin ledger policy` prints it")]
    NoLog,
    /// It does not say whether witnesses are needed.
    #[error("the policy has no line `quorum none`")]
    NoQuorum,
}

impl Policy {
    /// The key of a log, as the policy has it.
    pub(crate) fn key(&self, name: &str, id: u32) -> Option<&str> {
        let of = |log: &&Log| log.verifier.name() == name && log.verifier.key_id() == id;
        self.logs.iter().find(of).map(|log| &*log.key)
    }

    /// What checks signatures of the log with this origin: its keys have its name.
    pub(crate) fn verifiers(&self, origin: &str) -> VerifierList {
        let own = self.logs.iter().filter(|log| log.verifier.name() == origin);
        VerifierList::new(own.map(|log| Box::new(log.verifier.clone()) as Box<dyn Verifier>).collect())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let (mut logs, mut quorums) = (Vec::<Log>::new(), 0);
        for (place, line) in text.split('\n').enumerate() {
            let refused = |problem| Err(PolicyError::Line { line: place + 1, problem });
            if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
                return refused("has a control character");
            }
            let words: Vec<_> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", key] | ["log", key, _] => {
                    let Ok(verifier) = StandardVerifier::new(key) else {
                        return refused(
                            "has no key of a log: NAME+ID+KEY, with an Ed25519 key (c2sp.org/signed-note)",
                        );
                    };
                    let public = |key: &str| key.rsplit('+').next().map(str::to_owned);
                    if logs.iter().any(|log| public(&log.key) == public(key)) {
                        return refused("repeats the key of another line");
                    }
                    logs.push(Log { key: key.to_owned(), verifier });
                }
                ["quorum", "none"] => quorums += 1,
                ["quorum" | "witness" | "group", ..] => {
                    return refused("asks for witnesses, which this release does not know");
                }
                _ => return refused("is none that c2sp.org/tlog-policy knows"),
            }
            if quorums > 1 {
                return refused("is a second quorum");
            }
        }
        match (logs.is_empty(), quorums) {
            (true, _) => Err(PolicyError::NoLog),
            (false, 0) => Err(PolicyError::NoQuorum),
            (false, _) => Ok(Self { logs }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::{OWN, RENAMED};

    const KEY: &str = "example.com/log+5a1d2f1c+";

    #[test]
    fn what_cannot_be_enforced_is_refused_by_its_line() {
        let (key, other) = (OWN.1, RENAMED);
        let good = format!("# who is trusted\n\n \tlog  {key} https://example.com/log\nquorum none\n");
        assert_eq!(good.parse::<Policy>().unwrap().logs.len(), 1);
        for (text, error) in [
            (String::new(), PolicyError::NoLog),
            (format!("log {key}\n"), PolicyError::NoQuorum),
            (
                format!("log {KEY}\nquorum none"),
                PolicyError::Line {
                    line: 1,
                    problem: "has no key of a log: NAME+ID+KEY, with an Ed25519 key (c2sp.org/signed-note)",
                },
            ),
            (
                format!("log {key}\nlog {other}\nquorum none"),
                PolicyError::Line { line: 2, problem: "repeats the key of another line" },
            ),
            (
                format!("log {key}\nquorum none\nquorum none"),
                PolicyError::Line { line: 3, problem: "is a second quorum" },
            ),
            (
                format!("log {key}\nquorum all"),
                PolicyError::Line {
                    line: 2,
                    problem: "asks for witnesses, which this release does not know",
                },
            ),
            (
                format!("witness a {key}\nquorum none"),
                PolicyError::Line {
                    line: 1,
                    problem: "asks for witnesses, which this release does not know",
                },
            ),
            (
                format!("logs {key}\nquorum none"),
                PolicyError::Line { line: 1, problem: "is none that c2sp.org/tlog-policy knows" },
            ),
            (
                format!("log {key}\r\nquorum none"),
                PolicyError::Line { line: 1, problem: "has a control character" },
            ),
        ] {
            assert_eq!(text.parse::<Policy>().unwrap_err(), error, "{text}");
        }
    }
}
