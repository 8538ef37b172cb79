//! What commands ask and show at a terminal, and how they end when they are told to.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Finished, Site, TestStack, on_both_databases, populate};

on_both_databases!(
    nothing_is_done_without_a_yes,
    a_run_shows_how_it_gets_on,
    an_interrupted_run_goes_on_later,
    a_dry_run_stores_nothing,
);

/// A command at a terminal of its own, which `script` (of util-linux or bsdutils) makes.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Terminal {
    fn run(site: &Site, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let admin = site.sandbox.admin_command(&[]);
        let program = format!("stty cols 120 -echo; {} {arguments}", admin.get_program().display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
        script.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm-256color");
        for (name, value) in admin.get_envs() {
            value.map(|value| script.env(name, value));
        }
        script.envs(environment.iter().copied()).current_dir(admin.get_current_dir().unwrap());
        let spawned = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("`script` is missing: apt-get install bsdutils");
        let screen = Arc::new(Mutex::new(String::new()));
        let mut output = child.stdout.take().unwrap();
        let shown = screen.clone();
        let reading = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { keyboard: child.stdin.take().unwrap(), child, screen, reading }
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        let began = Instant::now();
        while !self.shown().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(30), "waited for {text}: {}", self.shown());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Its exit status, and all that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap().code();
        // What was shown last may not have been read yet.
        self.reading.join().unwrap();
        (status, self.screen.lock().unwrap().clone())
    }
}

/// A site with users under one wrapping key, and another one that is to be used.
async fn site_to_rewrap(stack: TestStack, users: usize) -> Site {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, users).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    site
}

async fn moved(site: &Site) -> usize {
    site.data_keys().await.iter().filter(|key| key.kek_id == "local:next").count()
}

async fn nothing_is_done_without_a_yes(stack: TestStack) {
    let site = site_to_rewrap(stack, 3).await;
    let before = site.data_keys().await;
    for answer in ["n\n", "\n", "maybe\n", "\u{4}"] {
        let mut terminal = Terminal::run(&site, "keys rewrap", &[]);
        terminal.wait_for("Move them? [y/N] ");
        terminal.press(answer);
        let (status, shown) = terminal.end();
        assert_eq!(status, Some(1), "{shown}");
        assert!(shown.contains("nothing was done"), "{shown}");
    }
    assert_eq!(site.data_keys().await, before);
    // Without a terminal there is nobody to ask.
    let refused = site.sandbox.admin(&["keys", "rewrap"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("Pass --yes to go ahead"), "{}", refused.stderr);
    assert_eq!(site.data_keys().await, before);

    let mut terminal = Terminal::run(&site, "keys rewrap", &[]);
    terminal.wait_for("Move them? [y/N] ");
    terminal.press("y\n");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("moved 3 data keys in "), "{shown}");
    assert!(shown.contains("0 data keys left under other wrapping keys than local:next"), "{shown}");
    assert_eq!(moved(&site).await, 3);
}

async fn a_run_shows_how_it_gets_on(stack: TestStack) {
    const BOLD: &str = "\u{1b}[1m";
    let site = site_to_rewrap(stack, 120).await;
    let (status, shown) =
        Terminal::run(&site, "keys rewrap --yes --max-rate 60 --batch-size 5 --limit 60", &[]).end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains(&format!("{BOLD}FROM")), "{shown}");
    assert!(shown.contains("/60 ") && shown.contains(" left"), "no progress: {shown}");
    assert!(shown.contains("60 data keys left under other wrapping keys than local:next"), "{shown}");
    assert!(shown.contains("to go on: oubliette-admin keys rewrap"), "{shown}");
    assert_eq!(moved(&site).await, 60);

    let (_, coloured) = Terminal::run(&site, "keys status", &[]).end();
    assert!(coloured.contains(&format!("{BOLD}WRAPPING KEY")), "{coloured}");
    let (_, plain) = Terminal::run(&site, "keys status", &[("NO_COLOR", "1")]).end();
    assert!(plain.contains("WRAPPING KEY") && !plain.contains('\u{1b}'), "{plain}");
    let piped = site.sandbox.admin_ok(&["keys", "status"]);
    assert!(piped.contains("WRAPPING KEY") && !piped.contains('\u{1b}'), "{piped}");
    assert!(piped.contains("██████████░░░░░░░░░░"), "a bar for each half: {piped}");

    let finished = site.sandbox.admin(&["keys", "rewrap", "--yes", "--json", "--max-rate", "25"]);
    let events: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"plan"), Some(&"result")), "{names:?}");
    assert!(names.len() > 2 && names[1..names.len() - 1].iter().all(|name| *name == "progress"), "{names:?}");
    assert_eq!(events[0]["data_keys"], 60);
    assert_eq!(moved(&site).await, 120);

    let status: Value = serde_json::from_str(&site.sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
    let runs = status["runs"].as_array().unwrap();
    let of = |run: &Value| (run["outcome"].clone(), run["done"].clone(), run["kind"].clone());
    assert_eq!(of(&runs[0]), ("completed".into(), 60.into(), "rewrap".into()), "{status}");
    assert_eq!(of(&runs[1]), ("limited".into(), 60.into(), "rewrap".into()), "{status}");
}

async fn an_interrupted_run_goes_on_later(stack: TestStack) {
    let site = site_to_rewrap(stack, 300).await;
    let mut terminal = Terminal::run(&site, "keys rewrap --yes --max-rate 50 --batch-size 10", &[]);
    let began = Instant::now();
    while moved(&site).await < 20 {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", terminal.shown());
    }
    terminal.press("\u{3}");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("ending: what is in hand is stored"), "{shown}");
    assert!(shown.contains("to go on: oubliette-admin keys rewrap"), "{shown}");
    let some = moved(&site).await;
    assert!((20..300).contains(&some), "{some}");
    site.verify(300);
    // Its claims went with it: the next run does not wait for them.
    let rest = site.done(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!((&rest["done"], &rest["left"]), (&(300 - some).into(), &0.into()), "{rest}");
    let status = site.sandbox.admin_ok(&["keys", "status"]);
    assert!(status.contains("interrupted"), "{status}");
}

async fn a_dry_run_stores_nothing(stack: TestStack) {
    let site = site_to_rewrap(stack, 30).await;
    let before = (site.data_keys().await, site.user_rows().await);
    let Finished { status, stdout, stderr } = site.sandbox.admin(&["keys", "rewrap", "--dry-run"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("30 calls to key backends"), "{stderr}");
    assert!(stdout.contains(": 20 moved and forgotten about, 0 failed\n"), "{stdout}");
    assert!(stdout.ends_with("this was a dry run: nothing was stored\n"), "{stdout}");
    let finished = site.sandbox.admin(&["keys", "rotate", "--all", "--dry-run"]);
    assert_eq!(finished.status, Some(0));
    assert!(finished.stderr.contains("30 data keys made before "), "{}", finished.stderr);

    // What would fail is found.
    let path = site.sandbox.path("data/local.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    let old = file.lines().find(|line| line.starts_with("[keys.2")).unwrap();
    let damaged = file.replace(old, "[keys.another]");
    File::create(&path).unwrap().write_all(damaged.as_bytes()).unwrap();
    let finished = site.sandbox.admin(&["keys", "rewrap", "--dry-run"]);
    assert_eq!(finished.status, Some(1), "{}", finished.stdout);
    assert_eq!((site.data_keys().await, site.user_rows().await), before);
    let status = site.sandbox.admin_ok(&["keys", "status", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["runs"], serde_json::json!([]));
}
