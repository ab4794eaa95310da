//! Which file each row of a batch goes to, decided before any of them is written.

use std::ops::Range;
use std::path::Path;

use super::file::foreign;
use super::generation::{Chain, Generation, Place, names_old, sides};
use super::{FilesSink, RowWriter};
use crate::change::{Batch, CellKind, Operation, Position, Row, Table};
use crate::{Code, Error, Result};

/// Where rows of one table and operation go.
#[derive(Debug)]
pub(super) struct Target {
    pub chain: usize,
    pub generation: usize,
    /// For each column of the file of old rows its place in the table.
    pub places: Vec<Option<u32>>,
    /// Places in the table that the file of old rows has no column for.
    missing: Vec<usize>,
}

/// A route, and the positions for which it holds.
type Choice = (u32, Range<Position>);

/// A prepared batch.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// For each row an index into `targets`, or [`NOWHERE`].
    pub routes: Vec<u32>,
    pub targets: Vec<Target>,
    /// Chain and generation of the targets, each once.
    pub touched: Vec<(usize, usize)>,
    /// For each table of the batch and operation the last choice, and the positions for which it holds.
    choices: Vec<[Option<Choice>; 3]>,
}

/// The row is not written: a truncate that is in the files already, or what it empties.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    pub fn clear(&mut self) {
        self.routes.clear();
        self.targets.clear();
        self.touched.clear();
        self.choices.clear();
    }

    /// The choice that was made for an earlier row, if it holds for this one.
    fn known(&self, batch: &Batch, row: &Row) -> Option<u32> {
        let (route, positions) = self.choices[row.table as usize].get(row.operation as usize)?.as_ref()?;
        if !positions.contains(&row.position) {
            return None;
        }
        let missing = &self.targets[*route as usize].missing;
        (missing.is_empty() || !says(batch, row, missing)).then_some(*route)
    }
}

/// Whether the old row holds values at these places.
fn says(batch: &Batch, row: &Row, places: &[usize]) -> bool {
    let identity = batch.identity(row);
    places.iter().any(|&place| identity.get(place).is_some_and(|cell| cell.kind != CellKind::Missing))
}

impl<W: RowWriter> FilesSink<W> {
    /// Chooses the files of all rows; true if one of them is in no marks yet.
    pub(super) fn plan_batch(&mut self, channel: &str, batch: &Batch) -> Result<bool> {
        self.plan.clear();
        self.plan.choices.resize_with(batch.tables().len(), Default::default);
        let (mut waits, mut left_out) = (false, 0_u64);
        for row in batch.rows() {
            let route = match self.plan.known(batch, row) {
                Some(route) => route,
                None => self.choose(channel, batch, row, &mut waits)?,
            };
            left_out += u64::from(route == NOWHERE && row.operation != Operation::Truncate);
            self.plan.routes.push(route);
        }
        if left_out > 0 {
            tracing::warn!(channel, rows = left_out, "skipped rows that a later truncate removes");
        }
        Ok(waits)
    }

    fn choose(&mut self, channel: &str, batch: &Batch, row: &Row, waits: &mut bool) -> Result<u32> {
        let table = batch.table(row);
        let chain = self.chain(channel, table)?;
        let (generation, positions) = if row.operation == Operation::Truncate {
            if self.chains[chain].truncated >= Some(row.position) {
                return Ok(NOWHERE);
            }
            self.chains[chain].truncated = Some(row.position);
            (self.start_generation(chain, row.position), row.position..row.position)
        } else {
            match self.chains[chain].choose(table, row.operation, row.position, self.settings.split) {
                (Place::Nowhere, _) => return Ok(NOWHERE),
                (Place::Next(start), _) => (self.start_generation(chain, start), row.position..row.position),
                (Place::Old(index), positions) => {
                    let missing = self.target(chain, index, table, row.operation).missing;
                    if missing.is_empty() || !says(batch, row, &missing) {
                        (index, positions)
                    } else if self.chains[chain].truncated.is_some_and(|truncated| row.position < truncated) {
                        return Ok(NOWHERE);
                    } else {
                        (self.start_generation(chain, row.position), row.position..row.position)
                    }
                }
            }
        };
        self.plan_files(chain, generation, batch, row)?;
        let chosen = &self.chains[chain].generations[generation];
        *waits |= chosen.slots().any(|slot| !slot.marked);
        let target = self.target(chain, generation, table, row.operation);
        if !self.plan.touched.contains(&(chain, generation)) {
            self.plan.touched.push((chain, generation));
        }
        let route = self.plan.targets.len() as u32;
        self.plan.targets.push(target);
        if let Some(choice) = self.plan.choices[row.table as usize].get_mut(row.operation as usize) {
            *choice = Some((route, positions));
        }
        Ok(route)
    }

    /// The chain of a table, made if need be.
    pub(super) fn chain(&mut self, channel: &str, table: &Table) -> Result<usize> {
        let stem = self.template.stem(channel, table);
        let chain = self.chain_of_stem(channel, stem, &table.name);
        let Chain { stem, .. } = &self.chains[chain];
        if self.template.names_schema() && table.schema.is_empty() {
            return Err(Error::stop(Code::SchemaUnknown, format!(
                "the path of table {:?} wants {{schema}}, and the messages of topic {channel:?} name none",
                table.name
            ))
            .hint("set include = [\"schema\"] in the source, or write {topic} in the path"));
        }
        // Rows of two tables could not be told apart in the files.
        if let Some(other) = self
            .chains
            .iter()
            .find(|other| other.stem == *stem && other.table == table.name && other.channel != channel)
        {
            let fact = format!(
                "tables {:?} of {channel:?} and of {:?} would share the files \"{stem}\"",
                table.name, other.channel
            );
            return Err(Error::stop(Code::FilesCollide, fact)
                .hint("write {source}, {schema} or {topic} in the sink's path"));
        }
        self.keep_schemas_apart(chain, channel, table)?;
        Ok(chain)
    }

    /// One topic may hold the tables of several schemas, of which some have the same name.
    fn keep_schemas_apart(&mut self, chain: usize, channel: &str, table: &Table) -> Result<()> {
        let Chain { stem, schema, .. } = &mut self.chains[chain];
        if schema.is_empty() {
            schema.clone_from(&table.schema);
        }
        if table.schema.is_empty() || *schema == table.schema {
            return Ok(());
        }
        let (first, second) = (format!("{schema}.{}", table.name), table.qualified_name());
        Err(Error::stop(
            Code::FilesCollide,
            format!(
                "tables {first:?} and {second:?} of topic {channel:?} would share the \
            files \"{stem}\""
            ),
        )
        .hint(
            "write {schema} in the sink's path, and give the sink a new group, so that it writes all files \
             from the start of the topic",
        ))
    }

    /// The same where the stem is known.
    pub(super) fn chain_of_stem(&mut self, channel: &str, stem: String, table: &str) -> usize {
        let name = (channel.to_owned(), stem.clone(), table.to_owned());
        *self.by_name.entry(name).or_insert_with(|| {
            let rows = self.writer.rows_of(table);
            self.chains.push(Chain {
                channel: channel.to_owned(),
                stem,
                table: table.to_owned(),
                schema: String::new(),
                rows,
                generations: Vec::new(),
                truncated: None,
            });
            self.chains.len() - 1
        })
    }

    /// Starts the next generation of a chain; choices made before hold no more.
    fn start_generation(&mut self, chain: usize, start: Position) -> usize {
        self.plan.choices.iter_mut().for_each(|choices| *choices = Default::default());
        let chain = &mut self.chains[chain];
        let number = self.numbers.entry(chain.stem.clone()).or_insert(0);
        *number += 1;
        // The first one takes all rows, also those of partitions that lag behind the one whose row came
        // first.
        let is_first = chain.generations.is_empty() && chain.truncated.is_none();
        let start = if is_first { Position::START } else { start };
        chain.generations.push(Generation::new(*number, start));
        chain.generations.len() - 1
    }

    /// Makes sure that the generation has the files this operation needs, and that none of them is another's.
    fn plan_files(&mut self, chain: usize, generation: usize, batch: &Batch, row: &Row) -> Result<()> {
        let table = batch.table(row);
        let sent =
            table.columns.iter().zip(batch.identity(row)).filter(|(_, cell)| cell.kind != CellKind::Missing);
        let old = sent.map(|(column, _)| column.name.clone()).collect();
        let chain = &mut self.chains[chain];
        let before = chain.generations[generation].slots().count();
        chain.plan(generation, table, row.operation, (self.settings.split, W::ENDING), old);
        if chain.generations[generation].slots().count() == before {
            return Ok(());
        }
        for slot in chain.generations[generation].slots().filter(|slot| !slot.marked) {
            if Path::new(&slot.file.path).symlink_metadata().is_ok() {
                return Err(foreign(&slot.file.path));
            }
        }
        Ok(())
    }

    fn target(&self, chain: usize, generation: usize, table: &Table, operation: Operation) -> Target {
        let files = &self.chains[chain].generations[generation];
        let slot = if self.settings.split { &files.delete } else { &files.insert };
        let (mut places, mut missing) = (Vec::new(), Vec::new());
        if let (true, Some(slot)) = (sides(operation).1, slot) {
            let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
            places = slot.columns.iter().map(|name| place(name).map(|place| place as u32)).collect();
            let lost = |place: &usize| {
                let column = &table.columns[*place];
                !names_old(table, column.identity) && !slot.columns.contains(&column.name)
            };
            missing = (0..table.columns.len()).filter(lost).collect();
        }
        Target { chain, generation, places, missing }
    }
}
