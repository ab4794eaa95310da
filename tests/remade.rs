//! PostgreSQL: a table that is dropped and made again while its source runs has rows that are in no message.
//! The log says so, and its way out is right.

use crate::rig::{Pipeline, Server};

#[test]
fn rows_of_a_table_that_is_made_again_are_told_of_and_come_by_the_way_out() {
    let pipeline = Pipeline::new("remade", Server::postgres(), true);
    let text = pipeline.as_owner(&pipeline.scratch.read("list_sync.toml"));
    pipeline.scratch.write("list_sync.toml", &text);
    pipeline.run(&["run", "--once"]);
    pipeline.seed(400);
    let mut run = pipeline.start("run", &["run"]);
    run.wait_for("streaming from");
    let table = &pipeline.table;
    pipeline.server.execute(&format!(
        "BEGIN;\nDROP TABLE {table};\nCREATE TABLE {table} (id bigint PRIMARY KEY, v text);\nINSERT INTO \
         {table} VALUES (1, 'a'), (2, 'b');\nCOMMIT;\n"
    ));
    run.wait_for("captured from now on, and it held rows before");
    let log = run.log();
    let way_out = log
        .split("once the table is captured: ")
        .nth(1)
        .and_then(|rest| rest.split("; COMMIT").next())
        .expect("the way out");
    let statements = way_out
        .replace(" t;", &format!(" {table};"))
        .replace("INTO t ", &format!("INTO {table} "))
        .replace("; ", ";\n");
    pipeline.server.execute(&format!("{statements};\nCOMMIT;\nINSERT INTO {table} VALUES (3, 'c');\n"));
    assert_eq!(run.stop(), Some(0));
    pipeline.run(&["run", "--once"]);
    let proof = pipeline.run(&["verify"]);
    assert!(proof.out.contains("3 rows, 0 missing, 0 extra, 0 different"), "{}", proof.out);
}
