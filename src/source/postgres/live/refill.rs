//! The statements that send all rows of a table again, as the hints print them.

use super::super::failure::FILL_AGAIN;
use super::*;

/// The hint's statements for table `test`, each as it stands between semicolons.
fn statements() -> Vec<String> {
    let (_, text) = FILL_AGAIN.split_once("is captured: ").unwrap();
    let (text, _) = text.split_once(" (of a table").unwrap();
    let named = |statement: &str| statement.replace(" t", " SCHEMA_.test");
    text.split("; ").map(named).collect()
}

#[test]
fn live_the_rows_of_any_table_can_be_sent_again() {
    let mut stage = Stage::new("refill");
    stage.run("CREATE TABLE SCHEMA_.test (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)");
    stage.run(
        "CREATE TABLE SCHEMA_.child (id int PRIMARY KEY REFERENCES SCHEMA_.test, g int GENERATED \
        ALWAYS AS (id * 2) STORED)",
    );
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    stage.run("INSERT INTO SCHEMA_.test (v) VALUES ('a'), ('b')");
    stage.run("INSERT INTO SCHEMA_.child VALUES (2)");
    source.start(None).unwrap();
    let error = statements().iter().find_map(|statement| {
        let statement = statement.replace("SCHEMA_", &stage.schema);
        stage.database.execute(&statement).err()
    });
    assert!(
        error.unwrap().to_string().contains("foreign key"),
        "a table that others refer to is not truncated alone"
    );
    stage.run("ROLLBACK");
    // As the words behind the statements say: the child goes into the same TRUNCATE, and its generated column
    // into neither list.
    for statement in statements() {
        if statement.starts_with("CREATE") {
            stage.run("CREATE TEMPORARY TABLE of_child ON COMMIT DROP AS SELECT id FROM SCHEMA_.child");
        }
        if statement == "COMMIT" {
            stage.run("INSERT INTO SCHEMA_.child (id) OVERRIDING SYSTEM VALUE SELECT id FROM of_child");
        }
        stage.run(&if statement.starts_with("TRUNCATE") {
            format!("{statement}, SCHEMA_.child")
        } else {
            statement
        });
    }
    let lines = read_to_head(&mut source).lines;
    let of = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (of("Truncate "), of("Insert pgsrc_refill.test"), of("Insert pgsrc_refill.child")),
        (2, 2, 1),
        "{lines:#?}"
    );
    let next = stage.database.query("INSERT INTO pgsrc_refill.test (v) VALUES ('c') RETURNING id").unwrap();
    assert_eq!(next[0][0].as_deref(), Some("3"), "the numbers go on");
}
