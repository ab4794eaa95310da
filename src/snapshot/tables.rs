//! Which tables are read: all of them at the first start, later those that came in since.

use super::Snapshots;
use super::run::Run;
use crate::Result;
use crate::change::{Batch, Checkpoint, Snapshot, Standing, TableName};
use crate::source;

impl Snapshots {
    /// What is to be read when nothing was saved.
    pub(super) fn plan(&mut self, there: &[TableName], planned: Option<Box<Snapshot>>) -> Option<Snapshot> {
        self.know(there);
        planned.map(|planned| *planned)
    }

    /// What is to be read behind a saved place. `added`: tables that the server did not send before.
    pub(super) fn plan_behind(
        &mut self,
        saved: &Checkpoint,
        there: &[TableName],
        added: &[TableName],
    ) -> Option<Snapshot> {
        let mut progress = saved.snapshot.as_deref().cloned();
        let Some(known) = &saved.known else {
            self.know(there);
            return progress;
        };
        self.known = known.clone();
        for gone in known.names().filter(|name| !there.contains(name)) {
            self.known.set(gone.clone(), Standing::Left);
            if let Some(progress) = &mut progress {
                progress.forget(gone);
            }
        }
        let came: Vec<TableName> = there
            .iter()
            .filter(|table| known.get(table) != Some(Standing::Captured) || added.contains(table))
            .cloned()
            .collect();
        if self.wants_late_tables(&came, progress.is_some()) {
            let progress = progress.get_or_insert_default();
            for table in &came {
                progress.add_late(table.clone(), known.get(table).is_some());
            }
        }
        self.know(there);
        progress
    }

    /// Tables came in while the stream went on.
    pub(super) fn come_in(&mut self, tables: &[TableName]) -> Result<()> {
        if self.wants_late_tables(tables, self.run.is_some()) {
            if self.run.is_none()
                && let Some(newest) = &self.newest
            {
                let mut run =
                    Run::new(&self.name, Snapshot::default(), newest, &*self.stream, None, self.pace)?;
                run.follow(self.processed, self.floor);
                self.run = Some(run);
                self.has_ended = false;
            }
            if let Some(run) = &mut self.run {
                for table in tables {
                    run.add_late(table, self.known.get(table).is_some(), self.is_into_topic);
                }
            }
        }
        self.know(tables);
        Ok(())
    }

    /// Whether the rows of tables that came later are read; says so.
    fn wants_late_tables(&self, tables: &[TableName], is_under_way: bool) -> bool {
        if tables.is_empty() {
            return false;
        }
        let names: Vec<String> =
            tables.iter().map(|TableName(schema, name)| format!("{schema}.{name}")).collect();
        let names = crate::finding::listed(&names);
        let is_read = match self.mode {
            source::Snapshot::Initial => true,
            source::Snapshot::Never => false,
            // An export that has ended is not gone on with.
            source::Snapshot::Only => is_under_way,
        };
        if is_read {
            tracing::info!(source = self.name, tables = names, "new tables: their rows are read first");
        } else {
            tracing::info!(
                source = self.name,
                tables = names,
                "new tables: rows that they hold are not read"
            );
        }
        is_read
    }

    fn know(&mut self, tables: &[TableName]) {
        for table in tables {
            self.known.set(table.clone(), Standing::Captured);
        }
    }

    /// A table whose changes come from its first one on need not be read.
    pub(super) fn know_tables_of(&mut self, batch: &Batch) {
        for table in batch.tables() {
            if !self.seen.contains(table) {
                self.seen.insert(table.clone());
                self.known.set(TableName(table.schema.clone(), table.name.clone()), Standing::Captured);
            }
        }
    }

    /// A checkpoint with all that is known of tables.
    pub(super) fn with_known(&self, checkpoint: Checkpoint) -> Checkpoint {
        Checkpoint { known: Some(self.known.clone()), ..checkpoint }
    }
}
