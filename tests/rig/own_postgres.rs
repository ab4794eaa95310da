//! A PostgreSQL server of one check's own, with settings that would harm the others; gone with it.

use std::process::{Command, Stdio};

use super::{Scratch, Server};

pub struct OwnPostgres {
    pub server: Server,
    pub scratch: Scratch,
    programs: String,
    options: String,
}

impl OwnPostgres {
    /// Starts with these options of the server, as `-c wal_level=replica`.
    pub fn start(check: &str, options: &str) -> Self {
        let scratch = Scratch::new(check);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server =
            Server { name: "postgres", url: format!("postgres://postgres@127.0.0.1:{port}/postgres") };
        let programs = super::variable("LIST_SYNC_POSTGRES_BIN");
        let own = Self { server, scratch, programs, options: options.to_owned() };
        let folder = own.folder();
        assert!(
            Command::new("chmod")
                .args(["777", own.scratch.folder.to_str().unwrap()])
                .status()
                .unwrap()
                .success()
        );
        assert!(
            own.shell(&format!("initdb -D {folder} -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync"))
        );
        own.start_again();
        own
    }

    /// Starts it after [`OwnPostgres::stop`].
    pub fn start_again(&self) {
        let (folder, port, options) = (self.folder(), self.server.address().port, &self.options);
        let started = self.shell(&format!(
            "pg_ctl -D {folder} -w -l {folder}/log -o '-p {port} -c listen_addresses=127.0.0.1 -c \
             unix_socket_directories={folder} {options}' start"
        ));
        assert!(started, "{}", self.scratch.read("pg/log"));
    }

    /// Stops it; `immediate` is a crash.
    pub fn stop(&self, mode: &str) {
        assert!(self.shell(&format!("pg_ctl -D {} -w -m {mode} stop", self.folder())));
    }

    /// Keeps a copy of its folder, or sets it back to that copy. It must be stopped.
    pub fn copy_folder(&self, set_back: bool) {
        let (folder, copy) = (self.folder(), self.scratch.path("copy").display().to_string());
        let (from, to) = if set_back { (copy, folder) } else { (folder, copy) };
        let _ = std::fs::remove_dir_all(&to);
        assert!(Command::new("cp").args(["-a", &from, &to]).status().unwrap().success());
    }

    fn folder(&self) -> String {
        self.scratch.path("pg").display().to_string()
    }

    /// PostgreSQL refuses to run as root; scripts/services made the user.
    fn shell(&self, line: &str) -> bool {
        let as_user: &[&str] = if is_root() {
            &["setpriv", "--reuid=list_sync", "--regid=list_sync", "--init-groups", "sh", "-c"]
        } else {
            &["sh", "-c"]
        };
        let mut command = Command::new(as_user[0]);
        command.args(&as_user[1..]).arg(format!("{}/{line}", self.programs));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.shell(&format!("pg_ctl -D {} -m immediate stop", self.folder()));
    }
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
