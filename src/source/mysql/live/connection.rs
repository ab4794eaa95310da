//! The connection itself: each way to log in, over each kind of link, and packets of several frames.

use super::super::super::{Address, Database as _, Snapshot, Source as _};
use super::{Bench, both, is_mariadb, open, read_all};
use crate::error::ErrorKind;
use crate::secret::Secret;
use crate::source::mysql::MysqlDatabase;

const PASSWORD: &str = "it's geheim, with more than thirty-two bytes: äöü\\";

/// The plugins that the server has and a user can log in by, with what a user is made by.
fn plugins(database: &mut MysqlDatabase, address: &Address) -> Vec<(&'static str, &'static str)> {
    let mariadb = is_mariadb(address);
    if mariadb {
        // Some are not there in every version.
        for library in ["auth_ed25519", "auth_parsec"] {
            let _ = database.execute(&format!("INSTALL SONAME '{library}'"));
        }
    }
    let active = database
        .query("SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE'")
        .unwrap();
    let known = if mariadb {
        &["mysql_native_password", "ed25519", "parsec"][..]
    } else {
        &["mysql_native_password", "caching_sha2_password"]
    };
    let by = if mariadb { "VIA {plugin} USING PASSWORD({password})" } else { "WITH {plugin} BY {password}" };
    let found: Vec<_> = known
        .iter()
        .filter(|name| active.iter().flatten().flatten().any(|active| active == *name))
        .map(|name| (*name, by))
        .collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn live_users_log_in_by_each_plugin() {
    for address in both() {
        let mut database = open(&address).unwrap();
        let socket = database.query("SELECT @@socket").unwrap()[0][0].clone().unwrap();
        for (plugin, by) in plugins(&mut database, &address) {
            for link in ["disabled", "required", "socket"] {
                // Each is a new user, whose hash a server with caching_sha2_password does not know yet.
                let user = format!("my_live_{}_{link}", &plugin[..5]);
                let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
                let by = by.replace("{plugin}", plugin).replace("{password}", &format!("'{password}'"));
                database.execute(&format!("DROP USER IF EXISTS {user}")).unwrap();
                database.execute(&format!("CREATE USER {user} IDENTIFIED {by}")).unwrap();
                database.execute(&format!("GRANT SELECT ON {}.* TO {user}", address.database)).unwrap();
                let mut theirs = Address { user: user.clone(), ..address.clone() };
                if link == "socket" {
                    theirs.host.clone_from(&socket);
                } else {
                    theirs.options.insert("ssl-mode".into(), link.into());
                }
                let product = address.dialect.product();
                // The second time a server knows the hash.
                for _ in 0..2 {
                    theirs.password = Secret::new(PASSWORD);
                    let mut session =
                        open(&theirs).unwrap_or_else(|error| panic!("{product}, {user}: {error}"));
                    let who = session.query("SELECT CURRENT_USER()").unwrap()[0][0].clone().unwrap();
                    assert_eq!(who, format!("{user}@%"));
                    let cipher = session.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").unwrap();
                    let is_encrypted = cipher[0][1].as_deref().is_some_and(|cipher| !cipher.is_empty());
                    assert_eq!(is_encrypted, link == "required", "{product}, {user}");
                }
                for wrong in ["", "wrong"] {
                    theirs.password = Secret::new(wrong);
                    let error = open(&theirs).err().unwrap();
                    let is_refused = error.to_string().contains("refuses the password");
                    assert!(error.kind() == ErrorKind::Stop && is_refused, "{product}, {user}: {error}");
                }
                database.execute(&format!("DROP USER {user}")).unwrap();
            }
        }
    }
}

/// More than 16 MB of one event come as two frames of one packet.
#[test]
fn live_an_event_of_two_frames() {
    for address in both() {
        let mut bench = Bench::new(&address, "frames", "id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT");
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} SELECT 1, REPEAT('a', 9000000), REPEAT('b', 9000000)");
        bench.run("INSERT INTO {t} VALUES (2, 'a', 'b')");
        let (rows, _, _) = read_all(&mut source);
        let long = |letter: &str| letter.repeat(9_000_000);
        assert!(rows[0] == format!("Insert 1|\"{}\"|\"{}\" <- ", long("a"), long("b")), "{}", rows[0].len());
        assert_eq!(rows[1..], ["Insert 2|\"a\"|\"b\" <- "]);
    }
}

/// Of several statements at once all are run, and their rows counted.
#[test]
fn live_several_answers() {
    for address in both() {
        let mut bench = Bench::new(&address, "answers", "id INT PRIMARY KEY");
        let table = bench.table.clone();
        let statements = format!(
            "INSERT INTO {table} VALUES (1), (2); SELECT * FROM {table}; DELETE FROM {table} WHERE id = 1"
        );
        assert_eq!(bench.database.execute(&statements).unwrap(), 3);
        let first = bench.database.query(&format!("SELECT id FROM {table}; SELECT 7, 8")).unwrap();
        assert_eq!(first, [[Some("2".to_owned())]]);
        let error = bench.database.query("SELECT 1; SELECT nothing").unwrap_err();
        assert!(error.to_string().contains("refuses a statement"), "{error}");
        assert_eq!(bench.database.query("SELECT NULL, ''").unwrap(), [[None, Some(String::new())]]);
    }
}
