//! Finds the lines of rows by their numbers, with about a byte of memory for each row.

use stride::input::Item;

/// The lines of all rows so far.
#[derive(Debug, Default)]
pub(crate) struct LineIndex {
    /// The number of jobs, rows or not.
    jobs: u64,
    spans: Vec<Span>,
}

/// Rows of one list that follow each other.
#[derive(Debug)]
struct Span {
    source: usize,
    /// The number of the first row among the jobs.
    first: u64,
    /// The number of rows.
    rows: u64,
    /// The line of the last row.
    last: u64,
    /// For each row, the distance from the line before, in base 128: the high bit says that more digits follow.
    steps: Vec<u8>,
}

impl LineIndex {
    /// Adds the next job.
    pub(crate) fn add(&mut self, item: &Item) {
        let job = self.jobs;
        self.jobs += 1;
        if item.columns.is_none() {
            return;
        }
        let follows =
            |span: &&mut Span| span.source == item.source && span.first + span.rows == job;
        match self.spans.last_mut().filter(follows) {
            Some(span) => span.add(item.line),
            None => {
                let mut span = Span {
                    source: item.source,
                    first: job,
                    rows: 0,
                    last: 0,
                    steps: Vec::new(),
                };
                span.add(item.line);
                self.spans.push(span);
            }
        }
    }

    /// Returns the source and the line of a row, by its number among the jobs, counted from 0.
    pub(crate) fn find(&self, job: u64) -> Option<(usize, u64)> {
        let after = self.spans.partition_point(|span| span.first <= job);
        let span = self.spans.get(after.checked_sub(1)?)?;
        let wanted = job - span.first;
        let (mut line, mut step, mut shift, mut row) = (0, 0, 0, 0);
        for byte in &span.steps {
            step |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                continue;
            }
            line += step;
            if row == wanted {
                return Some((span.source, line));
            }
            (step, shift, row) = (0, 0, row + 1);
        }
        None
    }
}

impl Span {
    fn add(&mut self, line: u64) {
        let mut step = line - self.last;
        while step >= 0x80 {
            self.steps.push(step as u8 | 0x80);
            step >>= 7;
        }
        self.steps.push(step as u8);
        self.last = line;
        self.rows += 1;
    }
}

#[cfg(test)]
mod tests {
    use stride::job::FileName;

    use super::*;

    #[test]
    fn every_row_is_found_again() {
        let mut index = LineIndex::default();
        let mut expected = Vec::new();
        for (source, lines) in [
            (0, &[2, 3, 4][..]),
            (1, &[0, 0]),
            (2, &[2, 130, 20_000, 20_001, 5_000_000_000]),
            (3, &[1]),
            (2, &[7]),
        ] {
            for line in lines {
                let columns = (*line > 0).then(String::new);
                expected.push(columns.is_some().then_some((source, *line)));
                let item = Item::from(FileName::from("a"));
                index.add(&Item {
                    source,
                    line: *line,
                    columns,
                    ..item
                });
            }
        }
        for (job, expected) in (0..).zip(expected) {
            assert_eq!(index.find(job), expected, "{job}");
        }
        assert_eq!(index.find(99), None);
    }
}
