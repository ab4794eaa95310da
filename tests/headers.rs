//! The record headers of messages, as another program (kcat) reads them: what the option adds is there, and
//! nothing without it.

use crate::rig::{Program, Scratch, Server, all_servers, headers_in, kafka, messages_in, together};

/// One source without added headers, one with all, and one with all in the other format, on the same table.
fn configuration(server: &Server, name: &str, table: &str) -> String {
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let all = "headers = [\"xid\", \"snapshot\", \"schema\"]\ninclude = \
        [\"xid\", \"timestamp\", \"lsn\", \"schema\", \"type\"]\n";
    let source = |ending: &str, options: &str| {
        let Server { url, .. } = server;
        format!(
            "[[source]]\nname = \"{name}_{ending}\"\nurl = {url:?}\ntables = [{table:?}]\nsnapshot \
             = \"never\"\ntopic = \"{{source}}\"\n{options}"
        )
    };
    [
        format!("[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n", brokers.join(", ")),
        source("none", ""),
        source("json", all),
        source("protobuf", &format!("{all}format = \"protobuf\"\n")),
        format!("[[sink]]\nname = {name:?}\ntopics = [\"{name}_*\"]\npath = \"{{source}}/{{table}}\"\n"),
    ]
    .concat()
}

/// Changes the table in three transactions, and asks the server what it calls each, as far as it tells.
fn change(server: &Server, table: &str) -> Vec<String> {
    let mut database = server.connect();
    let changes = [
        "INSERT INTO {} VALUES (1, 'one'), (2, 'two')",
        "UPDATE {} SET name = 'uno' WHERE id = 1",
        "TRUNCATE TABLE {}",
    ];
    changes
        .map(|change| {
            database.execute("BEGIN").unwrap();
            database.execute(&change.replace("{}", table)).unwrap();
            let inside =
                (server.name == "postgres").then(|| database.query("SELECT txid_current()").unwrap());
            database.execute("COMMIT").unwrap();
            // MySQL tells nobody which GTID was his; whose server it was, it does.
            let query = if server.name == "mysql" { "SELECT @@server_uuid" } else { "SELECT @@last_gtid" };
            let answer = inside.unwrap_or_else(|| database.query(query).unwrap());
            answer[0][0].clone().unwrap()
        })
        .to_vec()
}

/// The text of a key of a message, without quotes.
fn value_of<'a>(message: &'a str, key: &str) -> &'a str {
    let rest =
        message.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key:?} in {message}")).1;
    rest.split(',').next().unwrap().trim_matches('"')
}

fn check(server: &Server) {
    let scratch = Scratch::new(&format!("head_{}", server.name));
    let Scratch { name, folder, .. } = &scratch;
    let table = format!("t_{name}");
    let sources = ["none", "json", "protobuf"].map(|ending| format!("{name}_{ending}"));
    let _leftovers = sources.clone().map(|source| server.leftovers(&source, &[&table]));
    server.execute(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(20));\n"));
    scratch.write("list_sync.toml", &configuration(server, name, &table));
    Program::run(folder, &["connect", "--once"]).ok();
    let told = change(server, &table);
    Program::run(folder, &["connect", "--once"]).ok();

    let [none, json, protobuf] = sources.each_ref().map(|source| headers_in(source));
    let messages = messages_in(&sources[1]);
    assert_eq!((none.len(), json.len(), messages.len()), (4, 4, 4), "two inserts, an update and a truncate");
    for headers in &none {
        let (shape, position) = headers.split_once(',').unwrap();
        assert!(shape.starts_with("shape="), "{headers}");
        assert!(
            position.starts_with(&format!("position={}:", sources[0])) && !position.contains(','),
            "{headers}"
        );
    }
    let mut xids = Vec::new();
    for (headers, message) in json.iter().zip(&messages) {
        let [_, position, added] = headers.splitn(3, ',').collect::<Vec<_>>()[..] else {
            panic!("{headers}")
        };
        let xid = value_of(message, "xid");
        assert!(position.starts_with(&format!("position={}:", sources[1])), "{headers}");
        assert_eq!(added, format!("xid={xid},snapshot=false,schema={}", server.schema()), "of {message}");
        assert_eq!(value_of(message, "schema"), server.schema());
        xids.push(xid);
    }
    let [first, second, third, fourth] = xids[..] else { panic!("{xids:?}") };
    assert!(first == second && second != third && third != fourth, "{xids:?}");
    for (xid, told) in [second, third, fourth].into_iter().zip(&told) {
        if server.name == "mysql" {
            let number = xid.strip_prefix(told.as_str()).and_then(|rest| rest.strip_prefix(':'));
            assert!(number.is_some_and(|number| number.parse::<u64>().is_ok()), "{xid} is none of {told}");
        } else {
            assert_eq!(xid, told, "{}", server.name);
        }
    }
    let added = |headers: &String| headers.split_once(",xid=").map(|(_, added)| added.to_owned());
    assert_eq!(protobuf.iter().map(added).collect::<Vec<_>>(), json.iter().map(added).collect::<Vec<_>>());
    assert!(protobuf[0].contains(",format=protobuf,xid="), "{}", protobuf[0]);

    // A consumer needs none of them, and is not disturbed by any.
    Program::run(folder, &["consume", "--once"]).ok();
    let [none, json, protobuf] =
        sources.each_ref().map(|source| scratch.read(format!("{source}/{table}_insert.csv")));
    assert_eq!(none, format!("action,table,id,name\nI,{table},1,one\nI,{table},2,two\nI,{table},1,uno\n"));
    assert!(none == json && none == protobuf, "{json}{protobuf}");
}

#[test]
fn headers_say_what_the_option_asks_for() {
    let _together = together();
    for server in all_servers() {
        check(&server);
    }
}
