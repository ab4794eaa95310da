//! The built binary, as a user starts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Fails the check unless the run succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }
}

/// Runs to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Run {
    let output =
        Command::new(env!("CARGO_BIN_EXE_list_sync")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs to its end on a terminal, which `script` makes: `err` is what is drawn there. `before` is a shell
/// line's beginning, as `timeout 3`.
pub fn run_on_terminal(folder: &Path, before: &str, arguments: &[&str]) -> Run {
    let words = arguments.join(" ");
    let line =
        format!("stty rows 50 cols 200; {before} {} {words} > terminal.out", env!("CARGO_BIN_EXE_list_sync"));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let out = std::fs::read(folder.join("terminal.out")).unwrap();
    Run { code: output.status.code(), out: text(out), err: text(output.stdout) }
}

/// A process that runs beside the check; killed with it.
pub struct Program {
    child: Child,
    log: PathBuf,
    /// Where this start begins in the log: others of the same name wrote before it.
    log_begins: usize,
}

impl Program {
    /// Starts with `arguments` in `folder`; what it says goes to the end of a file there.
    pub fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let log_begins = file.metadata().unwrap().len() as usize;
        let mut command = Command::new(env!("CARGO_BIN_EXE_list_sync"));
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Self { child: command.spawn().unwrap(), log, log_begins }
    }

    /// Runs to its end.
    pub fn run(folder: &Path, arguments: &[&str]) -> Run {
        run(folder, arguments)
    }

    /// What it has said since this start.
    pub fn log(&self) -> String {
        let mut all = std::fs::read(&self.log).unwrap();
        String::from_utf8_lossy(&all.split_off(self.log_begins)).into_owned()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until this start says `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended ({status}) before it said {text:?}:\n{}", self.log());
            }
            assert!(began.elapsed() < Duration::from_secs(60), "never said {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, as the kernel does when memory is short.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait(Duration::from_secs(60)).code()
    }

    /// What the list of processes shows of it.
    pub fn command_line(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/cmdline", self.child.id())).unwrap().replace('\0', " ")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < longest, "still runs after {longest:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Lines of a program's log that a failed check shows.
const LINES_SHOWN: usize = 60;

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "{} ends with:\n{}",
                self.log.display(),
                lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
            );
        }
    }
}
