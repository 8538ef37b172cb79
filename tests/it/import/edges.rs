//! The example of the documents, and what is at the edges of it.

use serde_json::Value;

use super::{
    files::{IMPORT, failure, failures},
    site,
};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(
    the_example_in_the_documents_is_what_happens,
    lines_are_told_apart_however_they_end,
    nothing_is_overwritten_by_the_list_of_failures,
);

async fn the_example_in_the_documents_is_what_happens(stack: TestStack) {
    let site = site(stack).await;
    let document = include_str!("../../../docs/import.md");
    let blocks: Vec<_> =
        document.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1).collect();
    let [file, command, checked, imported, again] = blocks[..5] else { panic!("{blocks:?}") };
    // As it says: with a byte order mark and CRLF.
    let as_it_comes = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    site.sandbox.write("people.csv", &as_it_comes(file));
    let words: Vec<_> = command.split_whitespace().filter(|word| *word != "\\").skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.trim_matches('\'')).collect();
    let without_time = |text: &str| match text.split_once(" in ") {
        Some((what, rest)) => format!("{what}{}", rest.split_once(')').unwrap().1),
        None => text.to_owned(),
    };
    let said = site.sandbox.admin(&words);
    assert_eq!(without_time(&said.stdout), without_time(checked), "{}", said.stderr);
    let listed = site.sandbox.read("refused.jsonl");
    assert!(blocks.contains(&listed.split_inclusive('\n').next().unwrap()), "{listed}");
    let mended: Vec<_> =
        file.replace("23.6.1912", "1912-06-23").lines().take(4).map(|line| line.to_owned() + "\n").collect();
    site.sandbox.write("people.csv", &as_it_comes(&mended.concat()));
    let words: Vec<_> = words.into_iter().filter(|word| *word != "--dry-run").collect();
    for expected in [imported, again] {
        assert_eq!(without_time(&site.sandbox.admin_ok(&words)), without_time(expected));
    }
    let without_id = |text: &str| {
        let mut object: Value = serde_json::from_str(text).unwrap();
        object.as_object_mut().unwrap().remove("id");
        // The document is about a site that declares less.
        object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        object
    };
    for flags in [&[][..], &["--reveal", "--yes"]] {
        let text = site.sandbox.admin_ok(&[&["users", "export"], flags].concat());
        let first = without_id(text.lines().next().unwrap());
        let documented = blocks.iter().filter(|block| block.contains("\"username\":\"ada\""));
        assert!(documented.map(|block| without_id(block)).any(|one| one == first), "{first}");
    }
}

/// CR alone, too; empty lines beyond number; an open quote at the very end.
async fn lines_are_told_apart_however_they_end(stack: TestStack) {
    let site = site(stack).await;
    let mail = "is not an e-mail address such as ada@example.com";
    let twice = |line: u64| format!("is that of line {line}, too");
    site.sandbox.write("people.csv", "username,email\rada,\rbob,nobody\rada,\r\"\",\" \"\r");
    for flags in [&["--dry-run"][..], &[]] {
        let said = site.sandbox.admin(&[&IMPORT[..], flags].concat());
        assert_eq!(said.status, Some(1), "{}", said.stderr);
        let (begin, here) = if flags.is_empty() {
            ("imported 1 person in ", 1)
        } else {
            ("checked: would import 1 person in ", 0)
        };
        assert!(said.stdout.starts_with(begin), "{}", said.stdout);
        assert_eq!(site.user_rows().await.len(), here);
        assert_eq!(failures(&site), [failure(3, "email", mail), failure(4, "username", &twice(2))]);
    }
    site.sandbox.write("people.csv", "username,email\rcarl,\r\n\n\rcarl,\ndan,\"nobody\r\"\r\ncarl,\n\"");
    assert_eq!(site.sandbox.admin(&IMPORT).status, Some(1));
    let expected = [
        failure(5, "username", &twice(2)),
        failure(6, "email", mail),
        failure(8, "username", &twice(2)),
        failure(9, "", "has a quote that is not closed, or in the wrong place; it goes on to line 9"),
    ];
    assert_eq!(failures(&site), expected);
    site.sandbox.write("people.csv", &format!("username\n{}eve\n", "\n".repeat(17 << 20)));
    assert!(site.sandbox.admin_ok(&["users", "import", "people.csv"]).starts_with("imported 1 person in "));
}

async fn nothing_is_overwritten_by_the_list_of_failures(stack: TestStack) {
    let site = site(stack).await;
    let text = "{\"username\":\"ada\"}\n{}\n";
    site.sandbox.write("people.jsonl", text);
    let [file, link] = ["people.jsonl", "link.jsonl"].map(|name| site.sandbox.path(name));
    std::fs::hard_link(&file, link).unwrap();
    let overwrite = "--failures would overwrite the file that is imported";
    let error = site.sandbox.admin_error(&["users", "import", "people.jsonl", "--failures", "link.jsonl"]);
    assert!(error.contains(overwrite), "{error}");
    let mut command = site.sandbox.admin_command(&["users", "import", "-", "--failures", "people.jsonl"]);
    let said = command.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    assert!(String::from_utf8(said.stderr).unwrap().contains(overwrite));
    // People are no failures, though both have an object a line.
    site.sandbox.write("others.jsonl", text);
    let error = site.sandbox.admin_error(&["users", "import", "people.jsonl", "--failures", "others.jsonl"]);
    assert!(error.contains("is no list of failures, so it is not overwritten"), "{error}");
    assert_eq!(site.sandbox.read("others.jsonl"), text);
    let keys = site.sandbox.read("data/local.toml");
    for command in [&["users", "import", "people.jsonl"][..], &["keys", "verify"]] {
        let error = site.sandbox.admin_error(&[command, &["--failures", "data/local.toml"]].concat());
        assert!(error.contains("is no list of failures, so it is not overwritten"), "{error}");
    }
    assert_eq!(
        (site.sandbox.read("people.jsonl"), site.sandbox.read("data/local.toml")),
        (text.to_owned(), keys)
    );
    assert_eq!(site.user_rows().await, []);
    // A list that is there is replaced; one that cannot be written is said, beside the result.
    site.sandbox.write("failures.jsonl", "{\"line\":7,\"problem\":\"an older one\"}\n");
    let import = ["users", "import", "people.jsonl", "--failures"];
    site.sandbox.admin(&[&import[..], &["failures.jsonl"]].concat());
    assert_eq!(failures(&site), [failure(2, "", "has no username")]);
    let said = site.sandbox.admin(&[&import[..], &["/dev/full"]].concat());
    assert_eq!(said.status, Some(1));
    assert!(
        said.stdout.contains("1 person here already") && said.stdout.contains("1 line REFUSED"),
        "{}",
        said.stdout
    );
    assert!(said.stderr.starts_with("warning: the list of failures cannot be written: "), "{}", said.stderr);
}
