//! ACLs: what docs/security.md lists is enough, all of it is needed, and what is missing is named with the
//! command that grants it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::kafka::Login;
use super::{certificate, documented};
use crate::rig::{Pipeline, Program, Run, Scratch, Server, kafka};

/// A folder with Kafka's own tools under the names that the page and the hints use, and an administrator's
/// login.
fn tools(scratch: &Scratch) {
    let jars = crate::rig::variable("LIST_SYNC_KAFKA_JARS");
    for (name, class) in [("kafka-acls", "AclCommand"), ("kafka-configs", "ConfigCommand")] {
        let java = "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx128m";
        let path =
            scratch.write(name, &format!("#!/bin/sh\n{java} -cp '{jars}/*' kafka.admin.{class} \"$@\"\n"));
        assert!(Command::new("chmod").arg("+x").arg(path).status().unwrap().success());
    }
    let login = "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.type=PEM\n\
                 sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"secret_user\" password=\"secret\";\n";
    scratch.write("admin.properties", &format!("{login}ssl.truststore.location={}\n", certificate("ca.pem")));
}

/// Runs a line as a shell would in that folder; `$ADMIN` reaches the plain listener.
#[track_caller]
fn shell(folder: &Path, line: &str) {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let admin = format!("--bootstrap-server {}", kafka());
    let output = Command::new("sh")
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("ADMIN", admin)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a run needs, each once more than the last: follows every hint until it succeeds. Answers the rights
/// that were granted.
fn follow_hints(scratch: &Scratch, arguments: &[&str], granted: &mut BTreeSet<String>) {
    for _ in 0..12 {
        let run = Program::run(&scratch.folder, arguments);
        if run.code == Some(0) {
            return;
        }
        granted.insert(grant(scratch, &run));
    }
    panic!("the hints do not lead to the end; granted {granted:?}");
}

/// Does what the one hint says; answers the right that the error names.
#[track_caller]
fn grant(scratch: &Scratch, run: &Run) -> String {
    super::expect(run, 1, &["the ACL ", " is missing"], &["kafka-acls", "--add"]);
    let line = |name: &str| run.err.lines().find(|line| line.starts_with(name)).unwrap();
    let command = line("hint:").split_once("kafka-acls").unwrap().1.split(" (").next().unwrap();
    shell(&scratch.folder, &format!("kafka-acls{command}"));
    let right =
        line("error:").split_once("the ACL ").unwrap().1.split(" is missing").next().unwrap().to_owned();
    // Brokers hear of a right one after the other.
    std::thread::sleep(Duration::from_millis(300));
    right
}

/// The documented rights of one of the two, as the errors name them.
fn listed(user: &str, source: &str, topic: &str, group: &str) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for line in documented("kafka-acls").into_iter().filter(|line| line.contains(&format!("User:{user} "))) {
        let words: Vec<&str> = line.split(' ').collect();
        let after = |flag: &'static str| {
            words.iter().zip(&words[1..]).filter(move |(word, _)| **word == flag).map(|(_, value)| *value)
        };
        let on = match (after("--topic").next(), after("--group").next()) {
            (Some("shop."), _) => format!("topic {topic:?}"),
            (Some(name), _) => format!("topic {name:?}"),
            (_, Some(_)) => format!("group {group:?}"),
            _ => panic!("{line}"),
        };
        assert!(topic.starts_with(source));
        rights.extend(after("--operation").map(|operation| format!("{operation} on {on}")));
    }
    rights
}

#[test]
fn each_missing_right_is_named_and_the_page_lists_them_all() {
    let pipeline = Pipeline::new("rights", Server::postgres(), false);
    let (scratch, topic) = (&pipeline.scratch, pipeline.topic());
    tools(scratch);
    // Users of its own, so that nothing is granted yet.
    let (connector, consumer) = (format!("connector_{}", scratch.name), format!("consumer_{}", scratch.name));
    for user in [&connector, &consumer] {
        let line = documented("kafka-configs")[0]
            .replace("--entity-name connector", &format!("--entity-name {user}"))
            .replace('…', "geheim");
        shell(&scratch.folder, &line);
    }
    let counts = pipeline.seed(400);
    Login::sasl("SCRAM-SHA-512", &connector, "geheim").apply(scratch);
    let mut granted = BTreeSet::new();
    follow_hints(scratch, &["connect", "--once"], &mut granted);
    // Messages behind the saved position, as after a crash, are read by the next run.
    crate::bad_input::produce(&topic, "no change\n", &[]);
    let mut more = counts;
    more += pipeline.seed(400);
    follow_hints(scratch, &["connect", "--once"], &mut granted);
    let mut listed_rights = listed("connector", &scratch.name, &topic, &scratch.name);
    // The positions of all sources are in one topic, the shapes of tables in another; both are there already.
    for topic in ["list_sync.positions", "list_sync.tables"] {
        assert!(listed_rights.remove(&format!("Create on topic {topic:?}")));
    }
    let describe = |right: &String| right.starts_with("Describe ");
    assert_eq!(
        granted.iter().filter(|right| !describe(right)).cloned().collect::<BTreeSet<_>>(),
        listed_rights
    );

    Login::sasl("SCRAM-SHA-512", &consumer, "geheim").apply(scratch);
    let text = scratch
        .read("list_sync.toml")
        .replace(&format!("topics = [\"{}.*\"]", scratch.name), &format!("topics = [{topic:?}]"));
    scratch.write("list_sync.toml", &text);
    let mut granted = BTreeSet::new();
    follow_hints(scratch, &["consume", "--once"], &mut granted);
    assert_eq!(
        granted.into_iter().filter(|right| !describe(right)).collect::<BTreeSet<_>>(),
        listed("consumer", &scratch.name, &topic, &scratch.name)
    );
    pipeline.prove(more);
    withdrawn(&pipeline, &connector);
}

/// A password that is withdrawn under a running connector ends it, with the cause.
fn withdrawn(pipeline: &Pipeline, user: &str) {
    let scratch = &pipeline.scratch;
    Login::sasl("SCRAM-SHA-512", user, "geheim").apply(scratch);
    let mut program = pipeline.start("withdrawn", &["connect"]);
    program.wait_for("streaming");
    shell(
        &scratch.folder,
        &format!(
            "kafka-configs $ADMIN --alter --entity-type users --entity-name {user} --delete-config \
             SCRAM-SHA-512"
        ),
    );
    let status = program.wait(Duration::from_secs(90));
    let run = Run { code: status.code(), out: String::new(), err: program.log() };
    super::expect(&run, 1, &["refuses the login of user"], &["kafka-configs"]);
}

/// The page's list, for a principal that is a certificate, and nothing else.
#[test]
fn the_listed_rights_are_enough_for_a_client_certificate() {
    let pipeline = Pipeline::new("mtls", Server::postgres(), false);
    let scratch = &pipeline.scratch;
    tools(scratch);
    let lines: Vec<String> = documented("kafka-acls")
        .into_iter()
        .map(|line| {
            line.replace("User:connector", "User:CN=list_sync").replace("User:consumer", "User:CN=list_sync")
        })
        .map(|line| {
            line.replace("--topic shop. ", &format!("--topic {}. ", scratch.name))
                .replace("--group files", &format!("--group {}", scratch.name))
        })
        .collect();
    shell(&scratch.folder, &lines.join("\n"));
    Login::tls("LIST_SYNC_KAFKA_SSL", Some("client")).apply(scratch);
    let counts = pipeline.seed(400);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
}
