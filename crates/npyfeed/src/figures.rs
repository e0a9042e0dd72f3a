//! Numbers as people read them.

/// What part `part` is of `whole`; all of nothing.
#[expect(clippy::cast_precision_loss, reason = "a share is told to a hundredth")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// `"93 %"` of 0.93.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// `"1.30 GB/s"` of bytes in nanoseconds, and `"13.0 MB/s"`.
#[expect(clippy::cast_precision_loss, reason = "three digits are told")]
pub(crate) fn rate(bytes: u64, elapsed_ns: u64) -> String {
    let rate = bytes as f64 / elapsed_ns.max(1) as f64;
    if rate < 0.1 { format!("{:.1} MB/s", 1000.0 * rate) } else { format!("{rate:.2} GB/s") }
}

/// `"1.23 GB"`, in powers of 1000 as disks are sold.
#[expect(clippy::cast_precision_loss, reason = "three digits are told")]
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|&(unit, _)| bytes >= unit) {
        Some((unit, name)) => format!("{:.2} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// `"12,345,678"`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_read_them() {
        assert_eq!((percent(0.934), rate(2_600, 2_000)), ("93 %".to_owned(), "1.30 GB/s".to_owned()));
        assert_eq!(rate(26, 2_000), "13.0 MB/s");
        assert_eq!([999, 1000, 1_234_567_890].map(size), ["999 bytes", "1.00 kB", "1.23 GB"]);
        assert_eq!([0, 999, 1000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
