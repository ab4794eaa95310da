//! The load against a pretended database: exact counts, only rows that exist, only whole transactions.

use std::collections::BTreeSet;

use super::*;
use crate::change::Batch;
use crate::source::Tables;

#[derive(Default)]
struct Pretended {
    ids: BTreeSet<i64>,
    created: bool,
    in_transaction: u64,
    transactions: Vec<u64>,
}

impl Database for Pretended {
    fn execute(&mut self, statement: &str) -> Result<u64> {
        let listed = || {
            statement
                .rsplit_once("IN (")
                .map(|(_, ids)| ids.trim_end_matches(')').split(", ").map(|id| id.parse().unwrap()))
        };
        let changed = match statement.split(' ').next().unwrap() {
            "CREATE" => {
                self.created = true;
                0
            }
            "INSERT" => {
                let ids: Vec<i64> =
                    statement.split('(').filter_map(|part| part.split_once(", ")?.0.parse().ok()).collect();
                ids.iter().filter(|id| self.ids.insert(**id)).count()
            }
            "UPDATE" => listed().unwrap().collect::<BTreeSet<i64>>().intersection(&self.ids).count(),
            "DELETE" => listed().unwrap().filter(|id| self.ids.remove(id)).count(),
            "COMMIT" => {
                self.transactions.push(std::mem::take(&mut self.in_transaction));
                0
            }
            _ => 0,
        } as u64;
        self.in_transaction += changed;
        Ok(changed)
    }

    fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        if query.contains("count(*)") {
            return Ok(vec![vec![Some(u8::from(self.created).to_string())]]);
        }
        let after: i64 = query
            .split("id > ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .map_or(i64::MIN, |id| id.parse().unwrap());
        Ok(self
            .ids
            .iter()
            .filter(|id| **id > after)
            .take(IDS_A_QUERY)
            .map(|id| vec![Some(id.to_string())])
            .collect())
    }

    fn scan(&mut self, _: &str, _: &str, _: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        Ok(())
    }

    fn tables(&mut self, _: &Tables) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
}

fn load(rows: u64, mix: &str) -> Load {
    Load {
        table: "test".into(),
        rows,
        batch: 1_000,
        rate: None,
        mix: Mix::parse(mix).unwrap(),
        random_seed: 1,
    }
}

fn run(database: &mut Pretended, load: &Load) -> Result<Counts> {
    let address = Address::parse("postgres://h/d").unwrap();
    seed(database, &address, load, &Control::default(), &Control::default().progress.source("test"))
}

#[test]
fn counts_are_exact_and_every_change_finds_its_row() {
    for (rows, mix, expected) in [
        (10_000, "50,25,25", (5_000, 2_500, 2_500)),
        (2_500, "2,1,1", (1_250, 625, 625)),
        (7, "50,25,25", (4, 2, 1)),
        (10, "100,0,0", (10, 0, 0)),
        (0, "1,1,1", (0, 0, 0)),
        (1_001, "1,0,1", (501, 0, 500)),
    ] {
        let mut database = Pretended::default();
        let counts = run(&mut database, &load(rows, mix)).unwrap();
        assert_eq!((counts.inserted, counts.updated, counts.deleted), expected, "{rows} of {mix}");
        assert!(database.created);
        assert_eq!(database.ids.len() as u64, counts.inserted - counts.deleted);
        assert_eq!(database.transactions.len() as u64, rows.div_ceil(1_000));
        assert!(database.transactions.iter().rev().skip(1).all(|changes| *changes == 1_000));
    }
}

#[test]
fn a_second_load_goes_on_after_the_largest_id() {
    let mut database = Pretended { ids: (5..150_005).collect(), created: true, ..Pretended::default() };
    let counts = run(&mut database, &load(4_000, "50,25,25")).unwrap();
    assert_eq!((counts.inserted, database.ids.len()), (2_000, 151_000));
    assert!(database.ids.iter().filter(|id| **id >= 150_005).count() > 1_500);
}

#[test]
fn a_mix_that_runs_out_of_rows_is_refused_before_it_begins() {
    let mut database = Pretended { created: true, ..Pretended::default() };
    let error = run(&mut database, &load(1_000, "0,50,50")).unwrap_err();
    assert_eq!(error.to_string(), "table \"test\" has too few rows for this mix");
    assert!(database.transactions.is_empty());
    assert!(Mix::parse("50,25").is_err() && Mix::parse("0,0,0").is_err() && Mix::parse("a,b,c").is_err());
}

#[test]
fn a_request_to_stop_ends_the_load_between_transactions() {
    let (mut database, control) = (Pretended::default(), Control::default());
    control.request_stop();
    let address = Address::parse("mysql://h/d").unwrap();
    let counts = seed(
        &mut database,
        &address,
        &load(1_000, "1,0,0"),
        &control,
        &Control::default().progress.source("test"),
    )
    .unwrap();
    assert_eq!((counts, database.transactions.len()), (Counts::default(), 0));
}
