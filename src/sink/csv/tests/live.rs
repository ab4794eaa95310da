//! The files against a real PostgreSQL.

use std::process::Command;

use super::*;

fn psql(url: &str, arguments: &[&str]) -> String {
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn live_copy_reads_the_files_back_unchanged() {
    let url = crate::live::postgres();
    let folder = Folder::new();
    let values = [
        "",
        "~",
        "a",
        " a ",
        "a,b",
        "\"",
        "a\"\"b",
        "\n",
        "\r",
        "\r\n",
        "\\.",
        "\\",
        "\\N",
        "x\\.y",
        "é€😀",
        "NULL",
        "=1+1",
        "\t",
        "\u{7f}\u{1}",
    ];
    let test = table("test", &["id*", "v"]);
    let mut batch = Batch::default();
    for (number, value) in values.iter().enumerate() {
        let id = number.to_string();
        add(&mut batch, &test, number as u64, Operation::Insert, &[&id, value], &[]);
    }
    write_all(&folder.settings("{table}"), &[batch]);
    let name = format!("sink_copy_{}", std::process::id());
    let file = folder.path("test_insert.csv");
    let copied = psql(
        &url,
        &[
            "-c",
            &format!("CREATE TABLE {name}(action text, \"table\" text, id int, v text)"),
            "-c",
            &format!("\\copy {name} FROM '{}' WITH (FORMAT csv, HEADER)", file.display()),
            "-c",
            &format!("SELECT coalesce(encode(convert_to(v, 'UTF8'), 'hex'), '~') FROM {name} ORDER BY id"),
            "-c",
            &format!("DROP TABLE {name}"),
        ],
    );
    let hex = |value: &&str| match *value {
        "~" => "~".to_owned(),
        known => known
            .bytes()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect(),
    };
    assert_eq!(copied.lines().collect::<Vec<_>>(), values.iter().map(hex).collect::<Vec<_>>());
}
