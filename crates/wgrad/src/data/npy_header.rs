//! The header of an NPY file: a Python dictionary with the type, the order of the axes and the shape.

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) big_endian: bool,
    /// Whether the first axis varies fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

/// Types of elements that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    F16,
    U32,
    I32,
    F32,
    U64,
    I64,
    F64,
}

impl Element {
    /// Bytes of an element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Reads a header. It need not be written as NumPy writes it: blanks, order of keys, kind of quotes and last commas are free.
pub(super) fn parse(text: &str) -> Result<Header, String> {
    let mut parser = Parser { rest: text };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    parser.expect('{')?;
    while !parser.take('}') {
        let key = parser.string()?;
        parser.expect(':')?;
        match key {
            "descr" => descr = Some(parser.element()?),
            "fortran_order" => fortran_order = Some(parser.truth()?),
            "shape" => shape = Some(parser.shape()?),
            _ => return Err(format!("the header has an unknown key '{key}'")),
        }
        if !parser.take(',') {
            parser.expect('}')?;
            break;
        }
    }
    if !parser.rest.trim().is_empty() {
        return Err(format!("the header goes on after its end: {}", parser.next()));
    }
    let missing = |key: &str| format!("the header has no '{key}'");
    let (element, big_endian) = descr.ok_or_else(|| missing("descr"))?;
    Ok(Header {
        element,
        big_endian,
        fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// Skips a character, after blanks, if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(format!("in the header '{wanted}' is expected, not {}", self.next()))
        }
    }

    /// The beginning of what comes next, for errors.
    fn next(&self) -> String {
        let start: String = self.rest.trim_start().chars().take(20).collect();
        if start.is_empty() { "its end".to_owned() } else { format!("{start:?}") }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            return Err(format!("in the header a text in quotes is expected, not {}", self.next()));
        };
        let (text, rest) = self.rest.split_once(quote).ok_or("in the header a quote is not closed")?;
        self.rest = rest;
        Ok(text)
    }

    /// A name, or a number without sign.
    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn truth(&mut self) -> Result<bool, String> {
        match self.word() {
            "True" => Ok(true),
            "False" => Ok(false),
            other => Err(format!("'fortran_order' is '{other}' and neither True nor False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut shape = vec![];
        while !self.take(')') {
            let word = self.word();
            // Python 2 wrote an L behind long integers.
            let length = word.strip_suffix('L').unwrap_or(word).parse();
            shape.push(length.map_err(|_| format!("'shape' has an axis of length '{word}', before {}", self.next()))?);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }

    /// The type, and whether its highest byte comes first.
    fn element(&mut self) -> Result<(Element, bool), String> {
        if self.rest.trim_start().starts_with(['[', '(']) {
            return Err("its elements are records of several fields: save each field as an array of its own".to_owned());
        }
        let descr = self.string()?;
        let (order, name) = match descr.chars().next() {
            Some(order @ ('<' | '>' | '=' | '|')) => (order, &descr[1..]),
            _ => ('=', descr),
        };
        let element = match name {
            "b1" | "?" => Element::Bool,
            "u1" => Element::U8,
            "i1" => Element::I8,
            "u2" => Element::U16,
            "i2" => Element::I16,
            "f2" => Element::F16,
            "u4" => Element::U32,
            "i4" => Element::I32,
            "f4" => Element::F32,
            "u8" => Element::U64,
            "i8" => Element::I64,
            "f8" => Element::F64,
            _ if name.starts_with('O') => {
                return Err("its elements are pickled Python objects, which are not read: \
                            save numbers, with a shape that all rows share"
                    .to_owned());
            }
            _ => {
                return Err(format!(
                    "its elements are of the type '{descr}'; readable are b1, i1 to i8, u1 to u8, f2, f4 and f8: \
                     convert them with astype"
                ));
            }
        };
        Ok((element, order == '>' || order == '=' && cfg!(target_endian = "big")))
    }
}

/// The whole header of version 1.0 or, if that is too short for it, 2.0, magic bytes included. Elements start at a multiple of 64.
pub(super) fn write(descr: &str, shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", lengths.join(", "));
    let is_long = text.len() + 64 > usize::from(u16::MAX);
    let before = if is_long { 12 } else { 10 };
    let blanks = 63 - (before + text.len()) % 64;
    text.push_str(&" ".repeat(blanks));
    text.push('\n');
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([if is_long { 2 } else { 1 }, 0]);
    bytes.extend(&(text.len() as u64).to_le_bytes()[..before - 8]);
    bytes.extend(text.into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Element, Header, parse, write};

    #[test]
    fn headers_are_read_however_they_are_written() {
        let wanted = Header { element: Element::F32, big_endian: true, fortran_order: false, shape: vec![3, 4] };
        for text in [
            "{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }  \n",
            "{'shape':(3L,4L,),'fortran_order':False,'descr':\">f4\"}",
            " { \"descr\" : '>f4' ,\n'shape' : ( 3 , 4 ) , 'fortran_order' : False } ",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&wanted), "{text}");
        }
        let shape = |text: &str| parse(&format!("{{'descr': '|u1', 'fortran_order': True, 'shape': {text}}}"));
        assert_eq!(shape("()").unwrap().shape, [0; 0]);
        assert_eq!(shape("(5,)").unwrap().shape, [5]);
        for wrong in ["(-1,)", "(1 2)", "(99999999999999999999999,)", "5", "(5", "(,)", "[5]"] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_that_cannot_be_read_say_why() {
        let says = |text: &str, wanted: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        };
        says("", "'{' is expected, not its end");
        says("{}", "no 'descr'");
        says("{'descr': '<f4', 'shape': ()}", "no 'fortran_order'");
        says("{'descr': '<f4', 'fortran_order': 0", "'0' and neither");
        says("{'descr': '|O', ", "pickled");
        says("{'descr': '<c8', ", "'<c8'");
        says("{'descr': [('a', '<f4')], ", "records");
        says("{'descr': '<f4, ", "not closed");
        says("{'more': 1}", "unknown key 'more'");
        says("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "after its end");
    }

    #[test]
    fn written_headers_are_aligned_and_read_back() {
        for shape in [vec![], vec![7], vec![2, 3], vec![1; 40_000]] {
            let bytes = write("<f8", &shape);
            assert_eq!((bytes.len() % 64, bytes.last()), (0, Some(&b'\n')));
            let start = if shape.len() > 1000 { 12 } else { 10 };
            assert_eq!(bytes[6], if start == 12 { 2 } else { 1 });
            let header = parse(std::str::from_utf8(&bytes[start..]).unwrap()).unwrap();
            assert_eq!((header.element, header.shape), (Element::F64, shape));
        }
    }
}
