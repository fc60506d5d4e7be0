//! A matrix as a page: a cell tells its connection when the pointer rests on it.

use maud::html;

use super::cells::{Cell, Matrix};
use crate::connections::page;

const STYLE: &str = "\
table{border-collapse:separate;border-spacing:3px}th{font-weight:500;text-align:left;white-space:nowrap}\
thead th{height:1px;vertical-align:bottom;padding:0 0 .4rem}\
thead th span{writing-mode:vertical-rl;transform:rotate(180deg);display:block;margin:0 auto}\
tbody th{position:sticky;left:0;background:var(--paper);padding-right:1rem}\
td{min-width:2.1rem;height:2.1rem;padding:0 .5rem;text-align:center;border-radius:5px;background:var(--field);\
color:var(--faint);font-size:.85rem;white-space:nowrap}\
td.all{background:var(--all-field);color:var(--all);font-weight:600}\
td.some{background:var(--some-field);color:var(--some)}td.itself{background:none}\
tr:hover th,th:hover{color:var(--some)}";

pub(super) fn page(matrix: &Matrix) -> String {
    let class = |cell: Cell| match cell {
        Cell::None => "none",
        Cell::All => "all",
        Cell::Some(_) => "some",
        Cell::Itself => "itself",
    };
    let content = html! {
        h1 { "Who reaches whom" }
        p { "A row for each source, a column for each destination, as the network policies allow. \
             Replies always pass." }
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "from ↓ to →" }
                        @for name in &matrix.names { th scope="col" { span { (name) } } }
                    }
                }
                tbody {
                    @for (from, cells) in matrix.names.iter().zip(&matrix.cells) {
                        tr {
                            th scope="row" { (from) }
                            @for (to, cell) in matrix.names.iter().zip(cells) {
                                td class=(class(*cell)) title={ (from) " → " (to) ": " (matrix.words(*cell)) } {
                                    @match cell {
                                        Cell::Some(_) => (matrix.words(*cell)),
                                        _ => (matrix.sign(*cell)),
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        p { "✓ all connections · no connections – itself" }
    };
    page::page("Who reaches whom", STYLE, &content)
}
