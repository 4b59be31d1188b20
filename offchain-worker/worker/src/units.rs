//! Amounts and hashes as people write them.

use cairn_primitives::H256;

/// Decimals of the chain's token: one CRN is `10^12` plancks.
pub const DECIMALS: u32 = 12;
/// Symbol of the chain's token.
pub const SYMBOL: &str = "CRN";

/// Why a text is not an amount or a hash.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
	/// No decimal number, or more than twelve decimals, or more than fits into 128 bits.
	#[error("`{0}` is not an amount: write {SYMBOL} as a decimal number with at most {DECIMALS} decimals, for example 1000 or 0.5")]
	Amount(String),
	/// Not 32 bytes of hexadecimal.
	#[error("`{0}` is not a hash: write 0x and 64 hexadecimal digits, for example the hash that `cairn-worker artifacts list` prints")]
	Hash(String),
}

/// Reads an amount in CRN into plancks.
///
/// # Errors
/// When the text is no decimal number with at most twelve decimals, or does not fit.
///
/// ```
/// assert_eq!(cairn_worker::units::parse_amount("1.5"), Ok(1_500_000_000_000));
/// ```
pub fn parse_amount(text: &str) -> Result<u128, ParseError> {
	let wrong = || ParseError::Amount(text.to_string());
	let number = text.trim().trim_end_matches(SYMBOL).trim_end();
	let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
	let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
	if !digits(whole)
		|| !digits(fraction)
		|| (whole.is_empty() && fraction.is_empty())
		|| fraction.len() > DECIMALS as usize
	{
		return Err(wrong());
	}
	// Padded with zeros, so that both parts together are the number of plancks.
	format!("{whole}{fraction:0<12}").parse().map_err(|_| wrong())
}

/// Writes plancks in CRN, without needless zeros.
///
/// ```
/// assert_eq!(cairn_worker::units::format_amount(1_500_000_000_000), "1.5 CRN");
/// ```
pub fn format_amount(plancks: u128) -> String {
	let unit = 10u128.pow(DECIMALS);
	let fraction = format!("{:012}", plancks % unit);
	let fraction = fraction.trim_end_matches('0');
	if fraction.is_empty() {
		format!("{} {SYMBOL}", plancks / unit)
	} else {
		format!("{}.{fraction} {SYMBOL}", plancks / unit)
	}
}

/// `0x` and lower-case hexadecimal.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
	format!("0x{}", ::hex::encode(bytes))
}

/// Reads a 32-byte hash, with or without `0x`.
///
/// # Errors
/// When the text is anything else.
pub fn parse_hash(text: &str) -> Result<H256, ParseError> {
	let mut bytes = [0u8; 32];
	let digits = text.strip_prefix("0x").unwrap_or(text);
	::hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseError::Hash(text.to_string()))?;
	Ok(H256(bytes))
}

/// The first eight hexadecimal digits of a hash, for lines that people read.
pub fn short(hash: &H256) -> String {
	format!("0x{}…", ::hex::encode(&hash.0[..4]))
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn amount_is_read_exactly() {
		for (text, plancks) in [
			("0", 0),
			("1", 1_000_000_000_000),
			("0.000000000001", 1),
			(".5", 500_000_000_000),
			("2.", 2_000_000_000_000),
			("1000 CRN", 1_000_000_000_000_000),
		] {
			assert_eq!(parse_amount(text), Ok(plancks), "{text}");
		}
	}

	#[test]
	fn amount_is_refused_when_it_is_no_decimal_number_or_too_fine_or_too_big() {
		for text in ["", ".", "-1", "+1", "1e3", "1,5", "0.0000000000001", "1.2.3", "CRN"] {
			assert_eq!(parse_amount(text), Err(ParseError::Amount(text.to_string())), "{text}");
		}
		assert!(parse_amount(&"9".repeat(39)).is_err());
	}

	#[test]
	fn hash_is_refused_when_it_is_malformed() {
		let good = format!("0x{}", "ab".repeat(32));
		assert_eq!(parse_hash(&good), Ok(H256([0xab; 32])));
		for text in ["0x", "0xzz", &good[..65], &format!("{good}0")] {
			let message = parse_hash(text).expect_err("malformed").to_string();
			assert!(message.contains("64 hexadecimal digits"), "{message}");
		}
	}

	proptest! {
		#[test]
		fn every_amount_reads_back_as_itself(plancks in 0..u128::MAX / 2) {
			prop_assert_eq!(parse_amount(&format_amount(plancks)), Ok(plancks));
		}
	}
}
