//! Which values stand above which, how each kind is written, and what a wrong key or value is told.

use std::ffi::OsString;

use super::super::{Config, Delivery, Outside, RowIdentity};
use super::{of_environment, of_set};
use crate::Result;
use crate::source::Snapshot;

const FILE: &str = "[kafka]\nbrokers = [\"file:1\"]\nproperties = { \"linger.ms\" = 5 }\n\n\
    [[source]]\nname = \"web-shop\"\nurl = \"postgres://me@db/shop\"\ntables = [\"public.*\"]\nsnapshot \
    = \"never\"\n\n\
    [[sink]]\nname = \"files\"\npath = \"out/{table}\"\n";

fn read(text: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Config> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut above = of_environment(variables);
    above.extend(of_set(&set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())?);
    let variable = |name: &str| (name == "PASSWORD").then(|| "s3cr/t".to_owned());
    Config::parse_with(
        if text.is_empty() { "" } else { "c.toml" },
        text,
        &above,
        Outside { variable: &variable, read: &|path| std::fs::read_to_string(path) },
    )
}

#[track_caller]
fn faults(text: &str, variables: &[(&str, &str)], set: &[&str]) -> Vec<String> {
    read(text, variables, set).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn flags_stand_above_the_environment_and_that_above_the_file() {
    let brokers = |variables: &[(&str, &str)], set: &[&str]| {
        read(FILE, variables, set).unwrap().kafka.unwrap().brokers.join(" ")
    };
    let variable = ("LIST_SYNC__KAFKA__BROKERS", "variable:1, variable:2");
    assert_eq!(brokers(&[], &[]), "file:1");
    assert_eq!(brokers(&[variable], &[]), "variable:1 variable:2");
    assert_eq!(brokers(&[variable], &["kafka.brokers=flag:1"]), "flag:1");
    assert_eq!(brokers(&[variable], &["kafka.brokers=flag:1", "kafka.brokers=[\"last:1\"]"]), "last:1");
    assert_eq!(brokers(&[("LIST_SYNC_KAFKA", "other:1"), ("list_sync__kafka__brokers", "x")], &[]), "file:1");
}

#[test]
fn every_kind_of_value_is_read() {
    let config = read(
        FILE,
        &[
            ("LIST_SYNC__KAFKA__TOPIC__PARTITIONS", "12"),
            ("LIST_SYNC__KAFKA__PROPERTIES__SASL_PASSWORD", "a=b,c"),
            ("LIST_SYNC__KAFKA__PROPERTIES__LOG_LEVEL", "7"),
            ("LIST_SYNC__SOURCE__WEB_SHOP__URL", "postgres://me:${PASSWORD}@other/shop"),
            ("LIST_SYNC__SOURCE__WEB_SHOP__INCLUDE", "xid,lsn"),
            ("LIST_SYNC__SINK__0__SPLIT", "false"),
        ],
        &[
            "kafka.properties.compression.type=zstd",
            "source.web-shop.identity=key",
            "source.0.tables=public.orders,!public.audit",
            "sink.files.path=else/{table}",
            "sink.files.rotate_bytes=1_000",
            "sink.1.name=more",
            "sink.more.path=more/{table}",
        ],
    )
    .unwrap();
    let kafka = config.kafka.as_ref().unwrap();
    let property = |name: &str| kafka.properties[name].reveal();
    assert_eq!((kafka.partitions, property("sasl.password"), property("log_level")), (12, "a=b,c", "7"));
    assert_eq!((property("compression.type"), property("linger.ms")), ("zstd", "5"));
    let source = &config.sources[0];
    assert_eq!((source.address.host.as_str(), source.address.password.reveal()), ("other", "s3cr/t"));
    assert_eq!(
        (source.identity, source.snapshot, source.delivery),
        (RowIdentity::Key, Snapshot::Never, Delivery::AtLeastOnce)
    );
    assert!(source.include.xid && source.include.lsn && !source.include.types);
    assert!(source.tables.contains("public", "orders") && !source.tables.contains("public", "other"));
    let [files, more] = &config.sinks[..] else { panic!("two sinks") };
    assert_eq!((files.split, files.path.as_str(), files.rotate_bytes), (false, "else/{table}", Some(1_000)));
    assert_eq!((more.name.as_str(), more.path.as_str(), more.split), ("more", "more/{table}", true));
}

#[test]
fn no_file_is_needed_where_variables_say_it_all() {
    let config = read(
        "",
        &[
            ("LIST_SYNC__KAFKA__BROKERS", "a:1"),
            ("LIST_SYNC__SOURCE__0__NAME", "shop"),
            ("LIST_SYNC__SOURCE__SHOP__URL", "mysql://me@db/shop"),
            ("LIST_SYNC__SOURCE__SHOP__TABLES", "*"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!((config.sources[0].name.as_str(), config.need_kafka().unwrap().brokers.len()), ("shop", 1));
    assert_eq!(
        config.need_sinks(&[]).unwrap_err().to_string(),
        "the environment has no [[sink]], which this command needs"
    );
}

#[test]
fn faults_name_the_variable_or_the_flag() {
    for (variable, expected) in [
        (("LIST_SYNC__KAFKAA__BROKERS", "a:1"), "unknown section \"kafkaa\"; did you mean \"kafka\"?"),
        (
            ("LIST_SYNC__KAFKA__BROKER", "a:1"),
            "unknown option \"broker\" in [kafka]; did you mean \"brokers\"?",
        ),
        (("LIST_SYNC__KAFKA__BROKERS", ""), "\"brokers\" is empty; leave it out or give it a value"),
        (("LIST_SYNC__KAFKA__BROKERS", "a:b"), "\"a:b\" is no broker; expected \"host:port\""),
        (
            ("LIST_SYNC__KAFKA__TOPIC__PARTITIONS", "many"),
            "\"partitions\" is a string; expected a whole number from 1 to 10000",
        ),
        (("LIST_SYNC__KAFKA", "a:1"), "names no option; expected LIST_SYNC__KAFKA__OPTION"),
        (("LIST_SYNC__SOURCE__WEB_SHOP", "x"), "names no option; expected LIST_SYNC__SOURCE__NAME__OPTION"),
        (("LIST_SYNC__SINK__FILES__SPLIT", "yes"), "\"split\" is a string; expected true or false"),
        (
            ("LIST_SYNC__SINK__FILES__SPLIT__NOW", "true"),
            "\"split\" is no table of options; nothing can stand behind it",
        ),
        (("LIST_SYNC__SINK__FILES__ID", "${NONE}"), "the environment variable \"NONE\" is not set"),
    ] {
        assert_eq!(faults(FILE, &[variable], &[]), [format!("{}: {expected}", variable.0)], "{variable:?}");
    }
    for (set, expected) in [
        (
            "source.webshop.format=json",
            "there is no [[source]] \"webshop\"; did you mean \"web-shop\"?; number 1 would be a new one",
        ),
        ("source.7.format=json", "there is no [[source]] number 7; the next new one is 1"),
        ("source.web-shop.format=jason", "\"format\" cannot be \"jason\"; did you mean \"json\"?"),
        (
            "source.web-shop.url=oracle://h/d",
            "unknown database \"oracle\" in a URL; write it as postgres://user@host:5432/database, \
             mysql://… or mariadb://…",
        ),
        (
            "kafka.topic={partition=3}",
            "unknown option \"partition\" in \"topic\"; did you mean \"partitions\"?",
        ),
    ] {
        let key = set.split('=').next().unwrap();
        assert_eq!(faults(FILE, &[], &[set]), [format!("--set {key}: {expected}")], "{set}");
    }
    let error = read(FILE, &[], &["kafka.brokers"]).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("--set has no \"=\" between key and value", 2)
    );
    let told = faults(
        &FILE.replace("snapshot", "snapshots"),
        &[("LIST_SYNC__SINK__FILES__SPLIT", "no")],
        &["sink.files.idd=x"],
    );
    assert_eq!(
        told,
        [
            "c.toml:9:1: unknown option \"snapshots\" in [[source]]; did you mean \"snapshot\"?",
            "LIST_SYNC__SINK__FILES__SPLIT: \"split\" is a string; expected true or false",
            "--set sink.files.idd: unknown option \"idd\" in [[sink]]; did you mean \"id\"?",
        ]
    );
}

#[test]
fn names_that_look_alike_in_a_variable_are_not_guessed() {
    let two = format!(
        "{FILE}[[source]]\nname = \"web_shop\"\nurl = \"postgres://me@else/shop\"\ntables = [\"*\"]\n"
    );
    let told = faults(&two, &[("LIST_SYNC__SOURCE__WEB_SHOP__FORMAT", "json")], &[]);
    assert_eq!(
        told,
        ["LIST_SYNC__SOURCE__WEB_SHOP__FORMAT: \"web_shop\" could be more than one [[source]]; write its \
             number, counted from 0"]
    );
    assert!(
        read(&two, &[("LIST_SYNC__SOURCE__1__FORMAT", "json")], &["source.web_shop.format=json"]).is_ok()
    );
}

#[test]
fn values_are_not_printed() {
    let set = of_set(&["source.0.url=mysql://me:geheim@h/d".to_owned()]).unwrap();
    assert!(!format!("{set:?}").contains("geheim"));
    let told = faults(FILE, &[], &["source.web-shop.url=mysql://me:geheim@h"]);
    assert!(!told[0].contains("geheim"), "{told:?}");
}
