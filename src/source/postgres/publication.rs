//! The publication: made when missing, kept right if it is ours, compared in all its parts at the start and
//! while the stream runs. Whatever it does not publish the server leaves out without a word.
//!
//! Ours is one that is called as we would call it, or that bears our comment. Somebody else's is read, and
//! never changed.

use super::super::Snapshot;
use super::catalog::{Captured, Catalog, cells};
use super::failure::{FILL_AGAIN, is_lock_time_out, quote_identifier, quote_literal};
use super::{Settings, checks, default_name};
use crate::change::TableName;
use crate::{Code, Error, Result, error};

/// A publication as the server has it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the server's own row")]
struct Publication {
    is_ours: bool,
    /// Inserts, updates, deletes and truncates.
    sends_all: bool,
    /// Rows of partitions come under the name of their root.
    via_root: bool,
    /// From version 18 on: generated columns, without which the server refuses updates of a table whose whole
    /// row is its identity.
    computed: bool,
    tables: Vec<Published>,
}

/// A table that it names, or that it publishes for another reason.
#[derive(Debug)]
struct Published {
    oid: u32,
    /// As a statement names it.
    name: String,
    /// It stands in the list; else a schema does, or everything.
    is_named: bool,
    /// Its changes are sent.
    is_sent: bool,
    /// Only some of its rows or columns are.
    is_partial: bool,
}

/// What is to be done to make it as it must be.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    /// There is none yet.
    pub is_new: bool,
    /// It is somebody else's, and may not be changed.
    pub is_foreign: bool,
    /// Tables that are sent only in part.
    partial: Vec<&'a Captured>,
    /// Tables that are not sent.
    missing: Vec<&'a Captured>,
    /// One a step, apart from the tables that are missing.
    others: Vec<String>,
    name: String,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Changes were left out of a stream that had begun.
    pub lost: Option<Error>,
    /// What could not be made right yet.
    pub pending: Option<Error>,
    /// Object ids of the tables that are published from here on.
    pub published: Vec<u32>,
    /// Tables that came in when the stream had begun already.
    pub added: Vec<TableName>,
}

impl Changes<'_> {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.others.is_empty()
    }

    /// All of them.
    pub fn statements(&self) -> Vec<String> {
        let add = (!self.missing.is_empty()).then(|| self.add(&self.missing));
        self.others.iter().cloned().chain(add).collect()
    }

    fn add(&self, tables: &[&Captured]) -> String {
        format!("ALTER PUBLICATION {} ADD TABLE {}", self.name, list(tables))
    }
}

fn quoted(table: &Captured) -> String {
    format!("{}.{}", quote_identifier(&table.schema), quote_identifier(&table.name))
}

/// Tables as a publication's statements list them: `ONLY`, or children by inheritance would come in.
fn list(tables: &[&Captured]) -> String {
    tables.iter().map(|table| format!("ONLY {}", quoted(table))).collect::<Vec<_>>().join(", ")
}

/// What makes a publication of another name ours.
fn comment(settings: &Settings) -> String {
    let text = quote_literal(&format!("list_sync source {}", settings.name));
    format!("COMMENT ON PUBLICATION {} IS {text}", quote_identifier(&settings.publication))
}

fn load(catalog: &mut Catalog, settings: &Settings) -> Result<Option<Publication>> {
    let version = catalog.version()?;
    let partial = if version < 15 { "false" } else { "r.prqual IS NOT NULL OR r.prattrs IS NOT NULL" };
    let computed = if version < 18 { "true" } else { "p.pubgencols = 's'" };
    let rows = catalog.ask(&format!(
        "SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot, {computed}, \
         coalesce({} = \
         pg_catalog.obj_description(p.oid, 'pg_publication'), false), c.oid, \
         pg_catalog.quote_ident(n.nspname) || '.' || \
         pg_catalog.quote_ident(c.relname), t.named, t.sent, t.partial FROM pg_catalog.pg_publication p \
         LEFT JOIN LATERAL (SELECT relid, \
         bool_or(named) AS named, bool_or(sent) AS sent, bool_or(partial) AS partial FROM (SELECT r.prrelid \
         AS relid, true AS named, false AS \
         sent, {partial} AS partial FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid UNION ALL \
         SELECT g.relid, false, true, false \
         FROM pg_catalog.pg_get_publication_tables(p.pubname::text) g) each GROUP BY relid) t ON true LEFT \
         JOIN pg_catalog.pg_class c ON c.oid \
         = t.relid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = {}",
        quote_literal(&format!("list_sync source {}", settings.name)),
        quote_literal(&settings.publication)
    ))?;
    let mut publication = None;
    for row in rows {
        let [sends_all, via_root, computed, is_marked, oid, name, named, sent, partial] = cells(row);
        let [sends_all, via_root, computed, is_marked, is_named, is_sent, is_partial] =
            [sends_all, via_root, computed, is_marked, named, sent, partial].map(|is| is == "t");
        let is_ours = is_marked || settings.publication == default_name(&settings.name);
        let publication = publication.get_or_insert(Publication {
            is_ours,
            sends_all,
            via_root,
            computed,
            tables: Vec::new(),
        });
        if !oid.is_empty() {
            publication.tables.push(Published {
                oid: oid.parse().unwrap_or(0),
                name,
                is_named,
                is_sent,
                is_partial,
            });
        }
    }
    Ok(publication)
}

/// What makes the publication as it must be; nothing if it is.
pub(super) fn changes<'a>(
    catalog: &mut Catalog,
    settings: &Settings,
    captured: &'a [Captured],
) -> Result<Changes<'a>> {
    let options = match catalog.version()? {
        ..18 => "publish_via_partition_root = true",
        _ => "publish_via_partition_root = true, publish_generated_columns = stored",
    };
    let name = quote_identifier(&settings.publication);
    let mut changes = Changes { name: name.clone(), ..Changes::default() };
    let Some(publication) = load(catalog, settings)? else {
        let tables: Vec<_> = captured.iter().collect();
        let of_tables =
            if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", list(&tables)) };
        changes.is_new = true;
        changes.others.push(format!("CREATE PUBLICATION {name}{of_tables} WITH ({options})"));
        if settings.publication != default_name(&settings.name) {
            changes.others.push(comment(settings));
        }
        return Ok(changes);
    };
    let is_ours = publication.is_ours;
    changes.is_foreign = !is_ours;
    let of = |table: &Captured| publication.tables.iter().find(|published| published.oid == table.oid);
    let roots_are_wrong =
        !publication.via_root && (is_ours || captured.iter().any(|table| table.partitioned));
    if !publication.sends_all || roots_are_wrong || is_ours && !publication.computed {
        changes.others.push(format!(
            "ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate', {options})"
        ));
        changes.partial = captured
            .iter()
            .filter(|table| !publication.sends_all || table.partitioned && !publication.via_root)
            .collect();
    }
    for table in captured.iter().filter(|table| of(table).is_some_and(|table| table.is_partial)) {
        // In one message, and so in one transaction: there is no instant without the table.
        let table_name = quoted(table);
        changes.others.push(format!(
            "ALTER PUBLICATION {name} DROP TABLE ONLY {table_name}; ALTER PUBLICATION {name} \
                ADD TABLE ONLY {table_name}"
        ));
        changes.partial.push(table);
    }
    // What ours names it sends, once it is right. In somebody else's, a root may come under the names of its
    // partitions, and a partition under its root's.
    let is_missing =
        |table: &&Captured| !of(table).is_some_and(|table| table.is_sent || is_ours && table.is_named);
    changes.missing = captured.iter().filter(is_missing).collect();
    let is_extra =
        |table: &&Published| table.is_named && !captured.iter().any(|captured| captured.oid == table.oid);
    let extra: Vec<_> =
        publication.tables.iter().filter(is_extra).map(|table| format!("ONLY {}", table.name)).collect();
    if is_ours && !extra.is_empty() {
        changes.others.push(format!("ALTER PUBLICATION {name} DROP TABLE {}", extra.join(", ")));
    }
    Ok(changes)
}

/// Makes the publication, or makes it right. It comes before the slot: the server wants it to exist at each
/// change that it decodes. `before` are the tables that were published at the last look, of a stream that has
/// begun; a table that comes in then is told of: what it holds by now is in nobody's log.
pub(super) fn keep(
    catalog: &mut Catalog,
    settings: &Settings,
    captured: &[Captured],
    before: Option<&[u32]>,
) -> Result<Look> {
    let name = &settings.publication;
    let changes = changes(catalog, settings, captured)?;
    let mut look = Look { published: captured.iter().map(|table| table.oid).collect(), ..Look::default() };
    if changes.is_empty() {
        return Ok(look);
    }
    let gone: Vec<_> = changes
        .missing
        .iter()
        .filter(|table| before.is_some_and(|before| before.contains(&table.oid)))
        .copied()
        .collect();
    let left_out: Vec<_> =
        changes.partial.iter().chain(&gone).map(|table| format!("{}.{}", table.schema, table.name)).collect();
    if before.is_some() && !left_out.is_empty() {
        look.lost = Some(lost(settings, &changes, &left_out));
    }
    if changes.is_foreign {
        look.published.retain(|oid| !changes.missing.iter().any(|table| table.oid == *oid));
        look.pending = Some(refused(settings, &changes));
        return Ok(look);
    }
    for statement in &changes.others {
        run(catalog, statement)
            .map_err(|error| error.context(format!("publication {name:?} cannot be made right")))?;
    }
    if changes.is_new {
        if before.is_some() {
            tracing::warn!(
                source = settings.name,
                publication = name,
                "the publication was missing and has been created again; if rows were changed \
                 meanwhile, the stream stops there"
            );
        }
        return Ok(look);
    }
    let (added, pending) = add(catalog, &changes)?;
    look.published.retain(|oid| {
        added.iter().any(|table| table.oid == *oid) || !changes.missing.iter().any(|table| table.oid == *oid)
    });
    look.pending = pending;
    tracing::info!(
        source = settings.name,
        publication = name,
        tables = look.published.len(),
        "publication changed"
    );
    if before.is_some() {
        for table in added.iter().filter(|table| !gone.iter().any(|gone| gone.oid == table.oid)) {
            tell_of(catalog, settings, table);
            look.added.push(TableName(table.schema.clone(), table.name.clone()));
        }
    }
    Ok(look)
}

/// Lets the missing tables in: all at once, or, if one of them is locked, each by itself. Answers which came
/// in, and why others did not.
fn add<'a>(catalog: &mut Catalog, changes: &Changes<'a>) -> Result<(Vec<&'a Captured>, Option<Error>)> {
    if changes.missing.is_empty() {
        return Ok((Vec::new(), None));
    }
    match run(catalog, &changes.add(&changes.missing)) {
        Ok(()) => return Ok((changes.missing.clone(), None)),
        Err(error) if !is_lock_time_out(&error) => return Err(error),
        Err(error) if changes.missing.len() == 1 => {
            return Ok((Vec::new(), Some(locked(changes.missing[0], error))));
        }
        Err(_) => {}
    }
    let (mut added, mut pending) = (Vec::new(), None);
    for table in &changes.missing {
        match run(catalog, &changes.add(&[table])) {
            Ok(()) => added.push(*table),
            Err(error) if is_lock_time_out(&error) => pending = Some(locked(table, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((added, pending))
}

fn locked(table: &Captured, error: Error) -> Error {
    let name = quoted(table);
    error.context(format!("table {name} is not published yet")).hint(format!(
        "somebody holds a lock on it: SELECT a.pid, a.query FROM pg_locks l JOIN pg_stat_activity a USING \
         (pid) WHERE l.granted AND l.relation = {}::regclass",
        quote_literal(&name)
    ))
}

/// Runs a statement that needs ownership; without it, the statement itself is the hint.
fn run(catalog: &mut Catalog, statement: &str) -> Result<()> {
    let answer = catalog.connection()?.execute(statement);
    answer.map(|_| ()).map_err(|error| match error.kind() {
        error::ErrorKind::Stop => error.hint(format!("run as the owner of the tables: {statement}")),
        _ => error,
    })
}

fn tell_of(catalog: &mut Catalog, settings: &Settings, table: &Captured) {
    let name = format!("{}.{}", table.schema, table.name);
    // Who may not read it cannot be told that it is empty.
    let mut holds_rows =
        || catalog.connection().and_then(|connection| checks::holds_rows(connection, table)).unwrap_or(true);
    if settings.snapshot == Snapshot::Never && holds_rows() {
        tracing::error!(
            source = settings.name,
            table = name,
            hint = FILL_AGAIN,
            "captured from now on, and it held rows before: those are in no message (snapshot = \"never\")"
        );
    } else {
        tracing::info!(source = settings.name, table = name, "new table captured");
    }
}

fn lost(settings: &Settings, changes: &Changes, tables: &[String]) -> Error {
    let now = if changes.is_foreign { "is" } else { "was until now" };
    Error::stop(
        Code::PublicationIncomplete,
        format!(
            "publication {:?} {now} without a part of the changes of {}: those are in no message",
            settings.publication,
            crate::finding::listed(tables)
        ),
    )
    .hint(format!(
        "{}; {FILL_AGAIN}",
        if changes.is_foreign { way_out(settings, changes) } else { "start again to go on".to_owned() }
    ))
}

/// Somebody else's publication is not as it must be.
pub(super) fn refused(settings: &Settings, changes: &Changes) -> Error {
    let names: Vec<_> = changes
        .partial
        .iter()
        .chain(&changes.missing)
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect();
    Error::stop(
        Code::PublicationIncomplete,
        format!(
            "publication {:?} was not made by list_sync, and leaves out changes of {}",
            settings.publication,
            crate::finding::listed(&names)
        ),
    )
    .hint(way_out(settings, changes))
}

fn way_out(settings: &Settings, changes: &Changes) -> String {
    format!(
        "run as its owner: {}; or let list_sync do it: {}",
        changes.statements().join("; "),
        comment(settings)
    )
}
