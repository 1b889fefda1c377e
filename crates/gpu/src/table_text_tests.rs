//! Tables as text: there and back, and what is refused.

use super::*;

const HEADER: &str = "class,layout,m,n,k,batch,results,work,tiles,form,rows,columns";

fn error(text: &str) -> String {
    Table::parse(text).unwrap_err().to_string()
}

#[test]
fn tables_are_read_as_they_are_written() {
    let built_in = Table::built_in();
    assert_eq!(Table::parse(&built_in.to_string()), Ok(built_in.clone()));
    let own = Table {
        adapter: Some("llvmpipe (LLVM 19.1.7, 256 bits)".to_owned()),
        class: Some(AdapterClass::Software),
        rules: built_in.rules[..2].to_vec(),
    };
    assert_eq!(Table::parse(&own.to_string()), Ok(own));
    let ranges = format!("# a comment\n\n{HEADER}\r\n hardware , T* , 8, 8.., ..8, 8..16,*,0..,*, small, 4, 4\r\n");
    let table = Table::parse(&ranges).unwrap();
    let [rule] = table.rules[..] else { panic!("{table}") };
    assert_eq!(rule.to_string(), "hardware,T*,8,8..,..8,8..16,*,*,*,small,4,4");
}

#[test]
fn errors_say_where_and_what() {
    let rule = |text: &str| error(&format!("class: software\n{HEADER}\n{text}\n"));
    for (message, wanted) in [
        (error(""), "line 1, column 1: the line with the names of the columns is missing"),
        (
            error("class: fast\n"),
            "line 1, column 8: 'fast' is no class; there are software, integrated, discrete, other",
        ),
        (error(&HEADER.replace("k,", "")), "line 1, column 18: 'batch' where the name of a column, 'k', should be"),
        (error("class,layout"), "line 1, column 13: the column 'm' is missing"),
        (error(&format!("{HEADER},more")), "line 1, column 63: there is no column 'more'"),
        (rule("*,**,*,*"), "line 3, column 9: a rule has 12 columns, this has 4"),
        (rule("*,**,*,*,*,*,*,*,*,small,4,4,4"), "line 3, column 30: a rule has 12 columns"),
        (rule("x,**,*,*,*,*,*,*,*,small,4,4"), "line 3, column 1: 'x' is no class; "),
        (rule("*,NX,*,*,*,*,*,*,*,small,4,4"), "line 3, column 3: 'NX' is no layout: two of N, T and *"),
        (rule("*,N,*,*,*,*,*,*,*,small,4,4"), "line 3, column 3: 'N' is no layout"),
        (rule("*,**, 9..8,*,*,*,*,*,*,small,4,4"), "line 3, column 7: '9..8' is no range"),
        (rule("*,**,*,-1,*,*,*,*,*,small,4,4"), "line 3, column 8: '-1' is no range"),
        (rule("*,**,*,*,*,*,*,*,..,small,4,4"), "line 3, column 18: '..' is no range"),
        (rule("*,**,*,*,*,*,*,*,*,small,four,4"), "line 3, column 26: 'four' is no number of results"),
        (
            rule("*,**,*,*,*,*,*,*,*,subgroup,9223372036854775808,32"),
            "line 3, column 20: there is no 'subgroup 9223372036854775808x32': tiles of subgroups have at most 64",
        ),
        (rule("*,**,*,*,*,*,*,*,*,tiled,48,48"), "line 3, column 20: there is no 'tiled 48x48': tiled products have"),
    ] {
        assert!(message.starts_with(wanted), "{message}\n{wanted}");
    }
}

#[test]
fn tables_for_others_are_refused() {
    let table = Table { adapter: Some("Radiant 9".to_owned()), class: Some(AdapterClass::Discrete), rules: vec![] };
    assert_eq!(table.check("Radiant 9", AdapterClass::Discrete), Ok(()));
    let error = table.check("Radiant 90", AdapterClass::Discrete).unwrap_err().to_string();
    assert_eq!(error, "it is for the adapter 'Radiant 9', but the device is 'Radiant 90'");
    assert!(matches!(table.check("Radiant 9", AdapterClass::Other), Err(TableError::Class { .. })));
    assert_eq!(Table::built_in().check("anything", AdapterClass::Other), Ok(()));
}
