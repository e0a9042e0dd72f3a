//! Zip archives made byte for byte, so that each number in them can lie.
#![expect(unreachable_pub, reason = "a module of a test")]

/// A member to be written. The numbers of the directory and of the local header may differ.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub central: Numbers,
    pub local: Numbers,
    /// What the local header is called, if not `name`.
    pub local_name: Option<Vec<u8>>,
    pub central_extra: Vec<u8>,
    pub local_extra: Vec<u8>,
    pub descriptor: Vec<u8>,
    /// Where the directory says the local header is, if not where it is.
    pub header_offset: Option<u32>,
}

#[derive(Clone, Copy)]
pub struct Numbers {
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub compressed: u32,
    pub plain: u32,
}

pub fn crc(bytes: &[u8]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("archives of tests are small")
}

pub fn stored(name: &str, plain: &[u8]) -> Entry {
    entry(name, plain, plain.to_vec(), 0)
}

pub fn deflated(name: &str, plain: &[u8]) -> Entry {
    let mut deflater = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut data = vec![0; deflater.deflate_compress_bound(plain.len())];
    let length = deflater.deflate_compress(plain, &mut data).expect("the bound is enough");
    data.truncate(length);
    entry(name, plain, data, 8)
}

pub fn entry(name: &str, plain: &[u8], data: Vec<u8>, method: u16) -> Entry {
    let flags = if name.is_ascii() { 0 } else { 1 << 11 };
    let numbers = Numbers { flags, method, crc: crc(plain), compressed: size(&data), plain: size(plain) };
    Entry {
        name: name.into(),
        data,
        central: numbers,
        local: numbers,
        local_name: None,
        central_extra: vec![],
        local_extra: vec![],
        descriptor: vec![],
        header_offset: None,
    }
}

impl Entry {
    pub fn both(mut self, change: impl Fn(&mut Numbers)) -> Entry {
        change(&mut self.central);
        change(&mut self.local);
        self
    }

    pub fn with(mut self, change: impl Fn(&mut Entry)) -> Entry {
        change(&mut self);
        self
    }
}

pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub fn numbers(numbers: &Numbers) -> Vec<u8> {
    let Numbers { flags, method, crc, compressed, plain } = *numbers;
    let head = join(&[&flags.to_le_bytes(), &method.to_le_bytes(), &[0; 4]]);
    join(&[&head, &crc.to_le_bytes(), &compressed.to_le_bytes(), &plain.to_le_bytes()])
}

pub fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("short").to_le_bytes()
}

/// The members, the directory, and where the directory starts.
pub fn body(entries: &[Entry]) -> (Vec<u8>, Vec<u8>) {
    let (mut file, mut directory) = (vec![], vec![]);
    for entry in entries {
        let header_offset = entry.header_offset.unwrap_or(size(&file)).to_le_bytes();
        let name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let head = join(&[b"PK\x03\x04\x14\0", &numbers(&entry.local), &length(name)]);
        file.extend(join(&[&head, &length(&entry.local_extra), name, &entry.local_extra]));
        file.extend(join(&[&entry.data, &entry.descriptor]));
        let head = join(&[b"PK\x01\x02\x14\x03\x14\0", &numbers(&entry.central), &length(&entry.name)]);
        let tail = join(&[&length(&entry.central_extra), &[0; 10], &header_offset]);
        directory.extend(join(&[&head, &tail, &entry.name, &entry.central_extra]));
    }
    (file, directory)
}

pub fn end(count: u16, directory_bytes: u32, directory_offset: u32, comment: &[u8]) -> Vec<u8> {
    let counts = join(&[&count.to_le_bytes(), &count.to_le_bytes()]);
    let place = join(&[&directory_bytes.to_le_bytes(), &directory_offset.to_le_bytes()]);
    join(&[b"PK\x05\x06\0\0\0\0", &counts, &place, &length(comment), comment])
}

pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let (file, directory) = body(entries);
    let count = u16::try_from(entries.len()).expect("few");
    join(&[&file, &directory, &end(count, size(&directory), size(&file), b"")])
}

/// As [`archive`], with the end that archives beyond 4 GiB have.
pub fn wide_archive(entries: &[Entry], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let (file, directory) = body(entries);
    let count = (entries.len() as u64).to_le_bytes();
    let place = [directory.len() as u64, file.len() as u64].map(u64::to_le_bytes).concat();
    let wide = join(&[b"PK\x06\x06", &44_u64.to_le_bytes(), &[0; 12], &count, &count, &place]);
    let wide_offset = ((file.len() + directory.len()) as u64).to_le_bytes();
    let locator = join(&[b"PK\x06\x07\0\0\0\0", &wide_offset, &1_u32.to_le_bytes()]);
    let mut tail = join(&[&wide, &locator, &end(u16::MAX, u32::MAX, u32::MAX, b"")]);
    change(&mut tail);
    join(&[&file, &directory, &tail])
}

pub fn zip64_extra(values: &[u64]) -> Vec<u8> {
    let content: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    join(&[&1_u16.to_le_bytes(), &length(&content), &content])
}
