//! Port tables and classes of addresses, each kept once.
//!
//! A class names at most [`WIDTH`] tables, shared between classes; more are merged into one, so that a
//! look-up stays short, and a table that thousands of classes have in common exists once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::ports::{PortTable, Span};
use super::{at, id_of};

/// Port tables that a class may name before they are merged. Four are one cache line of answers,
/// and cover "all pods" + "this namespace" + "this app" + a block without any copy.
const WIDTH: usize = 4;

/// Position of a table.
pub(super) type TableId = u32;
/// Position of a class.
pub(super) type ClassId = u32;

/// The class of addresses that no rule with peers admits.
pub(super) const NOBODY: ClassId = 0;

/// Positions of tables, sorted; unused ones are [`Class::UNUSED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Class([TableId; WIDTH]);

impl Class {
    const UNUSED: TableId = TableId::MAX;
    const EMPTY: Self = Self([Self::UNUSED; WIDTH]);

    pub(super) fn tables(&self) -> impl Iterator<Item = TableId> + '_ {
        self.0
            .iter()
            .copied()
            .take_while(|&table| table != Self::UNUSED)
    }
}

/// Tables and classes, each kept once.
pub(super) struct Store {
    pub tables: Vec<PortTable>,
    table_ids: HashMap<PortTable, TableId, RandomState>,
    pub classes: Vec<Class>,
    class_ids: HashMap<Class, ClassId, RandomState>,
    /// Which class a collection of tables became.
    merged: HashMap<Box<[TableId]>, ClassId, RandomState>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            table_ids: HashMap::default(),
            classes: vec![Class::EMPTY],
            class_ids: HashMap::from_iter([(Class::EMPTY, NOBODY)]),
            merged: HashMap::default(),
        }
    }
}

impl Store {
    pub(super) fn table(&mut self, table: PortTable) -> TableId {
        if let Some(&id) = self.table_ids.get(&table) {
            return id;
        }
        let id = id_of(self.tables.len());
        self.tables.push(table.clone());
        self.table_ids.insert(table, id);
        id
    }

    /// The class with the tables of `class` and these.
    pub(super) fn extend(
        &mut self,
        class: ClassId,
        more: impl Iterator<Item = TableId>,
    ) -> ClassId {
        let mut tables: Vec<TableId> = more.collect();
        if let Some(class) = self.classes.get(at(class)) {
            tables.extend(class.tables());
        }
        tables.sort_unstable();
        tables.dedup();
        tables.retain(|&table| {
            self.tables
                .get(at(table))
                .is_some_and(|table| !table.is_empty())
        });
        if tables.len() <= WIDTH {
            return self.class(&tables);
        }
        if let Some(&class) = self.merged.get(tables.as_slice()) {
            return class;
        }
        let spans: Vec<Span> = tables
            .iter()
            .filter_map(|&table| self.tables.get(at(table)))
            .flat_map(PortTable::spans)
            .collect();
        let all = self.table(PortTable::new(&spans));
        let class = self.class(&[all]);
        self.merged.insert(tables.into(), class);
        class
    }

    fn class(&mut self, tables: &[TableId]) -> ClassId {
        let mut class = Class::EMPTY;
        for (slot, &table) in class.0.iter_mut().zip(tables) {
            *slot = table;
        }
        if let Some(&id) = self.class_ids.get(&class) {
            return id;
        }
        let id = id_of(self.classes.len());
        self.classes.push(class);
        self.class_ids.insert(class, id);
        id
    }
}
