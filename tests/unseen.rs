//! Tables that a user may not see, or not whole: a proof that did not look is no proof.

use crate::rig::{Pipeline, Program, Server};

/// A role that reads the pipeline's table under row-level security, and may stream. Its password is `reader`.
fn reader(pipeline: &Pipeline) -> String {
    let role = format!("r_{}", pipeline.scratch.name);
    let table = &pipeline.table;
    pipeline.server.execute(&format!(
        "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'reader';\nGRANT SELECT ON {table} TO {role};\n\
         GRANT CREATE ON DATABASE {} TO {role};\nALTER TABLE {table} ENABLE ROW LEVEL SECURITY;\n",
        pipeline.server.address().database
    ));
    let address = pipeline.server.address();
    format!("postgres://{role}:reader@{}:{}/{}", address.host, address.port, address.database)
}

#[test]
fn rows_hidden_by_row_level_security() {
    let pipeline = Pipeline::new("hidden", Server::postgres(), false);
    let counts = pipeline.seed(50);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
    let text = pipeline.scratch.read("list_sync.toml");
    let url = text.lines().find(|line| line.starts_with("url = ")).unwrap();
    let hidden = text.replace(url, &format!("url = {:?}", reader(&pipeline)));
    pipeline.scratch.write("hidden.toml", &hidden);
    let run = Program::run(&pipeline.scratch.folder, &["-c", "hidden.toml", "verify"]);
    assert_eq!(run.code, Some(1), "{}\n{}", run.out, run.err);
    assert!(
        run.out.contains("not compared") && run.out.contains("row-level security"),
        "{}\n{}",
        run.out,
        run.err
    );
    // A snapshot that would leave rows out stops. wal2json needs no publication, which only an owner makes.
    let initial = hidden
        .replace("snapshot = \"never\"", "snapshot = \"initial\"\nplugin = \"wal2json\"")
        .replace("[[source]]\nname = \"", "[[source]]\nname = \"i_");
    pipeline.scratch.write("initial.toml", &initial);
    let _leftovers = pipeline.server.leftovers(&format!("i_{}", pipeline.scratch.name), &[]);
    let run = Program::run(&pipeline.scratch.folder, &["-c", "initial.toml", "connect", "--once"]);
    assert!(run.code == Some(1) && run.err.contains("row-level security"), "{}", run.err);
    pipeline.server.execute(&format!("DROP OWNED BY r_{0};\nDROP ROLE r_{0};\n", pipeline.scratch.name));
}

#[test]
fn tables_that_are_not_there() {
    for server in [Server::postgres(), Server::mysql()] {
        let pipeline = Pipeline::new("absent", server, false);
        let text = pipeline.scratch.read("list_sync.toml");
        let more = text.replace(
            &format!("tables = [{:?}]", pipeline.table),
            &format!("tables = [{:?}, \"no_such_table\"]", pipeline.table),
        );
        pipeline.scratch.write("list_sync.toml", &more);
        let run = Program::run(&pipeline.scratch.folder, &["verify"]);
        assert_eq!(run.code, Some(1), "{}\n{}", run.out, run.err);
        assert!(run.out.contains("no_such_table: not compared"), "{}\n{}", run.out, run.err);
    }
}
