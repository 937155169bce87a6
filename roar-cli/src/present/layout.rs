//! Where each node of a pipeline stands: the one layout, of the terminal and of the pictures.
//!
//! One node a row, each once, below the dependency that is farthest down; its other
//! dependencies are for the drawing to mark. A thousand steps stay a list that can be read
//! and scrolled, however the files branch and meet. Chains deeper than the paper bears go on
//! at the left margin.

use std::collections::BTreeSet;

use crate::lineage::order::{Order, dependencies_first};

/// A node in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The node's position.
    pub(super) node: usize,
    /// The node that it is drawn below; none at the left margin.
    pub(super) parent: Option<usize>,
    /// For each level to its left: whether a line passes through to a later row.
    pub(super) through: Vec<bool>,
    /// Whether it is the last below its parent.
    pub(super) is_last: bool,
    /// Whether something is drawn below it.
    pub(super) has_children: bool,
}

impl Row {
    /// How far from the left margin.
    pub(super) fn depth(&self) -> usize {
        self.through.len() + usize::from(self.parent.is_some())
    }
}

/// The rows from top to bottom; `parents` has for each node those it depends on. No row is
/// deeper than `deepest`.
pub(super) fn rows(parents: &[BTreeSet<usize>], deepest: usize) -> Vec<Row> {
    let Tree { roots, children } = Tree::of(parents);
    let at_margin = |node: usize| Row {
        node,
        parent: None,
        through: Vec::new(),
        is_last: true,
        has_children: false,
    };
    let mut rows = Vec::with_capacity(parents.len());
    let mut pending: Vec<Row> = roots.into_iter().rev().map(at_margin).collect();
    let mut later: BTreeSet<usize> = BTreeSet::new();
    loop {
        let Some(mut row) = pending.pop() else {
            match later.pop_first() {
                Some(next) => pending.push(at_margin(next)),
                None => return rows,
            }
            continue;
        };
        let below = &children[row.node];
        if row.depth() < deepest {
            row.has_children = !below.is_empty();
            let mut through = row.through.clone();
            if row.parent.is_some() {
                through.push(!row.is_last);
            }
            for (position, child) in below.iter().enumerate().rev() {
                pending.push(Row {
                    node: *child,
                    parent: Some(row.node),
                    through: through.clone(),
                    is_last: position + 1 == below.len(),
                    has_children: false,
                });
            }
        } else {
            later.extend(below);
        }
        rows.push(row);
    }
}

/// Which node stands below which.
struct Tree {
    /// In the order of drawing.
    roots: Vec<usize>,
    /// By node position; each in order of step.
    children: Vec<Vec<usize>>,
}

impl Tree {
    fn of(parents: &[BTreeSet<usize>]) -> Self {
        let Order { nodes, rank } = dependencies_first(parents);
        let mut placed = vec![false; parents.len()];
        let mut tree = Self {
            roots: Vec::new(),
            children: vec![Vec::new(); parents.len()],
        };
        for node in nodes {
            let parent = parents[node]
                .iter()
                .copied()
                .filter(|parent| placed[*parent])
                .max_by_key(|parent| (rank[*parent], *parent));
            match parent {
                Some(parent) => tree.children[parent].push(node),
                None => tree.roots.push(node),
            }
            placed[node] = true;
        }
        tree.roots.sort_unstable();
        for children in &mut tree.children {
            children.sort_unstable();
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: each row as its node behind its level's dots.
    fn check(parents: &[&[usize]], deepest: usize, expected: &[&str]) {
        let sets: Vec<BTreeSet<usize>> = parents
            .iter()
            .map(|its| its.iter().copied().collect())
            .collect();
        let actual: Vec<String> = rows(&sets, deepest)
            .iter()
            .map(|row| format!("{}{}", ".".repeat(row.depth()), row.node))
            .collect();
        assert_eq!(actual, expected, "{parents:?}");
    }

    #[test]
    fn every_node_once_below_its_lowest_dependency() {
        check(&[], 9, &[]);
        check(&[&[], &[0], &[1], &[]], 9, &["0", ".1", "..2", "3"]);
        // A diamond; a fan-in; nodes that feed each other.
        check(&[&[], &[0], &[0], &[1, 2]], 9, &["0", ".1", ".2", "..3"]);
        check(&[&[], &[], &[0, 1]], 9, &["0", "1", ".2"]);
        check(&[&[1], &[0]], 9, &["0", ".1"]);
        // Too deep: on at the margin.
        check(&[&[], &[0], &[1], &[2]], 1, &["0", ".1", "2", ".3"]);
        check(&[&[], &[0], &[1]], 0, &["0", "1", "2"]);
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let parents: Vec<BTreeSet<usize>> = (0..100_000_usize)
            .map(|node| node.checked_sub(1).into_iter().collect())
            .collect();
        assert_eq!(rows(&parents, 20).len(), parents.len());
    }
}
