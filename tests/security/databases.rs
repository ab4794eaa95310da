//! TLS to the databases: verification of the server's certificate, certificates of ours, and every way in
//! which they fail.

use super::{certificate, expect};
use crate::rig::{Pipeline, Program, Run, Scratch, Server, all_servers, alone, together};

/// The options of a URL, in the words of each database.
struct Tls {
    mode: &'static str,
    authority: &'static str,
    client: Option<&'static str>,
}

const VERIFIED: Tls = Tls { mode: "verify-full", authority: "ca.pem", client: None };

impl Tls {
    fn of(&self, server: &Server) -> String {
        let libpq = server.name == "postgres";
        let name =
            |libpq_name: &'static str, mysql_name: &'static str| if libpq { libpq_name } else { mysql_name };
        let mode = if libpq {
            self.mode.to_owned()
        } else {
            self.mode.replace("verify-full", "verify_identity").replace('-', "_")
        };
        let mut options = format!(
            "?{}={mode}&{}={}",
            name("sslmode", "ssl-mode"),
            name("sslrootcert", "ssl-ca"),
            certificate(self.authority)
        );
        if let Some(client) = self.client {
            for (option, ending) in [(name("sslcert", "ssl-cert"), "pem"), (name("sslkey", "ssl-key"), "key")]
            {
                let file = certificate(&format!("{client}.{ending}"));
                options = format!("{options}&{option}={file}");
            }
        }
        options
    }
}

/// The names of the options for certificates, as messages print them.
fn option(server: &Server, libpq: &'static str, mysql: &'static str) -> &'static str {
    if server.name == "postgres" { libpq } else { mysql }
}

/// Connects, and does nothing.
fn connect(url: &str) -> Run {
    let scratch = Scratch::new("tls");
    Program::run(&scratch.folder, &["seed", "--rows", "0", "--table", "list_sync_tls", "--url", url])
}

/// A user who must show a certificate, for whom the server knows no other way in.
fn certified(server: &Server) -> String {
    let create = if server.name == "postgres" {
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'certified') THEN CREATE ROLE \
         certified LOGIN SUPERUSER; END IF; END $$;\n"
    } else {
        "CREATE USER IF NOT EXISTS 'certified'@'%' REQUIRE X509;\nGRANT ALL ON *.* TO 'certified'@'%';\n"
    };
    server.execute(create);
    let user = server.url.split_once("://").unwrap().1.split('@').next().unwrap();
    server.url.replace(&format!("{user}@"), "certified@")
}

#[test]
fn verified_and_with_a_certificate_it_carries_the_load() {
    for server in all_servers() {
        let pipeline = Pipeline::new("verified", server.clone(), true);
        let text = pipeline.scratch.read("list_sync.toml");
        let url = text.split("url = \"").nth(1).unwrap().split('"').next().unwrap();
        pipeline.run(&["run", "--once"]);
        let mut counts = pipeline.seed(400);
        let everything = Tls { client: Some("client"), ..VERIFIED };
        for (url_now, tls) in [(url, &VERIFIED), (certified(&server).as_str(), &everything)] {
            pipeline
                .scratch
                .write("list_sync.toml", &text.replace(url, &format!("{url_now}{}", tls.of(&server))));
            pipeline.run(&["run", "--once"]);
            counts += pipeline.seed(400);
        }
        pipeline.run(&["run", "--once"]);
        pipeline.prove(counts);
    }
}

#[test]
fn wrong_certificates() {
    let _together = together();
    for server in all_servers() {
        let to = |tls: Tls| connect(&format!("{}{}", server.url, tls.of(&server)));
        let authority = option(&server, "sslrootcert", "ssl-ca");
        for mode in ["verify-full", "verify-ca"] {
            expect(
                &to(Tls { mode, authority: "other-ca.pem", client: None }),
                1,
                &["certificate of", "authority that is not trusted"],
                &[authority],
            );
        }
        expect(
            &to(Tls { authority: "nothing.pem", ..VERIFIED }),
            2,
            &["nothing.pem", authority, "no such file"],
            &[],
        );
        expect(&to(Tls { mode: "verify-everything", ..VERIFIED }), 2, &["verify"], &["write"]);
        let by_certificate =
            |client| connect(&format!("{}{}", certified(&server), Tls { client, ..VERIFIED }.of(&server)));
        by_certificate(Some("client")).ok();
        expect(
            &by_certificate(None),
            1,
            &[],
            &[option(&server, "sslcert", "ssl-cert"), option(&server, "sslkey", "ssl-key")],
        );
        for client in ["client-expired", "client-stranger"] {
            expect(&by_certificate(Some(client)), 1, &["refuses the client certificate"], &["openssl x509"]);
        }
        expect(&by_certificate(Some("server-elsewhere.nothing")), 2, &["server-elsewhere.nothing"], &[]);
    }
}

/// The server itself shows a wrong certificate, for as long as `look` takes.
fn showing(server: &Server, name: &str, look: impl FnOnce()) {
    let show = |name: &str| {
        let (certificate, key) = (certificate(&format!("{name}.pem")), certificate(&format!("{name}.key")));
        if server.name == "postgres" {
            server.execute(&format!(
                "ALTER SYSTEM SET ssl_cert_file = '{certificate}';\nALTER SYSTEM SET ssl_key_file = \
                 '{key}';\nSELECT pg_reload_conf();\n"
            ));
            // The postmaster reads its files in its own time.
            std::thread::sleep(std::time::Duration::from_millis(500));
        } else {
            server.execute(&format!(
                "SET GLOBAL ssl_cert = '{certificate}';\nSET GLOBAL ssl_key = \
                '{key}';\nALTER INSTANCE RELOAD TLS;\n"
            ));
        }
    };
    show(name);
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
    show("server");
    if let Err(panic) = looked {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn servers_with_wrong_certificates() {
    let _alone = alone();
    // MariaDB reads its files again, but not from other paths.
    for server in [Server::postgres(), Server::mysql()] {
        let to = |mode| connect(&format!("{}{}", server.url, Tls { mode, ..VERIFIED }.of(&server)));
        // MySQL does not take an expired certificate.
        if server.name == "postgres" {
            showing(&server, "server-expired", || {
                expect(&to("verify-ca"), 1, &["certificate of", "expired"], &["renew"]);
            });
        }
        showing(&server, "server-elsewhere", || {
            expect(
                &to("verify-full"),
                1,
                &["does not name \"127.0.0.1\"", "db.example"],
                &["subjectAltName"],
            );
            to("verify-ca").ok();
        });
        to("verify-full").ok();
    }
}
