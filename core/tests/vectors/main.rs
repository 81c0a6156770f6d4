//! Known answers: the vector files in `tests/data`, made with the reference implementation.

#[cfg(test)]
mod codes;
#[cfg(test)]
mod hashcash;
#[cfg(test)]
mod hints;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod names;
#[cfg(test)]
mod pake;
#[cfg(test)]
mod secretbox;
#[cfg(test)]
mod uri;

#[cfg(test)]
mod support {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    /// The list under `key` of a vector file.
    pub(crate) fn rows(file: &str, key: &str) -> Vec<Value> {
        let file: Value = serde_json::from_str(file).unwrap();
        let rows = file[key].as_array().unwrap().clone();
        assert!(!rows.is_empty());
        rows
    }

    pub(crate) fn hex(value: &Value) -> Vec<u8> {
        HEXLOWER.decode(text(value).as_bytes()).unwrap()
    }

    pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
        hex(value).try_into().unwrap()
    }

    pub(crate) fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }
}
