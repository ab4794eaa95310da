//! Each way to write a configuration wrongly, with the message it gets; and what a right one comes out as.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::*;
use crate::error;
use crate::source::Snapshot;

const SOURCE: &str =
    "[[source]]\nname = \"shop\"\nurl = \"postgres://me@db/shop\"\ntables = [\"public.*\"]\n";

fn parse(text: &str) -> Result<Config> {
    let variable = |name: &str| (name == "PASSWORD").then(|| "s3cr/t".to_owned());
    let read = |path: &str| {
        if path == "/run/shop" { Ok("s3cret\r\n".to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    Config::parse("c.toml", text, Outside { variable: &variable, read: &read })
}

fn faults(text: &str) -> Vec<String> {
    let error = parse(text).expect_err(text);
    assert_eq!((error.kind(), error.exit_code()), (error::ErrorKind::Usage, 2));
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn each_fault_names_its_place_and_what_belongs_there() {
    for (text, expected) in [
        ("[kafka\n", "c.toml:1:7: this is no TOML: unclosed table, expected `]`"),
        ("[kafkaa]\n", "c.toml:1:2: unknown section \"kafkaa\"; did you mean \"kafka\"?"),
        (
            "[zoo]\n",
            "c.toml:1:2: unknown section \"zoo\"; expected one \
             of \"kafka\", \"source\", \"sink\", \"monitor\"",
        ),
        ("[[kafka]]\n", "c.toml:1:3: \"kafka\" is no section; expected [kafka]"),
        ("[source]\n", "c.toml:1:2: \"source\" is no section; expected [[source]]"),
        ("source = [1]\n", "c.toml:1:11: expected [[source]]"),
        ("[kafka]\n", "c.toml:1:2: [kafka] has no \"brokers\", which is required"),
        ("[kafka]\nbrokers = \"a:1\"\n", "c.toml:2:11: \"brokers\" is a string; expected a list of strings"),
        ("[kafka]\nbrokers = []\n", "c.toml:2:11: \"brokers\" is empty; leave it out or give it a value"),
        ("[kafka]\nbrokers = [\"a:b\"]\n", "c.toml:2:11: \"a:b\" is no broker; expected \"host:port\""),
        ("[kafka]\nbrokers = [\"a:1\", 2]\n", "c.toml:2:19: expected a string in this list"),
        ("[kafka]\nbrokers = [\"${HOST}:1\"]\n", "c.toml:2:12: the environment variable \"HOST\" is not set"),
        (
            "[kafka]\nbrokers = [\"a:1\"]\ntopic = { partition = 3 }\n",
            "c.toml:3:11: unknown option \"partition\" in \"topic\"; did you mean \"partitions\"?",
        ),
        (
            "[kafka]\nbrokers = [\"a:1\"]\ntopic.partitions = 0\n",
            "c.toml:3:20: \"partitions\" is 0; expected a whole number from 1 to 10000",
        ),
        (
            "[kafka]\nbrokers = [\"a:1\"]\nproperties.compression.type = \"lz4\"\n",
            "c.toml:3:12: the property \"compression\" is no plain value; write a dotted name in quotes",
        ),
    ] {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

#[test]
fn each_fault_of_a_source() {
    for (line, expected) in [
        ("formt = \"json\"", "c.toml:5:1: unknown option \"formt\" in [[source]]; did you mean \"format\"?"),
        ("format = \"jason\"", "c.toml:5:10: \"format\" cannot be \"jason\"; did you mean \"json\"?"),
        (
            "format = true",
            "c.toml:5:10: \"format\" is true; expected one of \"json\", \"debezium\", \"protobuf\", \"avro\"",
        ),
        (
            "include = [\"xid\", \"time\"]",
            "c.toml:5:19: \"include\" cannot be \"time\"; did you mean \"type\"?",
        ),
        ("topic = \"{source}.{tabel}\"", "c.toml:5:9: unknown part \"{tabel}\"; did you mean \"table\"?"),
        (
            "topic = \"a b\"",
            "c.toml:5:9: a topic cannot have ' '; expected letters, digits, \".\", \"_\" and \"-\"",
        ),
        (
            "server_id = 7",
            "c.toml:5:13: \"server_id\" is for MySQL and MariaDB, and this source is PostgreSQL; leave it \
             out",
        ),
        (
            "slot = \"Shop\"",
            "c.toml:5:8: \"Shop\" is no slot name; expected lower-case letters, digits and \"_\", at most 63",
        ),
        (
            "password_file = \"/none\"",
            "c.toml:5:17: the password file \"/none\" cannot be read: entity not found",
        ),
    ] {
        assert_eq!(faults(&format!("{SOURCE}{line}\n")), [expected], "{line}");
    }
    let twice = format!("{SOURCE}{SOURCE}");
    assert_eq!(faults(&twice), ["c.toml:6:8: the name \"shop\" stands twice; each [[source]] needs its own"]);
    let same_slot = format!("{SOURCE}{}", SOURCE.replace("\"shop\"", "\"Shop\""));
    assert_eq!(
        faults(&same_slot),
        ["c.toml:5:1: slot \"list_sync_shop\" is also that of source \"shop\" on the same server; give \
             each its own \"slot\""]
    );
    let url = |url: &str| SOURCE.replace("postgres://me@db/shop", url);
    assert_eq!(
        faults(&url("oracle://h/d")),
        ["c.toml:3:7: unknown database \"oracle\" in a URL; write it as \
             postgres://user@host:5432/database, mysql://… or mariadb://…"]
    );
    let both = format!("{}password_file = \"/run/shop\"\n", url("mysql://me:geheim@db/shop"));
    assert_eq!(faults(&both), ["c.toml:5:17: the URL has a password already; leave one of the two out"]);
    assert_eq!(
        faults(&format!("{}slot = \"s\"\n", url("mysql://db/shop"))),
        ["c.toml:5:8: \"slot\" is for PostgreSQL, and this source is MySQL; leave it out"]
    );
    assert_eq!(
        faults(&SOURCE.replace("public.*", "!public.*")),
        ["c.toml:4:10: `tables` names no table; write tables = [\"public.*\"] or the like"]
    );
    assert_eq!(
        faults(&SOURCE.replace("\"shop\"", "\"a shop\"")),
        ["c.toml:2:8: \"a shop\" is no name; expected letters, digits, \"_\" and \"-\", at most 48"]
    );
}

#[test]
fn each_fault_of_a_sink() {
    let sink = "[[sink]]\nname = \"files\"\npath = \"out/{table}\"\ntopics = [\"a\"]\n";
    for (line, expected) in [
        ("splitt = true", "c.toml:5:1: unknown option \"splitt\" in [[sink]]; did you mean \"split\"?"),
        ("split = 1", "c.toml:5:9: \"split\" is 1; expected true or false"),
        ("id = \"a/b\"", "c.toml:5:6: \"id\" stands in file names and cannot have a \"/\""),
        (
            "unchanged = \"a,b\"",
            "c.toml:5:13: \"unchanged\" cannot hold a comma, a quote or a line end: it stands without \
             quotes, which tell a value from it",
        ),
        ("id = \"\"", "c.toml:5:6: \"id\" is empty; leave it out or give it a value"),
        (
            "commit_interval_ms = 5",
            "c.toml:5:22: \"commit_interval_ms\" is 5; expected a whole number of ms from 10 to 600000",
        ),
        (
            "rotate_rows = 99999999999999999999",
            "c.toml:5:15: \"rotate_rows\" is 99999999999999999999; expected a whole number of rows from 1 \
             to 9223372036854775807",
        ),
    ] {
        assert_eq!(faults(&format!("{sink}{line}\n")), [expected], "{line}");
    }
    assert_eq!(
        faults("[[sink]]\nname = \"files\"\npath = \"{tabel}\"\n"),
        [
            "c.toml:1:1: [[sink]] has no \"topics\", and there is no [[source]] to take them from",
            "c.toml:3:8: unknown part \"{tabel}\"; did you mean \"table\"?",
        ]
    );
    assert_eq!(
        faults(&sink.replace("\"a\"", "\"a b\"")),
        ["c.toml:4:10: \"a b\" is no topic; expected letters, digits, \".\", \"_\", \"-\", and * or ? \
             for others"]
    );
}

#[test]
fn sinks_that_would_collide() {
    let two = |first: &str, second: &str, kafka: &str| {
        let sink =
            |name: &str, more: &str| format!("[[sink]]\nname = {name:?}\ntopics = [\"shop.*\"]\n{more}\n");
        format!("{kafka}{}{}", sink("a", first), sink("b", second))
    };
    let kafka = "[kafka]\nbrokers = [\"k:9092\"]\n";
    let (path, group) = ("path = \"out/{table}\"", "group = \"g\"");
    let other = "path = \"more/{table}\"";
    assert_eq!(
        faults(&two(path, path, kafka)),
        ["c.toml:10:8: path \"out/{table}\" is also that of sink \"a\"; give each its own \"path\", or \
             an \"id\" that stands in the names \
          of its files"]
    );
    assert_eq!(
        faults(&two(&format!("{group}\n{path}"), &format!("{group}\n{other}"), kafka)),
        ["c.toml:11:9: group \"g\" is also that of sink \"a\", so each would get a part of the rows; \
             give each its own \"group\""]
    );
    for (first, second, kafka) in [
        (path, other, kafka),
        (path, "id = \"2\"\npath = \"out/{table}\"", kafka),
        ("group = \"g\"\npath = \"out/{table}\"", "group = \"g\"\npath = \"more/{table}\"", ""),
    ] {
        parse(&two(first, second, kafka)).unwrap();
    }
    // Tables of other topics.
    parse(&two(path, path, kafka).replacen("shop.*", "crm.*", 1)).unwrap();
    assert_eq!(
        faults("[[sink]]\nname = \"a\"\ntopics = [\"a\"]\npath = \"~/out/{table}\"\n"),
        ["c.toml:4:8: \"~/out/{table}\": \"~\" is not replaced here; write the whole path, or ${HOME}"]
    );
}

#[test]
fn each_fault_of_the_monitor() {
    for (line, expected) in [
        (
            "listen = \"8080\"",
            "c.toml:2:10: \"8080\" is no address; expected \"address:port\", such as \"127.0.0.1:8080\"",
        ),
        (
            "listen = \"[::1]:99999\"",
            "c.toml:2:10: \"[::1]:99999\" is no address; expected \"address:port\", such \
             as \"127.0.0.1:8080\"",
        ),
        (
            "stalled_after_secs = 1",
            "c.toml:2:22: \"stalled_after_secs\" is 1; expected a whole number of seconds from 5 to 86400",
        ),
    ] {
        assert_eq!(faults(&format!("[monitor]\n{line}\n")), [expected], "{line}");
    }
    let monitor = parse("[monitor]\n").unwrap().monitor.unwrap();
    assert_eq!((monitor.listen.as_str(), monitor.stalled_after), ("127.0.0.1:8080", Duration::from_secs(30)));
}

#[test]
fn all_faults_are_told_together_in_the_order_of_the_file() {
    let text = "[kafka]\nbroker = [\"a:1\"]\n\n[[source]]\n# größer\nname = \"ä\"; x\n";
    assert_eq!(faults(text).len(), 1, "broken TOML is told alone");
    let text = "[kafka]\nbroker = [\"a:1\"]\n\n[[source]]\nname = \"shop\"\nsnapshot = \"nevr\"\n[sinks]\n";
    assert_eq!(
        faults(text),
        [
            "c.toml:1:2: [kafka] has no \"brokers\", which is required",
            "c.toml:2:1: unknown option \"broker\" in [kafka]; did you mean \"brokers\"?",
            "c.toml:4:1: [[source]] has no \"tables\", which is required",
            "c.toml:4:1: [[source]] has no \"url\", which is required",
            "c.toml:6:12: \"snapshot\" cannot be \"nevr\"; did you mean \"never\"?",
            "c.toml:7:2: unknown section \"sinks\"; did you mean \"sink\"?",
        ]
    );
}

#[test]
fn the_page_s_example_is_understood() {
    let text = r#"
[kafka]
brokers = ["broker1:9092", "broker2:9094", "broker3:9095"]
properties = { "compression.type" = "lz4", "linger.ms" = 5 }
topic = { partitions = 4, replication = 3 }

[[source]]
name = "shop"
url = "postgres://repl@db-pgsql:5432/shop?sslmode=verify-full"
password_file = "/run/shop"
tables = ["public.*", "!public.audit"]
topic = "{source}.{schema}.{table}"
format = "json"
snapshot = "initial"
delivery = "at-least-once"
include = ["xid", "type"]
identity = "key"
headers = ["snapshot"]

[[source]]
name = "web-shop"
url = "mariadb://repl:${PASSWORD}@db/shop"
tables = ["orders"]
snapshot = "never"
server_id = 77

[[sink]]
name = "files"
group = "g"
topics = ["shop.public.*"]
kind = "csv"
path = "out/{table}"
split = false
rotate_secs = 60
unchanged = ""
"#;
    let config = parse(text).unwrap();
    config.refuse_unbuilt().unwrap();
    let kafka = config.need_kafka().unwrap();
    assert_eq!((kafka.brokers.len(), kafka.partitions, kafka.replication), (3, 4, Some(3)));
    assert_eq!(kafka.properties["linger.ms"].reveal(), "5");
    let [shop, web] = &config.sources[..] else { panic!("two sources") };
    assert_eq!(
        (shop.slot.as_str(), shop.address.password.reveal(), shop.identity),
        ("list_sync_shop", "s3cret", RowIdentity::Key)
    );
    assert!(shop.include.xid && shop.include.types && !shop.include.lsn && shop.headers.snapshot);
    assert!(shop.tables.contains("public", "test") && !shop.tables.contains("public", "audit"));
    assert_eq!((web.address.password.reveal(), web.server_id, web.snapshot), ("s3cr/t", 77, Snapshot::Never));
    assert!(web.tables.contains("shop", "orders"));
    assert_eq!(web.topic.of("shop", "orders"), "web-shop.shop.orders");
    let sink = &config.sinks[0];
    assert_eq!((sink.group.as_str(), sink.split, sink.unchanged.as_str()), ("g", false, ""));
    assert_eq!(
        (sink.rotate_after, sink.rotate_rows, sink.commit_interval),
        (Some(Duration::from_mins(1)), None, Duration::from_secs(1))
    );
    let printed = format!("{config:?}");
    assert!(["s3cret", "s3cr/t", "s3cr%2Ft"].iter().all(|secret| !printed.contains(secret)), "{printed}");
}

#[test]
fn names_choose_sources_and_sinks() {
    let config = parse(&format!("{SOURCE}[[sink]]\nname = \"files\"\npath = \"out/{{table}}\"\n")).unwrap();
    assert_eq!(config.need_sources(&[]).unwrap().len(), 1);
    assert_eq!(config.sinks[0].topics, ["shop.*.*"]);
    let error = config.need_sources(&["shp".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "there is no source \"shp\"; did you mean \"shop\"?");
    assert_eq!(
        config.need_kafka().unwrap_err().to_string(),
        "c.toml has no [kafka], which this command needs"
    );
}

#[test]
fn what_is_not_built_is_refused_and_not_left_out() {
    for (line, expected) in [
        ("format = \"avro\"", "c.toml:5:10: format = \"avro\" is not built yet"),
        ("delivery = \"exactly-once\"", "c.toml:5:12: delivery = \"exactly-once\" is not built yet"),
        (
            "[[sink]]\nname = \"f\"\npath = \"p\"\nkind = \"parquet\"",
            "c.toml:8:8: kind = \"parquet\" is not built yet",
        ),
    ] {
        let config = parse(&format!("{SOURCE}{line}\n")).unwrap();
        assert_eq!(config.refuse_unbuilt().unwrap_err().to_string(), expected);
    }
}

#[test]
fn one_line_is_enough() {
    let flags = OneLine {
        from: Some("mysql://root:pw@h:3307/my shop".to_owned()),
        tables: vec!["test".to_owned()],
        to: Some("csv:/tmp/out/".to_owned()),
        kafka: Some("a:1,b:2".to_owned()),
        snapshot: Some("never".to_owned()),
        ..OneLine::default()
    };
    let config = Config::from_flags(&flags, &[]).unwrap();
    let (source, sink) = (&config.sources[0], &config.sinks[0]);
    assert_eq!((source.name.as_str(), source.snapshot), ("mysql_my_shop_test_086d084d", Snapshot::Never));
    assert_eq!(
        (sink.name.as_str(), sink.group.as_str(), sink.path.as_str()),
        ("files", "mysql_my_shop_test_086d084d", "/tmp/out/{table}")
    );
    assert_eq!(
        (config.need_kafka().unwrap().brokers.len(), sink.topics.join(",").as_str()),
        (2, "mysql_my_shop_test_086d084d.*.*")
    );
    let wrong =
        OneLine { from: Some("nonsense".to_owned()), to: Some("out".to_owned()), ..OneLine::default() };
    let told = Config::from_flags(&wrong, &[]).unwrap_err().to_string();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "--from: names a database, but no --table says what of it; expected --table public.* or the like",
            "--to: \"out\" is not understood; expected csv:FOLDER or -",
            "--from: the database URL cannot be read: relative URL without a base; write it as \
             postgres://user@host:5432/database, mysql://… or mariadb://…",
        ]
    );
    let set = ["source.0.identity=key".to_owned(), "sink.files.split=false".to_owned()];
    let config = Config::from_flags(&flags, &set).unwrap();
    assert_eq!((config.sources[0].identity, config.sinks[0].split), (RowIdentity::Key, false));
    let told = Config::from_flags(&flags, &["sink.files.splitt=false".to_owned()]).unwrap_err().to_string();
    assert_eq!(
        told,
        "--set sink.files.splitt: unknown option \"splitt\" in [[sink]]; did you mean \"split\"?"
    );
}

/// A name names a slot and a saved position: two lines that shared one would leave out each other's changes.
#[test]
fn lines_for_other_tables_have_other_names() {
    let name = |url: &str, tables: &[&str]| {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        let flags = OneLine {
            from: Some(url.to_owned()),
            tables,
            to: Some("csv:out".to_owned()),
            ..OneLine::default()
        };
        Config::from_flags(&flags, &[]).unwrap().sources[0].name.clone()
    };
    assert_eq!(name("postgres://h/shop", &["orders"]), "postgres_shop_orders");
    assert_eq!(name("mysql://h/shop", &["public.order_items"]), "mysql_shop_public_order_items");
    assert_eq!(name("mysql://h/shop", &["a", "b"]), name("mysql://h/shop", &["b", "a"]));
    let lines: [(&str, &[&str]); 15] = [
        ("postgres://h/shop", &["public.orders"]),
        ("postgres://h/shop", &["public_orders"]),
        ("postgres://h/shop", &["public.*"]),
        ("postgres://h/shop", &["public"]),
        ("postgres://h/shop", &["orders"]),
        ("postgres://h/shop", &["orders*"]),
        ("postgres://h/shop", &["*orders"]),
        ("postgres://h/shop", &["Orders"]),
        ("postgres://h/shop", &["orders_"]),
        ("postgres://h/shop", &["public", "orders"]),
        ("postgres://h/shop_public", &["orders"]),
        ("postgres://h/shop", &["a_b.c"]),
        ("postgres://h/shop", &["a.b_c"]),
        ("postgres://h/warehouse", &["public.customers", "public.orders"]),
        ("postgres://h/warehouse", &["public.customers", "public.order_items"]),
    ];
    let names: BTreeSet<String> = lines.iter().map(|(url, tables)| name(url, tables)).collect();
    assert_eq!(names.len(), lines.len(), "{names:#?}");
    assert!(names.iter().all(|name| name.len() <= 48), "{names:#?}");
}

/// What is wrong in shape, in value, and between two sections: all ten in one answer, by place.
#[test]
fn ten_faults_are_told_at_once() {
    let text = r#"[kafka]
brokers = ["a:b"]
topic = { partitions = 0, replicas = 3 }

[[source]]
name = "a shop"
url = "oracle://h/d"
snapshot = "nevr"

[[source]]
name = "till"
url = "mysql://h/d"
tables = ["!x"]
slot = "s"

[[sink]]
name = "files"
path = "{tabel}"
split = "no"

[sinks]
"#;
    assert_eq!(
        faults(text),
        [
            "c.toml:2:11: \"a:b\" is no broker; expected \"host:port\"",
            "c.toml:3:24: \"partitions\" is 0; expected a whole number from 1 to 10000",
            "c.toml:3:27: unknown option \"replicas\" in \"topic\"; did you mean \"replication\"?",
            "c.toml:5:1: [[source]] has no \"tables\", which is required",
            "c.toml:6:8: \"a shop\" is no name; expected letters, digits, \"_\" and \"-\", at most 48",
            "c.toml:7:7: unknown database \"oracle\" in a URL; write it as \
             postgres://user@host:5432/database, mysql://… or mariadb://…",
            "c.toml:8:12: \"snapshot\" cannot be \"nevr\"; did you mean \"never\"?",
            "c.toml:13:10: `tables` names no table; write tables = [\"public.*\"] or the like",
            "c.toml:14:8: \"slot\" is for PostgreSQL, and this source is MySQL; leave it out",
            "c.toml:18:8: unknown part \"{tabel}\"; did you mean \"table\"?",
            "c.toml:19:9: \"split\" is a string; expected true or false",
            "c.toml:21:2: unknown section \"sinks\"; did you mean \"sink\"?",
        ]
    );
}

#[test]
fn every_option_is_declared_well() {
    for section in SECTIONS {
        for setting in section.options {
            assert!(
                !setting.doc.is_empty() && setting.doc.ends_with(['.', '…']),
                "{}.{}",
                section.name,
                setting.name
            );
            let LeftOut::Value(default, _) = &setting.left_out else { continue };
            let default = default();
            if let Kind::Choice(choices) = &setting.kind {
                let default = default.as_str().unwrap();
                assert!(
                    choices.values.contains(&default) && !choices.unbuilt.contains(&default),
                    "{}",
                    setting.name
                );
            }
            if let Kind::Number { min, max, .. } = &setting.kind {
                assert!((*min..=*max).contains(&default.as_i64().unwrap()), "{}", setting.name);
            }
        }
    }
}
