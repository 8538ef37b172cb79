use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{Page, none_of, repository};

type Rooms = BTreeMap<String, BTreeSet<String>>;

/// Modules that every room may use, without a word in the table. What they use themselves, the table says.
const HELPERS: [&str; 8] =
    ["causes", "characters", "config", "from_zero", "loopback", "names", "redaction", "secret_file"];

/// The rooms of the source, and whom each uses: `src/users`, `src/app.rs`, `crates/keys`.
fn source() -> Rooms {
    let mut rooms = Rooms::new();
    for entry in fs::read_dir(repository("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("crates/{}", path.file_name().unwrap().to_str().unwrap());
        rooms.insert(name, dependencies(&path));
    }
    rooms.insert("migration".to_owned(), dependencies(&repository("migration")));
    for entry in fs::read_dir(repository("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "lib.rs" {
            let own = name.trim_end_matches(".rs");
            let mut used = BTreeSet::new();
            scan(&path, "crate", &mut used);
            used.retain(|other| other != own);
            rooms.insert(format!("src/{name}"), used);
        }
    }
    for entry in fs::read_dir(repository("bin")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("bin/{}", path.file_name().unwrap().to_str().unwrap());
        scan(&path, "oubliette", rooms.entry(name).or_default());
    }
    rooms
}

/// The crates of this repository that a crate depends on.
fn dependencies(package: &Path) -> BTreeSet<String> {
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let names = manifest.lines().filter_map(|line| line.strip_prefix("oubliette-"));
    names.map(|line| line.split(['.', ' ']).next().unwrap().to_owned()).collect()
}

/// Adds the rooms that are named behind `root::` in these files, but for their tests.
fn scan(path: &Path, root: &str, used: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            scan(&entry.unwrap().path(), root, used);
        }
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    if code.contains("use migration::") {
        used.insert("migration".to_owned());
    }
    for (place, _) in code.match_indices(&format!("{root}::")) {
        if code[..place].ends_with(|char: char| char.is_alphanumeric() || char == '_') {
            continue;
        }
        used.extend(named(&code[place + root.len() + 2..]));
    }
}

/// The first names of a path, or of each path in braces.
fn named(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
    let Some(list) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (place, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            char if begins && char.is_alphabetic() => {
                names.push(name(&list[place..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The rooms of the table in `docs/architecture.md`.
fn documented() -> Rooms {
    let rows = Page::read("docs/architecture.md").rows(["room", "uses"]);
    rows.iter().flat_map(|[rooms, uses]| quoted(rooms).map(|room| (room, quoted(uses).collect()))).collect()
}

#[test]
fn the_table_of_rooms_says_who_uses_whom() {
    let mut source = source();
    for (room, used) in &mut source {
        let is_helper = HELPERS.iter().any(|helper| room.starts_with(&format!("src/{helper}")));
        if !is_helper {
            used.retain(|other| !HELPERS.contains(&other.as_str()));
        }
    }
    let documented = documented();
    let mut wrong = Vec::new();
    for room in source.keys().chain(documented.keys()).collect::<BTreeSet<_>>() {
        let (uses, says) = (source.get(room), documented.get(room));
        if uses != says {
            wrong.push(format!("{room} uses {uses:?}, and the table says {says:?}"));
        }
    }
    none_of("docs/architecture.md", &wrong);
}

#[test]
fn the_cryptography_uses_no_room_and_nobody_goes_round_in_a_circle() {
    let mut left = source();
    assert_eq!(left["crates/envelope"], BTreeSet::new());
    let room = |name: &String| {
        let name = name.trim_start_matches("src/").trim_start_matches("crates/");
        name.trim_end_matches(".rs").to_owned()
    };
    while !left.is_empty() {
        let names: BTreeSet<_> = left.keys().map(room).collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|other| names.contains(other)));
        assert!(left.len() < before, "these use each other: {left:?}");
    }
}

#[test]
fn every_arrow_is_one_of_the_table() {
    let page = Page::read("docs/architecture.md");
    let table = documented();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in page.blocks().iter().filter(|block| block.language == "mermaid") {
        for line in block.text.lines().filter(|line| line.contains("-->")) {
            // `a --> b`, or `a -- "text" --> b`.
            let (from, to) = line.split_once("-->").unwrap();
            let ends = [from.split(" -- ").next().unwrap(), to].map(|end| end.trim().to_owned());
            let [from, to] = ends;
            let of = |room: &String| {
                room.trim_start_matches("src/").trim_start_matches("crates/").split('.').next()
                    == Some(from.as_str())
            };
            seen += 1;
            if !table.iter().any(|(room, uses)| of(room) && uses.contains(&to)) {
                wrong.push(line.trim().to_owned());
            }
        }
    }
    none_of("arrows that the source does not have", &wrong);
    assert!(seen > 10, "only {seen} arrows found");
}
