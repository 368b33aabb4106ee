//! `--weight`: the weight of a file for rates in weights.

use std::fmt;
use std::str::FromStr;

use crate::job::Columns;

/// The weight of a file: a sum of numbers, the file's size in bytes and columns of the list, each times numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// The sum as it was written, without spaces.
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    factor: f64,
    of: Quantity,
}

#[derive(Debug, Clone, PartialEq)]
enum Quantity {
    One,
    Size,
    Column(String),
}

impl Weight {
    /// Returns the weight of a file of this size and with this row, rounded up. A column that the row lacks, or whose value
    /// is no number of at least zero, counts nothing.
    pub fn of(&self, size: u64, row: &Columns) -> u64 {
        let quantity = |of: &Quantity| match of {
            Quantity::One => 1.0,
            Quantity::Size => size as f64,
            Quantity::Column(name) => {
                let value = row.text(name).and_then(|text| text.trim().parse().ok());
                let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
                value.unwrap_or(0.0)
            }
        };
        let terms = self.terms.iter();
        let sum: f64 = terms.map(|term| term.factor * quantity(&term.of)).sum();
        sum.ceil() as u64
    }

    /// Returns the columns of the list that it needs.
    pub fn columns(&self) -> Vec<String> {
        let names = self.terms.iter().filter_map(|term| match &term.of {
            Quantity::Column(name) => Some(name.clone()),
            Quantity::One | Quantity::Size => None,
        });
        names.collect()
    }
}

impl Term {
    /// Reads a product, such as `2*size/4`.
    fn read(text: &str) -> Option<Self> {
        let mut term = Self {
            factor: 1.0,
            of: Quantity::One,
        };
        let (mut rest, mut divides) = (text, false);
        loop {
            let end = match rest.starts_with('{') {
                true => rest.find('}')? + 1,
                false => rest.find(['*', '/']).unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(end);
            let column = word
                .strip_prefix("{col.")
                .and_then(|name| name.strip_suffix('}'));
            let quantity = match (word, column) {
                ("size", _) => Some(Quantity::Size),
                (_, Some(name)) if !name.is_empty() => Some(Quantity::Column(name.to_owned())),
                _ => None,
            };
            match quantity {
                Some(quantity) if term.of == Quantity::One && !divides => term.of = quantity,
                Some(_) => return None,
                None => {
                    let number: f64 = word.parse().ok()?;
                    term.factor *= if divides { number.recip() } else { number };
                }
            }
            let Some(operator) = after.chars().next() else {
                return (term.factor.is_finite() && term.factor > 0.0).then_some(term);
            };
            divides = match operator {
                '*' => false,
                '/' => true,
                _ => return None,
            };
            rest = &after[1..];
        }
    }
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // A column's name may have a plus and spaces.
        let (mut terms, mut braces) = (vec![String::new()], false);
        for c in text.chars() {
            match c {
                '+' if !braces => terms.push(String::new()),
                ' ' if !braces => {}
                _ => {
                    braces = c == '{' || braces && c != '}';
                    terms.last_mut().into_iter().for_each(|term| term.push(c));
                }
            }
        }
        let read: Option<Vec<Term>> = terms.iter().map(|term| Term::read(term)).collect();
        let read = read.ok_or_else(|| {
            format!("`{text}` is not a weight: use a number, size or {{col.NAME}}, or a sum of these times numbers such as size/4+800")
        });
        Ok(Self {
            terms: read?,
            text: terms.join("+"),
        })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_sum_of_products() {
        let row =
            Columns::read(r#"{"tokens": 12, "text": "7.5", "a + b/2": 1, "bad": "x"}"#).unwrap();
        for (text, weight) in [
            ("size", 9),
            ("size/4", 3),
            ("4", 4),
            ("size*4", 36),
            ("2*size/4", 5),
            ("size/4+800", 803),
            ("size / 4 + 800 + 0.5", 803),
            ("{col.tokens}", 12),
            ("{col.tokens}*1.5+{col.text}", 26),
            ("{col.a + b/2}*100", 100),
            ("{col.bad}+{col.none}+1", 1),
            ("1e3*size", 9000),
        ] {
            let parsed: Weight = text.parse().unwrap();
            assert_eq!(parsed.of(9, &row), weight, "{text}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed), "{text}");
        }
        assert_eq!("size / 4".parse::<Weight>().unwrap().to_string(), "size/4");
        let columns = "{col.a}+size*{col.b}".parse::<Weight>();
        assert!(columns.is_err(), "a product of two quantities");
        let weight: Weight = "{col.a}+2*{col.b}+size".parse().unwrap();
        assert_eq!(weight.columns(), ["a", "b"]);
        for wrong in [
            "", "size/", "size/0", "size/-1", "size/inf", "0", "-4", "nan", "4/size", "size+",
            "+4", "size4", "{col.}", "{col.a", "{tokens}", "size%2", "inf",
        ] {
            assert!(wrong.parse::<Weight>().is_err(), "{wrong}");
        }
    }
}
