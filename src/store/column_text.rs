//! SQL functions on the columns of a list that is a table.

use std::cmp::Ordering;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use crate::job::Columns;

/// Defines `column_text(row, name)`, the text of a column in a row, and `column_order(row, name, value)`. The order is
/// negative if the column is less than the value, 0 if they are equal, and positive if it is more. Both are NULL without a
/// value in the column, and so is the order of a text and a number.
pub(super) fn define(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("column_text", 2, flags, column)?;
    connection.create_scalar_function("column_order", 3, flags, |context| {
        let value: String = context.get(2)?;
        let found = column(context)?;
        Ok(found
            .and_then(|found| order(&found, &value))
            .map(|order| order as i8))
    })
}

/// Returns the text in the column. JSON's null is no value.
fn column(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let Some(row) = context.get_raw(0).as_str_or_null()? else {
        return Ok(None);
    };
    let row =
        Columns::read(row).map_err(|error| rusqlite::Error::UserFunctionError(error.into()))?;
    let name = context.get_raw(1).as_str()?;
    let json = row.json(name).filter(|json| *json != "null");
    Ok(json.and_then(|_| row.text(name)).map(String::from))
}

/// Compares as numbers if `value` is one, and by characters otherwise, which also orders dates.
fn order(found: &str, value: &str) -> Option<Ordering> {
    let Ok(value_number) = value.trim().parse::<f64>() else {
        return Some(found.cmp(value));
    };
    found.trim().parse::<f64>().ok()?.partial_cmp(&value_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_are_ordered() {
        for (found, value, expected) in [
            ("9", "10", Some(Ordering::Less)),
            ("1e1", " 10.0 ", Some(Ordering::Equal)),
            ("2026-02-01", "2026-01-31", Some(Ordering::Greater)),
            ("de", "en", Some(Ordering::Less)),
            ("de", "10", None),
            ("2026", "2026-01-01", Some(Ordering::Less)),
        ] {
            assert_eq!(order(found, value), expected, "{found} {value}");
        }
    }
}
