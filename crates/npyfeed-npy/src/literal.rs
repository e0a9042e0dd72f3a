//! The Python literals that a header is made of: strings, axis lengths, bools, brackets.
//!
//! What comes in are the bytes of a header; what goes out are values, in the order the caller asks for
//! them, or an error with the byte where the text is not what was asked for. No tree is built, so memory
//! is what the caller keeps.
//!
//! The grammar is what Python's `repr` produces, with any white space between the words and a comma
//! allowed after the last item. Python would also read comments, octal escapes, `1_000`, `b'bytes'` and
//! strings written side by side; no writer of .npy files produces those, and each is one more way for two
//! readers to disagree about a file.

use std::borrow::Cow;

use crate::error::{HeaderError, excerpt};
use crate::limits::{MAX_AXES, MAX_DEPTH};

/// How the bytes inside the quotes stand for characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Versions 1.0 and 2.0. Python 2 wrote these too, and its integers may end in `L`.
    Latin1,
    /// Version 3.0.
    Utf8,
}

/// The three kinds of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brackets {
    Dict,
    List,
    Tuple,
}

impl Brackets {
    fn open(self) -> u8 {
        match self {
            Brackets::Dict => b'{',
            Brackets::List => b'[',
            Brackets::Tuple => b'(',
        }
    }

    fn close(self) -> u8 {
        match self {
            Brackets::Dict => b'}',
            Brackets::List => b']',
            Brackets::Tuple => b')',
        }
    }

    fn comma_or_close(self) -> &'static str {
        match self {
            Brackets::Dict => "',' or '}'",
            Brackets::List => "',' or ']'",
            Brackets::Tuple => "',' or ')'",
        }
    }
}

/// A place in the text of a header.
pub(crate) struct Reader<'a> {
    /// The file from its first byte to the end of the header, so that an index is an offset in the file.
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    encoding: Encoding,
}

impl<'a> Reader<'a> {
    /// A reader of the text that starts at byte `at` of `bytes` and ends where they end.
    pub(crate) fn new(bytes: &'a [u8], at: usize, encoding: Encoding) -> Reader<'a> {
        Reader { bytes, at, depth: 0, encoding }
    }

    /// The next byte that is not white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).count();
        self.bytes.get(self.at).copied()
    }

    /// Where the next word starts, in bytes from the start of the file.
    pub(crate) fn offset(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// The error that something else than `expected` comes next.
    pub(crate) fn unexpected(&mut self, expected: &'static str) -> HeaderError {
        let found = match self.peek() {
            None => "the end of the header".to_owned(),
            Some(b'\'' | b'"') => "a string".to_owned(),
            Some(byte) if is_word_byte(byte) => excerpt(&String::from_utf8_lossy(self.word())),
            Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        HeaderError::Syntax { offset: self.at, expected, found }
    }

    /// The letters, digits, signs and dots from here on.
    fn word(&self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, which must come next.
    pub(crate) fn need(&mut self, byte: u8, expected: &'static str) -> Result<(), HeaderError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Takes an opening bracket. Here is where depth is held against its limit.
    pub(crate) fn open(&mut self, brackets: Brackets, expected: &'static str) -> Result<(), HeaderError> {
        let offset = self.offset();
        self.need(brackets.open(), expected)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(HeaderError::TooDeep { offset, limit: MAX_DEPTH });
        }
        Ok(())
    }

    /// Takes the closing bracket and tells where it stood.
    pub(crate) fn close(&mut self, brackets: Brackets) -> Result<usize, HeaderError> {
        let offset = self.offset();
        self.need(brackets.close(), brackets.comma_or_close())?;
        self.depth -= 1;
        Ok(offset)
    }

    /// After an item: takes the comma, if any, and tells whether another item follows.
    pub(crate) fn more(&mut self, brackets: Brackets) -> bool {
        self.take(b',') && self.peek() != Some(brackets.close())
    }

    /// Brackets with any number of items in them, each read by `item`. Tells where they close.
    pub(crate) fn items(
        &mut self,
        brackets: Brackets,
        expected: &'static str,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<(), HeaderError>,
    ) -> Result<usize, HeaderError> {
        self.open(brackets, expected)?;
        if self.peek() != Some(brackets.close()) {
            item(self)?;
            while self.more(brackets) {
                item(self)?;
            }
        }
        self.close(brackets)
    }

    /// Nothing but white space up to the end of the header.
    pub(crate) fn end(&mut self) -> Result<(), HeaderError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("only padding after the dict")),
        }
    }

    /// `True` or `False`.
    pub(crate) fn boolean(&mut self) -> Result<bool, HeaderError> {
        self.peek();
        let word = self.word();
        let value = match word {
            b"True" => true,
            b"False" => false,
            _ => return Err(self.unexpected("True or False")),
        };
        self.at += word.len();
        Ok(value)
    }

    /// A tuple of axis lengths: `()`, `(3,)`, `(3, 4)`.
    pub(crate) fn shape(&mut self) -> Result<Vec<usize>, HeaderError> {
        let mut shape = Vec::new();
        self.open(Brackets::Tuple, "a tuple of axis lengths, such as (3, 4)")?;
        while self.peek() != Some(Brackets::Tuple.close()) {
            if shape.len() == MAX_AXES {
                return Err(HeaderError::TooManyAxes { offset: self.at, limit: MAX_AXES });
            }
            shape.push(self.axis_length()?);
            match (self.take(b','), shape.len()) {
                (true, _) => {}
                // To Python, `(3)` is a number in parentheses.
                (false, 1) => return Err(self.unexpected("',' after the only length, as in (3,),")),
                (false, _) => break,
            }
        }
        self.close(Brackets::Tuple)?;
        Ok(shape)
    }

    /// A decimal integer of 0 or more. A leading zero is an error, as in Python 3: Python 2 read octal.
    fn axis_length(&mut self) -> Result<usize, HeaderError> {
        self.peek();
        let word = self.word();
        let digits = match self.encoding {
            Encoding::Latin1 => word.strip_suffix(b"L").unwrap_or(word),
            Encoding::Utf8 => word,
        };
        let is_decimal = digits.iter().all(u8::is_ascii_digit) && !digits.is_empty();
        if !is_decimal || (digits[0] == b'0' && digits.len() > 1) {
            return Err(self.unexpected("an axis length (an integer of 0 or more)"));
        }
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            length.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
        });
        let too_large = || HeaderError::ShapeTooLarge {
            offset: self.at,
            found: excerpt(&String::from_utf8_lossy(digits)),
        };
        let length = length.ok_or_else(too_large)?;
        self.at += word.len();
        Ok(length)
    }

    /// A string in single or double quotes, without its quotes and escapes. Borrowed unless it has
    /// escapes or letters beyond ASCII.
    pub(crate) fn string(&mut self, expected: &'static str) -> Result<Cow<'a, str>, HeaderError> {
        // Python 2 wrote the title of a field as u'title' if it was of type `unicode`.
        let prefix_bytes = usize::from(self.peek() == Some(b'u'));
        let Some(&quote @ (b'\'' | b'"')) = self.bytes.get(self.at + prefix_bytes) else {
            return Err(self.unexpected(expected));
        };
        self.at += prefix_bytes + 1;
        let mut text = self.plain_run(quote)?;
        while self.bytes.get(self.at) == Some(&b'\\') {
            let escaped = self.escape()?;
            text.to_mut().push(escaped);
            text += self.plain_run(quote)?;
        }
        self.at += 1;
        Ok(text)
    }

    /// The part of a string up to its closing quote or the next backslash, both of which stay.
    fn plain_run(&mut self, quote: u8) -> Result<Cow<'a, str>, HeaderError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let stops = |&byte: &u8| byte == quote || matches!(byte, b'\\' | b'\n' | b'\r' | 0);
        let run = &rest[..rest.iter().position(stops).unwrap_or(rest.len())];
        self.at += run.len();
        match self.bytes.get(self.at) {
            Some(&byte) if byte == quote || byte == b'\\' => self.decode(run, start),
            Some(byte) => Err(closing_quote_expected(self.at, format!("byte 0x{byte:02x}"))),
            None => Err(closing_quote_expected(self.at, "the end of the header".to_owned())),
        }
    }

    fn decode(&self, run: &'a [u8], start: usize) -> Result<Cow<'a, str>, HeaderError> {
        match (str::from_utf8(run), self.encoding) {
            (Ok(text), Encoding::Utf8) => Ok(Cow::Borrowed(text)),
            (Ok(text), Encoding::Latin1) if text.is_ascii() => Ok(Cow::Borrowed(text)),
            (Ok(_) | Err(_), Encoding::Latin1) => Ok(run.iter().map(|&byte| char::from(byte)).collect()),
            (Err(error), Encoding::Utf8) => {
                let at = error.valid_up_to();
                Err(HeaderError::NotUtf8 { offset: start + at, found: run[at] })
            }
        }
    }

    /// One escape, from its backslash on: those that `repr` writes.
    fn escape(&mut self) -> Result<char, HeaderError> {
        let offset = self.at;
        let rest = self.bytes.get(offset + 1..).unwrap_or_default();
        let (value, escape_bytes) = match rest.first() {
            Some(&byte @ (b'\\' | b'\'' | b'"')) => (Some(char::from(byte)), 1),
            Some(b'n') => (Some('\n'), 1),
            Some(b'r') => (Some('\r'), 1),
            Some(b't') => (Some('\t'), 1),
            Some(b'x') => (hex_char(rest.get(1..3)), 3),
            Some(b'u') => (hex_char(rest.get(1..5)), 5),
            Some(b'U') => (hex_char(rest.get(1..9)), 9),
            Some(_) | None => (None, 0),
        };
        self.at += 1 + escape_bytes;
        value.ok_or_else(|| {
            let found = rest.iter().take(9).map(|&byte| char::from(byte)).collect::<String>();
            let expected = r"an escape of one character, such as \n, \x7f or \u00e9,";
            HeaderError::Syntax { offset, expected, found: excerpt(&format!("\\{found}")) }
        })
    }
}

/// What may be part of a number or a name; a number must not end where a name would go on.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-')
}

fn closing_quote_expected(offset: usize, found: String) -> HeaderError {
    HeaderError::Syntax { offset, expected: "the closing quote of a string", found }
}

/// The character with this number; `None` too for half of a surrogate pair, which Python's strings may
/// hold and Unicode text may not.
fn hex_char(digits: Option<&[u8]>) -> Option<char> {
    let value = digits?.iter().try_fold(0_u32, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    });
    char::from_u32(value?)
}

/// A shape as Python writes it: `()`, `(3,)`, `(3, 4)`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    let lone_comma = if shape.len() == 1 { "," } else { "" };
    format!("({}{lone_comma})", lengths.join(", "))
}
