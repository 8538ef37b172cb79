//! Files as they come: what is in them, and what is wrong with them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{COLUMNS, Row, csv, objects, require_all, row, site};
use crate::harness::{EMAIL_MARK, PHONE_MARK, Site, TestStack, on_both_databases};

on_both_databases!(
    bad_lines_are_left_out_and_listed_without_their_values,
    what_a_spreadsheet_writes_is_read,
    json_lines_are_read,
    a_file_that_is_something_else_is_refused_before_anything_is_written,
    whoever_is_here_already_is_compared,
);

/// What is in the file of failures, and none of the values.
pub(super) fn failures(site: &Site) -> Vec<(u64, Option<String>, String)> {
    let text = site.sandbox.read("failures.jsonl");
    assert!(!text.contains(EMAIL_MARK) && !text.contains(PHONE_MARK), "{text}");
    let string = |value: &Value| value.as_str().map(str::to_owned);
    let failure = |one: Value| {
        let problem = string(&one["problem"]).unwrap();
        (one["line"].as_u64().unwrap(), string(&one["column"]), problem)
    };
    objects(&text).into_iter().map(failure).collect()
}

pub(super) fn failure(line: u64, column: &str, problem: &str) -> (u64, Option<String>, String) {
    (line, Some(column.to_owned()).filter(|column| !column.is_empty()), problem.to_owned())
}

pub(super) const IMPORT: [&str; 5] = ["users", "import", "people.csv", "--failures", "failures.jsonl"];

async fn bad_lines_are_left_out_and_listed_without_their_values(stack: TestStack) {
    let site = site(stack).await;
    let [own, forgotten] = [Uuid::new_v4(), Uuid::new_v4()].map(|id| id.to_string());
    let columns = [&["id"][..], &COLUMNS].concat();
    // Somebody who is forgotten.
    let mut gone = row();
    gone.insert("id", forgotten.clone());
    site.sandbox.write("people.csv", &csv(&columns, [&gone]));
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    site.sandbox.admin_ok(&["users", "forget", &forgotten, "--yes"]);

    // Each address has two lines, so a person has.
    let mut rows: Vec<_> = (0..1000).map(|_| row()).collect();
    let at = |line: u64| usize::try_from((line - 2) / 2).unwrap();
    let mut bad = Vec::new();
    let mut spoil = |rows: &mut Vec<Row>, line: u64, column: &'static str, value: &str, problem: &str| {
        rows[at(line)].insert(column, value.to_owned());
        bad.push((line, column, problem.to_owned()));
    };
    let mail = format!("no mail{EMAIL_MARK}");
    let (first, again) = (rows[0]["username"].clone(), rows[at(900)]["username"].clone());
    spoil(&mut rows, 100, "email", &mail, "is not an e-mail address such as ada@example.com");
    spoil(
        &mut rows,
        200,
        "phone",
        "030",
        "does not start with + and a country code, such as +44 20 7946 0958",
    );
    spoil(&mut rows, 300, "date_of_birth", "1815-02-30", "is not a day that there is");
    spoil(&mut rows, 400, "national_id", &mail, "does not have the form that is wanted");
    spoil(&mut rows, 500, "username", &mail, "is stored in the clear and must not be an e-mail address");
    spoil(&mut rows, 600, "username", " ", "");
    spoil(&mut rows, 700, "id", "4711", "is not a UUID");
    spoil(&mut rows, 800, "id", &forgotten, "is that of a user who was forgotten, which stays so");
    spoil(&mut rows, 1000, "username", &again, "is that of line 900, too");
    spoil(&mut rows, 1802, "username", &first, "is that of line 2, too");
    rows[at(1200)].insert("id", own.clone());
    spoil(&mut rows, 1300, "id", &own, "is that of line 1200, too");
    spoil(&mut rows, 1400, "id", &Uuid::nil().to_string(), "is the nil UUID, which nobody can have");
    let mut text = csv(&columns, &rows).into_bytes();
    // Without a cell; and in another encoding.
    text.extend(b"ada,lovelace\n");
    text.extend(b",byron,,,L\xf6velace,,,,,\n");
    std::fs::write(site.sandbox.path("people.csv"), text).unwrap();

    // Somebody was forgotten, and nobody can say whether one without an id is this person.
    let missing = "is missing: people were forgotten here, and by their ids alone can it be said that this is none of them";
    let imported = site.sandbox.admin(&IMPORT);
    assert!(imported.stdout.starts_with("imported 1 person in "), "{}", imported.stdout);
    assert_eq!(
        failures(&site)
            .iter()
            .filter(|(_, column, problem)| column.as_deref() == Some("id") && problem == missing)
            .count(),
        987
    );
    let imported = site.sandbox.admin(&[&IMPORT[..], &["--without-ids"]].concat());
    assert_eq!(imported.status, Some(1), "{}", imported.stderr);
    assert!(imported.stdout.starts_with("imported 987 people in "), "{}", imported.stdout);
    assert!(
        imported.stdout.contains("\n1 person here already, with all that the file says of them\n14 lines REFUSED\n  line 100: email is not an e-mail"),
        "{}",
        imported.stdout
    );
    assert!(imported.stdout.ends_with("\n  all of them: failures.jsonl\n"), "{}", imported.stdout);
    let said = failures(&site);
    for (line, column, problem) in &bad {
        let found: Vec<_> = said.iter().filter(|(at, ..)| at == line).collect();
        let (expected, about) = match *line {
            600 => ("has no username", ""),
            _ => (&**problem, *column),
        };
        match (line, &found[..]) {
            // Their own words.
            (300 | 400, [(_, column, _)]) => assert_eq!(column.as_deref(), Some(about)),
            _ => assert_eq!(found, [&failure(*line, about, expected)]),
        }
    }
    let tail: Vec<_> = said.iter().filter(|(line, ..)| *line > 2001).collect();
    let expected = [
        failure(2002, "", "has 2 cells, and the first line has 10"),
        failure(2003, "full_name", "is not in UTF-8: save the file as \"CSV UTF-8\""),
    ];
    assert_eq!(tail, expected.iter().collect::<Vec<_>>());
    assert_eq!(said.len(), 14);
    let lines: Vec<_> = bad.iter().map(|(line, ..)| at(*line)).collect();
    let good: Vec<_> = rows
        .iter()
        .enumerate()
        .filter(|(place, _)| !lines.contains(place))
        .map(|(_, row)| row.clone())
        .collect();
    require_all(&site, &good);
    // Mended, the rest comes in, and nobody twice.
    let mend = |(place, old): (usize, &Row)| if lines.contains(&place) { row() } else { old.clone() };
    let fresh: Vec<_> = rows.iter().enumerate().map(mend).collect();
    site.sandbox.write("people.csv", &csv(&columns, &fresh));
    let said = site.sandbox.admin_ok(&["users", "import", "people.csv", "--without-ids"]);
    assert!(said.starts_with("imported 12 people in "), "{said}");
    assert!(said.ends_with("\n988 people here already, with all that the file says of them\n"), "{said}");
    require_all(&site, &fresh);
    site.sandbox.admin_ok(&["keys", "verify"]);
    site.sandbox.admin_ok(&["audit", "verify"]);
}

/// A byte order mark, CRLF, semicolons, names of its own, and cells without anything at the end.
async fn what_a_spreadsheet_writes_is_read(stack: TestStack) {
    let site = site(stack).await;
    let rows = [row(), row()];
    let mut text = "\u{feff}Login;Mail;\"Name; voller\";Adresse;Notiz;;\r\n".to_owned();
    for row in &rows {
        let address = row["postal_address"].replace('\n', "\r\n");
        text += &format!(
            " {} ;{};\"{}\";\"{address}\";\"sagte \"\"ja\"\"\";;\r\n",
            row["username"], row["email"], row["full_name"]
        );
    }
    text += ";;;;;;\r\n\r\n";
    site.sandbox.write("people.csv", &text);
    let error = site.sandbox.admin_error(&["users", "import", "people.csv"]);
    assert!(error.contains("Is the delimiter another one? --delimiter ';'"), "{error}");
    let mapped = ["--map", "Login=username", "--map", "Mail=email", "--map", "Name; voller=full_name"];
    let import = [&["users", "import", "people.csv"][..], &mapped].concat();
    let error = site.sandbox.admin_error(&[&import[..], &["--delimiter", ";"]].concat());
    assert!(error.contains("columns that are not known here: `Adresse`, `Notiz`. --map"), "{error}");
    let rest = ["--map", "Adresse=postal_address", "--ignore", "Notiz"];
    let import = [&import[..], &rest].concat();
    let said = site.sandbox.admin_ok(&[&import[..], &["--delimiter", ";"]].concat());
    assert!(said.starts_with("imported 2 people in "), "{said}");
    let wanted = ["username", "email", "full_name", "postal_address"];
    let kept = rows.clone().map(|mut row| {
        row.retain(|column, _| wanted.contains(column));
        row
    });
    require_all(&site, &kept);
    // Lines are counted as editors count them.
    site.sandbox
        .write("people.csv", "username,email\r\n\r\nada,\"nobody\r\n\"\r\nbob,nobody\r\n\n,\r\nada,\r\n");
    assert_eq!(site.sandbox.admin(&IMPORT).status, Some(1));
    let problem = "is not an e-mail address such as ada@example.com";
    let again = failure(8, "username", "is that of line 3, too");
    assert_eq!(failures(&site), [failure(3, "email", problem), failure(5, "email", problem), again]);
    // A column without a name that holds something is nobody's.
    site.sandbox.write("people.csv", "username,\nada,what is this\n");
    let said = site.sandbox.admin(&IMPORT);
    assert_eq!(said.status, Some(1));
    assert_eq!(failures(&site), [failure(2, "", "a column without a name is not empty")]);
    // A quote that is not closed takes the lines behind it.
    site.sandbox.write("people.csv", "username,full_name\nada,\"Ada\nbob,Bob\ncarl,\"Carl\"\n");
    assert_eq!(site.sandbox.admin(&IMPORT).status, Some(1));
    let problem = "has a quote that is not closed, or in the wrong place; it goes on to line 4";
    assert_eq!(failures(&site), [failure(2, "", problem)]);
}

async fn json_lines_are_read(stack: TestStack) {
    let site = site(stack).await;
    let rows = [row(), row()];
    let mail = format!("mail{EMAIL_MARK}");
    let other = |more: Value| {
        let mut object = json!({ "username": row()["username"] });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object.to_string()
    };
    let lines = [
        json!(rows[0]).to_string(),
        String::new(),
        json!(rows[1]).to_string(),
        other(json!({ "masked": true, "email": "m•••" })),
        other(json!({ "errors": ["users.email of user 1 could not be opened"] })),
        other(json!({ "phone": 49_305_550_100_u64 })),
        other(json!({ "shoe_size": mail })),
        other(json!({ "email": { "work": mail } })),
        format!("{{\"username\": \"ada\", \"email\": \"{mail}\", \"email\": null}}"),
        format!("{{\"username\": \"ada\", \"email\": \"{mail}"),
        json!([mail]).to_string(),
        format!("\"{mail}\""),
    ];
    site.sandbox.write("people.jsonl", &lines.join("\n"));
    let said =
        site.sandbox.admin(&["users", "import", "people.jsonl", "--failures", "failures.jsonl", "--json"]);
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    let result = objects(&said.stdout).pop().unwrap();
    let counts =
        ["people", "created", "same", "different", "refused"].map(|name| result[name].as_u64().unwrap());
    assert_eq!(counts, [11, 2, 0, 0, 9], "{result}");
    assert_eq!((&result["event"], &result["outcome"]), (&json!("result"), &json!("completed")));
    let known = "is not known here: --map COLUMN=ATTRIBUTE says what it is, --ignore COLUMN leaves it out";
    let not_printed = format!("{{\"username\":\"eve\",\"{mail}\":\"1\"}}");
    let expected = [
        failure(4, "", "is masked: `oubliette-admin users export --reveal` writes what can be imported"),
        failure(5, "", "has values that did not open where it was exported"),
        failure(6, "phone", "is neither a text, in quotes, nor null"),
        failure(7, "shoe_size", known),
        failure(8, "email", "is neither a text, in quotes, nor null"),
        failure(9, "email", "is given twice"),
    ];
    let said = failures(&site);
    assert_eq!(said[..6], expected);
    assert!(
        said[6..].iter().all(|(_, column, problem)| {
            column.is_none() && problem.starts_with("is not a JSON object, at character ")
        }),
        "{said:?}"
    );
    require_all(&site, &rows);
    // A line that is refused is somebody all the same; and a name that looks like somebody's address is not repeated.
    let again = "{\"username\":\"eve\"}";
    site.sandbox.write("people.jsonl", &[not_printed.as_str(), again].join("\n"));
    let said = site.sandbox.admin(&["users", "import", "people.jsonl", "--failures", "failures.jsonl"]);
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    let expected = [failure(1, "(not printed)", known), failure(2, "username", "is that of line 1, too")];
    assert_eq!(failures(&site), expected);
    // What is left out, and what is called otherwise.
    let mut renamed = json!(row());
    renamed["mail"] = renamed["email"].take();
    renamed.as_object_mut().unwrap().remove("email");
    renamed["shoe_size"] = json!(44);
    site.sandbox.write("people.jsonl", &renamed.to_string());
    let import = ["users", "import", "people.jsonl", "--map", "mail=email", "--ignore", "shoe_size"];
    assert!(site.sandbox.admin_ok(&import).starts_with("imported 1 person in "));
    // Names that an export has, of somebody else's.
    let foreign = json!({ "username": row()["username"], "errors": 3, "masked": "Ada" });
    site.sandbox.write("foreign.jsonl", &foreign.to_string());
    let foreign = ["users", "import", "foreign.jsonl", "--ignore", "errors", "--map", "masked=full_name"];
    assert!(site.sandbox.admin_ok(&foreign).starts_with("imported 1 person in "));
    let said = site.sandbox.admin(&[&import[..], &["--map", "Phone=phone"]].concat());
    assert_eq!((said.status, &*said.stderr), (Some(0), "warning: no line of the file had `Phone`\n"));
}

async fn a_file_that_is_something_else_is_refused_before_anything_is_written(stack: TestStack) {
    let site = site(stack).await;
    let mail = row()["email"].clone();
    let header = "username,email\n";
    let files: [(&[u8], &[&str], &str); 17] = [
        (b"username,\"email\nada,ada\n", &[], "the first line has a quote that is not closed"),
        (b"", &[], "the file is empty"),
        (b"PK\x03\x04rest", &[], "is a workbook of a spreadsheet"),
        (b"\x1f\x8b\x08rest", &[], "is compressed: `gzip -dc FILE |"),
        (b"\xff\xfeu\0s\0", &[], "is in UTF-16: save it as \"CSV UTF-8\""),
        (b"u\0s\0e\0", &[], "is no text in UTF-8"),
        (b"[{\"username\": \"ada\"}]", &[], "is a JSON list. JSON Lines has one object a line"),
        (b"username,\xe9mail\n", &[], "the first line is not in UTF-8"),
        (
            b"username,full name\nada,x\n",
            &[],
            "columns that are not known here: `full name`. --map COLUMN=ATTRIBUTE",
        ),
        (
            b"username,email,email\n",
            &[],
            "the columns `email` and `email` of the first line are both `email`",
        ),
        (
            b"username,email,mail\n",
            &["--map", "mail=email"],
            "the columns `email` and `mail` of the first line are both `email`",
        ),
        (header.as_bytes(), &["--map", "mail=email"], "the first line has no column `mail`"),
        (header.as_bytes(), &["--ignore", "shoe_size"], "the first line has no column `shoe_size`"),
        (
            header.as_bytes(),
            &["--map", "email=shoe_size"],
            "there is no attribute `shoe_size`, but `id`, `username`, `email`, `phone`, `date_of_birth`",
        ),
        (header.as_bytes(), &["--map", "a=email", "--map", "b=email"], "--map: `a` and `b` are both `email`"),
        (header.as_bytes(), &["--map", "email=phone", "--ignore", "email"], "column `email` is given twice"),
        (
            header.as_bytes(),
            &["--failures", "./people.csv"],
            "--failures would overwrite the file that is imported",
        ),
    ];
    for (bytes, flags, expected) in files {
        std::fs::write(site.sandbox.path("people.csv"), bytes).unwrap();
        let error = site.sandbox.admin_error(&[&["users", "import", "people.csv"][..], flags].concat());
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert_eq!(site.sandbox.read("people.csv"), header, "the last of them is as it was");
    // A file without a header is a person, who is not repeated.
    site.sandbox.write("people.csv", &format!("ada,{mail}\n"));
    let error = site.sandbox.admin_error(&["users", "import", "people.csv"]);
    assert!(error.contains("no column of the first line is `username`") && !error.contains(&mail), "{error}");
    let error = site.sandbox.admin_error(&["users", "import", "nothing.csv"]);
    assert!(error.contains("`nothing.csv` cannot be read: No such file or directory"), "{error}");
    let error = site.sandbox.admin_error(&["users", "import", "config"]);
    assert!(error.contains("`config` cannot be read: Is a directory"), "{error}");
    for flags in [&["--delimiter", "ab"][..], &["--map", "email"]] {
        let refused = site.sandbox.admin(&[&["users", "import", "people.csv"][..], flags].concat());
        assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    }
    // A line without an end.
    let endless = format!("{header}ada,\"{}", "x,\n".repeat(6 << 20));
    site.sandbox.write("people.csv", &endless);
    let stopped = site.sandbox.admin(&["users", "import", "people.csv"]);
    assert_eq!(stopped.status, Some(1));
    let expected = "stopped: the file cannot be read, at line 2: one line has more than 16 MiB: is a quote not closed?\n";
    assert!(stopped.stdout.contains(expected), "{}", stopped.stdout);
    // Columns beyond number are columns that are not known, soon.
    site.sandbox.write("people.csv", &format!("username{}\n{}\n", ",".repeat(1 << 20), ",".repeat(1 << 20)));
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    site.sandbox.write("people.jsonl", &format!("{{\"username\":\"{}", "x".repeat(17 << 20)));
    let stopped = site.sandbox.admin(&["users", "import", "people.jsonl"]);
    assert!(stopped.stdout.contains("stopped: line 1 has more than 16 MiB\n"), "{}", stopped.stdout);
    assert_eq!(site.user_rows().await, []);
    assert_eq!(site.sandbox.admin_ok(&["users", "export"]), "");
}

async fn whoever_is_here_already_is_compared(stack: TestStack) {
    let site = site(stack).await;
    let mut rows = vec![row(), row(), row()];
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    let dry = site.sandbox.admin_ok(&["users", "import", "people.csv", "--dry-run"]);
    assert!(dry.starts_with("checked: would import 3 people in "), "{dry}");
    assert_eq!(site.user_rows().await, []);
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    let before = site.user_rows().await;
    // One is other, one is not there in the file, one is new.
    let other = row();
    rows[1].insert("email", other["email"].clone());
    rows[1].insert("full_name", other["full_name"].clone());
    rows[2] = other;
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows).replacen("email", "Mail", 1));
    let flags = ["--map", "Mail=email"];
    for dry in [true, false] {
        let flags = [&IMPORT[..], &flags, if dry { &["--dry-run"] } else { &[] }].concat();
        let said = site.sandbox.admin(&flags);
        assert_eq!(said.status, Some(1), "{}", said.stderr);
        let begin = if dry { "checked: would import 1 person in " } else { "imported 1 person in " };
        assert!(said.stdout.starts_with(begin), "{}", said.stdout);
        for expected in [
            "\n1 person here already, with all that the file says of them\n",
            "\n1 person here already with OTHER values, and left as they are: `updateUser` changes them\n",
            "  line 4: Mail is another one here\n",
        ] {
            assert!(said.stdout.contains(expected), "{expected}: {}", said.stdout);
        }
        let problem = "is another one here";
        assert_eq!(failures(&site), [failure(4, "Mail", problem), failure(4, "full_name", problem)]);
        assert_eq!(site.user_rows().await.len(), if dry { 3 } else { 4 });
    }
    let now = site.user_rows().await;
    assert!(before.iter().all(|row| now.contains(row)));
    let look = site.sandbox.admin_ok(&["audit", "export", "--json"]);
    let look = objects(&look).into_iter().find(|event| event["action"] == "read_pii").unwrap();
    let names = look["attributes"].as_array().unwrap();
    assert!(names.contains(&json!("email")) && names.contains(&json!("full_name")), "{look}");
}
