use std::collections::BTreeSet;

use oubliette::{
    access::{Scope, Scopes},
    audit::Action,
    chain::Problem,
};
use strum::IntoEnumIterator;

use super::Page;

fn column<const N: usize>(page: &str, columns: [&str; N]) -> BTreeSet<String> {
    let rows = Page::read(page).rows(columns);
    let words = |cell: &String| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.iter().flat_map(|row| words(&row[0])).collect()
}

fn all<T>(words: impl IntoIterator<Item = T>, name: impl Fn(T) -> &'static str) -> BTreeSet<String> {
    words.into_iter().map(|word| name(word).to_owned()).collect()
}

#[test]
fn every_word_of_a_list_is_in_its_table_and_no_other() {
    let mut scopes = all(Scope::ALL, Scope::as_str);
    // There is one for each attribute of some of them.
    let of_attributes = scopes.iter().filter(|scope| Scopes::named(&format!("{scope}:email")).is_ok());
    scopes.extend(of_attributes.map(|scope| format!("{scope}:NAME")).collect::<Vec<_>>());
    assert_eq!(column("docs/access.md", ["scope", "allows"]), scopes);
    assert_eq!(column("docs/audit.md", ["action", "when"]), all(Action::iter(), Action::as_str));
    let problems = column("docs/audit.md", ["problem (`--json`)", "what it means"]);
    assert_eq!(problems, all(Problem::iter(), Problem::as_str));
}
