//! Finds circles among edges.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::edges::Edge;

/// Returns a shortest circle for each file that is in one and in none that was returned before, as
/// `a.rs -> Item -> b.rs -> Other -> a.rs`.
pub(crate) fn circles(edges: &[&Edge]) -> Vec<String> {
    let mut leaving: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in edges {
        leaving.entry(&edge.from).or_default().push(edge);
    }
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for &file in leaving.keys() {
        if !told.contains(file)
            && let Some(circle) = circle(file, &leaving)
        {
            told.extend(circle.iter().map(|edge| edge.from.as_str()));
            let steps: Vec<String> = circle
                .iter()
                .map(|edge| format!("{} -> {} -> ", edge.from, edge.item))
                .collect();
            found.push(format!("{}{file}", steps.concat()));
        }
    }
    found
}

/// Returns the shortest way from a file back to itself.
fn circle<'e>(file: &str, leaving: &BTreeMap<&str, Vec<&'e Edge>>) -> Option<Vec<&'e Edge>> {
    let mut came_by: BTreeMap<&str, &Edge> = BTreeMap::new();
    let mut next = VecDeque::from([file]);
    while let Some(at) = next.pop_front() {
        for edge in leaving.get(at).into_iter().flatten() {
            if came_by.contains_key(edge.to.as_str()) {
                continue;
            }
            came_by.insert(&edge.to, edge);
            if edge.to == file {
                let mut circle = vec![*edge];
                while circle.last()?.from != file {
                    circle.push(came_by[circle.last()?.from.as_str()]);
                }
                circle.reverse();
                return Some(circle);
            }
            next.push_back(&edge.to);
        }
    }
    None
}
