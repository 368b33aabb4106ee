//! Filtered exports: the jobs that each term selects, and that an export is complete if it has all of those.

use stride::export::{
    Column, ColumnName, ExportError, Form, Format, Selection, to_file, to_stream,
};
use stride::filter::Term;
use stride::job::{Class, FileName};
use stride::store::Reader;

use super::FILES;
use crate::support::{BYSTANDER, Fixture, answered, attempt, claim, failed, succeeded};

fn terms(words: &[&str]) -> Vec<Term> {
    let now = stride::store::wall_clock();
    let read = |word: &&str| Term::read(word.as_bytes(), now).unwrap();
    words.iter().map(read).collect()
}

/// The names of the selected jobs, in the order of the export.
fn chosen(reader: &Reader, chosen: &[Term]) -> Vec<String> {
    let form = Form {
        chosen,
        columns: Some(&[ColumnName::Own(Column::File)]),
        ..Format::Csv.into()
    };
    let mut out = Vec::new();
    let written = to_stream(reader, form, Selection::All, &mut out).unwrap();
    let mut table = csv::Reader::from_reader(out.as_slice());
    let names: Vec<String> = table
        .records()
        .map(|row| row.unwrap()[0].to_owned())
        .collect();
    assert_eq!(names.len() as u64, written.jobs);
    assert_eq!(reader.counts_of(chosen).unwrap().total, written.jobs);
    names
}

/// Jobs in all states, with different values in every field.
fn fixture() -> Fixture {
    let odd = FileName::new(&b"odd\xe9.txt"[..]);
    let names: [FileName; 6] = [
        "done".into(),
        "refused.txt".into(),
        odd.clone(),
        "twice.txt".into(),
        "pending".into(),
        "running".into(),
    ];
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("done"), answered("text/plain", "x"));
    let refused = failed(Class::Rejected, Some(422), "no");
    attempt(&mut store, fixture.id("refused.txt"), refused);
    let auth = failed(Class::Auth, Some(401), "who");
    attempt(&mut store, fixture.id(odd), auth);
    let passing = failed(Class::Transient, Some(503), "later");
    attempt(&mut store, fixture.id("twice.txt"), passing);
    attempt(&mut store, fixture.id("twice.txt"), succeeded("2"));
    claim(&mut store, fixture.id("running"));
    fixture
}

#[test]
fn each_term_selects_its_jobs() {
    let fixture = fixture();
    let reader = fixture.reader();
    let odd = "odd\u{fffd}.txt";
    let all = [
        "done",
        "refused.txt",
        odd,
        "twice.txt",
        "pending",
        "running",
        BYSTANDER,
    ];
    let never: [&str; 0] = [];
    let cases: [(&[&str], &[&str]); 28] = [
        (&[], &all),
        (&["state=done"], &["done", "twice.txt", BYSTANDER]),
        (&["state=failed"], &["refused.txt", odd]),
        (&["state=failed,pending"], &["refused.txt", odd, "pending"]),
        (&["state!=done,failed"], &["pending", "running"]),
        (&["state=running"], &["running"]),
        (&["state=held"], &never),
        (&["class=rejected"], &["refused.txt"]),
        (&["class=rejected,auth"], &["refused.txt", odd]),
        (
            &["class!=rejected"],
            &["done", odd, "twice.txt", "pending", "running", BYSTANDER],
        ),
        (&["status=422"], &["refused.txt"]),
        (&["status>=400", "status<422"], &[odd]),
        (&["status<=200"], &["done"]),
        (
            &["status!=200,422"],
            &[odd, "twice.txt", "pending", "running", BYSTANDER],
        ),
        (&["attempts>1"], &["twice.txt"]),
        (&["attempts=0"], &["pending"]),
        (&["attempts<1"], &["pending"]),
        (
            &["started>=1h ago"],
            &[
                "done",
                "refused.txt",
                odd,
                "twice.txt",
                "running",
                BYSTANDER,
            ],
        ),
        (&["started<2000-01-01"], &never),
        (
            &["started>2000-01-01T00:00Z", "state=running"],
            &["running"],
        ),
        (&["duration>=7ms", "state=failed"], &["refused.txt", odd]),
        (&["duration>1s"], &never),
        (&["name=refused.txt"], &["refused.txt"]),
        (&["name~*.txt", "state=failed"], &["refused.txt", odd]),
        (&["name~[dp]*"], &["done", "pending"]),
        (&["name!~*.txt", "name!=done"], &["pending", "running"]),
        (&["name~by'stander\"*"], &[BYSTANDER]),
        (&["state=done", "state=failed"], &never),
    ];
    for (words, expected) in cases {
        assert_eq!(chosen(&reader, &terms(words)), expected, "{words:?}");
    }
    let name = Term::read(b"name=odd\xe9.txt", 0).unwrap();
    assert_eq!(chosen(&reader, &[name]), [odd]);
}

#[test]
fn a_filtered_export_is_complete_with_the_selected_jobs() {
    let fixture = fixture();
    let reader = fixture.reader();
    let (good, bad) = (terms(&["name~*done*"]), terms(&["state!=done"]));
    for format in FILES {
        let out = fixture.at("out");
        let form = |chosen| Form {
            chosen,
            ..format.into()
        };
        let written = to_file(&reader, form(&good), Selection::Whole, &out).unwrap();
        assert_eq!(written.jobs, 1);
        let refused = to_file(&reader, form(&bad), Selection::Whole, &out);
        let Err(ExportError::Incomplete { counts }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((counts.done, counts.total), (0, 4));
        assert_eq!((counts.failed, counts.pending, counts.running), (2, 1, 1));
        let written = to_file(&reader, form(&bad), Selection::Partial, &out).unwrap();
        assert_eq!(written.jobs, 0);
        let written = to_file(&reader, form(&bad), Selection::All, &out).unwrap();
        assert_eq!(written.jobs, 4);
    }
}
