//! A consumer knows a table's columns from what the connector wrote down (`list_sync.tables`), and guesses
//! only for messages of others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use list_sync::format::ShapeId;
use list_sync::kafka::Shapes;

use crate::rig::{
    Program, Scratch, Server, all_servers, consume_topic, headers_in, kafka, messages_in, together,
};

/// A large text that PostgreSQL stores out of line and does not compress: each row's own.
const LARGE: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) n)";

struct Setup {
    scratch: Scratch,
    _leftovers: crate::rig::Leftovers,
}

/// A source and a sink over these tables (with schemas), with these options.
fn setup(name: &str, server: &Server, tables: &[&str], source: &str, path: &str) -> Setup {
    let scratch = Scratch::new(&format!("{name}_{}", server.name));
    let leftovers = server.leftovers(&scratch.name, &[]);
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let text = format!(
        "[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n[[source]]\nname = {:?}\nurl = {:?}\ntables \
         = {tables:?}\nsnapshot = \"never\"\n{source}\
         [[sink]]\nname = {:?}\ntopics = [\"{}*\"]\npath = {path:?}\n",
        brokers.join(", "),
        scratch.name,
        server.url,
        scratch.name,
        scratch.name,
    );
    scratch.write("list_sync.toml", &text);
    Setup { scratch, _leftovers: leftovers }
}

impl Setup {
    /// Carries all that was changed into the files, by a new connector and a new consumer.
    #[track_caller]
    fn carry(&self) {
        Program::run(&self.scratch.folder, &["connect", "--once"]).ok();
        Program::run(&self.scratch.folder, &["consume", "--once"]).ok();
    }

    /// All files below `out`, by their names, with their texts.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.scratch.path("out")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name =
                        path.strip_prefix(self.scratch.path("out")).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        files
    }
}

/// What PostgreSQL needs to drop a schema that holds tables.
fn cascade(server: &Server) -> &'static str {
    if server.name == "postgres" { " CASCADE" } else { "" }
}

/// Two schemas (or databases) with a table of the same name and different columns.
fn two_tables(server: &Server, name: &str, changes: impl Fn(&str, &str) -> String, formats: &str) {
    let _together = together();
    let schemas = ["one", "two"].map(|ending| format!("{name}_{}_{ending}", std::process::id()));
    let [one, two] = &schemas;
    let tables = schemas.each_ref().map(|schema| format!("{schema}.*"));
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    for schema in &schemas {
        server
            .execute(&format!("DROP SCHEMA IF EXISTS {schema}{};\nCREATE SCHEMA {schema};", cascade(server)));
    }
    server.execute(&format!(
        "CREATE TABLE {one}.orders (id INT PRIMARY KEY, x INT, note VARCHAR(20));\nCREATE TABLE \
         {two}.orders (id INT PRIMARY KEY, x INT);"
    ));
    let setup = setup(name, server, &tables, formats, "out/{schema}/{table}");
    setup.carry();
    server.execute(&changes(one, two));
    setup.carry();
    let files = setup.files();
    for schema in &schemas {
        server.execute(&format!("DROP SCHEMA {schema}{};", cascade(server)));
    }
    let mut updates = (String::new(), String::new());
    for n in 1..=5 {
        let _ = writeln!(updates.0, "I,orders,{n},1,a");
        let _ = write!(updates.1, "I,orders,{n},1\nI,orders,{n},2\n");
    }
    let names: Vec<_> = files.keys().filter(|name| name.contains("insert")).cloned().collect();
    assert_eq!(names, [format!("{one}/orders_insert.csv"), format!("{two}/orders_insert.csv")], "{files:?}");
    assert_eq!(files[&names[0]], format!("action,table,id,x,note\n{}", updates.0));
    assert_eq!(files[&names[1]], format!("action,table,id,x\n{}", updates.1));
}

fn five_updates(one: &str, two: &str) -> String {
    let each = |n| {
        format!(
            "INSERT INTO {one}.orders VALUES ({n}, 1, 'a');\nINSERT INTO {two}.orders VALUES ({n}, \
             1);\nUPDATE {two}.orders SET x = 2 WHERE id = {n};\n"
        )
    };
    (1..=5).map(each).collect()
}

#[test]
fn tables_of_one_name_keep_their_columns() {
    for server in all_servers() {
        two_tables(&server, "same_json", five_updates, "");
    }
    two_tables(&Server::postgres(), "same_protobuf", five_updates, "format = \"protobuf\"\n");
    two_tables(&Server::postgres(), "same_fixed", five_updates, "topic = \"{source}.all\"\n");
}

/// No insert is seen by the consumers: only the shape says which column is not sent.
#[test]
fn an_update_without_its_large_value_is_one_of_the_whole_table() {
    let (server, _together) = (Server::postgres(), together());
    for format in ["json", "protobuf"] {
        let table = format!("shapes_toast_{format}_{}", std::process::id());
        let options = format!("format = {format:?}\n");
        let setup = setup(&format!("toast_{format}"), &server, &[&table], &options, "out/{table}");
        server.execute(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, large TEXT, n INT);\nINSERT INTO \
                {table} SELECT 1, {LARGE}, 0;"
        ));
        setup.carry();
        for n in 1..=3 {
            server.execute(&format!("UPDATE {table} SET n = {n};\n"));
            // Each time a new consumer.
            setup.carry();
        }
        server.execute(&format!("ALTER TABLE {table} DROP COLUMN n;\nUPDATE {table} SET large = 'small';"));
        setup.carry();
        server.execute(&format!("DROP TABLE {table};"));
        let files = setup.files();
        let before = [1, 2, 3].map(|n| format!("I,{table},1,__list_sync_unchanged__,{n}\n")).concat();
        assert_eq!(files[&format!("{table}_insert.csv")], format!("action,table,id,large,n\n{before}"));
        assert_eq!(
            files[&format!("{table}_insert.0002.csv")],
            format!("action,table,id,large\nI,{table},1,small\n")
        );
        assert_eq!(files.keys().filter(|name| name.contains("insert")).count(), 2, "{files:?}");
    }
}

/// Each message names a shape, and `list_sync.tables` says what it means.
#[test]
fn the_shape_of_every_message_is_written_down() {
    let (server, _together) = (Server::postgres(), together());
    let table = format!("shapes_told_{}", std::process::id());
    let setup =
        setup("told", &server, &[&table], "topic = \"{source}\"\nidentity = \"key\"\n", "out/{table}");
    server.execute(&format!(
        "CREATE TABLE {table} (id INT, name VARCHAR(20), PRIMARY KEY (id));\nALTER TABLE {table} REPLICA \
         IDENTITY FULL;"
    ));
    setup.carry();
    server.execute(&format!(
        "INSERT INTO {table} VALUES (1, 'a');\nALTER TABLE {table} ADD COLUMN n INT;\nUPDATE {table} SET n \
         = 1;\nDELETE FROM {table};"
    ));
    setup.carry();
    server.execute(&format!("DROP TABLE {table};"));
    let mut shapes = BTreeMap::new();
    consume_topic(Shapes::TOPIC, |_, key, value, _| {
        shapes.insert(String::from_utf8(key.to_vec()).unwrap(), String::from_utf8(value.to_vec()).unwrap());
    });
    let column = |name: &str, kind: &str, key: bool| {
        format!("{{\"name\":{name:?},\"type\":{kind:?},\"identity\":{key}}}")
    };
    let first = [column("id", "integer", true), column("name", "character varying(20)", false)].join(",");
    let second = [first.clone(), column("n", "integer", false)].join(",");
    let expected = |columns: &str| {
        format!(
            "{{\"v\":1,\"schema\":\"public\",\"table\":{table:?},\"columns\":[{columns}],\"pk\":[\"id\"]}}"
        )
    };
    let named = headers_in(&setup.scratch.name);
    let said: Vec<&String> = named
        .iter()
        .map(|headers| {
            let id = headers.split(',').find_map(|header| header.strip_prefix("shape=")).unwrap();
            assert_eq!(ShapeId::of(&shapes[id]).to_string(), id);
            &shapes[id]
        })
        .collect();
    assert_eq!(
        said,
        [&expected(&first), &expected(&second), &expected(&second)],
        "{:?}",
        messages_in(&setup.scratch.name)
    );
}

/// Rows of two schemas in one topic would stand in one file: refused, with the way out, which works.
#[test]
fn files_that_two_schemas_would_share_are_refused() {
    let (server, _together) = (Server::postgres(), together());
    let schema = format!("shapes_other_{}", std::process::id());
    let table = format!("shapes_shared_{}", std::process::id());
    let create = format!(
        "CREATE SCHEMA {schema};\nCREATE TABLE {table} (id INT PRIMARY KEY);\nCREATE TABLE {schema}.{table} \
         (id INT PRIMARY KEY);"
    );
    server.execute(&create);
    let names = [format!("public.{table}"), format!("{schema}.{table}")];
    let setup = setup(
        "shared",
        &server,
        &names.each_ref().map(String::as_str),
        "topic = \"{source}.{table}\"\n",
        "out/{table}",
    );
    setup.carry();
    server.execute(&format!("INSERT INTO {table} VALUES (1);\nINSERT INTO {schema}.{table} VALUES (2);"));
    Program::run(&setup.scratch.folder, &["connect", "--once"]).ok();
    let run = Program::run(&setup.scratch.folder, &["consume", "--once"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(
        run.err.contains(&format!("\"public.{table}\" and \"{schema}.{table}\" of topic"))
            && run.err.contains("would share the files"),
        "{}",
        run.err
    );
    assert!(run.err.contains("write {schema} in the sink's path"), "{}", run.err);
    let text = setup.scratch.read("list_sync.toml").replace("out/{table}", "out/{schema}/{table}");
    setup.scratch.write("list_sync.toml", &(text + &format!("group = \"{}_again\"\n", setup.scratch.name)));
    Program::run(&setup.scratch.folder, &["consume", "--once"]).ok();
    server.execute(&format!("DROP TABLE {table};\nDROP SCHEMA {schema} CASCADE;"));
    let files = setup.files();
    assert_eq!(files[&format!("public/{table}_insert.csv")], format!("action,table,id\nI,{table},1\n"));
    assert_eq!(files[&format!("{schema}/{table}_insert.csv")], format!("action,table,id\nI,{table},2\n"));
}

/// Two names that differ only in characters that Kafka does not allow.
#[test]
fn a_topic_that_two_tables_would_share_is_refused() {
    for server in all_servers() {
        let _together = together();
        let quote = if server.name == "postgres" { '"' } else { '`' };
        let [first, second] = ["a b", "a_b"].map(|name| format!("shared {} {name}", std::process::id()));
        let create =
            |name: &str| server.execute(&format!("CREATE TABLE {quote}{name}{quote} (id INT PRIMARY KEY);"));
        let drop = |name: &str| server.execute(&format!("DROP TABLE {quote}{name}{quote};"));
        let pattern = format!("shared {} *", std::process::id());
        let setup = setup("names", &server, &[&pattern], "", "out/{table}");
        create(&first);
        setup.carry();
        // While it is known, at a start, in `check`, and when the row of a new one comes.
        create(&second);
        server.execute(&format!("INSERT INTO {quote}{first}{quote} VALUES (1);"));
        let refused =
            format!("tables \"{0}.{first}\" and \"{0}.{second}\" would share topic", server.schema());
        for command in [&["connect", "--once"][..], &["check"]] {
            let run = Program::run(&setup.scratch.folder, command);
            assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
            assert!(format!("{}{}", run.out, run.err).contains(&refused), "{}{}", run.out, run.err);
        }
        drop(&second);
        setup.carry();
        assert!(
            setup.files().values().any(|text| text.ends_with(&format!("I,{first},1\n"))),
            "{:?}",
            setup.files()
        );
        let mut running = Program::start(&setup.scratch.folder, "connector", &["connect"]);
        running.wait_for("streaming");
        create(&second);
        if server.name == "postgres" {
            running.wait_for(&second);
        }
        server.execute(&format!(
            "INSERT INTO {quote}{first}{quote} VALUES (2);\nINSERT INTO {quote}{second}{quote} VALUES (3);"
        ));
        running.wait_for(&refused);
        drop(&first);
        drop(&second);
    }
}
