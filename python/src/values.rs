//! Rows of a batch as Python values.
//!
//! A change is a tuple `(action, schema, table, columns, identity, key, position, committed_us, xid, types)`:
//! `columns` and `identity` are dicts from column to value, without the columns that the database did not
//! send; `types` has the database's type of each column of the table.

use list_sync::change::{Batch, Cell, CellKind, Operation, Row, Table};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// All rows of a batch.
pub fn changes<'py>(py: Python<'py>, batch: &Batch) -> PyResult<Bound<'py, PyList>> {
    let tables = batch.tables().iter().map(|table| Names::new(py, table)).collect::<PyResult<Vec<_>>>()?;
    let rows = batch
        .rows()
        .iter()
        .map(|row| change(py, batch, row, &tables[row.table as usize]))
        .collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, rows)
}

/// What the rows of a table share, made once a batch.
struct Names<'py> {
    schema: Bound<'py, PyString>,
    table: Bound<'py, PyString>,
    columns: Vec<Bound<'py, PyString>>,
    numbers: Vec<Number>,
    key: Bound<'py, PyTuple>,
    types: Bound<'py, PyDict>,
}

impl<'py> Names<'py> {
    fn new(py: Python<'py>, table: &Table) -> PyResult<Self> {
        let columns: Vec<_> = table.columns.iter().map(|column| PyString::intern(py, &column.name)).collect();
        let numbers = table.columns.iter().map(|column| Number::of_type(&column.type_name)).collect();
        let key: Vec<_> = table.key.iter().filter_map(|place| columns.get(*place)).collect();
        let key = PyTuple::new(py, key)?;
        let types = PyDict::new(py);
        for (name, column) in columns.iter().zip(&table.columns) {
            types.set_item(name, &column.type_name)?;
        }
        Ok(Self {
            schema: PyString::intern(py, &table.schema),
            table: PyString::intern(py, &table.name),
            columns,
            numbers,
            key,
            types,
        })
    }
}

/// What a column's numbers become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    /// `decimal.Decimal`: a float would change the fraction.
    Exact,
    /// `float`, also where there is no fraction.
    Float,
    /// `int` as far as it goes.
    Whole,
}

impl Number {
    fn of_type(name: &str) -> Self {
        let name = name.trim_start().to_ascii_lowercase();
        let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
        match () {
            () if begins(&["numeric", "decimal"]) => Self::Exact,
            () if begins(&["double", "real", "float"]) => Self::Float,
            () => Self::Whole,
        }
    }
}

fn change<'py>(
    py: Python<'py>,
    batch: &Batch,
    row: &Row,
    names: &Names<'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let action = match row.operation {
        Operation::Insert => "I",
        Operation::Update => "U",
        Operation::Delete => "D",
        Operation::Truncate => "T",
    };
    let transaction = batch.transaction(row);
    let parts = [
        PyString::intern(py, action).into_any(),
        names.schema.clone().into_any(),
        names.table.clone().into_any(),
        cells(py, batch, batch.columns(row), names)?.into_any(),
        cells(py, batch, batch.identity(row), names)?.into_any(),
        names.key.clone().into_any(),
        PyString::new(py, &row.position.to_string()).into_any(),
        transaction.committed_us.into_bound_py_any(py)?,
        PyString::new(py, &transaction.xid).into_any(),
        names.types.clone().into_any(),
    ];
    PyTuple::new(py, parts)
}

fn cells<'py>(
    py: Python<'py>,
    batch: &Batch,
    cells: &[Cell],
    names: &Names<'py>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for ((cell, name), number) in cells.iter().zip(&names.columns).zip(&names.numbers) {
        match cell.kind {
            CellKind::Missing => {}
            CellKind::Null => dict.set_item(name, py.None())?,
            CellKind::Text => dict.set_item(name, text(batch.text(cell)))?,
            CellKind::Literal => dict.set_item(name, literal(py, &text(batch.text(cell)), *number)?)?,
        }
    }
    Ok(dict)
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn literal<'py>(py: Python<'py>, digits: &str, number: Number) -> PyResult<Bound<'py, PyAny>> {
    let is_whole = || digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match (digits, number) {
        ("true", _) => true.into_bound_py_any(py),
        ("false", _) => false.into_bound_py_any(py),
        (_, Number::Exact) => py.import("decimal")?.call_method1("Decimal", (digits,)),
        (_, Number::Whole) if is_whole() => match digits.parse::<i64>() {
            Ok(number) => number.into_bound_py_any(py),
            Err(_) => py.import("builtins")?.call_method1("int", (digits,)),
        },
        _ => digits
            .parse::<f64>()
            .map_or_else(|_| digits.into_bound_py_any(py), |number| number.into_bound_py_any(py)),
    }
}
