//! Users with the least rights, made by the statements that docs/security.md tells a user to run.

use std::sync::{Mutex, PoisonError};

use list_sync::source::open;

use super::Server;

const PAGE: &str = include_str!("../../docs/security.md");
const USER: &str = "least";
const PASSWORD: &str = "geheim";

impl Server {
    /// The URL of a user who may do for this source and table what the page grants, and nothing else.
    pub fn least(&self, source: &str, table: &str) -> String {
        // Two checks that make the same user at the same time would disturb each other.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut database = open(&self.address()).unwrap();
        for statement in self.documented() {
            let statement = statement
                .replace("'repl'", &format!("'{USER}'"))
                .replace("TO repl", &format!("TO {USER}"))
                .replace("ROLE repl", &format!("ROLE {USER}"))
                .replace('…', PASSWORD)
                .replace("public.orders", &format!("public.{table}"))
                .replace("list_sync_shop", &format!("list_sync_{source}"))
                .replace("shop.*", &format!("{}.*", self.address().database));
            if let Err(error) = database.execute(&statement) {
                let is_there = statement.starts_with("CREATE USER") || statement.starts_with("CREATE ROLE");
                assert!(
                    is_there
                        && (error.to_string().contains("exists")
                            || error.to_string().contains("CREATE USER")),
                    "{statement}: {error}"
                );
            }
        }
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (_, place) = rest.split_once('@').unwrap();
        format!("{scheme}://{USER}:{PASSWORD}@{place}")
    }

    fn documented(&self) -> impl Iterator<Item = &'static str> {
        let product = self.address().dialect.product();
        let rest = PAGE
            .split_once(&format!("\n{product}:\n"))
            .unwrap_or_else(|| panic!("docs/security.md has no statements for {product}"))
            .1;
        let block = rest.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
        block.lines().map(|line| line.trim_end_matches(';'))
    }
}
