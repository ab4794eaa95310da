//! A MySQL or MariaDB server of one check's own, for settings and resets that would harm the others; gone
//! with it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Scratch, Server};

/// Run at each start, before the port opens; none of it enters the binary log.
const INIT: &str = "SET sql_log_bin = 0;\n\
    CREATE USER IF NOT EXISTS 'repl'@'%' IDENTIFIED BY 'repl';\n\
    GRANT ALL ON *.* TO 'repl'@'%' WITH GRANT OPTION;\n\
    CREATE DATABASE IF NOT EXISTS d;\n";

pub struct OwnMysql {
    pub server: Server,
    pub scratch: Scratch,
    process: Option<Child>,
}

impl OwnMysql {
    /// Starts `mysql` or `mariadb` with an empty database `d` and these options more, as `--gtid-mode=OFF`.
    pub fn start(name: &'static str, check: &str, options: &[&str]) -> Self {
        let scratch = Scratch::new(check);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server { name, url: format!("{name}://repl:repl@127.0.0.1:{port}/d") };
        let mut own = Self { server, scratch, process: None };
        assert!(
            Command::new("chmod")
                .args(["777", own.scratch.folder.to_str().unwrap()])
                .status()
                .unwrap()
                .success()
        );
        own.scratch.write("init.sql", INIT);
        let data = own.scratch.path("data").display().to_string();
        let made = if own.is_mariadb() {
            own.command(
                "bin/mariadb-install-db",
                &["--auth-root-authentication-method=normal", "--skip-test-db"],
                &data,
            )
            .status()
        } else {
            own.command("sbin/mysqld", &["--initialize-insecure"], &data).status()
        };
        assert!(made.unwrap().success(), "{}", own.scratch.read("server.log"));
        own.begin(options);
        own
    }

    /// Stops it and starts it with other options; the data stays.
    pub fn restart(&mut self, options: &[&str]) {
        self.end("TERM");
        self.begin(options);
    }

    pub fn is_mariadb(&self) -> bool {
        self.server.name == "mariadb"
    }

    /// Begins the log again with its first file and its first transaction.
    pub fn reset_log(&self) {
        self.server.execute(if self.is_mariadb() {
            "RESET MASTER;\n"
        } else {
            "RESET BINARY LOGS AND GTIDS;\n"
        });
    }

    fn begin(&mut self, options: &[&str]) {
        let file = |name: &str| self.scratch.path(name).display().to_string();
        let port = self.server.address().port;
        let mut all = vec![
            format!("--socket={}", file("server.sock")),
            format!("--pid-file={}", file("server.pid")),
            format!("--init-file={}", file("init.sql")),
            format!("--port={port}"),
        ];
        all.extend(
            [
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--server-id=7",
                "--log-bin=binlog",
                "--sync-binlog=0",
            ]
            .map(str::to_owned),
        );
        all.extend(
            ["--binlog-format=ROW", "--binlog-row-metadata=FULL", "--innodb-flush-log-at-trx-commit=2"]
                .map(str::to_owned),
        );
        let program = if self.is_mariadb() { "sbin/mariadbd" } else { "sbin/mysqld" };
        if !self.is_mariadb() {
            all.extend(
                ["--mysqlx=OFF", "--secure-file-priv=", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"]
                    .map(str::to_owned),
            );
        }
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        self.process = Some(self.command(program, &all, &file("data")).spawn().unwrap());
        let began = Instant::now();
        while list_sync::source::open(&self.server.address()).is_err() {
            let is_running = self.process.as_mut().unwrap().try_wait().unwrap().is_none();
            assert!(
                is_running && began.elapsed() < Duration::from_secs(60),
                "{}",
                self.scratch.read("server.log")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The servers refuse to run as root; scripts/services made the user.
    fn command(&self, program: &str, options: &[&str], data: &str) -> Command {
        let folder = if self.is_mariadb() { "LIST_SYNC_MARIADB_BIN" } else { "LIST_SYNC_MYSQL_BIN" };
        let programs = super::variable(folder);
        let base = programs.strip_suffix("/bin").unwrap();
        let mut command = Command::new("env");
        if super::own_postgres::is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid=list_sync", "--regid=list_sync", "--init-groups"]);
        }
        command
            .arg(format!("{base}/{program}"))
            .arg("--no-defaults")
            .arg(format!("--basedir={base}"))
            .arg(format!("--datadir={data}"));
        command.args([
            format!("--plugin-dir={base}/lib/mysql/plugin"),
            format!("--lc-messages-dir={base}/share/mysql"),
        ]);
        command.arg(format!("--character-sets-dir={base}/share/mysql/charsets")).args(options);
        let log =
            std::fs::File::options().create(true).append(true).open(self.scratch.path("server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn end(&mut self, signal: &str) {
        let Some(mut process) = self.process.take() else { return };
        let sent = Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status();
        assert!(sent.unwrap().success());
        process.wait().unwrap();
    }
}

impl Drop for OwnMysql {
    fn drop(&mut self) {
        self.end("KILL");
    }
}
