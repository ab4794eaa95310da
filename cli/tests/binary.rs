//! Runs the built binary: exit codes, what stands on stdout and what on stderr. No server is asked.
#![expect(clippy::unwrap_used, reason = "tests stop where something is not as it should be")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use list_sync::control::SAME_SIGNAL;

struct Case {
    folder: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let _ = std::fs::remove_file(folder.join("list_sync.toml"));
        Self { folder }
    }

    fn with_file(name: &str, text: &str) -> Self {
        let case = Self::new(name);
        std::fs::write(case.folder.join("list_sync.toml"), text).unwrap();
        case
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_list_sync"));
        let Output { status, stdout, stderr } =
            command.args(arguments).current_dir(&self.folder).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

const SOURCE: &str =
    "[[source]]\nname = \"shop\"\nurl = \"postgres://me:geheim@127.0.0.1:1/shop\"\ntables = [\"public.*\"]\n";
const SINK: &str = "[[sink]]\nname = \"files\"\npath = \"out/{table}\"\n";

#[test]
fn help_and_version_go_to_stdout_and_every_command_has_an_example() {
    let case = Case::new("help");
    let (code, stdout, stderr) = case.run(&["--version"]);
    assert_eq!((code, stdout.starts_with("list_sync "), stderr.as_str()), (0, true, ""));
    for command in ["init", "check", "connect", "consume", "run", "seed", "status", "verify"] {
        let (code, stdout, _) = case.run(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(stdout.contains("Example") && stdout.contains(&format!("  list_sync {command}")), "{stdout}");
    }
}

#[test]
fn wrong_usage_is_2_and_leaves_stdout_empty() {
    let case = Case::new("usage");
    for arguments in [
        &["fly"][..],
        &["connect", "--fly"],
        &["seed", "--mix", "50,25"],
        &["seed", "--rows", "many"],
        &["consume", "--instances", "0"],
        &["run", "--from", "postgres://h/d", "--to", "csv:out"],
        &["run", "--from", "postgres://h/d", "--table", "t"],
        &["connect", "--from", "postgres://h/d", "--table", "t"],
        &["connect", "-c", "f", "--from", "postgres://h/d", "--table", "t"],
        &["connect"],
        &["connect", "-c", "none.toml"],
    ] {
        let (code, stdout, stderr) = case.run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

#[test]
fn all_faults_of_the_file_are_told_with_their_places() {
    let case = Case::with_file("faults", &format!("{SOURCE}formt = \"json\"\n[sinks]\n"));
    let (code, _, stderr) = case.run(&["connect"]);
    let expected = "error: list_sync.toml:5:1: unknown option \"formt\" in [[source]]; did you \
        mean \"format\"?\n\
                    error: list_sync.toml:6:2: unknown section \"sinks\"; did you mean \"sink\"?\n\
                    hint: nothing was started; each line names the place and what belongs there\n\
                    code: config-invalid (list_sync explain config-invalid)\n";
    assert_eq!((code, stderr.as_str()), (2, expected));
}

#[test]
fn variables_and_flags_stand_above_the_file_and_are_named_in_faults() {
    let case = Case::with_file("above", &format!("{SOURCE}{SINK}"));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_list_sync"));
        let output = command
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(&case.folder)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) =
        run(&["connect", "--set", "sink.files.pth=x"], &[("LIST_SYNC__SOURCE__SHOP__FORMAT", "jason")]);
    let expected = "error: LIST_SYNC__SOURCE__SHOP__FORMAT: \"format\" cannot be \"jason\"; did you \
        mean \"json\"?\n\
                    error: --set sink.files.pth: unknown option \"pth\" in [[sink]]; did you mean \"path\"?\n\
                    hint: nothing was started; each line names the place and what belongs there\n\
                    code: config-invalid (list_sync explain config-invalid)\n";
    assert_eq!((code, stderr.as_str()), (2, expected));
    // With brokers from outside Kafka is no longer what is missing.
    for (arguments, variables) in [
        (&["connect", "--source", "till", "--set", "kafka.brokers=127.0.0.1:1"][..], &[][..]),
        (&["connect", "--source", "till"], &[("LIST_SYNC__KAFKA__BROKERS", "127.0.0.1:1")]),
    ] {
        let (code, stderr) = run(arguments, variables);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with("error: there is no source \"till\""), "{stderr}");
    }
}

const INIT: &[&str] =
    &["init", "--from", "postgres://me:${WORD}@127.0.0.1:1/shop", "--table", "public.*", "--to", "csv:files"];

#[test]
fn init_writes_a_file_that_is_read_and_never_overwrites_one() {
    let case = Case::new("init");
    let (code, stdout, stderr) = case.run(INIT);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (0, "list_sync.toml is written; next: list_sync check\n", "")
    );
    let file = case.folder.join("list_sync.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("\nname = \"shop\"\n") && written.contains("\npath = \"files/{table}\"\n"),
        "{written}"
    );
    // The file is whole: what is missing is the variable that it names.
    let (code, _, stderr) = case.run(&["run"]);
    assert!(code == 2 && stderr.contains("the environment variable \"WORD\" is not set"), "{stderr}");
    let more = [INIT, &["--kafka", "a:1,b:2"]].concat();
    let (code, stdout, stderr) = case.run(&more);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.starts_with("error: the file \"list_sync.toml\" is there already\n"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    let (code, _, _) = case.run(&[&more[..], &["--force"]].concat());
    assert_eq!(code, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("\nbrokers = [\"a:1\", \"b:2\"]\n"));
}

#[test]
fn init_refuses_what_would_be_a_bad_file() {
    let case = Case::new("init_refuses");
    for (arguments, expected) in [
        (&["init"][..], "error: there is no terminal to ask on, and --from, --table, --to is missing\n"),
        (
            &["init", "--from", "postgres://me:geheim@h/d", "--table", "t", "--to", "csv:out"],
            "error: the password in the URL would stand in the file",
        ),
        (
            &["init", "--from", "postgres://me@h/d", "--table", "t", "--to", "xml:out"],
            "error: --to is not understood; expected csv:FOLDER\n",
        ),
        (
            &["init", "--from", "postgres://me@h/d", "--table", "t", "--to", "csv:out", "--kafka", "a:b"],
            "error: \"a:b\" is no broker",
        ),
        (
            &["init", "--from", "oracle://h/d", "--table", "t", "--to", "csv:out"],
            "error: unknown database \"oracle\" in a URL",
        ),
    ] {
        let (code, stdout, stderr) = case.run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(expected) && !stderr.contains("geheim"), "{stderr}");
        assert!(!case.folder.join("list_sync.toml").exists());
    }
    let (code, _, stderr) = case.run(&[INIT, &["-c", "none/list_sync.toml"]].concat());
    assert!(code == 1 && stderr.contains("the file \"none/list_sync.toml\" cannot be written"), "{stderr}");
}

#[test]
fn init_asks_on_a_terminal() {
    let case = Case::new("init_asks");
    // `script` gives the program a terminal, and it what stands on our side of it.
    let mut child = Command::new("script")
        .args(["-qec", &format!("{} init", env!("CARGO_BIN_EXE_list_sync")), "/dev/null"])
        .current_dir(&case.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "oracle://h/d\nmysql://repl@db/shop\nDB_PASSWORD\n\norders\na:1\n\n";
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("unknown database") && said.contains("Name of the source"),
        "{said}"
    );
    let written = std::fs::read_to_string(case.folder.join("list_sync.toml")).unwrap();
    for line in [
        "brokers = [\"a:1\"]",
        "url = \"mysql://repl:${DB_PASSWORD}@db/shop\"",
        "tables = [\"orders\"]",
        "path = \"out/{table}\"",
    ] {
        assert!(written.contains(&format!("\n{line}\n")), "{line}: {written}");
    }
}

#[test]
fn what_a_command_needs_is_checked_before_it_starts() {
    let case = Case::with_file("needs", &format!("{SOURCE}{SINK}"));
    for (arguments, expected) in [
        (&["connect"][..], "error: list_sync.toml has no [kafka], which this command needs\n"),
        (&["consume"], "error: list_sync.toml has no [kafka], which this command needs\n"),
        (&["seed", "--source", "shp"], "error: there is no source \"shp\"; did you mean \"shop\"?\n"),
        (&["verify", "--sink", "file"], "error: there is no sink \"file\"; did you mean \"files\"?\n"),
    ] {
        let (code, _, stderr) = case.run(arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}");
    }
    let case = Case::with_file("unbuilt", &format!("{SOURCE}format = \"avro\"\n{SINK}"));
    let (code, _, stderr) = case.run(&["run"]);
    assert_eq!(
        (code, stderr.lines().next()),
        (2, Some("error: list_sync.toml:5:10: format = \"avro\" is not built yet"))
    );
}

#[test]
fn errors_are_json_lines_where_the_log_is() {
    let case = Case::new("json");
    let (code, stdout, stderr) = case.run(&["--log-format", "json", "connect"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    for line in stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(
            line["message"].as_str().unwrap().contains("list_sync.toml")
                && !line["hint"].as_str().unwrap().is_empty()
        );
    }
}

#[test]
fn a_failure_at_run_time_is_1_and_never_prints_the_password() {
    let case = Case::with_file("password", &format!("{SOURCE}{SINK}"));
    for arguments in [
        &["-vv", "seed", "--rows", "10"][..],
        &["-vv", "verify"],
        &["-vv", "seed", "--url", "mysql://me:geheim@127.0.0.1:1/shop"],
    ] {
        let (code, stdout, stderr) = case.run(arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("\nhint: ") && !stderr.contains("geheim"), "{stderr}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    // A server that takes the connection and says nothing: the first signal cannot be heeded yet.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/d", server.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_list_sync"))
        .args(["seed", "--url", &url])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _connection = server.accept().unwrap();
    let process = child.id().to_string();
    let signal = |name: &str| Command::new("kill").args(["-s", name, &process]).status().unwrap();
    // `timeout` sends the first one twice.
    assert!(signal("TERM").success() && signal("TERM").success());
    std::thread::sleep(2 * SAME_SIGNAL);
    assert_eq!(child.try_wait().unwrap(), None);
    assert!(signal("INT").success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
