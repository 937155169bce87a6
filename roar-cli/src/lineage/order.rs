//! Dependencies first: the one order in which steps are drawn, listed and run again.
//!
//! Steps may feed each other (files updated in place), so that there is an order for any
//! input: where nothing is ready, the earliest that is left goes first.

use std::collections::BTreeSet;

/// Nodes in order, and how far each stands from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Every node once, those it depends on before it; ties by number.
    pub nodes: Vec<usize>,
    /// By node: the length of the longest way from a node without dependencies.
    pub rank: Vec<usize>,
}

/// Orders nodes, given for each those it depends on.
pub fn dependencies_first(parents: &[BTreeSet<usize>]) -> Order {
    let mut waiting: Vec<usize> = parents.iter().map(BTreeSet::len).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    for (node, its) in parents.iter().enumerate() {
        for parent in its {
            children[*parent].push(node);
        }
    }
    let mut ready: BTreeSet<usize> = (0..parents.len()).filter(|n| waiting[*n] == 0).collect();
    let mut left: BTreeSet<usize> = (0..parents.len()).collect();
    let mut rank = vec![0; parents.len()];
    let mut nodes = Vec::with_capacity(parents.len());
    while let Some(node) = ready.pop_first().or_else(|| left.first().copied()) {
        if !left.remove(&node) {
            continue;
        }
        nodes.push(node);
        for child in &children[node] {
            waiting[*child] -= 1;
            if left.contains(child) {
                rank[*child] = rank[*child].max(rank[node] + 1);
                if waiting[*child] == 0 {
                    ready.insert(*child);
                }
            }
        }
    }
    Order { nodes, rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `parents`: for each node, those it depends on.
    fn check(parents: &[&[usize]], nodes: &[usize], rank: &[usize]) {
        let sets: Vec<BTreeSet<usize>> = parents
            .iter()
            .map(|its| its.iter().copied().collect())
            .collect();
        let expected = Order {
            nodes: nodes.to_vec(),
            rank: rank.to_vec(),
        };
        assert_eq!(dependencies_first(&sets), expected, "{parents:?}");
    }

    #[test]
    fn orders() {
        check(&[], &[], &[]);
        check(&[&[], &[]], &[0, 1], &[0, 0]);
        check(&[&[1], &[]], &[1, 0], &[1, 0]);
        // A diamond, and a long way round.
        check(&[&[], &[0], &[0], &[1, 2]], &[0, 1, 2, 3], &[0, 1, 1, 2]);
        check(&[&[], &[0], &[1], &[0, 2]], &[0, 1, 2, 3], &[0, 1, 2, 3]);
        // Nodes that feed each other, and what hangs on them.
        check(&[&[1], &[0], &[1]], &[0, 1, 2], &[0, 1, 2]);
    }
}
